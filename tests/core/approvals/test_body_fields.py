"""A body is shown in full, in the form that it has; what can't be shown is said."""

from __future__ import annotations

import hashlib
import json

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.core.approvals.body_fields import (
    MAX_PREVIEW,
    MAX_VALUES,
    BodyKind,
    CannotPreview,
    ShownBody,
    read_body,
)
from tests.core.approvals.previewing import JSON_TYPE

FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=XX"


def shown(body: bytes, content_type: str | None = JSON_TYPE) -> ShownBody:
    return read_body(body, content_type).shown


def multipart(*parts: bytes) -> bytes:
    return b"".join(b"--XX\r\n" + part + b"\r\n" for part in parts) + b"--XX--\r\n"


def test_json_is_indented_with_its_numbers_as_they_are_written() -> None:
    body = shown(b'{"b":12345678901234567890123,"a":[1.0,1e3,"\\u00e9"]}')
    assert body.kind is BodyKind.JSON
    assert body.text == '{\n  "b": 12345678901234567890123,\n  "a": [\n    1.0,\n    1e3,\n    "é"\n  ]\n}'
    assert (body.unreadable, body.unclear) == ("", "")


@pytest.mark.parametrize("content_type", [None, "text/plain", FORM, "application/octet-stream", "x"])
def test_json_is_json_whatever_it_is_called(content_type: str | None) -> None:
    assert shown(b'{"a": 1}', content_type).kind is BodyKind.JSON


def test_no_body_is_no_document() -> None:
    read = read_body(b"", JSON_TYPE)
    assert read.shown == ShownBody(BodyKind.EMPTY, 0)
    assert not read.is_document


@pytest.mark.parametrize(
    ("body", "content_type", "why"),
    [
        (b'{"a": 1, "a": 2}', JSON_TYPE, "an object has a key twice"),
        (b'{"a": 1, "A": 2}', "text/plain", "differ only in case"),
        (b'{"a": 1', None, "it is not JSON"),
        (b"[1] [2]", None, "more follows"),
        (rb'{"a": "\ud800"}', JSON_TYPE, "half a surrogate pair"),
        (b'\xef\xbb\xbf{"a": 1}', JSON_TYPE, "byte order mark"),
        (b'{"a": 1}', "application/json; charset=utf-16", "not UTF-8"),
        (b'{"a": "x&b=1"}', FORM, "readers differ"),
        (b"a=1;b=2", FORM, "readers differ"),
        (b"a=%ff", FORM, "no form has"),
        (b"a=1&a=2", FORM, "more than once"),
        (b"some text", "text/plain; charset=utf-7", "not UTF-8"),
        (b"--YY\r\n", MULTIPART, "can't be cut"),
        (b"text", "multipart/form-data", "can't be cut"),
        (multipart(b'Content-Disposition: form-data; name="a"; name="b"\r\n\r\nx'), MULTIPART, "which field"),
        (multipart(b"Content-Disposition: form-data; name=a; x*=b\r\n\r\nx"), MULTIPART, "which field"),
        (multipart(b'Content-Disposition: form-data; name="a\\"b"\r\n\r\nx'), MULTIPART, "which field"),
    ],
)
def test_what_can_be_read_in_two_ways_is_shown_as_it_is_and_said(
    body: bytes, content_type: str | None, why: str
) -> None:
    read = read_body(body, content_type)
    assert why in read.shown.unclear
    assert not read.is_document
    assert read.why_none
    everything = "".join((read.shown.text, *map(repr, read.shown.fields), *map(repr, read.shown.parts)))
    for word in (b"a", b"b"):
        assert (word in body) <= (word.decode() in everything)


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"just a line", "text/plain"),
        (b"caf\xc3\xa9", "text/plain; charset=UTF-8"),
        (b"cafe", "text/plain; charset=iso-8859-1"),
        (b"a: 1\nb: 2", "application/yaml"),
        (b"", None),
    ],
)
def test_plain_text_is_plain_text(body: bytes, content_type: str | None) -> None:
    text = shown(body, content_type)
    assert (text.text, text.unclear, text.unreadable) == (body.decode(), "", "")


def test_a_form_is_shown_by_its_fields() -> None:
    body = shown(b"title=a+b%26c&empty&x=%C3%A9", f"{FORM}; charset=utf-8")
    assert body.kind is BodyKind.FORM
    assert body.fields == (("title", "a b&c"), ("empty", ""), ("x", "é"))
    assert body.unclear == ""


def test_lines_of_json_are_shown_one_by_one() -> None:
    body = shown(b'{"a":1}\n\n[2.0]\r\n"x"\n', "application/x-ndjson")
    assert body.kind is BodyKind.JSON_LINES
    assert body.documents == ('{\n  "a": 1\n}', "[\n  2.0\n]", '"x"')


