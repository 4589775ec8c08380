"""Reads MessagePack for its strings and whole numbers."""

# ruff: noqa: PLR2004 - format codes of the specification

from __future__ import annotations

from contextlib import suppress
from operator import attrgetter

from addons.core.redact.binary.document import (
    MAX_DEPTH,
    NUMBERS,
    Document,
    Length,
    MalformedError,
    Piece,
    take,
)
from addons.core.redact.formats.jsonish import Frame, Leaf
from addons.core.redact.masking.findings import TooComplex

_FIXED = (
    {0xC0: 0, 0xC2: 0, 0xC3: 0, 0xCA: 4, 0xCB: 8}
    | {0xCC + i: 1 << i for i in range(4)}
    | {0xD0 + i: 1 << i for i in range(4)}
    | {0xD4 + i: (1 << i) + 1 for i in range(5)}
)
_SIZED = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xC7: 1, 0xC8: 2, 0xC9: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4}
_TELLING = 100  # a number of fewer digits tells nothing
_META = 9  # place of a span's tags among the twelve fields of Datadog's traces v0.5
_SPAN_FIELDS = 12


def read_msgpack(data: bytes) -> Document | None:
    """Read MessagePack values in a row. None if they are not well-formed. Raises `TooComplex` where they nest
    more than 64 deep.
    """
    reader = _Msgpack(data)
    top = Frame(array=True, name=b"", parent=None)
    position = 0
    try:
        while position < len(data):
            position = reader.value(position, b"", top, 0)
    except (MalformedError, IndexError):
        return None
    reader.close(top)
    if reader.document.numbers:
        reader.document.tree.leaves.sort(key=attrgetter("start"))
    if data[:1] == b"\x92":
        reader.read_names()
    return reader.document


def read_msgpack_start(data: bytes) -> Document:
    """As `read_msgpack`, up to the last string in front of what is not well-formed."""
    reader = _Msgpack(data, numbers=False)
    top = Frame(array=True, name=b"", parent=None)
    position = 0
    with suppress(MalformedError, IndexError):
        while position < len(data):
            position = reader.value(position, b"", top, 0)
    reader.close(top)
    document = reader.document
    document.data = data[: document.pieces[-1].end] if document.pieces else b""
    return document


