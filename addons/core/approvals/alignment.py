"""Which item of one list is which of another, so that one that was put in or taken out doesn't make all that
follow look changed.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

type Key[T] = Callable[[T], Hashable | None]
"""What tells an item from others; None where it has nothing of the kind."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Stretches of both lists that lie between items known to belong together, as (start, end)."""

    before: tuple[int, int]
    after: tuple[int, int]


def align[T](
    before: Sequence[T], after: Sequence[T], keys: Sequence[Key[T]]
) -> tuple[list[tuple[int, int]], list[Gap]]:
    """Pair the items that have an equal key, the first of `keys` before the next; give the pairs and the gaps
    between them, both in order, no pair crossing another.

    A key counts where it is unique in both stretches that are left to it (patience diff, Cohen 2003); the
    first one also at both ends of a stretch, as far as it is equal. Linear but for the sorting.
    """
    pairs: list[tuple[int, int]] = []
    gaps = [Gap((0, len(before)), (0, len(after)))]
    for number, key in enumerate(keys):
        left: list[Gap] = []
        for gap in gaps:
            ends, inner = _equal_ends(before, after, gap, key) if number == 0 else ([], gap)
            anchors = _anchors(before, after, inner, key)
            pairs += ends + anchors
            left += _between(inner, anchors)
        gaps = left
    return sorted(pairs), gaps


def _equal_ends[T](
    before: Sequence[T], after: Sequence[T], gap: Gap, key: Key[T]
) -> tuple[list[tuple[int, int]], Gap]:
    (start, end), (first, last) = gap.before, gap.after
    pairs: list[tuple[int, int]] = []
    while start < end and first < last and key(before[start]) == key(after[first]):
        pairs.append((start, first))
        start, first = start + 1, first + 1
    while start < end and first < last and key(before[end - 1]) == key(after[last - 1]):
        end, last = end - 1, last - 1
        pairs.append((end, last))
    return pairs, Gap((start, end), (first, last))


def _anchors[T](before: Sequence[T], after: Sequence[T], gap: Gap, key: Key[T]) -> list[tuple[int, int]]:
    """The longest run of unique items that stand in the same order on both sides."""
    ours, theirs = _unique(before, gap.before, key), _unique(after, gap.after, key)
    common = sorted((ours[each], theirs[each]) for each in ours.keys() & theirs.keys())
    ends: list[int] = []  # the smallest end of an increasing run of each length
    tops: list[int] = []  # and the place in `common` where it stands
    previous: list[int | None] = []
    for place, (_, position) in enumerate(common):
        length = bisect_left(ends, position)
        previous.append(tops[length - 1] if length else None)
        ends[length : length + 1] = [position]
        tops[length : length + 1] = [place]
    run: list[tuple[int, int]] = []
    at = tops[-1] if tops else None
    while at is not None:
        run.append(common[at])
        at = previous[at]
    return run[::-1]


def _unique[T](items: Sequence[T], stretch: tuple[int, int], key: Key[T]) -> dict[Hashable, int]:
    keyed = [(found, place) for place in range(*stretch) if (found := key(items[place])) is not None]
    counts = Counter(found for found, _ in keyed)
    return {found: place for found, place in keyed if counts[found] == 1}


def _between(gap: Gap, anchors: Sequence[tuple[int, int]]) -> list[Gap]:
    """What is left of `gap` before, between and after its anchors; stretches that are both empty are none."""
    (start, end), (first, last) = gap.before, gap.after
    gaps: list[Gap] = []
    for ours, theirs in [*anchors, (end, last)]:
        if start < ours or first < theirs:
            gaps.append(Gap((start, ours), (first, theirs)))
        start, first = ours + 1, theirs + 1
    return gaps