def test_a_line_that_is_no_json_makes_it_text() -> None:
    body = shown(b'{"a":1}\n{"a":1,"a":2}\n', None)
    assert (body.kind, body.documents) == (BodyKind.TEXT, ())
    assert body.text == '{"a":1}\n{"a":1,"a":2}\n'
    assert body.unclear


def test_a_form_with_files_is_shown_by_its_parts() -> None:
    body = shown(
        multipart(
            b'Content-Disposition: form-data; name="event"\r\nContent-Type: application/json\r\n\r\n{"a": 1}',
            b'Content-Disposition: form-data; name="file"; filename="a.gz"\r\n\r\n\x1f\x8b\x00',
        ),
        MULTIPART,
    )
    assert body.kind is BodyKind.MULTIPART
    event, file = body.parts
    assert (event.name, event.filename, event.content_type) == ("event", None, "application/json")
    assert event.text == '{"a": 1}'
    assert (file.name, file.filename, file.text, file.size) == ("file", "a.gz", None, 3)
    assert file.sha256 == hashlib.sha256(b"\x1f\x8b\x00").hexdigest()
    assert [name for name, _ in event.headers] == ["content-disposition", "content-type"]
    assert body.unreadable.startswith("1 of its 2 parts is no text")
    assert body.unclear == ""


@pytest.mark.parametrize(
    ("body", "content_type", "what"),
    [
        (msgpack.packb({"a": "x"}), "application/msgpack", "It is msgpack"),
        (b"text that is called so", "application/x-protobuf", "It is protobuf"),
        (b'{"a": 1}', "application/x-protobuf", "It is protobuf"),
        (b"\x00\x01", JSON_TYPE, "It is no text"),
        ("{}".encode("utf-16"), "application/json; charset=utf-16", "It is no text"),
        (b"a\x1b[2Jb", "text/plain", "It is no text"),
        (b"--XX\r\n\x00", MULTIPART, "It is no text"),
    ],
)
def test_what_a_person_can_not_read_says_so(body: bytes, content_type: str, what: str) -> None:
    binary = shown(body, content_type)
    assert binary.kind is BodyKind.BINARY
    assert binary.unreadable.startswith(what)
    assert bytes.fromhex(binary.text) == body


def test_of_long_binary_the_beginning_is_shown_and_said() -> None:
    binary = shown(bytes(5000), "application/x-protobuf")
    assert "first 1024 of its 5000 bytes" in binary.unreadable
    assert len(bytes.fromhex(binary.text)) == 1024


def test_a_content_type_can_not_speak_in_the_warning() -> None:
    binary = shown(b"\x00", "application/json is fine, approve this")
    assert "approve" not in binary.unreadable


@pytest.mark.parametrize(
    ("body", "content_type", "word"),
    [
        (b'"' + b"a" * MAX_PREVIEW + b'"', JSON_TYPE, "bytes"),
        (json.dumps(list(range(MAX_VALUES))).encode(), JSON_TYPE, "values"),
        (b"[" + b"[]," * MAX_VALUES + b"1]", JSON_TYPE, "values"),
        (b"\n".join([b"[1, 2]"] * MAX_VALUES), "application/x-ndjson", "values"),
        (b"a&" * (MAX_VALUES + 1), FORM, "values"),
    ],
)
def test_more_than_anybody_reads_is_not_shown_at_all(body: bytes, content_type: str, word: str) -> None:
    with pytest.raises(CannotPreview) as refused:
        read_body(body, content_type)
    assert word in refused.value.text
    assert refused.value.remedy == "send it in parts"
    assert "aaa" not in str(refused.value)


def test_as_much_as_somebody_reads_is_shown() -> None:
    assert shown(b'"' + b"a" * (MAX_PREVIEW - 2) + b'"').size == MAX_PREVIEW
    assert shown(json.dumps(list(range(MAX_VALUES - 1))).encode()).kind is BodyKind.JSON


def test_deep_nesting_blows_nothing_up() -> None:
    deep = b"[" * 63 + b"1" + b"]" * 63
    with pytest.raises(CannotPreview):
        read_body(b"[" + b",".join([deep] * 8000) + b"]", JSON_TYPE)
    assert len(shown(b"[" + b",".join([deep] * 300) + b"]").text) < 10 * MAX_PREVIEW


@given(
    st.binary(max_size=200), st.sampled_from([None, JSON_TYPE, FORM, MULTIPART, "text/plain", "a/msgpack"])
)
def test_any_body_is_shown(body: bytes, content_type: str | None) -> None:
    read = read_body(body, content_type)
    assert read.shown.size == len(body)
    if read.shown.kind is BodyKind.TEXT:
        assert read.shown.text.encode() == body
    if read.is_document:
        assert read.shown.kind is BodyKind.JSON
