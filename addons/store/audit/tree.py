"""The Merkle tree over the audit log (RFC 6962), grown and signed in the transaction that writes records.

So there is no moment in which a record is committed that no signed head covers. The head is one row that
every commit replaces; about every second or 256 records, and after what is worth it, it is kept as a
checkpoint.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, replace

from addons.core.transparency import checkpoint
from addons.core.transparency.checkpoint import Checkpoint, CheckpointInvalid
from addons.core.transparency.merkle import HASH_BYTES, Frontier, extended
from addons.core.transparency.signed_note import Note, SignerKey
from addons.store.audit.heads import extensions, previous_of
from addons.store.audit.keys import LogKeys
from addons.store.sqlite_text import as_text
from addons.store.state_dir import StateDirUnusable

KEPT_EVERY_RECORDS = 256
KEPT_EVERY_SECONDS = 1.0


class TreeDamaged(Exception):  # noqa: N818 - named after what is wrong, as the other refusals are
    """The tree doesn't fit the records, or can't be signed: `what` is wrong, `remedy` helps."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what} {remedy}")
        self.what = what
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class Head:
    """The row `log_head`. `kept_size` and `kept_at` (seconds since the epoch) are the newest checkpoint's."""

    origin: str
    key_number: int
    frontier: Frontier
    note: str
    kept_size: int
    kept_at: float


def read_head(connection: sqlite3.Connection) -> Head:
    """Raises `TreeDamaged`, sqlite3.Error."""
    row = connection.execute(
        "SELECT origin, key_number, size, frontier, note, kept_size, kept_at FROM log_head"
    ).fetchone()
    if row is None:
        raise TreeDamaged("it has no head", _NEW_LOG)
    origin, key_number, size, frontier, note, kept_size, kept_at = row
    try:
        hashes = tuple(frontier[at : at + HASH_BYTES] for at in range(0, len(frontier), HASH_BYTES))
        tree = Frontier(int(size), hashes)
        return Head(as_text(origin), int(key_number), tree, as_text(note), int(kept_size), float(kept_at))
    except (TypeError, ValueError, OverflowError) as error:
        raise TreeDamaged(f"its head can't be read ({error})", _NEW_LOG) from None


class LogTree:
    """One connection's view of the tree. Not for use by two threads at once."""

    def __init__(self, keys: LogKeys) -> None:
        self._keys = keys
        self._head: Head | None = None
        self._signer: tuple[int, SignerKey] | None = None
        self._seen = 0  # records that a head of this log was seen to cover
        self._outgoing: SignerKey | None = None  # signs once more, together with the one that follows it

    def grow(
        self, connection: sqlite3.Connection, first: int, leaves: Sequence[bytes], at: float, *, keep: bool
    ) -> str | None:
        """Append leaves, the first of the record with index `first`, in the transaction that is open.

        `at` is now, in seconds since the epoch; `keep` makes the new head a checkpoint at once. Returns the
        note of the checkpoint, if there is a new one. Call `forget` where the transaction fails. Raises
        `TreeDamaged`, sqlite3.Error.
        """
        head = self._current(connection)
        if head.frontier.size != first - 1:
            raise TreeDamaged(
                f"its head covers {head.frontier.size} records, and the next would be number {first}",
                _VERIFY,
            )
        grown = extended(head.frontier, leaves)
        connection.executemany(
            "INSERT INTO log_nodes VALUES (?, ?, ?)",
            [(node.level, node.index, node.hash) for node in grown.completed],
        )
        tree = grown.frontier
        due = tree.size - head.kept_size >= KEPT_EVERY_RECORDS
        due = due or not 0 <= at - head.kept_at < KEPT_EVERY_SECONDS
        outgoing, self._outgoing = self._outgoing, None
        signers = [*([outgoing] if outgoing is not None else []), self._signer_of(head)]
        return self._put(connection, head, tree, signers, at, keep=keep or due)

    def following_key(self, connection: sqlite3.Connection) -> str:
        """Let the next key sign from here on, and give its public half. Within a transaction that appends a
        record that says so: the head over that record is signed by both keys, and kept.
        """
        head = self._current(connection)
        self._outgoing = self._signer_of(head)
        number = head.key_number + 1
        new = self._keys.make(head.origin, number)
        connection.execute("UPDATE log_head SET key_number = ?", (number,))
        self._head = replace(head, key_number=number)
        return new.verifier.encode()

    def look(self, connection: sqlite3.Connection) -> None:
        """Read the head that is committed. Raises `TreeDamaged`, sqlite3.Error."""
        self.forget()
        self._current(connection)

    def forget(self) -> None:
        """What is known of the head may not have been committed."""
        self._head = self._outgoing = None

    def _put(  # noqa: PLR0913 - one row
        self,
        connection: sqlite3.Connection,
        head: Head,
        tree: Frontier,
        signers: Sequence[SignerKey],
        at: float,
        *,
        keep: bool,
    ) -> str | None:
        lines = extensions(head.kept_size, at)
        text = Checkpoint(head.origin, tree.size, tree.root(), lines).text()
        note = Note(text, tuple(signer.sign(text) for signer in signers)).encode()
        kept_size, kept_at = (tree.size, at) if keep else (head.kept_size, head.kept_at)
        connection.execute(
            "UPDATE log_head SET size = ?, frontier = ?, note = ?, kept_size = ?, kept_at = ?",
            (tree.size, b"".join(tree.hashes), note, kept_size, kept_at),
        )
        if keep:
            connection.execute("INSERT OR REPLACE INTO log_checkpoints VALUES (?, ?)", (tree.size, note))
        self._head = replace(head, frontier=tree, note=note, kept_size=kept_size, kept_at=kept_at)
        return note if keep else None

    def _current(self, connection: sqlite3.Connection) -> Head:
        """Another process may have written since. Its head is believed only where it is signed and not older
        than what this one has seen: whoever can write to the file, and has no key, gets nothing signed.
        """
        known = self._head
        if known is not None:
            self._seen = max(self._seen, known.frontier.size)
            found = connection.execute("SELECT note, kept_size FROM log_head").fetchone()
            if found == (known.note, known.kept_size):
                return known
        self._head = None
        head = read_head(connection)
        self._check(head)
        return head

    def _check(self, head: Head) -> None:
        key = self._signer_of(head).verifier
        try:
            signed = checkpoint.verified(head.note, key)
        except CheckpointInvalid as error:
            raise TreeDamaged(f"its head is not one that it signed ({error})", _VERIFY) from None
        tree = head.frontier
        if (signed.size, signed.root) != (tree.size, tree.root()):
            raise TreeDamaged("what it keeps of its tree is not what its head covers", _VERIFY)
        if head.kept_size not in {signed.size, previous_of(signed)}:
            raise TreeDamaged("its head names another checkpoint before it", _VERIFY)
        if signed.size < self._seen:
            raise TreeDamaged(f"its head covers {signed.size} records, and there were {self._seen}", _VERIFY)
        self._seen = signed.size
        try:
            self._keys.publish(self._signer_of(head), head.key_number)  # that it signs is committed
        except StateDirUnusable as error:
            raise TreeDamaged(error.what, error.remedy) from None

    def _signer_of(self, head: Head) -> SignerKey:
        if self._signer is None or self._signer[0] != head.key_number:
            try:
                self._signer = head.key_number, self._keys.signer(head.origin, head.key_number)
            except StateDirUnusable as error:
                raise TreeDamaged(error.what, error.remedy) from None
        return self._signer[1]


_VERIFY = "Run `ddgate audit verify`."
_NEW_LOG = "Keep the file, find out what happened to it, and begin a new one: ddgate audit new-log."
