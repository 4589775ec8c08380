"""What it takes to let a call pass: fixed when the call asks, whatever the policy says later."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BreakGlass:
    """Who may let a call pass alone: a member of all of `groups`. `review_within` is in seconds."""

    groups: tuple[str, ...]
    review_within: float


@dataclass(frozen=True, slots=True)
class Needs:
    """`groups` tells how many people of each group have to say yes; each person fills one place.

    `pending` and `grant` are how long a request waits for its answer, and how long a yes may be used; `hold`
    is how long a call is held at most. All in seconds.
    """

    groups: tuple[tuple[str, int], ...]
    reason_required: bool
    pending: float
    grant: float
    hold: float
    break_glass: BreakGlass | None = None

    @property
    def people(self) -> int:
        return sum(count for _, count in self.groups)


def added_up(needs: Iterable[Needs]) -> Needs:
    """What several rules need together: all their places, and the shortest of their times.

    One of them without break-glass, and it can't be broken; else by a member of every group that they name.
    Raises ValueError for none.
    """
    every = tuple(needs)
    if not every:
        raise ValueError("an approval that nobody needs")
    places = Counter[str]()
    for each in every:
        places.update(dict(each.groups))
    ways = [each.break_glass for each in every if each.break_glass is not None]
    break_glass = None
    if len(ways) == len(every):
        groups = tuple(sorted({group for way in ways for group in way.groups}))
        break_glass = BreakGlass(groups, min(way.review_within for way in ways))
    return Needs(
        groups=tuple(sorted(places.items())),
        reason_required=any(each.reason_required for each in every),
        pending=min(each.pending for each in every),
        grant=min(each.grant for each in every),
        hold=min(each.hold for each in every),
        break_glass=break_glass,
    )


def places_left(needs: Needs, votes: Iterable[frozenset[str]]) -> Mapping[str, int] | None:
    """How many people of each group are still to say yes, {} when nobody is; `votes` are the groups of those
    who have. None where they can't be seated at all: more people than places for them.

    A person fills one place, whichever serves best, so this is a matching (augmenting paths, Kuhn 1955).
    """
    seats = [group for group, count in needs.groups for _ in range(count)]
    people = list(votes)
    seated: dict[int, int] = {}

    def seat(person: int, tried: set[int]) -> bool:
        for number, group in enumerate(seats):
            if group not in people[person] or number in tried:
                continue
            tried.add(number)
            if number not in seated or seat(seated[number], tried):
                seated[number] = person
                return True
        return False

    if not all(seat(person, set()) for person in range(len(people))):
        return None
    left = Counter(group for number, group in enumerate(seats) if number not in seated)
    return dict(left)
