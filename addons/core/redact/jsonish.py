"""Reads JSON for its strings, without building it.

Works on the bytes and gives offsets, so that a mask changes nothing beside itself: duplicate keys, odd
numbers, lone surrogates and white space stay as they are. Any depth, any number of values in a row (NDJSON).
"""

# ruff: noqa: PLR2004 - codes of JSON's own characters

from __future__ import annotations

from dataclasses import dataclass, field

import re2

_LATIN1 = re2.Options()
_LATIN1.encoding = re2.Options.Encoding.LATIN1
_LATIN1.never_capture = True
_STRING = re2.compile(rb'"(?:[^"\\]|\\[\x00-\xff])*"', options=_LATIN1)
_LITERALS = re2.compile(rb"(?:tru|fals|null|NaN|Infinity)*", options=_LATIN1)
_NUMBER = re2.compile(rb"-?[0-9][0-9.eE+\-]*", options=_LATIN1)
_NOT_STRUCTURE = b" \t\r\n0123456789.eE+-"
_STRUCTURE = b"{}[],:"
_MIN_NUMBER = 4  # characters: shorter ones tell nothing


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
    """An object or array that is open or was read: what hangs in it."""

    array: bool
    name: bytes
    parent: Frame | None
    leaves: list[Leaf] = field(default_factory=list)


@dataclass(slots=True)
class Tree:
    """All strings and numbers of a text in order, and the objects and arrays that hold any."""

    leaves: list[Leaf] = field(default_factory=list)
    frames: list[Frame] = field(default_factory=list)


def read(data: bytes, start: int = 0, end: int | None = None) -> Tree | None:
    """Read the strings of JSON text, or give None when it is not JSON.

    Not a validator: what it accepts beyond JSON     differs in commas and brackets only. Text that ends
    inside a string is accepted.
    """
    stop = len(data) if end is None else end
    reader = _Reader(data, stop)
    position = start
    for match in _STRING.finditer(data, start, stop):
        begin, after = match.span()
        if begin != position and not reader.gap(position, begin):
            return None
        reader.string(begin + 1, after - 1, after)
        position = after
    tail = data.find(b'"', position, stop)
    if tail >= 0:
        if not reader.gap(position, tail):
            return None
        reader.string(tail + 1, stop, stop)
        position = stop
    if not reader.gap(position, stop):
        return None
    frame: Frame | None = reader.top
    while frame is not None:  # what was left open by a cut, and the values in a row at the top
        if frame.leaves:
            reader.tree.frames.append(frame)
        frame = frame.parent
    return reader.tree


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
        if letters and not _LITERALS.fullmatch(letters):
            return False
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
