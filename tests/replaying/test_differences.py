"""What differs between two JSON documents, and what is left out of the comparison."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.core.model import Json
from addons.core.redact.formats.json_paths import parse_json_path
from addons.core.redact.masking.mask import Masker
from addons.replaying.differences import Difference, differences, json_path, without
from addons.replaying.masked_values import Fit, MaskedValues
from tests.replaying.test_masked_values import JSON

VALUES = MaskedValues(Masker(b"k" * 32))


@given(JSON)
def test_nothing_differs_from_itself(document: Json) -> None:
    assert differences(document, document, VALUES) == []


def test_what_is_changed_new_and_gone_is_told_by_its_json_path() -> None:
    recorded: Json = {"data": [{"id": "a", "n": 1, "old": True}], "a.b": 1, "gone": [1]}
    now: Json = {"data": [{"id": "a", "n": 2}, {"id": "b"}], "a.b": 2}
    found = differences(recorded, now, VALUES)
    assert {each.path: (each.recorded, each.now) for each in found} == {
        "$.data[0].n": ("1", "2"),
        "$.data[0].old": ("true", None),
        "$.data[1]": (None, '{"id": "b"}'),
        '$["a.b"]': ("1", "2"),
        "$.gone": ("[1]", None),
    }
    assert all(parse_json_path(each.path) for each in found)


def test_numbers_are_compared_by_value_and_masks_by_their_key() -> None:
    masker = Masker(b"k" * 32)
    ours, theirs = masker.mask("kind", "one"), masker.mask("kind", "two")
    assert differences({"n": 1}, {"n": 1.0}, VALUES) == []
    assert differences({"n": ours}, {"n": theirs}, VALUES) == [Difference("$.n", f'"{ours}"', f'"{theirs}"')]
    assert differences({"n": ours}, {"n": theirs}, VALUES, enough=Fit.ALIKE) == []


@pytest.mark.parametrize(
    ("path", "left"),
    [
        ("$.id", {"data": [{"id": 2, "x": {"id": 3}}, 4]}),
        ("$.data[*].id", {"id": 1, "data": [{"x": {"id": 3}}, 4]}),
        ("$..id", {"data": [{"x": {}}, 4]}),
        ("$.data[1]", {"id": 1, "data": [{"id": 2, "x": {"id": 3}}]}),
        ("$.data[*]", {"id": 1, "data": []}),
        ("$.data..x", {"id": 1, "data": [{"id": 2}, 4]}),
        ("$.nothing.there", {"id": 1, "data": [{"id": 2, "x": {"id": 3}}, 4]}),
    ],
)
def test_a_path_leaves_out_what_it_names(path: str, left: Json) -> None:
    document: Json = {"id": 1, "data": [{"id": 2, "x": {"id": 3}}, 4]}
    assert without(document, [parse_json_path(path)]) == left


@pytest.mark.parametrize(
    ("told", "path"),
    [("", "$"), ("a.b[0].c", "$.a.b[0].c"), ('"a b".c', '$["a b"].c'), ("[3]", "$[3]"), ("x-y", '$["x-y"]')],
)
def test_paths_are_written_as_json_paths(told: str, path: str) -> None:
    assert json_path(told) == path


OBJECTS: st.SearchStrategy[Json] = st.recursive(
    st.integers(), lambda inner: st.dictionaries(st.text(max_size=8), inner, max_size=4), max_leaves=12
)


@given(OBJECTS, OBJECTS)
def test_every_path_that_is_told_can_be_ignored(recorded: Json, now: Json) -> None:
    told = [each.path for each in differences(recorded, now, VALUES)]
    paths = [parse_json_path(path) for path in told]
    assert differences(without(recorded, paths), without(now, paths), VALUES) == []
