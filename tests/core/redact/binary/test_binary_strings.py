"""The quick way through a binary message sees all that the thorough one does."""

from __future__ import annotations

import struct

import msgpack
from hypothesis import example, given
from hypothesis import strategies as st

from addons.core.redact.binary.document import Document, to_varint
from addons.core.redact.binary.msgpack_reader import read_msgpack
from addons.core.redact.binary.protobuf_reader import fields_of, read_protobuf
from addons.core.redact.binary.strings import msgpack_strings, payloads, protobuf_strings
from addons.core.redact.masking.findings import TooComplex

TEXTS = st.one_of(
    st.text(max_size=40), st.sampled_from(["password", "B", "zx", "é", "\n\t", "\x12\x01a", " a"])
)
VALUES = st.recursive(
    st.one_of(
        TEXTS,
        st.binary(max_size=300),
        st.integers(-(1 << 63), (1 << 64) - 1),
        st.floats(),
        st.none(),
        st.booleans(),
        st.builds(msgpack.ExtType, st.integers(0, 127), st.binary(max_size=20)),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=20), st.dictionaries(TEXTS, inner, max_size=20)),
    max_leaves=20,
)


def field(number: int, value: object) -> bytes:
    if isinstance(value, int):
        return to_varint(number << 3) + to_varint(value)
    if isinstance(value, float):
        return to_varint(number << 3 | 1) + struct.pack("<d", value)
    data = value.encode() if isinstance(value, str) else value
    assert isinstance(data, bytes)
    return to_varint(number << 3 | 2) + to_varint(len(data)) + data


NUMBERS = st.one_of(st.integers(1, 20), st.integers(1, 1 << 28))
MESSAGES = st.recursive(
    st.one_of(TEXTS, st.binary(max_size=200), st.integers(0, (1 << 64) - 1), st.floats()),
    lambda inner: st.lists(st.builds(field, NUMBERS, inner), max_size=6).map(b"".join),
    max_leaves=20,
).filter(lambda message: isinstance(message, bytes))


def strings_of(document: Document) -> set[bytes]:
    return {document.data[piece.start : piece.end] for piece in document.pieces if piece.is_text}


@given(
    st.one_of(
        st.lists(VALUES, max_size=3).map(lambda values: b"".join(map(msgpack.packb, values))), st.binary()
    )
)
@example(b"\x81\xa1a")
@example(b"\xdd\xff\xff\xff\xff")
@example(b"\xdb\xff\xff\xff\xffa")
@example(b"\xc1")
def test_the_strings_of_messagepack_are_those_of_its_reader(data: bytes) -> None:
    quick, document = msgpack_strings(data), read_msgpack(data)
    if quick is not None:
        assert document is not None
        numbers = {text for text in quick if text.lstrip(b"-").isdigit()}
        assert strings_of(document) - numbers == {*quick} - numbers
    elif document is not None:  # bytes in which there may be more
        assert any(0x80 <= each[0] <= 0xDF for each in strings_of(document) if each)


@given(st.one_of(MESSAGES, st.binary()))
@example(b"\x0a\x05\x12\x03abc\x08\x96\x01")
@example(b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")
@example(b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")
def test_the_strings_of_protobuf_are_all_of_its_reader(data: bytes) -> None:
    quick, document = protobuf_strings(data), read_protobuf(data)
    fields = fields_of(data, 0, len(data))
    inner = payloads(data)
    assert (fields is None) == (inner is None) == (quick is None)
    if fields is None or inner is None or quick is None:
        return
    assert [data[each.start : each.end] for each in fields if each.wire == 2] == inner
    assert document is not None
    assert strings_of(document) <= {*quick, b""}


def test_a_message_that_nests_too_deep_is_left_to_the_reader() -> None:
    deep = b"a"
    for _ in range(80):
        deep = field(1, deep)
    assert protobuf_strings(deep) is None
    try:
        read_protobuf(deep)
    except TooComplex:
        return
    raise AssertionError("it is not too deep")
