from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.core.json_document import UnreadableDocument, fold_key, parse_document

JSON_TYPE = "application/json"


def why(body: bytes, content_type: str | None = JSON_TYPE) -> str:
    with pytest.raises(UnreadableDocument) as refused:
        parse_document(body, content_type)
    assert str(refused.value) == refused.value.why
    return refused.value.why


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b"", {}),
        (b"{}", {}),
        (b" [1, 2.5, true, false, null]\r\n", [1, 2.5, True, False, None]),
        (b'"text"', "text"),
        (b"12345678901234567890123", 12345678901234567890123),
        (b"-" + b"9" * 399, -int("9" * 399)),
        ('{"é": "\U0001d11e"}'.encode(), {"é": "\U0001d11e"}),
        (rb'"\ud834\udd1e"', "\U0001d11e"),
        (rb'"\uD834\uDD1E"', "\U0001d11e"),
        # a backslash and a letter, not an escape
        (rb'"\\ud800 \\u0000"', r"\ud800 \u0000"),
        (rb'{"a": "\\", "b": "[[["}', {"a": "\\", "b": "[[["}),
        (b'"' + b"1" * 5000 + b'"', "1" * 5000),
        (rb'"\"' + b"1" * 5000 + b'"', '"' + "1" * 5000),
        # the same key in another case, and in another object
        (b'[{"type": 1}, {"Type": {"TYPE": 2}}]', [{"type": 1}, {"Type": {"TYPE": 2}}]),
        (b"1e308", 1e308),
        (b"1e-999", 0.0),
    ],
)
def test_a_document_is_read(body: bytes, value: object) -> None:
    assert parse_document(body, JSON_TYPE) == value


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b" ", "not JSON"),
        (b"{", "not JSON"),
        (b"{'a': 1}", "not JSON"),
        (b"[1,]", "not JSON"),
        (b"01", "more follows"),
        (b'"a\nb"', "not JSON"),
        (b'"\\x41"', "not JSON"),
        (b'{"a": 1}{"a": 2}', "more follows"),
        (b'{"a": 1}\n{"a": 2}\n', "more follows"),
        (b'{"a": 1} x', "more follows"),
        (b"\xef\xbb\xbf{}", "byte order mark"),
        ('{"a": 1}'.encode("utf-16"), "NUL"),
        ('{"a": 1}'.encode("utf-16-be"), "NUL"),
        ('{"a": 1}'.encode("utf-32-le"), "NUL"),
        (b'"\xff"', "not UTF-8"),
        (b'"\xc0\xaf"', "not UTF-8"),
        (b'"\xed\xa0\x80"', "not UTF-8"),
        (b'"a\0b"', "NUL"),
        (b"{}\0", "NUL"),
        (rb'"a\u0000b"', "NUL"),
        (rb'{"ids\u0000x": 1}', "NUL"),
        (rb'"\\\u0000"', "NUL"),
        (rb'"\ud800"', "surrogate"),
        (rb'"\uDC00"', "surrogate"),
        (rb'"\udc00\ud800"', "surrogate"),
        (rb'"\ud800\ud800\udc00"', "surrogate"),
        (rb'"\ud800\\\udc00"', "surrogate"),
        (rb'{"\ud800": 1}', "surrogate"),
        (b"NaN", "NaN"),
        (b"[Infinity]", "NaN"),
        (b"[-Infinity]", "NaN"),
        (b"1e999", "out of range"),
        (b"-1.0e+400", "out of range"),
        (b"1" * 401, "400"),
        (b'{"a": [0, -' + b"1" * 400 + b"]}", "400"),
        (b"0." + b"1" * 399, "400"),
        (b"1e" + b"0" * 399, "400"),
        (b'{"a": 1, "a": 1}', "twice"),
        (b'[{"x": {"a": 1, "b": 2, "a": 3}}]', "twice"),
        (rb'{"a": 1, "\u0061": 2}', "twice"),
        (b'{"type": 1, "Type": 2}', "case"),
        (b'[{"x": {"IDS": 1, "a": 2, "ids": 3}}]', "case"),
        ('{"\N{KELVIN SIGN}ey": 1, "key": 2}'.encode(), "case"),
        ('{"\N{LATIN SMALL LETTER LONG S}ize": 1, "size": 2}'.encode(), "case"),
        ('{"\N{FULLWIDTH LATIN SMALL LETTER A}": 1, "A": 2}'.encode(), "case"),
        ('{"\u00e9": 1, "e\u0301": 2}'.encode(), "case"),
        ('{"\u1fb7": 1, "\u1fbc\u0342": 2}'.encode(), "case"),
        ('{"stra\u00dfe": 1, "STRASSE": 2}'.encode(), "case"),
        ('{"\u0130d": 1, "id": 2}'.encode(), "case"),
        ('{"\u0131d": 1, "ID": 2}'.encode(), "case"),
        (json.dumps({"é" * 257: 1}).encode(), "256"),
    ],
)
def test_what_is_no_document_or_can_be_read_in_two_ways_is_refused(body: bytes, words: str) -> None:
    assert words in why(body)
    assert words in why(body, None)


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}"), ('[{"]":', "}]")])
def test_nesting_is_bounded_before_anything_recurses(opening: str, closing: str) -> None:
    levels = 64 // (opening.count("[") + opening.count("{"))
    parse_document((opening * levels + "1" + closing * levels).encode(), JSON_TYPE)
    assert "64 levels" in why((opening * (levels + 1) + "1" + closing * (levels + 1)).encode())
    assert "64 levels" in why((opening * 100_000).encode())
    assert "64 levels" in why((opening * 100_000 + "1" + closing * 100_000).encode())


