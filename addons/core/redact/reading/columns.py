"""Secrets in the columns of a table as text (RFC 4180), by the names in its first line."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import re2

from addons.core.redact.masking.findings import Finding
from addons.core.redact.reading import parameters

MEDIA = ("csv", "tab-separated")
"""What the media type of such a table has in it."""

_LATIN1 = re2.Options()
_LATIN1.encoding = re2.Options.Encoding.LATIN1
_DELIMITERS = b",;\t|"
_MAX_HEAD = 64 * 1024
_BYTE_ORDER_MARK = "\xef\xbb\xbf "


def find(data: bytes) -> Iterator[Finding]:
    """Find what stands in columns that are named like secrets. The delimiter is the most frequent one of the
    first line, a tab, comma, semicolon or bar.
    """
    line_end = data.find(b"\n", 0, _MAX_HEAD)
    head = data[: line_end + 1]
    delimiter = max(_DELIMITERS, key=head.count)
    fields = _fields(delimiter).finditer(data)
    names: dict[int, str] = {}
    index = 0
    for match in fields:
        start, end = match.span(1 if match.group(1) is not None else 2)
        if end <= line_end:
            name = data[start:end].decode("latin-1").strip(_BYTE_ORDER_MARK)
            if parameters.is_telling(name):
                names[index] = name
        elif not names:
            return
        elif index in names and end > start:
            value = data[start:end]
            kind = parameters.named(names[index], value)
            if kind is not None:
                yield Finding(start, end, "column", kind, value)
        index = index + 1 if match.end() > end and data[match.end() - 1] == delimiter else 0


@cache
def _fields(delimiter: int) -> re2._Regexp:
    pattern = rb'(?:"((?:[^"]|"")*)"|([^\x%02x\r\n"]*))(?:\x%02x|\r?\n|\z)' % (delimiter, delimiter)
    return re2.compile(pattern, options=_LATIN1)
