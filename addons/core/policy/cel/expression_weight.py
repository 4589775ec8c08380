"""How much an expression can cost, told from its syntax tree: it decides where it is evaluated."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from addons.core.policy.cel.expression_names import Size, Work
from addons.core.policy.cel.expression_tree import Call, Comprehension, Node, children

# Against a plain matcher, for each byte of a document that is made to be slow; measured.
PLAIN = 4
PATTERN = 64
"""`matches` compiles its pattern anew for each item."""
UNBOUNDED = 1 << 20
"""A small document can cost as much as a large one: up to the library's 10,000 turns of loops."""


def weight_of(tree: Node, works: Collection[Work]) -> int:
    """`works` are what was found in the tree by `read_names`."""
    if _nesting(tree) > 1 or any(work.size is Size.GATHERED for work in works):
        return UNBOUNDED
    return PATTERN if "matches" in _functions(tree) else PLAIN


def _nesting(node: Node) -> int:
    """Loops within each other, at most."""
    deepest = max(map(_nesting, children(node)), default=0)
    return deepest + isinstance(node, Comprehension)


def _functions(node: Node) -> Iterator[str]:
    if isinstance(node, Call):
        yield node.function
    for child in children(node):
        yield from _functions(child)
