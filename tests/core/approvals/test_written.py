"""Numbers as they are written, and what says the same."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.core.approvals.written import (
    Number,
    Prints,
    Written,
    indented,
    leaves,
    parse_written,
    text_of,
    values,
    written,
)
from addons.core.json_document import UnreadableDocument, parse_document
from addons.core.model import Json

DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


def print_of(text: str) -> bytes:
    return Prints().of(parse_written(text.encode(), None))


@pytest.mark.parametrize(
    "text",
    [
        "1",
        "1.0",
        "-0",
        "1e3",
        "1E+3",
        "0.10",
        "12345678901234567890123",
        "0.1000000000000000000001",
        "1e-999",
    ],
)
def test_a_number_is_shown_as_it_is_written(text: str) -> None:
    assert text_of(parse_written(text.encode(), None)) == text
    assert text_of(parse_written(f'{{"a": [{text}]}}'.encode(), None)) == f'{{"a": [{text}]}}'


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1", "1.0"),
        ("1", "10e-1"),
        ("0", "-0.00e7"),
        ("500", "5e2"),
        ("-1.50", "-15E-1"),
        ('{"a": 1, "b": [2]}', '{"b": [2.0], "a": 1}'),
        (r'"\u0041"', '"A"'),
    ],
)
def test_what_says_the_same_has_one_print(one: str, other: str) -> None:
    assert print_of(one) == print_of(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1", "true"),
        ("0", "false"),
        ("null", "false"),
        ("null", '"null"'),
        ("1", '"1"'),
        ("1", "-1"),
        ("1", "10"),
        ("[]", "{}"),
        ("[[]]", "[]"),
        ("[1, 2]", "[2, 1]"),
        ('["a", "b"]', '["ab"]'),
        ('{"a": "b"}', '["a", "b"]'),
        ('{"a": {"b": 1}}', '{"b": {"a": 1}}'),
        ("9007199254740993", "9007199254740992"),  # one double
        ("0.1", "0.10000000000000000000001"),  # as above
    ],
)
def test_what_says_another_thing_has_another_print(one: str, other: str) -> None:
    assert print_of(one) != print_of(other)


@given(DOCUMENTS)
def test_text_reads_back_as_what_it_was(document: Json) -> None:
    for text in (text_of(written(document)), indented(written(document))):
        assert repr(json.loads(text)) == repr(document)


@given(DOCUMENTS, DOCUMENTS)
def test_two_documents_have_one_print_iff_they_are_equal(one: Json, other: Json) -> None:
    prints = Prints()
    assert prints.of(written(one)) == prints.of(written(json.loads(json.dumps(one))))
    assert (prints.of(written(one)) == prints.of(written(other))) == _same(one, other)


def _same(one: Json, other: Json) -> bool:
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return one == other


@pytest.mark.parametrize("text", ['{"a": 1, "a": 2}', '{"a": 1}{}', "[1,]", r'"\ud800"'])
def test_what_is_no_one_document_is_refused(text: str) -> None:
    with pytest.raises(UnreadableDocument):
        parse_document(text.encode(), None)
    with pytest.raises(UnreadableDocument):
        parse_written(text.encode(), None)


def test_an_empty_body_is_an_empty_object() -> None:
    assert parse_written(b"", None) == {}


def test_a_long_value_is_indented_and_a_short_one_is_not() -> None:
    short: Written = {"a": [Number("1"), None, True]}
    assert text_of(short) == '{"a": [1, null, true]}'
    assert indented(short) == '{\n  "a": [\n    1,\n    null,\n    true\n  ]\n}'
    long: Written = ["x" * 60, "y" * 60, [], {}]
    assert text_of(long) == indented(long) == f'[\n  "{"x" * 60}",\n  "{"y" * 60}",\n  [],\n  {{}}\n]'
    assert text_of("z" * 200) == f'"{"z" * 200}"'


def test_values_are_counted() -> None:
    document: Written = {"a": [Number("1"), []], "b": {}, "c": {"d": None}}
    assert leaves(document) == 4
    assert values(document) == 7
