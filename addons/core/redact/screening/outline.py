"""Which parts of a JSON text can be passed over: elements of its lists in which the gate saw nothing.

The standard library's scanner, in C, finds where each ends at a hundred times the speed of reading it for
secrets. What surrounds an element says something about it only where the gate saw that: a key that names a
secret is kept with all that hangs under it.
"""

from __future__ import annotations

import json
import re

from addons.core.redact.screening.gate import Hits

_SPACE = re.compile(r"[ \t\r\n]*+")
_KEY = re.compile(r'"([^"\\]*+(?:\\.[^"\\]*+)*+)"[ \t\r\n]*+:[ \t\r\n]*+', re.DOTALL)
_SMALL = 512  # in bytes: not worth a look of its own
_DEPTH = 6

type _Spans = list[tuple[int, int]]
_decode = json.JSONDecoder(strict=False, parse_float=str).raw_decode


def clean_elements(data: bytes, start: int, hits: Hits) -> _Spans:
    """Give the spans in `data` of list elements, objects or lists themselves, that hold no hit; in order. So
    with values in a row, as in NDJSON. None at all where what stands from `start` on is no JSON text as the
    standard library reads it.
    """
    if hits.everywhere or len(data) - start < _SMALL:
        return []
    text = data.decode("latin-1")  # bytes and characters are the same places, and JSON's own are ASCII
    walk = _Walk(text, hits)
    try:
        position = walk.space(start)
        if text[position] in "{[" and "}\n{" not in text:
            position = walk.space(walk.inside(position, 0))
        while position < len(text):
            position = walk.space(walk.element(position, 0))
    except (ValueError, RecursionError, IndexError):
        return []
    return walk.spans


class _Walk:
    def __init__(self, text: str, hits: Hits) -> None:
        self.text = text
        self.hits = hits
        self.spans: _Spans = []

    def element(self, position: int, depth: int) -> int:
        """Pass over an element of a list, or a value in a row. Give where it ends."""
        end = _decode(self.text, position)[1]
        if self.text[position] not in "{[":
            return end
        if not self.hits.within(position, end):
            self.spans.append((position, end))
        elif end - position > _SMALL:
            self.inside(position, depth)
        return end

    def space(self, position: int) -> int:
        return _SPACE.match(self.text, position).end()  # type: ignore[union-attr] # matches nothing as well

    def inside(self, position: int, depth: int) -> int:
        """Note what is clean inside an object or array. Give where it ends."""
        if depth >= _DEPTH:
            return _decode(self.text, position)[1]
        return (self._object if self.text[position] == "{" else self._array)(position, depth)

    def _object(self, position: int, depth: int) -> int:
        text = self.text
        position = self.space(position + 1)
        while text[position] != "}":
            key = _KEY.match(text, position)
            if key is None:
                raise ValueError
            start = key.end()
            # The place of a hit is its end: for a key, the colon or what follows its closing quote.
            if text[start] in "{[" and not self.hits.within(key.start(), start + 1):
                position = self.inside(start, depth + 1)
            else:
                position = _decode(text, start)[1]
            position = self._next(position, "}")
        return position + 1

    def _array(self, position: int, depth: int) -> int:
        text = self.text
        noted = len(self.spans)
        scalars = False
        position = self.space(position + 1)
        while text[position] != "]":
            scalars = scalars or text[position] not in "{["
            position = self._next(self.element(position, depth + 1), "]")
        if scalars:  # a list of strings is read as one
            del self.spans[noted:]
        return position + 1

    def _next(self, position: int, closing: str) -> int:
        position = self.space(position)
        if self.text[position] == ",":
            return self.space(position + 1)
        if self.text[position] != closing:
            raise ValueError
        return position