class _Msgpack:
    def __init__(self, data: bytes, *, numbers: bool = True) -> None:
        self.data = data
        self.document = Document(data)
        self._numbers = numbers

    def value(self, position: int, name: bytes, frame: Frame, depth: int, *, is_key: bool = False) -> int:
        """Read one value that stands under `name`; give the place after it."""
        if depth > MAX_DEPTH:
            raise TooComplex("MessagePack nests too deep")
        data = self.data
        code = data[position]
        if code <= 0x7F or code >= 0xE0 or code in _FIXED:
            after = take(data, position + 1, _FIXED.get(code, 0))
            if not is_key and self._numbers and (code in NUMBERS or _TELLING <= code <= 0x7F):
                self._number(position, after, name, frame)
            return after
        if 0xA0 <= code <= 0xBF or code in _SIZED:
            return self._text(position, name, frame, is_key=is_key)
        if 0x80 <= code <= 0x9F:
            count, is_map, start = code & 0x0F, code <= 0x8F, position + 1
        elif 0xDC <= code <= 0xDF:
            start = take(data, position + 1, 2 if code in (0xDC, 0xDE) else 4)
            count, is_map = int.from_bytes(data[position + 1 : start]), code >= 0xDE
        else:
            raise MalformedError
        return self._members(start, count, Frame(array=not is_map, name=name, parent=frame), depth + 1)

    def _members(self, position: int, count: int, frame: Frame, depth: int) -> int:
        for _ in range(count):
            name = frame.name
            if not frame.array:
                start = position
                position = self.value(position, b"", frame, depth, is_key=True)
                last = self.document.pieces[-1] if self.document.pieces else None
                named = last is not None and last.head == start
                name = self.data[last.start : last.end] if last is not None and named else b""
            position = self.value(position, name, frame, depth)
        self.close(frame)
        return position

    def close(self, frame: Frame) -> None:
        if frame.leaves:
            self.document.tree.frames.append(frame)

    def _number(self, position: int, after: int, name: bytes, frame: Frame) -> None:
        code = self.data[position]
        written = self.data[position + 1 : after]
        number = int.from_bytes(written, signed=code >= 0xD0) if written else code
        if abs(number) < _TELLING:
            return
        numbers = self.document.numbers
        numbers += b"\n%d" % number
        end = len(self.data) + len(numbers)
        start = end - len(b"%d" % number)
        self.document.pieces.append(Piece(position, start, end, Length.NUMBER, is_text=False))
        leaf = Leaf(start, end, name, frame, quoted=False, element=frame.array)
        self.document.tree.leaves.append(leaf)
        frame.leaves.append(leaf)

    def _text(self, position: int, name: bytes, frame: Frame, *, is_key: bool) -> int:
        code = self.data[position]
        width = _SIZED.get(code, 0)
        start = take(self.data, position + 1, width)
        size = int.from_bytes(self.data[position + 1 : start]) if width else code & 0x1F
        form = Length.BIN if 0xC4 <= code <= 0xC6 else Length.STR
        if 0xC7 <= code <= 0xC9:
            form, start = Length.EXT, take(self.data, start, 1)
        end = take(self.data, start, size)
        self.document.pieces.append(Piece(position, start, end, form))
        leaf = Leaf(start, end, b"" if is_key else name, frame, element=frame.array, is_key=is_key)
        self.document.tree.leaves.append(leaf)
        if not is_key:
            frame.leaves.append(leaf)
        return end

    def read_names(self) -> None:
        """Traces v0.5: a table of strings, then spans whose tags map places in it to places in it."""
        spans = _Names(self.data)
        try:
            table, pairs = spans.read()
        except (MalformedError, IndexError):
            return
        leaves = [leaf for leaf in self.document.tree.leaves if leaf.end <= table[1]]
        if len(leaves) != table[0]:
            return
        for leaf in leaves:  # neighbours in the table have nothing to do with each other
            leaf.element = False
            leaf.frame.leaves.clear()
        named = Frame(array=False, name=b"", parent=None)
        for key, value in sorted(pairs, key=lambda pair: pair[1]):
            if key < len(leaves) and value < len(leaves):
                name = self.data[leaves[key].start : leaves[key].end]
                named.leaves.append(Leaf(leaves[value].start, leaves[value].end, name, named))
        self.document.by_index.leaves = named.leaves


class _Names:
    """Finds which strings of a table are names of which others."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 1

    def read(self) -> tuple[tuple[int, int], set[tuple[int, int]]]:
        """Give the table's count of strings and its end, and (name, value) as places in it."""
        count = self._count(0x90)
        for _ in range(count):
            code = self._data[self._position]
            if not (0xA0 <= code <= 0xBF or 0xD9 <= code <= 0xDB):
                raise MalformedError
            self._skip()
        end = self._position
        pairs: set[tuple[int, int]] = set()
        for _ in range(self._count(0x90)):
            for _ in range(self._count(0x90)):
                fields = self._count(0x90)
                for place in range(fields):
                    if place == _META and fields == _SPAN_FIELDS:
                        pairs.update((self._integer(), self._integer()) for _ in range(self._count(0x80)))
                    else:
                        self._skip()
        return (count, end), pairs

    def _count(self, base: int) -> int:
        code = self._data[self._position]
        self._position += 1
        if base <= code < base + 16:
            return code - base
        wide = 0xDC if base == 0x90 else 0xDE
        if code not in (wide, wide + 1):
            raise MalformedError
        return self._number(2 if code == wide else 4)

    def _integer(self) -> int:
        code = self._data[self._position]
        self._position += 1
        if code <= 0x7F:
            return code
        if not 0xCC <= code <= 0xCF:
            raise MalformedError
        return self._number(1 << (code - 0xCC))

    def _number(self, size: int) -> int:
        start = self._position
        self._position = take(self._data, start, size)
        return int.from_bytes(self._data[start : self._position])

    def _skip(self) -> None:
        self._position = _Msgpack(self._data, numbers=False).value(
            self._position, b"", Frame(True, b"", None), 0
        )
