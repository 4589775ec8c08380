"""I8: N approvals are N people, each filling one place."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.core.approvals.needs import BreakGlass, Needs, added_up, places_left

GROUPS = ("a", "b", "c")


def needs(*groups: tuple[str, int], glass: BreakGlass | None = None, **times: float) -> Needs:
    return Needs(
        groups,
        reason_required=False,
        pending=times.get("pending", 60),
        grant=times.get("grant", 60),
        hold=times.get("hold", 60),
        break_glass=glass,
    )


def test_what_several_rules_need_adds_up_and_the_shortest_times_count() -> None:
    both = added_up([needs(("a", 1), ("b", 2), pending=10, hold=1), needs(("b", 1), grant=5)])
    assert both.groups == (("a", 1), ("b", 3))
    assert (both.pending, both.grant, both.hold, both.people) == (10, 5, 1, 4)
    with pytest.raises(ValueError, match="nobody"):
        added_up([])


def test_the_glass_can_be_broken_only_where_every_rule_has_one_and_by_who_is_in_all_its_groups() -> None:
    one, two = BreakGlass(("x",), 60), BreakGlass(("y",), 30)
    assert added_up([needs(("a", 1), glass=one), needs(("a", 1))]).break_glass is None
    both = added_up([needs(("a", 1), glass=one), needs(("a", 1), glass=two)]).break_glass
    assert both == BreakGlass(("x", "y"), 30)


@pytest.mark.parametrize(
    ("places", "people", "left"),
    [
        ([("a", 1)], [], {"a": 1}),
        ([("a", 1)], [{"a"}], {}),
        ([("a", 2)], [{"a"}], {"a": 1}),
        ([("a", 1), ("b", 1)], [{"a", "b"}], {"b": 1}),
        # Whoever can fill either place makes room for who can fill only one.
        ([("a", 1), ("b", 1)], [{"a", "b"}, {"a"}], {}),
        ([("a", 1), ("b", 1)], [{"a"}, {"a"}], None),
        ([("a", 1), ("b", 1)], [{"c"}], None),
        ([("a", 1), ("b", 1), ("c", 1)], [{"a", "b"}, {"b", "c"}, {"a"}], {}),
    ],
)
def test_each_person_fills_one_place(
    places: list[tuple[str, int]], people: list[set[str]], left: dict[str, int] | None
) -> None:
    assert places_left(needs(*places), [frozenset(each) for each in people]) == left


@given(
    st.dictionaries(st.sampled_from(GROUPS), st.integers(1, 2), min_size=1),
    st.lists(st.frozensets(st.sampled_from(GROUPS)), max_size=5),
)
def test_people_are_seated_exactly_where_some_way_of_seating_them_exists(
    places: dict[str, int], people: list[frozenset[str]]
) -> None:
    seats = [group for group, count in places.items() for _ in range(count)]
    ways = itertools.permutations(range(len(seats)), len(people)) if len(people) <= len(seats) else ()
    possible = any(
        all(seats[seat] in person for seat, person in zip(way, people, strict=True)) for way in ways
    )
    left = places_left(needs(*places.items()), people)
    assert (left is not None) == possible
    if left is not None:
        assert sum(left.values()) == len(seats) - len(people)
        assert all(count <= places[group] for group, count in left.items())
