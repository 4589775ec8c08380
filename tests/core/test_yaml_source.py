from __future__ import annotations

import json
import math
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.core.yaml_form import validate
from addons.core.yaml_source import (
    MAX_CHARACTERS,
    MAX_DEPTH,
    Position,
    Problem,
    ProblemsError,
    Section,
    load,
)


def refusal(text: str) -> str:
    with pytest.raises(ProblemsError) as raised:
        load(text, "f")
    return str(raised.value)


@pytest.mark.parametrize(
    ("text", "position", "words"),
    [
        ("effect: deny\neffect: allow", "f:2:1", "stands twice; first in line 1"),
        ("a: {b: 1, b: 1}", "f:1:11", "stands twice"),
        ('"a": 1\na: 2', "f:2:1", "stands twice"),
        ("a: &x 1", "f:1:4", "anchors"),
        ("&x a: 1", "f:1:1", "anchors"),
        ("a: &x 1\nb: *x", "f:1:4", "anchors"),
        ("b: *x", "f:1:4", "aliases"),
        ("<<: {a: 1}", "f:1:1", "merge keys"),
        ("a: !!python/object:x 1", "f:1:4", "tags"),
        ("a: !!str 1", "f:1:4", "tags"),
        ("a: ! 1", "f:1:4", "tags"),
        ("1: a", "f:1:1", "not text"),
        ("true: a", "f:1:1", "not text"),
        ("~: a", "f:1:1", "not text"),
        ("? [a]\n: b", "f:1:3", "not text"),
        ("a: 1\n---\nb: 2", "f:2:1", "second document"),
        ("a: [1", "f:1:", "not YAML"),
        ("a: 'x", "f:1:", "not YAML"),
        ("a:\n\tb: 1", "f:2:1", "not YAML"),
        ("ab: \x07", "f:1:5", "does not allow"),
        ("a: .inf", "f:1:4", "not finite"),
        ("a: .nan", "f:1:4", "not finite"),
        ("a: 1e999", "f:1:4", "not finite"),
        ("a: " + "9" * 5000, "f:1:4", "too large"),
        ('a: "\\ud800"', "f:1:4", "surrogate"),
        ("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), f"f:1:{MAX_DEPTH + 1}", "deep"),
        ("[" * 100_000, f"f:1:{MAX_DEPTH + 1}", "deep"),
        ("#" * (MAX_CHARACTERS + 1), "f", "longer"),
    ],
)
def test_what_two_readers_could_read_differently_is_refused(text: str, position: str, words: str) -> None:
    message = refusal(text)
    assert message.startswith(position), message
    assert words in message


def test_all_bad_keys_are_listed() -> None:
    assert len(refusal("a: 1\na: 2\n3: b\n<<: {}\n").splitlines()) == 3


def test_plain_scalars_follow_the_core_schema() -> None:
    text = (
        "[yes, no, on, 12:30:00, 2026-01-01, 0o17, 0x1F, 017, true, False, null, ~, 1.5, -2, 1e3, '1', 1_000]"
    )
    assert load(text, "f").data == [
        *("yes", "no", "on", "12:30:00", "2026-01-01"),
        *(15, 31, 17, True, False, None, None, 1.5, -2, 1000.0, "1", "1_000"),
    ]


def test_the_deepest_that_is_allowed_is_read() -> None:
    load("[" * MAX_DEPTH + "]" * MAX_DEPTH, "f")


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n"])
def test_an_empty_text_holds_nothing(text: str) -> None:
    assert not load(text, "f").data


def test_every_value_and_key_knows_its_place() -> None:
    source = load("a: 1\nb:\n  - x: {y: 2}\n  -   z\n", "f")
    assert str(source.at(("a",))) == "f:1:4"
    assert str(source.key_at(("b",))) == "f:2:1"
    assert str(source.at(("b", 0, "x", "y"))) == "f:3:12"
    assert str(source.key_at(("b", 0, "x", "y"))) == "f:3:9"
    assert str(source.at(("b", 1))) == "f:4:7"
    assert source.at(("b", 0, "x", "gone", 3)) == source.at(("b", 0, "x"))
    assert str(Position("file that is missing")) == "file that is missing"


TEXTS = st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), max_size=12)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(TEXTS, JSON_VALUES, max_size=4))
def test_json_is_read_as_what_it_is(data: dict[str, object]) -> None:
    assert load(json.dumps(data, ensure_ascii=False), "f").data == data


@given(st.text(alphabet="ab:-[]{}&*!#|>'\"%@`?, \n\t\x00\ud800\u20281", max_size=30))
def test_any_text_is_read_or_refused_with_a_place(text: str) -> None:
    try:
        found = {load(text, "f").at(()).name}
    except ProblemsError as error:
        found = {problem.position.name for problem in error.problems}
    assert found == {"f"}


class Inner(Section):
    port: int = 1
    ratio: float = 1.0
    names: tuple[str, ...] = ()


class Outer(Section):
    inner: Inner = Inner()
    inners: tuple[Inner, ...] = ()
    by_name: Mapping[str, Inner] = {}
    needed: str


def complaints(text: str) -> list[str]:
    with pytest.raises(ProblemsError) as raised:
        validate(Outer, load(text, "f"))
    return str(raised.value).splitlines()


def test_all_of_pydantics_complaints_are_placed_and_said_plainly() -> None:
    text = """inner: {prot: 1, ratio: x}
inners:
  - {port: "80"}
  - {names: [a, 1]}
  - 5
by_name: {x: {port: true, nmaes: []}}
"""
    assert complaints(text) == [
        "f:1:1: 'needed' is missing (add it)",
        "f:1:9: unknown key 'prot' (did you mean 'port'?)",
        "f:1:25: inner.ratio: must be a number",
        "f:3:12: inners[0].port: must be a whole number",
        "f:4:17: inners[1].names[1]: must be text (write it in quotes)",
        "f:5:5: inners[2]: must be a mapping (write 'key: value' lines)",
        "f:6:21: by_name.x.port: must be a whole number",
        "f:6:27: unknown key 'nmaes' (did you mean 'names'?)",
    ]


@pytest.mark.parametrize("text", ["[]", "a", "5"])
def test_a_document_that_is_no_mapping_is_said_to_be_none(text: str) -> None:
    assert complaints(text) == ["f:1:1: the document: must be a mapping (write 'key: value' lines)"]


def test_a_valid_document_is_a_frozen_model() -> None:
    model = validate(Outer, load("needed: a\ninner: {ratio: 2, names: [x]}", "f"))
    assert (model.inner.names, model.inner.ratio) == (("x",), 2)
    assert math.isclose(model.inner.ratio, 2.0)
    with pytest.raises(ValueError, match="frozen"):
        model.needed = "b"


def test_problems_are_sorted_and_each_is_told_once() -> None:
    one, two = Problem(Position("f", 2, 1), "b"), Problem(Position("f", 1, 9), "a", "do")
    assert str(ProblemsError([one, two, one])) == "f:1:9: a (do)\nf:2:1: b"


def test_a_part_of_a_text_is_found_where_the_file_has_it() -> None:
    text = """\
quoted: 'body.x == "it''s" && nope.y'
literal: |
  body.x
    && nope.y
folded: >-
  body.x
  && nope.y
plain: body.x && nope.y
escaped: "body.x\\n && nope.y"
"""
    source = load(text, "f.yaml")
    assert isinstance(source.data, dict)
    for key, value in source.data.items():
        assert isinstance(value, str)
        found = source.within((key,), value.index("nope"))
        line = text.split("\n")[found.line - 1]
        assert line[found.column - 1 :].startswith("nope.y"), (key, found)