@pytest.mark.parametrize(
    "text",
    [
        r'"\"[[["',
        r'"\\"',
        r'"]]]"',
        r'{"[": "\\\"]"}',
        r'["[", "]", "\\", "\""]',
    ],
)
def test_brackets_in_texts_neither_hide_nor_make_nesting(text: str) -> None:
    nested = text
    for _ in range(62):
        nested = f"[{text},{nested}]"
    assert parse_document(nested.encode(), JSON_TYPE)
    assert parse_document(("[" + ",".join([text] * 200) + "]").encode(), JSON_TYPE)
    for _ in range(3):
        nested = f"[{nested}]"
    assert "64 levels" in why(nested.encode())


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "application/json",
        "Application/JSON; charset=UTF-8",
        'application/json; charset="utf-8"',
        "application/vnd.api+json",
        "text/json",
        "text/plain",
        "application/octet-stream",
        "nonsense",
        # what `curl -d` and some libraries say of JSON
        "application/x-www-form-urlencoded",
        "application/json; charset=ISO-8859-1",
        "application/json; charset=us-ascii",
    ],
)
def test_json_is_json_whatever_a_client_calls_it(content_type: str | None) -> None:
    assert parse_document(b'{"a": "x=y"}', content_type) == {"a": "x=y"}


@pytest.mark.parametrize(
    ("content_type", "words"),
    [
        ("multipart/form-data; boundary=x", "not JSON"),
        ("application/x-protobuf", "not JSON"),
        ("application/vnd.google.protobuf", "not JSON"),
        ("application/msgpack", "not JSON"),
        ("Application/X-MsgPack", "not JSON"),
        ("application/json, multipart/form-data", "not JSON"),
        ("application/grpc", "not JSON"),
        ("application/json; charset=utf-16", "not UTF-8"),
        ("application/json; charset=utf-7", "not UTF-8"),
        ("application/json; charset=UTF-8; charset=utf-7", "not UTF-8"),
        ("application/json; charset = 'IBM037'", "not UTF-8"),
    ],
)
def test_a_type_whose_reader_would_see_something_else_is_refused(content_type: str, words: str) -> None:
    assert words in why(b'{"a": 1}', content_type)


def test_latin_1_is_utf_8_only_where_it_is_ascii() -> None:
    assert "not UTF-8" in why('"é"'.encode(), "application/json; charset=iso-8859-1")


@pytest.mark.parametrize("separator", ["&", ";"])
def test_json_that_is_a_form_of_several_fields_too_is_refused(separator: str) -> None:
    body = f'{{"a": "{separator}type=other{separator}"}}'.encode()
    assert "form" in why(body, "application/x-www-form-urlencoded; charset=utf-8")
    assert parse_document(body, JSON_TYPE)


@pytest.mark.parametrize(
    "body", [b'{"hunter2": 1, "hunter2": 2}', b'{"a": hunter2}', b'{"a": 1} hunter2', b'"hunter2 \xff"']
)
def test_a_refusal_names_no_content(body: bytes) -> None:
    assert "hunter" not in why(body)


texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"))
scalars: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts
)
documents = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner)
        | st.lists(st.tuples(texts, inner), unique_by=lambda pair: fold_key(pair[0])).map(dict)
    ),
    max_leaves=30,
)


@given(documents, st.booleans())
def test_every_unambiguous_document_is_read_as_it_was_written(document: Any, ascii_only: bool) -> None:
    assert parse_document(json.dumps(document, ensure_ascii=ascii_only).encode(), None) == document


PIECES = [*"[]{}:,1", '"', "\\", '"a"', '"A"', "\\u0000", "\\ud800", "\\udc00", "é", " ", "null", "e9"]


@given(st.lists(st.sampled_from(PIECES), max_size=40).map("".join) | st.text(max_size=40))
def test_what_is_read_is_what_the_standard_library_reads(text: str) -> None:
    try:
        document = parse_document(text.encode("utf-8", "surrogatepass"), None)
    except UnreadableDocument:
        return
    assert document == (json.loads(text) if text else {})
    # no half pair is left, and no NUL
    assert "\\u0000" not in json.dumps(document, ensure_ascii=False)
    json.dumps(document, ensure_ascii=False).encode()


@given(texts)
def test_a_folded_key_is_the_fold_of_all_its_cases(key: str) -> None:
    for other in (key.upper(), key.lower(), key.title(), key.casefold(), fold_key(key)):
        assert fold_key(other) == fold_key(key)
