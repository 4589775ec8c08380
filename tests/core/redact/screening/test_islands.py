from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.core.redact.formats import jsonish
from addons.core.redact.formats.quotes import Quotes
from addons.core.redact.screening.gate import EVERYWHERE, Hits
from addons.core.redact.screening.islands import islands

PAD = {"pad": "x" * 9000}
odd = st.text(st.sampled_from('ab"\\{}[],:\n\u00e9'), max_size=8)
values = st.recursive(
    odd,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(odd, inner, max_size=4)),
    max_leaves=20,
)


@given(values, st.booleans(), st.integers(0, 1000))
def test_quotes_tell_what_is_a_string(value: object, is_ascii: bool, shift: int) -> None:
    data = b" " * (16384 - shift) + json.dumps([value], ensure_ascii=is_ascii).encode()
    tree = jsonish.read(data)
    assert tree is not None
    inside = {place for leaf in tree.leaves for place in range(leaf.start, leaf.end + 1)}
    quotes = Quotes(data)
    told = [quotes.inside(place) for place in range(len(data), 16384 - shift - 1, -1)]
    assert told == [place in inside for place in range(len(data), 16384 - shift - 1, -1)]


@given(st.lists(values, max_size=4), st.lists(st.floats(0, 1), max_size=3), st.sampled_from([None, 1]))
def test_islands_are_objects_that_hold_all_places(
    rows: list[object], places: list[float], indent: int | None
) -> None:
    data = json.dumps([PAD, *({"row": row} for row in rows), PAD], indent=indent).encode()
    start, stop = data.index(b"}"), data.rindex(b"{")
    hits = Hits(sorted(start + int(place * (stop - start)) for place in places))
    spans = islands(data, 0, hits)
    if spans is None:
        return
    assert all(isinstance(json.loads(data[begin:end]), dict) for begin, end in spans)
    assert all(any(begin < hit <= end for begin, end in spans) for hit in hits.ends)
    assert all(before[1] <= after[0] for before, after in pairwise(spans))
    whole = jsonish.read(data)
    assert whole is not None
    for begin, end in spans:
        alone = jsonish.read(data, begin, end)
        assert alone is not None
        kept = [(leaf.start, leaf.name) for leaf in whole.leaves if begin < leaf.start < end]
        assert [(leaf.start, leaf.name) for leaf in alone.leaves] == kept


def _found(rows: list[object], mark: str) -> list[object] | None:
    data = json.dumps(rows).encode()
    spans = islands(data, 0, Hits([data.index(mark.encode()) + len(mark)]))
    return None if spans is None else [json.loads(data[start:end]) for start, end in spans]


def test_the_smallest_element_around_a_place_is_found() -> None:
    row = {"a": [{"b": "HIT", "c": {"d": 1}}], "e": {"f": "OTHER"}}
    assert _found([PAD, row], "HIT") == [row["a"][0]]  # type: ignore[index] # the list in it
    assert _found([PAD, row], "OTHER") == [row]


@pytest.mark.parametrize("rows", [["HIT", PAD], [["HIT"], PAD], [PAD, {"text": "},{"}, "HIT"]])
def test_what_is_in_no_object_is_left_to_others(rows: list[object]) -> None:
    assert _found(rows, "HIT") is None


def test_a_text_full_of_places_is_left_to_others() -> None:
    data = json.dumps([{"a": "HIT" * 200}] * 30).encode()
    assert islands(data, 0, Hits([at + 3 for at in range(len(data)) if data.startswith(b"HIT", at)])) is None
    assert islands(data, 0, EVERYWHERE) is None
