"""The syntax tree of a compiled CEL expression.

The library shows none, but serialises one: a `cel.expr.CheckedExpr` (cel-spec, `proto/cel/expr/checked.proto`
and `syntax.proto`) in a `google.protobuf.Any`, with macros expanded and every name resolved. What is read
here is therefore what will be evaluated. Unknown parts are refused: nothing of an expression goes unseen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_CHECKED = b"type.googleapis.com/cel.expr.CheckedExpr"
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MORE_FOLLOWS = 0x80
_STRING = 6  # of a constant's fields


class UnreadableTree(ValueError):  # noqa: N818 - named for what the caller is told
    """The library's serialised form isn't the one that this was written for."""


@dataclass(frozen=True, slots=True)
class Ident:
    """A variable: one of the environment's, by its whole dotted name, or a comprehension's own."""

    offset: int
    name: str


@dataclass(frozen=True, slots=True)
class Select:
    """`operand.field`, and `has(operand.field)`."""

    offset: int
    operand: Node
    field: str


@dataclass(frozen=True, slots=True)
class Call:
    """An operator or a function; the target of a method is its first argument."""

    offset: int
    function: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Literal:
    """`text` is None where it is no text."""

    offset: int
    text: str | None


@dataclass(frozen=True, slots=True)
class Items:
    """A list, map or message that is written out: items, or keys and values."""

    offset: int
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Comprehension:
    """What `exists`, `all`, `map`, `filter` and `exists_one` expand to. `steps` run once for each item of
    `over`, the others once.
    """

    offset: int
    variables: tuple[str, ...]
    over: Node
    steps: tuple[Node, ...]
    others: tuple[Node, ...]


type Node = Ident | Select | Call | Literal | Items | Comprehension


def read_tree(serialised: bytes) -> Node:
    """Read what `cel.Expression.serialize()` gives. Offsets are in characters of the expression.

    Raises:
        UnreadableTree: see there.

    """
    outer = _Message(serialised)
    if outer.data(1) != _CHECKED:
        raise UnreadableTree("not a checked expression")
    checked = _Message(outer.data(2))
    positions = {}
    for entry in map(_Message, _Message(checked.data(5)).all_data(4)):
        positions[entry.number(1)] = entry.number(2)
    return _Reader(positions).node(checked.data(4))


def children(node: Node) -> tuple[Node, ...]:
    match node:
        case Select():
            return (node.operand,)
        case Call():
            return node.arguments
        case Items():
            return node.items
        case Comprehension():
            return (node.over, *node.others, *node.steps)
        case _:
            return ()


class _Reader:
    """Makes nodes of `cel.expr.Expr` messages. The library nests them 32 levels deep at most, before macros
    are expanded.
    """

    def __init__(self, positions: Mapping[int, int]) -> None:
        self._positions = positions

    def node(self, data: bytes) -> Node:
        message = _Message(data)
        kinds = message.numbers - {_ID}
        if len(kinds) != 1 or not kinds <= _KINDS.keys():
            raise UnreadableTree("an expression of an unknown kind")
        kind = kinds.pop()
        offset = self._positions.get(message.number(_ID), 0)
        return _KINDS[kind](self, offset, _Message(message.data(kind)))

    def literal(self, offset: int, message: _Message) -> Node:
        return Literal(offset, message.text(_STRING) if _STRING in message.numbers else None)

    def ident(self, offset: int, message: _Message) -> Node:
        return Ident(offset, message.text(1))

    def select(self, offset: int, message: _Message) -> Node:
        return Select(offset, self.node(message.data(1)), message.text(2))

    def call(self, offset: int, message: _Message) -> Node:
        arguments = [*message.all_data(1), *message.all_data(3)]
        return Call(offset, message.text(2), tuple(map(self.node, arguments)))

    def list_(self, offset: int, message: _Message) -> Node:
        return Items(offset, tuple(map(self.node, message.all_data(1))))

    def struct(self, offset: int, message: _Message) -> Node:
        entries = map(_Message, message.all_data(2))
        parts = [part for entry in entries for part in (*entry.all_data(3), *entry.all_data(4))]
        return Items(offset, tuple(map(self.node, parts)))

    def comprehension(self, offset: int, message: _Message) -> Node:
        over, start, condition, step, result = (self.node(message.data(part)) for part in (2, 4, 5, 6, 7))
        variables = tuple(message.text(part) for part in (1, 8) if part in message.numbers)
        return Comprehension(offset, variables, over, (condition, step), (start, result))


_ID = 2
_KINDS = {
    3: _Reader.literal,
    4: _Reader.ident,
    5: _Reader.select,
    6: _Reader.call,
    7: _Reader.list_,
    8: _Reader.struct,
    9: _Reader.comprehension,
}


class _Message:
    """One protobuf message (protobuf.dev, Encoding), by field number."""

    def __init__(self, data: bytes) -> None:
        self._fields: dict[int, list[int | bytes]] = {}
        for number, value in _fields(data):
            self._fields.setdefault(number, []).append(value)

    @property
    def numbers(self) -> set[int]:
        return set(self._fields)

    def number(self, field: int) -> int:
        value = self._fields.get(field, [0])[-1]
        if not isinstance(value, int):
            raise UnreadableTree("a field of the wrong type")
        return value

    def all_data(self, field: int) -> list[bytes]:
        values = self._fields.get(field, [])
        found = [value for value in values if isinstance(value, bytes)]
        if len(found) != len(values):
            raise UnreadableTree("a field of the wrong type")
        return found

    def data(self, field: int) -> bytes:
        found = self.all_data(field)
        return found[-1] if found else b""

    def text(self, field: int) -> str:
        return self.data(field).decode()


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, wire_type = tag >> 3, tag & 7
        if wire_type == _VARINT:
            value, at = _varint(data, at)
            yield number, value
            continue
        if wire_type == _BYTES:
            size, at = _varint(data, at)
        elif wire_type in {_FIXED64, _FIXED32}:
            size = 8 if wire_type == _FIXED64 else 4
        else:
            raise UnreadableTree("a field of an unknown type")
        if at + size > len(data):
            raise UnreadableTree("cut off")
        yield number, data[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data):
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < _MORE_FOLLOWS:
            return value, at
    raise UnreadableTree("cut off")
