"""Proofs over the tree of RFC 6962: made as its sections 2.1.1 and 2.1.2 say, and verified as RFC 9162,
sections 2.1.3.2 and 2.1.4.2, say. Verifying takes nothing on trust but the roots.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from addons.core.transparency.merkle import (
    EMPTY_ROOT,
    HASH_BYTES,
    MAX_SIZE,
    Frontier,
    joined,
    node_hash,
)

MAX_PROOF = 63
"""Hashes of the longest proof there can be."""

type RangeRoot = Callable[[int, int], bytes]
"""Of (level, index): the root of the complete subtree of 2**level leaves that is number `index` (from 0)."""

_TOO_SHORT = "the proof is too short"


class ProofInvalid(ValueError):  # noqa: N818 - named after what is wrong, as the other refusals are
    """The proof doesn't show what it should; says why."""


def frontier_at(size: int, range_root: RangeRoot) -> Frontier:
    """The tree as it was, or is, at `size` leaves. Raises ValueError for a size that can't be."""
    _check_size(size)
    return Frontier(size, tuple(range_root(*one) for one in _subtrees(0, size)))


def inclusion_proof(index: int, size: int, range_root: RangeRoot) -> tuple[bytes, ...]:
    """That leaf `index` (from 0) is in the tree of `size` leaves; the leaf's sibling first.

    Raises ValueError where the tree has no such leaf.
    """
    _check_size(size)
    if not 0 <= index < size:
        raise ValueError(f"a tree of {size} leaves has no leaf number {index}")
    proof = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            proof.append(_root(middle, end, range_root))
            end = middle
        else:
            proof.append(_root(start, middle, range_root))
            start = middle
    return tuple(reversed(proof))


def consistency_proof(old: int, new: int, range_root: RangeRoot) -> tuple[bytes, ...]:
    """That the tree of `new` leaves begins with the tree of `old` leaves. Empty where either is the other, or
    where there was nothing before.

    Raises ValueError where `old` is larger than `new`.
    """
    _check_size(new)
    if not 0 <= old <= new:
        raise ValueError(f"a tree of {new} leaves can't begin with one of {old}")
    if old in {0, new}:
        return ()
    proof = []
    start, end = 0, new
    while end != old:
        middle = start + _split(end - start)
        if old <= middle:
            proof.append(_root(middle, end, range_root))
            end = middle
        else:
            proof.append(_root(start, middle, range_root))
            start = middle
    if start:  # otherwise it is the old tree itself, whose root the verifier has
        proof.append(_root(start, end, range_root))
    return tuple(reversed(proof))


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Raises `ProofInvalid` unless the leaf whose `leaf_hash` is `leaf` is number `index` (from 0) of the
    tree of `size` leaves that has this root.
    """
    _check_verifiable(size, (leaf, root, *proof))
    if not 0 <= index < size:
        raise ProofInvalid(f"a tree of {size} leaves has no leaf number {index}")
    reached = leaf
    for sibling, on_left in _steps(index, size - 1, proof):
        reached = node_hash(sibling, reached) if on_left else node_hash(reached, sibling)
    if reached != root:
        raise ProofInvalid(f"the inclusion proof of leaf {index} leads to another root of {size} leaves")


def verify_consistency(old: int, new: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes) -> None:
    """Raises `ProofInvalid` unless the tree of `new` leaves with the root `new_root` begins with the tree of
    `old` leaves with the root `old_root`.
    """
    _check_verifiable(new, (old_root, new_root, *proof))
    if not 0 <= old <= new:
        raise ProofInvalid(f"a tree of {new} leaves can't begin with one of {old}")
    if old in {0, new}:
        _check_trivial(old, new, proof, old_root, new_root)
        return
    if not proof:
        raise ProofInvalid(_TOO_SHORT)
    seed, rest = (old_root, proof) if old & (old - 1) == 0 else (proof[0], proof[1:])
    place, last = old - 1, new - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    old_reached = new_reached = seed
    for sibling, on_left in _steps(place, last, rest):
        if on_left:
            old_reached, new_reached = node_hash(sibling, old_reached), node_hash(sibling, new_reached)
        else:
            new_reached = node_hash(new_reached, sibling)
    if old_reached != old_root:
        raise ProofInvalid(f"the consistency proof leads to another root of {old} leaves")
    if new_reached != new_root:
        raise ProofInvalid(f"the consistency proof leads to another root of {new} leaves")


def _steps(place: int, last: int, proof: Sequence[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Each sibling on the way from node `place` of a level, whose last is `last`, up to the root, and whether
    it stands on the left. Raises ProofInvalid where there are more or fewer than the way has.
    """
    for sibling in proof:
        if last == 0:
            raise ProofInvalid("the proof is too long")
        on_left = bool(place & 1) or place == last
        yield sibling, on_left
        while on_left and place and not place & 1:  # on these levels nothing stands beside it
            place, last = place >> 1, last >> 1
        place, last = place >> 1, last >> 1
    if last:
        raise ProofInvalid(_TOO_SHORT)


def _check_trivial(old: int, new: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes) -> None:
    if proof:
        raise ProofInvalid("the proof is too long: it has to be empty")
    if old == 0 and old_root != EMPTY_ROOT:
        raise ProofInvalid("this is not the root of an empty tree")
    if old == new and old_root != new_root:
        raise ProofInvalid(f"two roots of {new} leaves differ")


def _check_verifiable(size: int, hashes: Sequence[bytes]) -> None:
    if not 0 <= size <= MAX_SIZE:
        raise ProofInvalid(f"a tree can't have {size} leaves")
    if any(len(one) != HASH_BYTES for one in hashes):
        raise ProofInvalid(f"a hash has {HASH_BYTES} bytes")


def _check_size(size: int) -> None:
    if not 0 <= size <= MAX_SIZE:
        raise ValueError(f"a tree can't have {size} leaves")


def _split(count: int) -> int:
    """The largest power of two that is smaller than `count`."""
    return 1 << (count - 1).bit_length() - 1


def _root(start: int, end: int, range_root: RangeRoot) -> bytes:
    """The hash over leaves `start` to `end`, a range that a proof of RFC 6962 names."""
    return joined([range_root(*one) for one in _subtrees(start, end)])


def _subtrees(start: int, end: int) -> Iterator[tuple[int, int]]:
    """(level, index) of the complete subtrees of such a range, largest first."""
    while start < end:
        level = (end - start).bit_length() - 1
        yield level, start >> level
        start += 1 << level
