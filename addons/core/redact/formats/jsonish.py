"""Reads JSON for its strings, without building it.

Works on the bytes and gives offsets, so that a mask changes nothing beside itself: duplicate keys, odd
numbers, lone surrogates and white space stay as they are. Any depth, any number of values in a row (NDJSON).
"""

# ruff: noqa: PLR2004 - codes of JSON's own characters

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest

# Linear, for nothing is given back; the standard library's engine is many times quicker to ask than RE2.
_STRING = re.compile(rb'([^"]*+)(?:"([^"\\]*+(?:\\.[^"\\]*+)*+)(?:"|\\?\Z)|\Z)', re.DOTALL)
_LITERALS = re.compile(rb"(?:tru|fals|null|NaN|Infinity)*+")
_NUMBER = re.compile(rb"-?[0-9][0-9.eE+\-]*+")
_SIGN = re.compile(rb"[{}\[\],]")
_NOT_STRUCTURE = b" \t\r\n0123456789.eE+-"
_STRUCTURE = b"{}[],:"
_SAYS_SECRET = frozenset((b"is_secret", b"isSecret", b"secure", b"sensitive"))
_AT_ONCE = 1 << 16  # in bytes: for more the pieces would take too much memory
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
    reader = _Reader(data)
    position = start
    for skip, after in skipped:
        if not reader.part(position, skip):
            return None
        position = after
    if not reader.part(position, stop):
        return None
    frame: Frame | None = reader.top
    while frame is not None:  # what was left open by a cut, and the values in a row at the top
        if frame.leaves:
            reader.tree.frames.append(frame)
        frame = frame.parent
    reader.tree.skipped = skipped
    return reader.tree


def _tokens(data: bytes, position: int, stop: int) -> Iterable[tuple[bytes, bytes | None]]:
    """Give each string with what stands before it, and what stands after the last."""
    if stop - position <= _AT_ONCE and data.find(b"\\", position, stop) < 0:
        parts = data[position:stop].split(b'"')
        return zip_longest(parts[::2], parts[1::2])
    return ((match[1], match[2]) for match in _STRING.finditer(data, position, stop))


class _Reader:
    __slots__ = ("data", "has_key", "key", "top", "tree")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.tree = Tree()
        self.top = Frame(array=True, name=b"", parent=None)
        self.key = b""
        self.has_key = False

    def part(self, position: int, stop: int) -> bool:
        """Read what stands from `position` on; False when that is not JSON."""
        data, leaves = self.data, self.tree.leaves
        for gap, text in _tokens(data, position, stop):
            if gap == b",":
                self.has_key = False
            elif gap != b":" and gap and not self._gap(position, gap):
                return False
            if text is None:
                break
            start = position + len(gap) + 1
            end = start + len(text)
            position = end + 1
            top = self.top
            if top.array:
                name = top.name
            elif self.has_key:
                name = self.key
            elif data.startswith(b":", position) or data[position : position + 64].lstrip()[:1] == b":":
                self.key, self.has_key = text, True
                leaves.append(Leaf(start, end, b"", top, True, False, True))
                continue
            else:
                name = b""
            leaf = Leaf(start, end, name, top, True, top.array)
            top.leaves.append(leaf)
            leaves.append(leaf)
        return True

    def _gap(self, start: int, text: bytes) -> bool:
        """Read what stands between two strings; False when that is not JSON."""
        rest = text.translate(None, _NOT_STRUCTURE)
        letters = rest.translate(None, _STRUCTURE)
        if letters:
            if not _LITERALS.fullmatch(letters):
                return False
            if self.has_key and self.key in _SAYS_SECRET and text.lstrip(b": \t\r\n").startswith(b"true"):
                self.top.says_secret = True
        if rest == b",":
            self.has_key = False
        elif len(text) - len(rest) >= _MIN_NUMBER and rest != b":":
            self._numbers(start, text)
        else:
            for code in rest:
                self._sign(code)
        return True

    def _sign(self, code: int) -> None:
        if code in b"{[":
            self.top = Frame(code == 91, self.key if self.has_key else self.top.name, self.top)
        elif code in b"}]":
            if self.top.leaves:
                self.tree.frames.append(self.top)
            self.top = self.top.parent or self.top
        elif code != 44:
            return
        self.has_key = False

    def _numbers(self, start: int, text: bytes) -> None:
        """Read a gap that may hold numbers."""
        position = 0
        for match in _SIGN.finditer(text):
            self._number(start + position, text[position : match.start()])
            position = match.end()
            self._sign(text[match.start()])
        self._number(start + position, text[position:])

    def _number(self, start: int, text: bytes) -> None:
        match = _NUMBER.search(text)
        if match is None or match.end() - match.start() < _MIN_NUMBER:
            return
        top = self.top
        name = top.name if top.array else self.key if self.has_key else b""
        leaf = Leaf(start + match.start(), start + match.end(), name, top, False, top.array)
        top.leaves.append(leaf)
        self.tree.leaves.append(leaf)
