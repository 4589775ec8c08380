"""What an expression names and how it can cost: read off its syntax tree when it is compiled."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import Enum, IntEnum

import re2

from addons.core.json_document import fold_key
from addons.core.policy.cel.expression_tree import (
    Call,
    Comprehension,
    Ident,
    Items,
    Literal,
    Node,
    Select,
    children,
)

MAX_LOOPS = 3
_RESULT = "@result"  # what a macro gathers
LISTS, HEADERS = "lists", "request.headers"

# lists by their type, so going over them gives no keys
_NO_MAPS = {LISTS, "identity.groups", "identity.actors", "op.tags", "op.risk"}

_EQUALITIES = {"_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_"}
_TEXT_TESTS = {"contains", "startsWith", "endsWith", "matches"}
# functions whose cost grows with an operand, and which operands those are
_LINEAR: Mapping[str, tuple[int, ...]] = {
    "contains": (0,),
    "matches": (0,),
    "size": (0,),
    "string": (0,),
    "bytes": (0,),
    "@in": (1,),
    "_+_": (0, 1),
}


class Origin(IntEnum):
    """Whose value it is, and so who says how large it is; of several the greatest counts."""

    POLICY = 0
    """Written in the expression, or one of the policy's lists."""
    ITEM = 1
    """One item of what the request brings."""
    REQUEST = 2


class Size(Enum):
    """What the cost of a turn grows with."""

    WHOLE = "whole"
    """A value that is the same in every turn."""
    ITEM = "item"
    """An item of one of the loops; in all turns of that loop together it is no more than there is."""
    GATHERED = "gathered"
    """What map or filter have gathered so far: the library copies it in every turn."""


@dataclass(frozen=True, slots=True)
class Work:
    """Something whose cost grows with a value of the request, done in loops within each other: so many over
    the policy's own lists, so many over what the request brings.
    """

    policy_loops: int
    request_loops: int
    size: Size


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that an expression may not say. `offset` is in characters."""

    offset: int
    message: str
    remedy: str


@dataclass(slots=True)
class Names:
    """What is found.

    `variables` are whole dotted names. `lists` has for each list where it is first named; `key_lists` are
    those whose texts may be used as keys. `keys` are what is certainly used as a key, `texts` what may be
    one: any text that is not just compared with a value.
    """

    variables: set[str] = field(default_factory=set)
    lists: dict[str, int] = field(default_factory=dict)
    key_lists: set[str] = field(default_factory=set)
    keys: set[str] = field(default_factory=set)
    texts: set[str] = field(default_factory=set)
    works: set[Work] = field(default_factory=set)
    longest_items: int = 0
    findings: list[Finding] = field(default_factory=list)

    def fields(self) -> frozenset[str]:
        """The keys, and the texts that may be keys and aren't another spelling of one."""
        folded = {fold_key(key) for key in self.keys}
        return frozenset(self.keys | {text for text in self.texts if fold_key(text) not in folded})


@dataclass(frozen=True, slots=True)
class _Scope:
    """What surrounds a node: the variables of loops, those of them that may be keys, and what each loop goes
    over, outermost first.
    """

    items: Mapping[str, Origin] = field(default_factory=dict)
    keys: frozenset[str] = frozenset()
    loops: tuple[Origin, ...] = ()


def read_names(tree: Node, variables: Collection[str]) -> Names:
    """`variables` are the environment's, by their whole dotted names."""
    reader = _Reader(variables)
    reader.visit(tree, _Scope())
    return reader.names


