"""Secrets in the columns of a table as text (RFC 4180), by the names in its first line."""

from __future__ import annotations

from collections.abc import Iterator

import re2

from addons.core.redact import parameters
from addons.core.redact.findings import Finding

MEDIA = ("csv", "tab-separated")
"""What the media type of such a table has in it."""

_LATIN1 = re2.Options()
_LATIN1.encoding = re2.Options.Encoding.LATIN1
_DELIMITERS = b",;\t|"
_MAX_HEAD = 64 * 1024


def find(data: bytes) -> Iterator[Finding]:
    """Find what stands in columns that are named like secrets. The delimiter is the most frequent one of the
    first line, a tab, comma, semicolon or bar.
    """
    line_end = data.find(b"\n", 0, _MAX_HEAD)
    head = data[: line_end + 1]
    delimiter = max(_DELIMITERS, key=head.count)
    field = re2.compile(
        rb'(?:"((?:[^"]|"")*)"|([^\x%02x\r\n"]*))(\x%02x|\r?\n|\z)' % (delimiter, delimiter), options=_LATIN1
    )
    names: list[str] = []
    index = 0
    for match in field.finditer(data):
        start, end = match.span(1 if match.group(1) is not None else 2)
        if end <= line_end:
            names.append(data[start:end].decode("latin-1").strip("\ufeff\xef\xbb\xbf "))
        elif index < len(names) and names[index] and end > start:
            value = data[start:end]
            kind = parameters.named(names[index], value)
            if kind is not None:
                yield Finding(start, end, "column", kind, value)
        index = index + 1 if match.group(3) == b"%c" % delimiter else 0
        if end >= line_end and not any(map(parameters.is_telling, names)):
            return
