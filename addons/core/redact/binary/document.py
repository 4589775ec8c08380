"""A binary message as a tree of its strings, put together again with others in place."""

# ruff: noqa: PLR2004 - format codes of the MessagePack specification

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from addons.core.redact.formats.jsonish import Tree

MAX_DEPTH = 64
NUMBERS = {0xCC + power: (1 << power) + 1 for power in range(4)} | {
    0xD0 + power: (1 << power) + 1 for power in range(4)
}
"""MessagePack's whole numbers that need more than their code: how long they are with it."""


class MalformedError(ValueError):
    """The bytes are not of that form."""


class Length(Enum):
    """How a length is written."""

    STR = 0xD9  # MessagePack, by the first of the three codes that have a length after them
    BIN = 0xC4
    EXT = 0xC7
    VARINT = 0  # protobuf
    FRAME = 2  # gRPC
    NUMBER = 1  # none: a whole number of MessagePack's


class Piece(NamedTuple):
    """What has its length in front: that at `head:start`, its bytes at `start:end`. `parent`: the place of
    the protobuf message around it among all pieces, or -1. `is_text`: a string, or bytes that are no message.
    Of a number `start:end` is its place in the document's `text`, where it stands in decimal.
    """

    head: int
    start: int
    end: int
    form: Length
    parent: int = -1
    is_text: bool = True


@dataclass(slots=True)
class Document:
    """`data` as a tree of its strings, like that of JSON. `by_index`: strings that another part of the
    message gives a name to. `pieces` are in order. `numbers`: whole numbers in decimal, a line each; `text`
    has them after `data`, so that they are leaves like others.
    """

    data: bytes = field(repr=False)
    tree: Tree = field(default_factory=Tree)
    by_index: Tree = field(default_factory=Tree)
    pieces: list[Piece] = field(default_factory=list)
    numbers: bytearray = field(default_factory=bytearray, repr=False)

    @property
    def text(self) -> bytes:
        return self.data + self.numbers if self.numbers else self.data

    def rebuilt(self, texts: Mapping[int, bytes]) -> bytes:
        """Put new texts in, by the place where the old ones start, and every length right."""
        grown = [0] * len(self.pieces)
        parts: list[tuple[int, int, bytes]] = []
        for index in range(len(self.pieces) - 1, -1, -1):
            piece = self.pieces[index]
            if piece.form is Length.NUMBER:
                if piece.start in texts:
                    end = piece.head + NUMBERS.get(self.data[piece.head], 1)
                    parts.append((piece.head, end, _as_string(texts[piece.start])))
                continue
            text = texts.get(piece.start) if piece.is_text else None
            if text is not None:
                parts.append((piece.start, piece.end, text))
                grown[index] = len(text) - (piece.end - piece.start)
            elif not grown[index]:
                continue
            head = _head(self.data, piece, piece.end - piece.start + grown[index])
            parts.append((piece.head, piece.start, head))
            if piece.parent >= 0:
                grown[piece.parent] += grown[index] + len(head) - (piece.start - piece.head)
        out: list[bytes] = []
        done = 0
        for start, end, new in sorted(parts):
            out += (self.data[done:start], new)
            done = end
        return b"".join([*out, self.data[done:]])


def _as_string(mask: bytes) -> bytes:
    """As MessagePack: a number can't hold a mask, so it becomes a string, as in JSON."""
    text = mask.strip(b'"')
    return bytes([0xD9, len(text)]) + text


def _head(data: bytes, piece: Piece, size: int) -> bytes:
    if piece.form is Length.VARINT:
        return to_varint(size)
    if piece.form is Length.FRAME:
        return size.to_bytes(4)
    if piece.form is Length.STR and size <= 31:
        return bytes([0xA0 | size])
    step = 0 if size < 1 << 8 else 1 if size < 1 << 16 else 2
    kind = data[piece.start - 1 : piece.start] if piece.form is Length.EXT else b""
    return bytes([piece.form.value + step]) + size.to_bytes(1 << step) + kind


def take(data: bytes, start: int, size: int, end: int | None = None) -> int:
    if start + size > (len(data) if end is None else end):
        raise MalformedError
    return start + size


def to_varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
