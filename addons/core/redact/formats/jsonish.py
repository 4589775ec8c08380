"""Reads JSON for its strings, without building it.

Works on the bytes and gives offsets, so that a mask changes nothing beside itself: duplicate keys, odd
numbers, lone surrogates and white space stay as they are. Any depth, any number of values in a row (NDJSON).
"""

# ruff: noqa: PLR2004 - codes of JSON's own characters

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import re2

_LATIN1 = re2.Options()
_LATIN1.encoding = re2.Options.Encoding.LATIN1
_LATIN1.never_capture = True
# Linear, for nothing is given back; the standard library's engine is many times quicker to ask than RE2.
_STRING = re.compile(rb'"([^"\\]*+(?:\\.[^"\\]*+)*+)(?:"|\\?\Z)', re.DOTALL)
_LITERALS = re2.compile(rb"(?:tru|fals|null|NaN|Infinity)*", options=_LATIN1)
_NUMBER = re2.compile(rb"-?[0-9][0-9.eE+\-]*", options=_LATIN1)
_NOT_STRUCTURE = b" \t\r\n0123456789.eE+-"
_STRUCTURE = b"{}[],:"
_SAYS_SECRET = frozenset((b"is_secret", b"isSecret", b"secure", b"sensitive"))
_MIN_NUMBER = 3  # characters: shorter ones tell nothing


type Spans = Sequence[tuple[int, int]]


@dataclass(slots=True)
class Leaf:
    """A string or number at `start:end` (a string without its quotes). `name`: the raw key it stands under,
    for an element of an array the key of the array.
    """

    start: int
    end: int
    name: bytes
    frame: Frame
    quoted: bool = True
    element: bool = False
    is_key: bool = False


@dataclass(slots=True)
class Frame:
    """An object or array that is open or was read: what hangs in it. `says_secret`: it has
    `"is_secret": true` or the like, which is no leaf.
    """

    array: bool
    name: bytes
    parent: Frame | None
    leaves: list[Leaf] = field(default_factory=list)
    says_secret: bool = False


@dataclass(slots=True)
class Tree:
    """All strings and numbers of a text in order, and the objects and arrays that hold any; without those in
    the spans of `skipped`.
    """

    leaves: list[Leaf] = field(default_factory=list)
    frames: list[Frame] = field(default_factory=list)
    skipped: Spans = ()


def read(data: bytes, start: int = 0, end: int | None = None, *, skipped: Spans = ()) -> Tree | None:
    """Read the strings of JSON text, or give None when it is not JSON.

    Not a validator: what it accepts beyond JSON differs in commas and brackets only. Text that ends inside a
    string is accepted. `skipped`: spans of values, in order, that are passed over as if they held nothing.
    """
    stop = len(data) if end is None else end
    reader = _Reader(data, stop)
    position = start
    for skip, after in skipped:
        if not _read_part(reader, position, skip):
            return None
        position = after
    if not _read_part(reader, position, stop):
        return None
    frame: Frame | None = reader.top
    while frame is not None:  # what was left open by a cut, and the values in a row at the top
        if frame.leaves:
            reader.tree.frames.append(frame)
        frame = frame.parent
    reader.tree.skipped = skipped
    return reader.tree


def _read_part(reader: _Reader, position: int, stop: int) -> bool:
    if reader.data.find(b'"', position, stop) < 0:  # most often the comma between two spans
        return position == stop or reader.gap(position, stop)
    for match in _STRING.finditer(reader.data, position, stop):
        begin, after = match.span()
        if begin != position and not reader.gap(position, begin):
            return False
        reader.string(begin + 1, match.end(1), after)
        position = after
    return position == stop or reader.gap(position, stop)


class _Reader:
    def __init__(self, data: bytes, stop: int) -> None:
        self.data = data
        self.stop = stop
        self.tree = Tree()
        self.top = Frame(array=True, name=b"", parent=None)
        self.key = b""
        self.has_key = False

    def gap(self, start: int, end: int) -> bool:
        """Read what stands between two strings; False when that is not JSON."""
        text = self.data[start:end]
        if text == b":":
            return True
        rest = text.translate(None, _NOT_STRUCTURE)
        if rest == b",":
            self.has_key = False
            return True
        letters = rest.translate(None, _STRUCTURE)
        if letters:
            if not _LITERALS.fullmatch(letters):
                return False
            if self.has_key and self.key in _SAYS_SECRET and text.lstrip(b": \t\r\n").startswith(b"true"):
                self.top.says_secret = True
        if rest == b":":
            return True
        self._structure(start, text)
        return True

    def _structure(self, start: int, text: bytes) -> None:
        position = 0
        for index, code in enumerate(text):
            if code not in b"{}[],":
                continue
            if index > position:
                self._numbers(start + position, text[position:index])
            position = index + 1
            if code in b"{[":
                name = self.key if self.has_key else self.top.name
                self.top = Frame(array=code == 91, name=name, parent=self.top)
                self.has_key = False
            elif code == 44:
                self.has_key = False
            else:
                if self.top.leaves:
                    self.tree.frames.append(self.top)
                self.top = self.top.parent or self.top
                self.has_key = False
        if position < len(text):
            self._numbers(start + position, text[position:])

    def _numbers(self, start: int, text: bytes) -> None:
        if len(text) < _MIN_NUMBER or not (match := _NUMBER.search(text)):
            return
        begin, after = match.span()
        if after - begin < _MIN_NUMBER:
            return
        self._add(Leaf(start + begin, start + after, b"", self.top, quoted=False))

    def string(self, start: int, end: int, after: int) -> None:
        if not self.top.array and not self.has_key:
            head = self.data[after : after + 2]
            if head[:1] == b":" or self.data[after : after + 64].lstrip()[:1] == b":":
                self.key, self.has_key = self.data[start:end], True
                self.tree.leaves.append(Leaf(start, end, b"", self.top, is_key=True))
                return
        self._add(Leaf(start, end, b"", self.top))

    def _add(self, leaf: Leaf) -> None:
        leaf.element = self.top.array
        leaf.name = self.top.name if self.top.array else self.key if self.has_key else b""
        self.top.leaves.append(leaf)
        self.tree.leaves.append(leaf)
