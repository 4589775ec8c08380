r"""Punctuation that is encoded where a form has it plain: `ines%40example.net`, `PRIVATE%20KEY`, `http:\/\/`.

Letters and digits have no business being escaped, so whoever does that is looked at; punctuation is escaped
in most URLs and much JSON. The gate therefore reads what is around it once more, decoded.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable

ESCAPED = (
    r"%(?:0[9AaDd]|2[0-9A-Ca-cEeFf]|3[A-Fa-f]|40|5[B-Eb-e]|60|7[B-Eb-e])"
    r"|\\(?:u00(?:2[0-9A-Fa-f]|3[A-Fa-f]|40|5[B-Eb-e]|60|7[B-Eb-e])|/)"
    r"|&(?:quot|apos|amp|lt|gt|nbsp);"
)
"""One such character, in RE2's syntax."""
_ENCODED = re.compile(rb"%([0-9A-Fa-f]{2})|\\+u00([0-9A-Fa-f]{2})|\\+(/)|&(quot|apos|amp|lt|gt|nbsp);")
_NAMED = {b"quot": b'"', b"apos": b"'", b"amp": b"&", b"lt": b"<", b"gt": b">", b"nbsp": b" "}
_AROUND = 256  # bytes: as far as a form reaches before and after its punctuation


class Decoded:
    """What stands around the places in `text` after which `ends` are, in order, decoded once."""

    def __init__(self, text: bytes, ends: Iterable[int]) -> None:
        self._ends: list[list[int]] = []
        spans: list[tuple[int, int]] = []
        for end in ends:
            start, stop = max(0, end - _AROUND), min(len(text), end + _AROUND)
            if spans and start <= spans[-1][1]:
                spans[-1] = (spans[-1][0], stop)
                self._ends[-1].append(end)
            else:
                spans.append((start, stop))
                self._ends.append([end])
        pieces = [decoded(text[start:stop]) for start, stop in spans]
        self._starts = [0]
        for piece in pieces:
            self._starts.append(self._starts[-1] + len(piece) + 1)
        self.text = b"\n".join(pieces)

    def sources(self, places: Iterable[int]) -> list[int]:
        """The `ends` that were read where any of `places`, offsets in the decoded text, is."""
        seen = {bisect_right(self._starts, place - 1) - 1 for place in places}
        return [end for index in seen if index < len(self._ends) for end in self._ends[index]]


def decoded(text: bytes) -> bytes:
    """Give `text` with its escapes undone once."""
    return _ENCODED.sub(_decoded, text)


def _decoded(match: re.Match[bytes]) -> bytes:
    digits = match[1] or match[2]
    return bytes.fromhex(digits.decode()) if digits else _NAMED[match[4]] if match[4] else match[3]
