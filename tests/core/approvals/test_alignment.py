"""Which item of one list is which of another."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.core.approvals.alignment import Gap, align

LETTERS = st.lists(st.sampled_from("abcdef"), max_size=12)


def matched(before: str, after: str) -> str:
    pairs, _ = align(before, after, [lambda letter: letter])
    return "".join(before[ours] for ours, _ in pairs)


@pytest.mark.parametrize(
    ("before", "after", "same"),
    [
        ("abc", "abc", "abc"),
        ("abc", "bc", "bc"),
        ("bc", "abc", "bc"),
        ("abc", "axbyc", "abc"),
        ("abcd", "xbyd", "bd"),
        ("abc", "xyz", ""),
        ("ab", "ba", "a"),
        ("aaaa", "aa", "aa"),
        ("xaay", "xay", "xay"),
        ("abcdef", "fabcde", "abcde"),
        ("", "abc", ""),
    ],
)
def test_items_that_stayed_are_found(before: str, after: str, same: str) -> None:
    assert len(matched(before, after)) == len(same)
    assert matched(before, after) in {same, "b"}


def test_the_first_key_goes_before_the_next() -> None:
    before, after = ["1:a", "2:b", "3:c"], ["2:b", "9:a", "3:x"]
    pairs, gaps = align(before, after, [lambda item: item, lambda item: item[0], lambda item: item[2]])
    assert pairs == [(1, 0), (2, 2)]  # that 1:a is 9:a would cross the first
    assert gaps == [Gap((0, 1), (0, 0)), Gap((2, 2), (1, 2))]


def test_a_key_that_is_not_unique_says_nothing() -> None:
    pairs, gaps = align(["1a", "2a"], ["3a"], [lambda item: item, lambda item: item[1]])
    assert (pairs, gaps) == ([], [Gap((0, 2), (0, 1))])


@given(LETTERS, LETTERS)
def test_pairs_and_gaps_cover_both_lists_in_order(before: list[str], after: list[str]) -> None:
    pairs, gaps = align(before, after, [lambda letter: letter, lambda letter: letter in "ab"])
    ours = [place for place, _ in pairs] + [place for gap in gaps for place in range(*gap.before)]
    theirs = [place for _, place in pairs] + [place for gap in gaps for place in range(*gap.after)]
    assert sorted(ours) == list(range(len(before)))
    assert sorted(theirs) == list(range(len(after)))
    assert pairs == sorted(pairs)
    assert [place for _, place in pairs] == sorted(place for _, place in pairs)


@given(LETTERS)
def test_a_list_is_all_of_itself(letters: list[str]) -> None:
    pairs, gaps = align(letters, letters, [lambda letter: letter])
    assert (pairs, gaps) == ([(place, place) for place in range(len(letters))], [])
