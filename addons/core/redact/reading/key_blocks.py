"""Private keys whose lines stand apart, each behind a time stamp, a sign of quotation or a stream's name."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from itertools import pairwise

import re2

from addons.core.redact.masking.findings import Finding

_LATIN1 = re2.Options()
_LATIN1.encoding = re2.Options.Encoding.LATIN1
_BEGIN = re2.compile(rb"-----BEGIN (?:[A-Z0-9]{2,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----", options=_LATIN1)
_END = re2.compile(rb"-----END (?:[A-Z0-9]{2,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----", options=_LATIN1)
_LINE = re2.compile(rb"[A-Za-z0-9+/]{40}", options=_LATIN1)
_MAX_BLOCK = 32 * 1024


def find(text: bytes) -> Iterator[Finding]:
    """Find what stands between a BEGIN and its END (RFC 7468), whatever else is in the lines; offsets into
    `text`.
    """
    if b"PRIVATE KEY" not in text:
        return
    ends = [match.end() for match in _END.finditer(text)]
    begins = [match.start() for match in _BEGIN.finditer(text)]
    for start, following in pairwise([*begins, len(text)]):
        index = bisect_left(ends, start)
        if index == len(ends):
            return
        end = ends[index]
        if end <= following and end - start <= _MAX_BLOCK and _LINE.search(text, start, end) is not None:
            yield Finding(start, end, "private-key", "private-key", text[start:end])
