"""The Merkle tree of RFC 6962, section 2.1, kept as its compact range: what a log of any size needs in hand
to take the next leaf and to say its root.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256

HASH_BYTES = 32
MAX_SIZE = 2**63 - 1
"""Leaves of the largest tree that any of this takes."""
EMPTY_ROOT = sha256(b"").digest()
STORED_LEVELS = (8, 16, 24)
"""Of the complete subtrees that `extended` reports: 2**8, 2**16 and 2**24 leaves each."""

_LEAF, _NODE = b"\x00", b"\x01"
_LOWEST = (1 << STORED_LEVELS[0]) - 1


def leaf_hash(data: bytes) -> bytes:
    """The hash of a leaf whose data is `data`."""
    return sha256(_LEAF + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(_NODE + left + right).digest()


@dataclass(frozen=True, slots=True)
class CompletedNode:
    """The root of the complete subtree of 2**level leaves that is number `index` (from 0) of its level."""

    level: int
    index: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Frontier:
    """A tree of `size` leaves: the roots of the complete subtrees that it consists of, largest first.

    Raises ValueError where the hashes can't be those of a tree of that size.
    """

    size: int = 0
    hashes: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.size <= MAX_SIZE:
            raise ValueError(f"a tree can't have {self.size} leaves")
        if len(self.hashes) != self.size.bit_count():
            raise ValueError(
                f"a tree of {self.size} leaves has {self.size.bit_count()} complete subtrees, "
                f"and {len(self.hashes)} hashes are given"
            )
        check_hashes(self.hashes)

    def root(self) -> bytes:
        """The Merkle tree hash of all leaves."""
        return joined(self.hashes) if self.hashes else EMPTY_ROOT


@dataclass(frozen=True, slots=True)
class Extension:
    """A tree that grew, and the subtrees of `STORED_LEVELS` that it completed on the way, in order."""

    frontier: Frontier
    completed: tuple[CompletedNode, ...]


def extended(frontier: Frontier, leaves: Sequence[bytes]) -> Extension:
    """Append leaves, given by their `leaf_hash`. Raises ValueError for one that isn't a hash."""
    check_hashes(leaves)
    size = frontier.size
    subtrees = list(frontier.hashes)
    completed: list[CompletedNode] = []
    for leaf in leaves:
        if size & _LOWEST == _LOWEST:
            completed += _append_reporting(subtrees, size, leaf)
        else:
            # As `node_hash`, without the call: this runs for every record within a commit.
            carry, joins = leaf, size
            while joins & 1:
                carry = sha256(_NODE + subtrees.pop() + carry).digest()
                joins >>= 1
            subtrees.append(carry)
        size += 1
    return Extension(Frontier(size, tuple(subtrees)), tuple(completed))


def joined(subtrees: Sequence[bytes]) -> bytes:
    """The root over neighbouring subtrees, largest first; at least one."""
    root = subtrees[-1]
    for left in reversed(subtrees[:-1]):
        root = node_hash(left, root)
    return root


def check_hashes(hashes: Iterable[bytes]) -> None:
    """Raises ValueError unless each has the length of a SHA-256."""
    for one in hashes:
        if len(one) != HASH_BYTES:
            raise ValueError(f"a hash has {HASH_BYTES} bytes, and one of {len(one)} is given")


def _append_reporting(subtrees: list[bytes], size: int, leaf: bytes) -> list[CompletedNode]:
    completed = []
    carry, level = leaf, 0
    while size >> level & 1:
        carry = node_hash(subtrees.pop(), carry)
        level += 1
        if level in STORED_LEVELS:
            completed.append(CompletedNode(level, size >> level, carry))
    subtrees.append(carry)
    return completed
