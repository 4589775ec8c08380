"""A log in memory, for what a witness is shown; and one that lies."""

from __future__ import annotations

from collections.abc import Sequence

from addons.core.transparency import checkpoint, signed_note
from addons.core.transparency.add_checkpoint import AddCheckpoint
from addons.core.transparency.checkpoint import Checkpoint
from addons.core.transparency.merkle import leaf_hash, node_hash
from addons.core.transparency.proofs import consistency_proof, frontier_at
from addons.core.transparency.signed_note import NoteSignature, SignerKey, VerifierKey


class SmallLog:
    """`leaves` may be changed at will: what it signs and proves follows."""

    def __init__(self, origin: str = "log.example/a", seed: bytes = b"l" * 32, size: int = 0) -> None:
        self.signer = SignerKey(origin, seed)
        self.leaves = [b"%d" % number for number in range(size)]
        self.kept: dict[int, list[str]] = {}

    @property
    def key(self) -> VerifierKey:
        return self.signer.verifier

    @property
    def vkey(self) -> str:
        return self.key.encode()

    def grow(self, size: int) -> None:
        self.leaves += [b"%d" % number for number in range(len(self.leaves), size)]

    def rewrite(self, index: int) -> None:
        self.leaves[index] = b"another %d" % index

    def root(self, size: int) -> bytes:
        return frontier_at(size, self._range_root).root()

    def proof(self, old: int, new: int) -> tuple[bytes, ...]:
        return consistency_proof(old, new, self._range_root)

    def note(self, size: int | None = None) -> str:
        size = len(self.leaves) if size is None else size
        return checkpoint.signed(Checkpoint(self.key.name, size, self.root(size)), self.signer)

    def request(self, old: int, new: int | None = None) -> bytes:
        """The body of an honest `add-checkpoint`."""
        new = len(self.leaves) if new is None else new
        return AddCheckpoint(old, self.proof(old, new), signed_note.parse(self.note(new))).encode()

    def head(self) -> str:
        return self.note()

    def cosigned(self, name: str) -> int:
        return max(
            (size for size, lines in self.kept.items() if any(name in one for one in lines)), default=0
        )

    def keep(self, note: str, lines: Sequence[NoteSignature]) -> None:
        size = checkpoint.verified(note, self.key).size
        self.kept.setdefault(size, []).extend(one.line() for one in lines)

    def keys(self) -> tuple[VerifierKey, ...]:
        return (self.key,)

    def _range_root(self, level: int, index: int) -> bytes:
        if level == 0:
            return leaf_hash(self.leaves[index])
        return node_hash(self._range_root(level - 1, 2 * index), self._range_root(level - 1, 2 * index + 1))
