"""Where strings are in JSON text, told by counting quotes, many times quicker than by reading it."""

from __future__ import annotations

import re
from bisect import bisect_right
from operator import itemgetter

_BLOCK = 1 << 14
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)
_BACKSLASH = 0x5C


class Quotes:
    """Of `data`, which is JSON from `start` on. Counts no further than it is asked for."""

    __slots__ = ("_blocks", "_data")

    def __init__(self, data: bytes, start: int = 0) -> None:
        self._data = data
        self._blocks = [(start, False)]  # where one begins, and whether that is inside a string

    def inside(self, position: int) -> bool:
        """Whether `position` is inside a string, its closing quote included."""
        blocks = self._blocks
        while blocks[-1][0] + _BLOCK < position:
            begin, within = blocks[-1]
            end = begin + _BLOCK
            while end < len(self._data) and self._data[end - 1] == _BACKSLASH:  # belongs to what it escapes
                end += 1
            blocks.append((end, within ^ self._is_odd(begin, end)))
        begin, within = blocks[bisect_right(blocks, position, key=itemgetter(0)) - 1]
        answer = within ^ self._is_odd(begin, position)
        # Most places are asked for in order.
        if position > blocks[-1][0] and self._data[position - 1] != _BACKSLASH:
            blocks.append((position, answer))
        return answer

    def hold(self, start: int, end: int) -> bool:
        """Whether `start:end` is inside one string."""
        return self.inside(start) and not _count(self._data, start, end)

    def _is_odd(self, start: int, end: int) -> bool:
        return _count(self._data, start, end) % 2 == 1


def _count(data: bytes, start: int, end: int) -> int:
    """How many quotes that are not escaped are in `start:end`, which begins with no escaped character."""
    return data.count(b'"', start, end) - _ESCAPED.findall(data, start, end).count(b'"')
