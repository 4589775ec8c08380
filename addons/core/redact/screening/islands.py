"""Those elements of the lists in a JSON text in which the gate saw something, found without reading the rest.

In a large body that holds a secret or two, what is around them is most of it. Quotes are counted up to there,
so that it is known what is a string; then the object that is an element of a list, or a line, is read alone.
What hangs around it says something about it only where the gate saw that, in another place.
"""

from __future__ import annotations

import json

from addons.core.redact.formats.quotes import Quotes
from addons.core.redact.screening.gate import Hits

_SMALL = 4096  # in bytes: a text that is read whole
_REACH = 1 << 15  # in bytes, on either side
_NEAR = 2048
_TRIES = 100
_BEFORE_ELEMENT = frozenset((b",", b"[", b"}"))

type _Span = tuple[int, int]
_decode = json.JSONDecoder(strict=False, parse_float=str).raw_decode


def islands(data: bytes, start: int, hits: Hits) -> list[_Span] | None:
    """Give the spans of objects in `data`, in order and apart, that hold all hits. None where they are no
    small part of it, take too long to find, or one hit is in no such object.
    """
    if hits.everywhere or len(data) - start < _SMALL:
        return None
    search = _Search(data, start)
    spans: list[_Span] = []
    left = (len(data) - start) // 2
    for hit in hits.ends:
        if spans and hit <= spans[-1][1]:
            continue
        span = search.around(hit)
        if span is None:
            return None
        while spans and spans[-1][0] >= span[0]:
            spans.pop()
        spans.append(span)
        left -= span[1] - span[0]
        if left < 0:
            return None
    return spans


class _Search:
    """Finds objects in one text, and stops when that has taken as long as to read it."""

    def __init__(self, data: bytes, start: int) -> None:
        self._data = data
        self._start = start
        self._quotes = Quotes(data, start)
        self._left = 2 * len(data) + _REACH

    def around(self, hit: int) -> _Span | None:
        """The smallest object around the place that ends at `hit`, of those that are elements of lists or
        lines.
        """
        data = self._data
        lowest = max(self._start, hit - _REACH)
        position = hit
        for _ in range(_TRIES):
            position = data.rfind(b"{", lowest, position)
            if position <= self._start or self._left < 0:
                return None
            before = data[max(self._start, position - 64) : position].rstrip()[-1:]
            if before in _BEFORE_ELEMENT and not self._quotes.inside(position):
                end = self._end_of(position, hit)
                if end >= hit:
                    return position, end
        return None

    def _end_of(self, position: int, hit: int) -> int:
        """Where the object at `position` ends; 0 for none that ends within reach."""
        for reach in (_NEAR, _REACH):
            text = self._data[position : hit + reach].decode("latin-1")  # a character for each byte
            try:
                end = _decode(text)[1]
            except (ValueError, RecursionError):
                self._left -= len(text)
                continue
            self._left -= end
            return position + end
        return 0
