"""The tree is RFC 6962's at every size, however its leaves come."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from addons.core.transparency.merkle import (
    EMPTY_ROOT,
    STORED_LEVELS,
    CompletedNode,
    Frontier,
    extended,
    leaf_hash,
    node_hash,
)
from tests.core.transparency.naive_tree import NaiveTree
from tests.core.transparency.vectors import LEAVES, ROOTS

MANY = [b"%d" % number for number in range(300)]


def hashes_of(leaves: list[bytes] | tuple[bytes, ...]) -> list[bytes]:
    return [leaf_hash(one) for one in leaves]


def test_the_published_roots() -> None:
    assert Frontier().root() == EMPTY_ROOT == sha256(b"").digest()
    for size in range(1, len(LEAVES) + 1):
        assert extended(Frontier(), hashes_of(LEAVES[:size])).frontier.root() == ROOTS[size - 1]


def test_every_size_has_the_root_of_the_recursive_definition() -> None:
    naive = NaiveTree(MANY)
    frontier = Frontier()
    for size, leaf in enumerate(MANY, 1):
        frontier = extended(frontier, [leaf_hash(leaf)]).frontier
        assert frontier.size == size
        assert frontier.root() == naive.root(size)


@given(st.lists(st.binary(max_size=8), max_size=1200), st.data())
@settings(deadline=None)  # a list may be long
def test_leaves_may_come_in_any_portions(leaves: list[bytes], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(leaves)))
    hashes = hashes_of(leaves)
    first = extended(Frontier(), hashes[:cut])
    second = extended(first.frontier, hashes[cut:])
    at_once = extended(Frontier(), hashes)
    assert second.frontier == at_once.frontier
    assert first.completed + second.completed == at_once.completed
    assert at_once.frontier.root() == NaiveTree(leaves).root(len(leaves))


def test_the_subtrees_that_were_completed_are_reported_once_each_and_in_order() -> None:
    leaves = [b"%d" % number for number in range(3 * 256 + 255)]
    naive = NaiveTree(leaves)
    assert extended(Frontier(), hashes_of(leaves)).completed == tuple(
        CompletedNode(8, index, naive.range_root(8, index)) for index in range(3)
    )


@pytest.mark.parametrize("level", STORED_LEVELS)
def test_the_last_leaf_of_a_large_subtree_completes_one_of_each_stored_level(level: int) -> None:
    """Of a tree one leaf short of its second such subtree, whose hashes are made up."""
    size = (2 << level) - 1
    hashes = tuple(leaf_hash(b"%d" % number) for number in range(size.bit_count()))
    leaf = leaf_hash(b"last")
    found = extended(Frontier(size, hashes), [leaf])
    carry, expected = leaf, []
    for at, left in enumerate(reversed(hashes), 1):
        carry = node_hash(left, carry)
        if at in STORED_LEVELS and at <= level:
            expected.append(CompletedNode(at, size >> at, carry))
    assert found.completed == tuple(expected)
    assert found.frontier == Frontier(size + 1, (carry,))


@pytest.mark.parametrize(
    ("size", "hashes"),
    [(-1, ()), (0, (b"x" * 32,)), (1, ()), (3, (b"x" * 32,)), (1, (b"x" * 31,)), (2**63, (b"x" * 32,))],
)
def test_what_can_be_no_tree_is_refused(size: int, hashes: tuple[bytes, ...]) -> None:
    with pytest.raises(ValueError, match=r"tree|hash"):
        Frontier(size, hashes)


def test_leaf_data_in_the_place_of_its_hash_is_refused() -> None:
    for count in (1, 2, 256):
        with pytest.raises(ValueError, match="a hash has 32 bytes"):
            extended(Frontier(), [b"data"] * count)
