"""Verifies the audit log: every record against its hash, the hashes against the tree, the tree against every
signed head. Nothing is taken from the gateway but its public key.

The records are gone through once and in order, so memory stays flat. What is found is the first thing that is
wrong, and which records it leaves in doubt.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from addons.core.transparency.merkle import (
    EMPTY_ROOT,
    HASH_BYTES,
    STORED_LEVELS,
    CompletedNode,
    Frontier,
    extended,
    leaf_hash,
)
from addons.core.transparency.proofs import frontier_at
from addons.core.transparency.signed_note import VerifierKey
from addons.store.audit.heads import HeadInvalid, SignedHead, Trust, Trusted
from addons.store.audit.problems import AuditLogUnusable, as_damage, explain
from addons.store.audit.proofs import NodeMissing, range_roots
from addons.store.audit.schema import check_schema, check_version
from addons.store.audit.tree import Head, TreeDamaged, read_head

_TILE = 1 << STORED_LEVELS[0]
# Keys are written in order, so a record's kind stands near its end, behind all that may be long.
_KIND = b'"kind":"'
_OF_THE_LOG = (b'key_changed"', b'pruned"')
_PROGRESS = 10_000


class LogInvalid(Exception):  # noqa: N818 - named after what is wrong, as the other refusals are
    """The log doesn't verify. `first` and `last` are the indices of the records that are in doubt, where it
    is about records.
    """

    def __init__(self, what: str, first: int | None = None, last: int | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.first = first
        self.last = first if last is None else last

    def __str__(self) -> str:
        if self.first is None:
            return self.what
        where = f"record {self.first}" if self.first == self.last else f"records {self.first} to {self.last}"
        return f"{where}: {self.what}"


@dataclass(frozen=True, slots=True)
class Verified:
    """What was found to hold: the head, how many bodies were hashed and how many are pruned, and how many
    checkpoints were compared; `cosigned` is the size of the newest head that each witness vouches for.
    """

    origin: str
    size: int
    root: bytes
    bodies: int
    pruned: int
    checkpoints: int
    key: VerifierKey
    cosigned: tuple[tuple[str, int], ...]


def verify_log(
    path: Path,
    trust: Trust,
    *,
    newest: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Verified:
    """Verify the whole log, or, given `newest`, at least so many of its last records and the tree over all.

    `progress` is told now and then how many records were gone through, and of how many. Raises `LogInvalid`,
    or `AuditLogUnusable` where there is no log that could be gone through.
    """
    try:
        with as_damage(), contextlib.closing(_opened(path)) as connection, ThreadPoolExecutor(1) as beside:
            check_version(path, connection)
            connection.text_factory = _Text
            connection.execute("BEGIN")  # one state of it, whatever is written meanwhile
            indexes = beside.submit(_indexes, path) if newest is None else None
            found = _Verification(connection, trust, progress).run(newest)
            if indexes is not None and (problems := indexes.result()):
                raise LogInvalid(f"the file is damaged: {'; '.join(problems)}")
            return found
    except sqlite3.Error as error:
        raise explain(path, error) from None


def _indexes(path: Path) -> list[str]:
    """What is wrong with the pages of the file and its indexes, by which records are found. In a thread of
    its own: SQLite does it all, and leaves the interpreter to the hashing.
    """
    with contextlib.closing(_opened(path)) as connection:
        told = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(5)")]
    return [] if told == ["ok"] else told


def _opened(path: Path) -> sqlite3.Connection:
    if not path.exists():
        raise AuditLogUnusable(f"There is no audit log at {path}.", "Name its state directory.")
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=10, isolation_level=None)


class _Text(bytes):
    """What SQLite holds as text, undecoded; what it holds as a blob is plain bytes."""

    __slots__ = ()


class _Verification:
    def __init__(
        self,
        connection: sqlite3.Connection,
        trust: Trust,
        progress: Callable[[int, int], None] | None,
    ) -> None:
        self._connection = connection
        self._trust = trust
        self._trusted = Trusted(trust)
        self._progress = progress or (lambda _done, _all: None)
        self._tree = Frontier()
        self._leaves: list[bytes] = []
        self._sound = 0  # so many records are known to be what a signed head covers
        self._bodies = 0
        self._dropped: list[tuple[int, int]] = []  # first and last index of records without a body, in a row
        self._dropped_count = 0
        self._pruned_through = 0
        self._pruned = 0  # so many texts were dropped, as the log says

    def run(self, newest: int | None) -> Verified:
        try:
            return self._verified(newest)
        except TreeDamaged as damaged:
            raise LogInvalid(damaged.what) from None
        except HeadInvalid as invalid:
            raise LogInvalid(str(invalid)) from None

    def _verified(self, newest: int | None) -> Verified:
        try:
            check_schema(self._connection)
        except ValueError as error:
            raise LogInvalid(str(error)) from None
        head = read_head(self._connection)
        signed = self._trusted.head(head.note, head.origin)
        start = 0 if newest is None else max(0, (signed.size - newest) // _TILE * _TILE)
        try:
            self._tree = frontier_at(start, range_roots(self._connection))
            self._sound = start
            self._go_through(head, start, signed)
        except NodeMissing as missing:
            raise LogInvalid(str(missing), self._sound + 1, signed.size) from None
        self._check_end(head.frontier, signed, whole=start == 0)
        key = self._trusted.key
        if key is None or self._trusted.newest != signed.size:
            raise LogInvalid("its head was not compared with its records")
        if self._trust.newest_keys and key not in self._trust.newest_keys:
            raise LogInvalid("its newest head is signed by a key that was replaced")
        cosigned = self._trusted.cosigned(self._rows("SELECT size, name, line FROM log_cosignatures"))
        return Verified(
            origin=head.origin,
            size=signed.size,
            root=signed.root,
            bodies=self._bodies,
            pruned=self._dropped_count,
            checkpoints=self._trusted.compared,
            key=key,
            cosigned=cosigned,
        )

    def _go_through(self, stored: Head, start: int, head: SignedHead) -> None:
        """Every record after `start`, stopping at each tile's end and at each signed head."""
        heads = self._heads(stored.origin, start, head, stored.kept_size)
        due = next(heads, None)
        expected = start
        while due is not None and due.size <= start:
            self._compare(due)
            due = next(heads, None)
        for idx, leaf, body in self._records(start):
            expected += 1
            if idx != expected:
                raise LogInvalid("missing", expected, max(expected, idx - 1))
            if expected > head.size:
                raise LogInvalid("no signed head covers it", expected)
            self._leaves.append(self._checked(idx, leaf, body))
            if not expected % _TILE:
                self._grow()
            while due is not None and due.size == expected:
                self._grow()
                self._compare(due)
                due = next(heads, None)
            if not expected % _PROGRESS:
                self._progress(expected, head.size)
        if expected < head.size:
            raise LogInvalid("missing, though signed heads cover them", expected + 1, head.size)
        self._grow()
        if due is not None:
            raise LogInvalid(f"missing: {due.where} covers {due.size} records", expected + 1, due.size)

    def _records(self, start: int) -> Iterator[tuple[int, object, object]]:
        done = start
        try:
            rows = self._connection.execute(
                "SELECT idx, leaf, body FROM records WHERE idx > ? ORDER BY idx", (start,)
            )
            for idx, leaf, body in rows:
                yield idx, leaf, body
                done = idx
        except sqlite3.DatabaseError as error:
            raise LogInvalid(f"the file is damaged here ({error})", done + 1) from None

    def _checked(self, idx: int, leaf: object, body: object) -> bytes:
        if type(leaf) is not bytes or len(leaf) != HASH_BYTES:
            raise LogInvalid("its hash is missing", idx)
        if body is None:
            begun = self._dropped.pop() if self._dropped and self._dropped[-1][1] == idx - 1 else (idx, idx)
            self._dropped.append((begun[0], idx))
            self._dropped_count += 1
            return leaf
        if not isinstance(body, _Text) or leaf_hash(body) != leaf:
            raise LogInvalid("its text is not what was hashed when it was written", idx)
        self._bodies += 1
        if body.startswith(_OF_THE_LOG, body.rfind(_KIND) + len(_KIND)):
            self._note(idx, body)
        return leaf

    def _note(self, idx: int, body: bytes) -> None:
        """A record about the log itself; what it says holds once a signed head covers it."""
        try:
            record = json.loads(body)
            attributes = record.get("attributes", {})
            if record.get("kind") == "pruned":
                self._pruned_through = max(self._pruned_through, int(attributes["through"]))
                self._pruned += int(attributes["records"])
            elif record.get("kind") == "key_changed":
                self._trusted.announce(idx, str(attributes["key"]))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise LogInvalid("it says something of the log itself that can't be read", idx) from None

    def _grow(self) -> None:
        grown = extended(self._tree, self._leaves)
        self._leaves = []
        self._tree = grown.frontier
        for node in grown.completed:
            self._check_node(node)

    def _check_node(self, node: CompletedNode) -> None:
        first = (node.index << node.level) + 1
        first, last = max(first, self._sound + 1), (node.index + 1) << node.level
        rows = self._rows(
            "SELECT hash FROM log_nodes WHERE level = ? AND number = ?", (node.level, node.index)
        )
        if not rows:
            raise LogInvalid(f"the hash over them is missing (level {node.level})", first, last)
        if rows[0][0] != node.hash:
            raise LogInvalid(f"they are not what the hash over them says (level {node.level})", first, last)

    def _compare(self, head: SignedHead) -> None:
        """With the tree as it is now, or, for a head of before the start, as it was."""
        tree = self._tree
        if head.size < tree.size:
            tree = frontier_at(head.size, range_roots(self._connection))
        if tree.root() != head.root:
            first = min(self._sound + 1, head.size)
            raise LogInvalid(f"they are not what {head.where} covers", first, head.size)
        self._trusted.agrees(head)
        self._sound = max(self._sound, head.size)

    def _heads(self, origin: str, start: int, head: SignedHead, kept_size: int) -> Iterator[SignedHead]:
        """The checkpoints from `start` on, those that were given, and the head; by size."""
        given = sorted(self._trusted.given(origin), key=lambda one: one.size)
        if given and given[-1].size > head.size:
            longest = given[-1]
            raise LogInvalid(
                f"missing: {longest.where} covers {longest.size} records", head.size + 1, longest.size
            )
        previous = 0 if start == 0 else None
        for size, note in self._connection.execute(
            "SELECT size, note FROM log_checkpoints WHERE size >= ? ORDER BY size", (start,)
        ):
            while given and given[0].size <= size:
                yield given.pop(0)
            kept = self._trusted.checkpoint(note, origin, size)
            self._check_chain(kept, previous)
            previous = kept.size
            yield kept
        yield from given
        self._check_chain(head, previous)
        if previous is not None and previous != kept_size:
            raise LogInvalid(f"the checkpoint of size {kept_size} is missing, which is the newest")
        yield head

    def _check_chain(self, head: SignedHead, previous: int | None) -> None:
        """Each head names the checkpoint before it, so that none can be taken out."""
        if previous is not None and previous not in {head.previous, head.size}:
            raise LogInvalid(f"the checkpoint of size {head.previous} is missing, which {head.where} follows")

    def _check_end(self, stored: Frontier, head: SignedHead, *, whole: bool) -> None:
        ((count,),) = self._rows("SELECT count(*) FROM records")
        if count != head.size:
            raise LogInvalid(f"the log has {count} records, and its head covers {head.size}")
        ((last,),) = self._rows("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'records'")
        if last != head.size:
            raise LogInvalid(f"the next record would not follow the {head.size} that its head covers")
        if stored.size != head.size or stored.root() != (head.root if head.size else EMPTY_ROOT):
            raise LogInvalid("what the log keeps of its tree is not what its head covers")
        expected = sum(head.size >> level for level in STORED_LEVELS)
        ((nodes,),) = self._rows("SELECT count(*) FROM log_nodes")
        if nodes != expected:
            raise LogInvalid(f"the log has {nodes} hashes over its records, and {expected} belong there")
        if not whole:
            return
        for first, last in self._dropped:
            if last > self._pruned_through:
                what = "the text is gone, and no record says that it was pruned"
                raise LogInvalid(what, max(first, self._pruned_through + 1), last)
        if self._dropped_count != self._pruned:
            what = f"{self._dropped_count} texts are gone, and {self._pruned} were pruned"
            raise LogInvalid(
                what, self._dropped[0][0] if self._dropped else None, self._pruned_through or None
            )

    def _rows(self, sql: str, values: Sequence[int] = ()) -> list[tuple[object, ...]]:
        return self._connection.execute(sql, values).fetchall()
