"""Reads protobuf for its strings, without a schema."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from addons.core.redact.binary.document import MAX_DEPTH, Document, Length, MalformedError, Piece, take
from addons.core.redact.decoding import packed
from addons.core.redact.formats.jsonish import Frame, Leaf
from addons.core.redact.masking.findings import TooComplex

_WIRE_VARINT, _WIRE_I64, _WIRE_LEN, _WIRE_I32 = 0, 1, 2, 5
_MAX_VARINT = 10
_LAST_OF_BYTE = 0x80
_SPACE = 0x20


def read_protobuf(data: bytes) -> Document | None:
    """Read one protobuf message without its schema. A field with a length is text if it is printable UTF-8,
    else a message if it reads as one to its last byte, else bytes. None if `data` is not well-formed. Raises
    `TooComplex` past 64 levels.
    """
    fields = fields_of(data, 0, len(data))
    if fields is None:
        return None
    reader = _Protobuf(data)
    reader.message(fields, -1, b"", 0)
    return reader.document


def read_framed(data: bytes, spans: Iterable[tuple[int, int, bool]]) -> Document:
    """Read what stands at each of `spans`, each behind its length in four bytes, as one document: a message,
    or text where the span says so, or where it is no well-formed message. Raises `TooComplex`.
    """
    reader = _Protobuf(data)
    document = reader.document
    for start, end, is_message in spans:
        fields = fields_of(data, start, end) if is_message else None
        index = len(document.pieces)
        document.pieces.append(Piece(start - 4, start, end, Length.FRAME, is_text=fields is None))
        if fields is None:
            document.tree.leaves.append(Leaf(start, end, b"", Frame(array=False, name=b"", parent=None)))
        else:
            reader.message(fields, index, b"", 0)
    return document


class _Field(NamedTuple):
    number: int
    wire: int
    head: int
    start: int
    end: int


class _Protobuf:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.document = Document(data)

    def message(self, fields: list[_Field], parent: int, name: bytes, depth: int) -> None:
        """Read a message; `name` is that of the map entry whose value it is."""
        if depth > MAX_DEPTH:
            raise TooComplex("protobuf nests too deep")
        frame = Frame(array=False, name=b"", parent=None)
        inner = [self._inner(each) for each in fields]
        # An entry of a map, or OTLP's KeyValue: the one string names the other.
        entry = {each.number: (each, nested) for each, nested in zip(fields, inner, strict=True)}
        is_entry = len(fields) == 2 and entry.keys() == {1, 2} and entry[1][1] is None  # noqa: PLR2004
        is_entry = is_entry and all(each.wire == _WIRE_LEN for each in fields)
        for each, nested in zip(fields, inner, strict=True):
            if each.wire != _WIRE_LEN:
                continue
            is_key = is_entry and each.number == 1
            if is_entry and not is_key:
                key = entry[1][0]
                name = self.data[key.start : key.end]
            index = len(self.document.pieces)
            self.document.pieces.append(Piece(*each[2:], Length.VARINT, parent, nested is None))
            if nested is None:
                leaf = Leaf(each.start, each.end, b"" if is_key else name, frame, is_key=is_key)
                self.document.tree.leaves.append(leaf)
                frame.leaves.append(leaf)
            else:
                passes = len({one.number for one in nested}) == 1  # OTLP's AnyValue and its list
                self.message(nested, index, name if passes else b"", depth + 1)
        self._lists(frame, fields, inner)

    def _inner(self, each: _Field) -> list[_Field] | None:
        """Give the fields of a message; None for text, bytes and numbers."""
        if each.wire != _WIRE_LEN or packed.may_be(self.data[each.start : each.start + 4]):
            return None
        fields = fields_of(self.data, each.start, each.end)
        if not fields or not is_printable(self.data[each.start : each.end]):
            return fields or None
        # A message of short strings is printable too; text seldom begins with a control character, or with
        # a length that is its own to the last byte.
        begins = self.data[each.start] < _SPACE or all(one.wire == _WIRE_LEN for one in fields)
        return fields if begins else None

    def _lists(self, frame: Frame, fields: list[_Field], inner: list[list[_Field] | None]) -> None:
        """Strings of one field that repeats are a list: tags, the arguments of a command."""
        lists: dict[int, list[Leaf]] = {}
        numbers = [
            each.number
            for each, nested in zip(fields, inner, strict=True)
            if each.wire == _WIRE_LEN and nested is None
        ]
        for number, leaf in zip(numbers, frame.leaves, strict=True):
            lists.setdefault(number, []).append(leaf)
        for leaves in lists.values():
            if len(leaves) > 1:
                self.document.tree.frames.append(Frame(True, b"", None, leaves))
                for leaf in leaves:
                    leaf.element = True


def is_printable(text: bytes) -> bool:
    try:
        return text.decode().translate({9: None, 10: None, 13: None}).isprintable()
    except UnicodeDecodeError:
        return False


def fields_of(data: bytes, start: int, end: int) -> list[_Field] | None:
    """Give the fields of one message that fills `start:end`, none of them looked into."""
    fields: list[_Field] = []
    position = start
    try:
        while position < end:
            tag, head = varint(data, position, end)
            wire = tag & 7
            begin = head
            if not tag >> 3:
                return None
            if wire == _WIRE_LEN:
                size, begin = varint(data, head, end)
                position = take(data, begin, size, end)
            elif wire == _WIRE_VARINT:
                _, position = varint(data, head, end)
            elif wire in (_WIRE_I64, _WIRE_I32):
                position = take(data, head, 8 if wire == _WIRE_I64 else 4, end)
            else:
                return None
            fields.append(_Field(tag >> 3, wire, head, begin, position))
    except MalformedError:
        return None
    return fields


def varint(data: bytes, position: int, end: int) -> tuple[int, int]:
    value = 0
    for index in range(min(_MAX_VARINT, end - position)):
        byte = data[position + index]
        value |= (byte & 0x7F) << (7 * index)
        if byte < _LAST_OF_BYTE:
            return value, position + index + 1
    raise MalformedError
