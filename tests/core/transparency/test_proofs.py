"""Proofs are those of RFC 6962; they convince of what is so, and one bit less convinces of nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from addons.core.transparency.merkle import EMPTY_ROOT, Frontier, extended, leaf_hash
from addons.core.transparency.proofs import (
    ProofInvalid,
    consistency_proof,
    frontier_at,
    inclusion_proof,
    verify_consistency,
    verify_inclusion,
)
from tests.core.transparency.naive_tree import NaiveTree
from tests.core.transparency.vectors import CONSISTENCY, INCLUSION, LEAVES, ROOTS

SIZES = 300
MANY = [b"%d" % number for number in range(3000)]
TREE = NaiveTree(MANY)
sizes = st.integers(1, len(MANY))
hashes = st.binary(min_size=32, max_size=32)


@dataclass(frozen=True, slots=True)
class Inclusion:
    leaf: bytes
    index: int
    size: int
    proof: tuple[bytes, ...]
    root: bytes

    def verify(self) -> None:
        verify_inclusion(self.leaf, self.index, self.size, self.proof, self.root)


@dataclass(frozen=True, slots=True)
class Consistency:
    old: int
    new: int
    proof: tuple[bytes, ...]
    old_root: bytes
    new_root: bytes

    def verify(self) -> None:
        verify_consistency(self.old, self.new, self.proof, self.old_root, self.new_root)


def inclusion(index: int, size: int) -> Inclusion:
    proof = inclusion_proof(index, size, TREE.range_root)
    return Inclusion(leaf_hash(MANY[index]), index, size, proof, TREE.root(size))


def consistency(old: int, new: int) -> Consistency:
    return Consistency(old, new, consistency_proof(old, new, TREE.range_root), TREE.root(old), TREE.root(new))


@pytest.mark.parametrize(("index", "size"), INCLUSION)
def test_the_published_inclusion_proofs(index: int, size: int) -> None:
    proof = tuple(map(bytes.fromhex, INCLUSION[index, size]))
    assert inclusion_proof(index, size, NaiveTree(LEAVES).range_root) == proof
    verify_inclusion(leaf_hash(LEAVES[index]), index, size, proof, ROOTS[size - 1])


@pytest.mark.parametrize(("old", "new"), CONSISTENCY)
def test_the_published_consistency_proofs(old: int, new: int) -> None:
    proof = tuple(map(bytes.fromhex, CONSISTENCY[old, new]))
    assert consistency_proof(old, new, NaiveTree(LEAVES).range_root) == proof
    verify_consistency(old, new, proof, ROOTS[old - 1], ROOTS[new - 1])


def test_every_inclusion_proof_of_small_trees() -> None:
    for size in range(1, SIZES + 1):
        for index in range(size):
            shown = inclusion(index, size)
            assert shown.proof == TREE.path(index, size)
            shown.verify()


def test_every_consistency_proof_of_small_trees() -> None:
    for new in range(1, SIZES + 1):
        for old in range(1, new + 1):
            shown = consistency(old, new)
            assert shown.proof == TREE.proof(old, new)
            shown.verify()


@given(sizes, st.data())
@settings(deadline=None)  # the first to ask for a root computes it
def test_proofs_of_larger_trees(size: int, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, size - 1))
    shown = inclusion(place, size)
    assert shown.proof == TREE.path(place, size)
    shown.verify()
    grown = consistency(place + 1, size)
    assert grown.proof == TREE.proof(place + 1, size)
    grown.verify()


@given(st.integers(0, len(MANY)))
@settings(deadline=None)  # as above
def test_a_tree_is_found_again_from_its_subtrees(size: int) -> None:
    leaves = [leaf_hash(one) for one in MANY[:size]]
    assert frontier_at(size, TREE.range_root) == extended(Frontier(), leaves).frontier


def test_nothing_is_a_beginning_of_everything() -> None:
    assert consistency(0, 5).proof == consistency(0, 0).proof == consistency(7, 7).proof == ()
    consistency(0, 5).verify()
    consistency(0, 0).verify()
    consistency(7, 7).verify()


@pytest.mark.parametrize("where", [(5, 8), (0, 1), (6, 7), (255, 256), (256, 257), (130, 2999)])
def test_an_inclusion_proof_holds_for_nothing_else(where: tuple[int, int]) -> None:
    shown = inclusion(*where)
    shown.verify()
    for bent in _bent_hashes(shown.proof):
        _refused(replace(shown, proof=bent).verify)
    for bit in range(256):
        _refused(replace(shown, leaf=_flipped(shown.leaf, bit)).verify)
        _refused(replace(shown, root=_flipped(shown.root, bit)).verify)
    for other in set(range(shown.size)) - {shown.index}:
        _refused(replace(shown, index=other).verify)


@pytest.mark.parametrize("pair", [(1, 2), (3, 4), (4, 8), (6, 8), (7, 8), (128, 200), (255, 300), (9, 2999)])
def test_a_consistency_proof_holds_for_nothing_else(pair: tuple[int, int]) -> None:
    shown = consistency(*pair)
    shown.verify()
    for bent in _bent_hashes(shown.proof):
        _refused(replace(shown, proof=bent).verify)
    for bit in range(256):
        _refused(replace(shown, old_root=_flipped(shown.old_root, bit)).verify)
        _refused(replace(shown, new_root=_flipped(shown.new_root, bit)).verify)


def test_a_proof_of_a_tree_whose_past_was_changed_can_not_be_made() -> None:
    """The honest proof between the two is the only one; it fails for the changed one."""
    changed = NaiveTree([*MANY[:40], b"changed", *MANY[41:100]])
    for old in range(41, 101):
        proof = consistency_proof(old, 100, changed.range_root)
        bad = Consistency(old, 100, proof, TREE.root(old), changed.root(100))
        _refused(bad.verify)


@pytest.mark.parametrize(
    "bad",
    [
        Inclusion(b"x" * 32, 0, 0, (), b"x" * 32),
        Inclusion(b"x" * 32, -1, 2, (b"x" * 32,), b"x" * 32),
        Inclusion(b"x" * 32, 2, 2, (b"x" * 32,), b"x" * 32),
        Inclusion(b"x" * 31, 0, 1, (), b"x" * 31),
        Inclusion(b"x" * 32, 0, 2**63, (), b"x" * 32),
        Inclusion(b"x" * 32, 0, 2**62, (b"x" * 32,) * 64, b"x" * 32),
        Consistency(3, 2, (), b"x" * 32, b"x" * 32),
        Consistency(-1, 2, (), b"x" * 32, b"x" * 32),
        Consistency(0, 2, (), b"x" * 32, b"x" * 32),
        Consistency(0, 2, (b"x" * 32,), EMPTY_ROOT, b"x" * 32),
        Consistency(2, 2, (b"x" * 32,), b"x" * 32, b"x" * 32),
        Consistency(2, 2, (), b"x" * 32, b"y" * 32),
        Consistency(2, 4, (), b"x" * 32, b"x" * 32),
        Consistency(2, 4, (b"x" * 31,), b"x" * 32, b"x" * 32),
        Consistency(1, 2**63, (), b"x" * 32, b"x" * 32),
    ],
)
def test_what_can_be_no_proof_is_refused(bad: Inclusion | Consistency) -> None:
    _refused(bad.verify)


@given(st.integers(-2, 2**64), st.integers(-2, 2**64), st.lists(hashes, max_size=70), hashes, hashes)
def test_anything_given_is_refused_with_the_one_error(
    one: int, two: int, proof: list[bytes], first: bytes, second: bytes
) -> None:
    assume(first != second)
    for verify in (
        Inclusion(first, one, two, tuple(proof), second).verify,
        Consistency(one, two, tuple(proof), first, second).verify,
    ):
        _refused(verify)


@pytest.mark.parametrize("pair", [(1, 2), (4, 8), (7, 8), (9, 2999)])
def test_a_proof_of_the_wrong_length_is_told_as_that(pair: tuple[int, int]) -> None:
    shown, within = consistency(*pair), inclusion(*pair)
    for one in (shown, within):
        with pytest.raises(ProofInvalid, match="too long"):
            replace(one, proof=(*one.proof, b"x" * 32)).verify()
        with pytest.raises(ProofInvalid, match="too short"):
            replace(one, proof=one.proof[:-1]).verify()


@pytest.mark.parametrize(("place", "size"), [(0, 0), (5, 5), (-1, 5), (0, 2**63)])
def test_no_inclusion_proof_of_a_leaf_that_is_not_there(place: int, size: int) -> None:
    with pytest.raises(ValueError, match="tree"):
        inclusion_proof(place, size, TREE.range_root)


@pytest.mark.parametrize(("old", "new"), [(6, 5), (-1, 5), (0, 2**63), (0, -1)])
def test_no_consistency_proof_backwards(old: int, new: int) -> None:
    with pytest.raises(ValueError, match="tree"):
        consistency_proof(old, new, TREE.range_root)


def _refused(verify: Callable[[], None]) -> None:
    with pytest.raises(ProofInvalid):
        verify()


def _bent_hashes(proof: tuple[bytes, ...]) -> list[tuple[bytes, ...]]:
    """Every bit flipped, every hash left out, doubled, and swapped with the next."""
    bent = []
    for at, one in enumerate(proof):
        before, after = proof[:at], proof[at + 1 :]
        bent += [(*before, _flipped(one, bit), *after) for bit in range(256)]
        bent += [before + after, (*before, one, one, *after)]
        if after and after[0] != one:
            bent.append((*before, after[0], one, *after[1:]))
    return bent


def _flipped(octets: bytes, bit: int) -> bytes:
    changed = bytearray(octets)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)