class _Reader:
    def __init__(self, variables: Collection[str]) -> None:
        self.names = Names()
        self._variables = variables
        self._roots = {name.partition(".")[0] for name in variables}

    def visit(self, node: Node, scope: _Scope) -> None:
        """Read a node and all below it."""
        match node:
            case Ident(offset, name) if name == LISTS:
                remedy = "write lists.NAME"
                self._find(offset, "'lists' is used without the name of a list", remedy)
            case Ident(_, name) if name not in scope.items and name in self._variables:
                self.names.variables.add(name)
            case Literal(_, str(text)):
                self.names.texts.add(text)
            case Select() | Call(_, "_[_]"):
                self._visit_step(node, scope)
            case Call():
                self._visit_call(node, scope)
            case Comprehension():
                self._visit_loop(node, scope)
            case _:
                self._visit_all(children(node), scope)

    def _visit_all(self, nodes: Collection[Node], scope: _Scope) -> None:
        for node in nodes:
            self.visit(node, scope)

    def _find(self, offset: int, message: str, remedy: str) -> None:
        self.names.findings.append(Finding(offset, message, remedy))

    def _visit_step(self, node: Select | Call, scope: _Scope) -> None:
        """`a.b`, `a["b"]`, `a[0]`."""
        list_name = _list_named(node)
        if list_name is not None:
            self._visit_list(node, list_name)
            self.names.key_lists.add(list_name)
            return
        operand = node.operand if isinstance(node, Select) else node.arguments[0]
        key = _step_of(node)
        if key is not None:
            self._use_key(key, operand, node.offset)
            self.visit(operand, scope)
        else:
            self._visit_all(children(node), scope)

    def _visit_list(self, node: Select | Call, name: str) -> None:
        self.names.variables.add(LISTS)
        self.names.lists.setdefault(name, children(node)[0].offset)

    def _use_key(self, key: str, operand: Node, offset: int) -> None:
        self.names.keys.add(key)
        if isinstance(operand, Ident) and operand.name == HEADERS and key != key.lower():
            self._find(
                offset,
                f"{key!r} is never found: names of headers are in lower case",
                f"write {key.lower()!r}",
            )

    def _visit_call(self, node: Call, scope: _Scope) -> None:
        self._weigh(node, scope)
        arguments = node.arguments
        if node.function == "@in":
            self._visit_in(node, scope)
        elif node.function in _EQUALITIES or (node.function in _TEXT_TESTS and len(arguments) == 2):  # noqa: PLR2004 - both are binary
            values = any(_is_value(argument, scope) for argument in arguments)
            if node.function == "matches":
                self._check_pattern(arguments[1], scope)
            self._visit_all([each for each in arguments if not (values and isinstance(each, Literal))], scope)
        else:
            self._visit_all(arguments, scope)

    def _visit_in(self, node: Call, scope: _Scope) -> None:
        wanted, among = node.arguments
        if isinstance(wanted, Literal) and wanted.text is not None:
            self._use_key(wanted.text, among, wanted.offset)
        else:
            self.visit(wanted, scope)
        list_name = _list_named(among)
        if list_name is not None and isinstance(among, (Select, Call)):
            self._visit_list(among, list_name)
            if not _is_value(wanted, scope):
                self.names.key_lists.add(list_name)
        elif isinstance(among, Items) and _is_value(wanted, scope):
            self._visit_all([item for item in among.items if not isinstance(item, Literal)], scope)
        else:
            self.visit(among, scope)

    def _visit_loop(self, node: Comprehension, scope: _Scope) -> None:
        for name in node.variables:
            if name in self._roots:
                message = f"{name!r} is the name of something else already"
                self._find(node.offset, message, "give the item another name")
        self.visit(node.over, scope)
        origin = self._origin(node.over, scope)
        if isinstance(node.over, Items):
            self.names.longest_items = max(self.names.longest_items, len(node.over.items))
        item = Origin.POLICY if origin is Origin.POLICY else Origin.ITEM
        variables = frozenset(node.variables)
        inner = _Scope(
            {**scope.items, **dict.fromkeys(variables, item)},
            scope.keys - variables if _root_of(node.over) in _NO_MAPS else scope.keys | variables,
            (*scope.loops, origin),
        )
        if len(inner.loops) > MAX_LOOPS:
            message = f"more than {MAX_LOOPS} of exists, all, map, filter within each other"
            self._find(node.offset, message, "split the rule in two")
        self._visit_all(node.steps, inner)
        self._visit_all(node.others, scope)

    def _weigh(self, node: Call, scope: _Scope) -> None:
        """Note what is done again in every turn of a loop. Each item of a single loop is looked at once."""
        size = self._size(node, scope) if scope.loops else None
        if size is None or (size is Size.ITEM and len(scope.loops) == 1):
            return
        policy_loops = scope.loops.count(Origin.POLICY)
        self.names.works.add(Work(policy_loops, len(scope.loops) - policy_loops, size))

    def _size(self, node: Call, scope: _Scope) -> Size | None:
        match node:
            case Call(_, "_+_", (Ident(_, name), Items())) if name == _RESULT:
                return Size.GATHERED
        origins = [self._origin(argument, scope) for argument in node.arguments]
        # comparing ends with the smaller one
        costly = [min(origins)] if node.function in _EQUALITIES else []
        costly += [origins[index] for index in _LINEAR.get(node.function, ()) if index < len(origins)]
        return {Origin.REQUEST: Size.WHOLE, Origin.ITEM: Size.ITEM}.get(max(costly, default=Origin.POLICY))

    def _check_pattern(self, pattern: Node, scope: _Scope) -> None:
        if isinstance(pattern, Literal) and pattern.text is not None:
            try:
                re2.compile(pattern.text, options=_quiet())
            except re2.error as error:
                reason = error.args[0].decode() if isinstance(error.args[0], bytes) else str(error.args[0])
                message = f"not a regular expression: {' '.join(reason.split())}"
                self._find(pattern.offset, message, "the syntax is RE2's")
        elif self._origin(pattern, scope) is not Origin.POLICY:
            message = "matches takes a pattern of the policy's own, not one that the request brings"
            self._find(_start(pattern), message, "write it out, or put it into lists:")

    def _origin(self, node: Node, scope: _Scope) -> Origin:
        match node:
            case Ident(_, name):
                if name in scope.items:
                    return scope.items[name]
                return Origin.REQUEST if name in self._variables and name != LISTS else Origin.POLICY
            case Comprehension():
                return max(self._origin(each, scope) for each in (node.over, *node.steps))
            case _:
                return max((self._origin(each, scope) for each in children(node)), default=Origin.POLICY)


def _quiet() -> re2.Options:
    options = re2.Options()
    options.log_errors = False
    return options


def _start(node: Node) -> int:
    """Where its text begins: the tree has the place of the dot, or of the operator."""
    return min([node.offset, *map(_start, children(node))])


def _step_of(node: Node) -> str | None:
    """The key that a step names in so many words."""
    match node:
        case Select():
            return node.field
        case Call(_, "_[_]", (_, Literal(_, str(text)))):
            return text
        case _:
            return None


def _list_named(node: Node) -> str | None:
    name = _step_of(node)
    if name is None:
        return None
    operand = children(node)[0]
    return name if isinstance(operand, Ident) and operand.name == LISTS else None


def _is_value(node: Node, scope: _Scope) -> bool:
    """Whether it is a value and no key: reached step by step, and not what a loop goes over, which are keys
    where that is a map.
    """
    root = _root_of(node)
    return root is not None and (not isinstance(node, Ident) or root not in scope.keys)


def _root_of(node: Node) -> str | None:
    """The variable from which steps alone lead to the node."""
    while isinstance(node, Select) or (isinstance(node, Call) and node.function == "_[_]"):
        node = children(node)[0]
    return node.name if isinstance(node, Ident) else None
