"""What masking changes in a text, as a person reads a diff; nothing unmasked shows in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from addons.core.redact.reporting.message_findings import Mark, Searched, Spot

_AROUND = 60  # bytes of context on each side
_MOST_IN_HUNK = 16
_LINE_ENDS = (b"", b"\r", b"\n")


class Change(StrEnum):
    SAME = "same"
    REMOVED = "removed"
    ADDED = "added"


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a line: what stays, a secret shortened to its first characters, or a mask."""

    change: Change
    text: str


_CUT = Piece(Change.SAME, "…")


@dataclass(frozen=True, slots=True)
class Hunk:
    """Masks that stand close together in a line."""

    spots: tuple[Spot, ...]
    before: tuple[Piece, ...]
    after: tuple[Piece, ...]


def hunks(searched: Searched) -> Iterator[Hunk]:
    """Give what masking changed, with a little of what is around, which never reaches into another mask."""
    spots = searched.spots
    first = 0
    while first < len(spots):
        last = first
        while last + 1 < len(spots) and last - first + 1 < _MOST_IN_HUNK and _close(searched, last):
            last += 1
        yield _hunk(searched, first, last)
        first = last + 1


def shortened(mark: Mark) -> str:
    """Give of a value what tells a person which one it is."""
    return f"{mark.beginning}…({mark.length} bytes)"


def _close(searched: Searched, index: int) -> bool:
    start, end = searched.spots[index].end, searched.spots[index + 1].start
    return end - start <= 2 * _AROUND and searched.text.find(b"\n", start, end) < 0


def _hunk(searched: Searched, first: int, last: int) -> Hunk:
    text, spots = searched.text, searched.spots[first : last + 1]
    position = _context_start(searched, first)
    head = [_CUT] if position and text[position - 1 : position] != b"\n" else []
    before: list[Piece] = list(head)
    after: list[Piece] = list(head)
    for spot in spots:
        same = Piece(Change.SAME, _text(text[position : spot.start]))
        before += (same, Piece(Change.REMOVED, shortened(spot.mark)))
        after += (same, Piece(Change.ADDED, spot.mark.mask))
        position = spot.end
    end = _context_end(searched, last)
    tail = [Piece(Change.SAME, _text(text[position:end]))]
    tail += [_CUT] if text[end : end + 1] not in _LINE_ENDS else []
    return Hunk(spots, (*before, *tail), (*after, *tail))


def _context_start(searched: Searched, index: int) -> int:
    start = searched.spots[index].start
    lowest = max(start - _AROUND, searched.spots[index - 1].end if index else 0)
    return max(lowest, searched.text.rfind(b"\n", lowest, start) + 1)


def _context_end(searched: Searched, index: int) -> int:
    text, spots, end = searched.text, searched.spots, searched.spots[index].end
    highest = min(end + _AROUND, spots[index + 1].start if index + 1 < len(spots) else len(text))
    line = text.find(b"\n", end, highest + 1)
    if line < 0:
        return highest
    return line - (line > end and text[line - 1 : line] == b"\r")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")
