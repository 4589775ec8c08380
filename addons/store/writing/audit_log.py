"""The audit log: one SQLite file that several gateway processes append to and never change.

WAL with synchronous=FULL, so a committed transaction survives `kill -9` and a power cut. Each grows the
Merkle tree over the records and signs its head; see `audit.schema` and `audit.tree`.
"""

from __future__ import annotations

import contextlib
import secrets
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep, time

from addons.core.model import Risk
from addons.core.transparency.merkle import leaf_hash
from addons.store.audit import newest_checkpoint
from addons.store.audit.approval_schema import APPROVALS
from addons.store.audit.blocklist_schema import BLOCKLIST
from addons.store.audit.changes import Change, ChangeRefused, run
from addons.store.audit.keys import LogKeys
from addons.store.audit.problems import AuditLogUnusable, as_damage, explain
from addons.store.audit.record import AuditRecord, RecordKind, RecordRefused
from addons.store.audit.schema import check_schema, check_version, empty_log
from addons.store.audit.schema_parts import NewerSchema
from addons.store.audit.tree import LogTree, TreeDamaged
from addons.store.sqlite_text import lenient_text
from addons.store.state_dir import StateDir, StateDirUnusable, create_private_file

# Rows a statement. Each statement gives the interpreter lock away and must win it back from a busy event
# loop, so few large ones are quicker than many small ones; few sizes keep them all in the statement cache.
_ROWS_PER_INSERT = (64, 16, 4, 1)

_BEGINNING = 2.0  # seconds that it may take between a log's key and the log
_ORIGIN = "ddgate/"
_TAKEN = "the audit log has a record of this id already"
_HIGH_RISK = frozenset({Risk.DESTRUCTIVE, Risk.PRIVILEGED})
_LANDMARKS = frozenset(
    {
        *(RecordKind.STARTED, RecordKind.STOPPED, RecordKind.LOG_BEGUN, RecordKind.KEY_CHANGED),
        *(RecordKind.PRUNED, RecordKind.APPROVAL_GLASS_BROKEN, RecordKind.POLICY_ACTIVATED),
        *(RecordKind.FROZEN, RecordKind.UNFROZEN, RecordKind.REVOKED, RecordKind.UNREVOKED),
    }
)

type _Group = Sequence[tuple[AuditRecord, str]]
type _Indices = list[tuple[int, ...] | RecordRefused]


@dataclass(frozen=True, slots=True)
class Wish:
    """Records with their JSON texts, and what is to change together with them."""

    records: Sequence[tuple[AuditRecord, str]]
    change: Change[object] | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """The indices of a wish's records, and what its change gave."""

    indices: tuple[int, ...]
    changed: object = None


type WrittenOrNot = Written | RecordRefused | ChangeRefused


class AuditLog:
    """One process's connection for appending. Not for use by two threads at once."""

    def __init__(self, path: Path, connection: sqlite3.Connection, keys: LogKeys) -> None:
        self._path = path
        self._connection = connection
        self._files = _inodes(path)
        self._tree = LogTree(keys)
        # Of the transaction that is open: the hashes of its records, and whether its head is to be kept.
        self._first = 0
        self._leaves: list[bytes] = []
        self._notable = False

    @property
    def file(self) -> tuple[int, int]:
        """Device and inode of the file."""
        return self._files[0]

    @staticmethod
    def open(
        path: Path,
        *,
        busy_seconds: float,
        create: bool,
        same_as: tuple[int, int] | None = None,
        succeeds: bool = False,
    ) -> AuditLog:
        """Open the log, and with `create` make it (mode 0600) where there is none.

        Raises `AuditLogUnusable`. Without `create` a missing file is an error, and so is one that isn't the
        `file` that `same_as` names: a log that vanished must not be followed by an empty one that looks
        whole, nor by another that its write-ahead log happens to fill. So none is made, either, beside the
        checkpoint of a log that is gone, unless it `succeeds` that one.
        """
        keys = LogKeys(StateDir(path.parent))
        try:
            there_was_one = newest_checkpoint.read(path) is not None or keys.is_any()
            if create and there_was_one and not succeeds:
                _wait_for(path)
            if not path.exists():
                if not create or (there_was_one and not succeeds):
                    raise AuditLogUnusable(
                        f"The audit log {path} is gone.",
                        "Put the file back, or begin a new log: ddgate audit new-log.",
                    )
                number = keys.newest()
                key = keys.make(f"{_ORIGIN}{secrets.token_hex(8)}", number)
                create_private_file(path, empty_log(path.parent, key, number))
            connection = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode=rw",
                uri=True,
                timeout=busy_seconds,
                isolation_level=None,
                check_same_thread=False,
            )
        except (OSError, sqlite3.Error) as error:
            raise explain(path, error) from None
        except StateDirUnusable as error:
            raise AuditLogUnusable(error.what, error.remedy) from None
        try:
            if same_as is not None and _inode(path) != same_as:
                raise _replaced(path)
            with as_damage():
                _prepare(path, connection)
            return AuditLog(path, connection, keys)
        except (OSError, sqlite3.Error) as error:
            connection.close()
            raise explain(path, error) from None
        except AuditLogUnusable:
            connection.close()
            raise

    def append(
        self, encoded: Sequence[Sequence[tuple[AuditRecord, str]]]
    ) -> list[tuple[int, ...] | RecordRefused]:
        """Write groups of (record, its JSON text) in one transaction; durable on return.

        A group with an id that the log has already is left out whole and answered with `RecordRefused`; for
        every other group, the indices. Raises `AuditLogUnusable`, and then nothing was acknowledged.
        """
        try:
            try:
                indices = self._transaction(encoded, self._append_all)
            except sqlite3.IntegrityError:  # rare: find out whose record it is
                indices = self._transaction(encoded, self._append_each)
            self._check_in_place()
        except (OSError, sqlite3.Error, TreeDamaged) as error:
            raise self._explained(error) from None
        return indices

    def append_with_changes(self, wishes: Sequence[Wish]) -> list[WrittenOrNot]:
        """Write records and apply changes in one transaction, in order; durable on return.

        A wish that is refused is left out whole. Raises `AuditLogUnusable`, and then nothing was
        acknowledged.
        """
        try:
            written = self._transaction(wishes, lambda each: [self._write_wish(wish) for wish in each])
            self._check_in_place()
        except (OSError, sqlite3.Error, TreeDamaged) as error:
            raise self._explained(error) from None
        return written

    def change_key(self, record: Callable[[str], AuditRecord]) -> None:
        """Let the next key sign from here on. `record` makes the record that says so out of the new key's
        public half, in its text form. Raises `AuditLogUnusable`.
        """
        try:
            self._transaction([record], self._change_key)
            self._check_in_place()
            self._tree.look(self._connection)
        except (OSError, sqlite3.Error, TreeDamaged) as error:
            raise self._explained(error) from None

    def _change_key(self, makers: Sequence[Callable[[str], AuditRecord]]) -> None:
        following = self._tree.following_key(self._connection)
        for make in makers:
            record = make(following)
            self._insert([(record, record.encode())])

    def check(self) -> None:
        """Take and give back the write lock. Raises `AuditLogUnusable`."""
        try:
            self._check_in_place()
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.execute("ROLLBACK")
        except (OSError, sqlite3.Error) as error:
            raise explain(self._path, error) from None

    def close(self) -> None:
        with contextlib.suppress(
            sqlite3.Error
        ):  # a log that can't be checkpointed now is recovered at opening
            self._connection.close()

    def _transaction[G, R](self, groups: Sequence[G], append: Callable[[Sequence[G]], R]) -> R:
        self._first, self._leaves, self._notable = 0, [], False
        note = None
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            indices = append(groups)
            if self._leaves:
                note = self._tree.grow(
                    self._connection, self._first, self._leaves, time(), keep=self._notable
                )
            self._connection.execute("COMMIT")
        except BaseException:
            self._tree.forget()
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
            raise
        if note is not None:
            newest_checkpoint.put(self._path, note)
        return indices

    def _append_all(self, groups: Sequence[_Group]) -> _Indices:
        end = self._insert([row for group in groups for row in group])
        first = end - sum(len(group) for group in groups)
        indices: _Indices = []
        for group in groups:
            indices.append(tuple(range(first + 1, first + 1 + len(group))))
            first += len(group)
        return indices

    def _append_each(self, groups: Sequence[_Group]) -> _Indices:
        indices: _Indices = []
        for group in groups:
            self._connection.execute("SAVEPOINT one_group")
            hashed = len(self._leaves)
            try:
                indices.extend(self._append_all([group]))
            except sqlite3.IntegrityError:
                self._connection.execute("ROLLBACK TO one_group")
                del self._leaves[hashed:]
                indices.append(RecordRefused(_TAKEN))
            self._connection.execute("RELEASE one_group")
        return indices

    def _write_wish(self, wish: Wish) -> WrittenOrNot:
        self._connection.execute("SAVEPOINT one_wish")
        hashed = len(self._leaves)
        outcome: WrittenOrNot
        try:
            applied = None if wish.change is None else run(wish.change, self._connection)
            made = [] if applied is None else [(record, record.encode()) for record in applied.records]
            end = self._insert([*wish.records, *made])
            first = end - len(wish.records) - len(made) + 1
            outcome = Written(
                tuple(range(first, first + len(wish.records))), None if applied is None else applied.result
            )
        except (ChangeRefused, RecordRefused) as refused:
            outcome = refused
        except sqlite3.IntegrityError:
            outcome = RecordRefused(_TAKEN)
        if not isinstance(outcome, Written):
            self._connection.execute("ROLLBACK TO one_wish")
            del self._leaves[hashed:]
        self._connection.execute("RELEASE one_wish")
        return outcome

    def _insert(self, rows: _Group) -> int:
        """Return the last index. Within a transaction nobody else inserts, so indices have no gaps."""
        last: int | None = 0
        done = 0
        hashes = [leaf_hash(body.encode()) for _, body in rows]
        for size in _ROWS_PER_INSERT:
            statement = f"INSERT INTO records (leaf, body) VALUES {', '.join(['(?, ?)'] * size)}"  # noqa: S608 - constants
            while len(rows) - done >= size:
                values: list[bytes | str] = []
                for leaf, (_, body) in zip(hashes[done : done + size], rows[done : done + size], strict=True):
                    values += (leaf, body)
                last = self._connection.execute(statement, values).lastrowid
                done += size
        if rows and not self._leaves:
            self._first = (last or 0) - len(rows) + 1
        self._leaves += hashes
        self._notable = self._notable or any(_is_notable(record) for record, _ in rows)
        return last or 0

    def _explained(self, error: OSError | sqlite3.Error | TreeDamaged) -> AuditLogUnusable:
        if isinstance(error, TreeDamaged):
            return AuditLogUnusable(f"The audit log {self._path} doesn't hold: {error.what}.", error.remedy)
        return explain(self._path, error)

    def _check_in_place(self) -> None:
        """SQLite goes on writing to a file that was deleted or replaced; such a commit is worth nothing."""
        if _inodes(self._path) != self._files:
            raise _replaced(self._path)


def _is_notable(record: AuditRecord) -> bool:
    """Whether the head after this record is kept at once."""
    if record.kind in _LANDMARKS:
        return True
    operation = record.facts.operation
    return record.kind is RecordKind.OUTCOME and operation is not None and operation.risk in _HIGH_RISK


def _replaced(path: Path) -> AuditLogUnusable:
    return AuditLogUnusable(
        f"The audit log {path} was replaced or removed while in use.",
        "Put the original file (and its -wal) back; or stop the gateways, and `ddgate audit new-log`.",
    )


def _wait_for(path: Path) -> None:
    """Another process may be about to put the log in place: its key comes first."""
    deadline = monotonic() + _BEGINNING
    while not path.exists() and monotonic() < deadline:
        sleep(0.02)


def _prepare(path: Path, connection: sqlite3.Connection) -> None:
    connection.text_factory = lenient_text
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA journal_size_limit = 67108864")  # a WAL that once grew gives its space back
    check_version(path, connection)
    try:
        check_schema(connection)
    except ValueError as error:
        raise AuditLogUnusable(
            f"The audit log {path} was changed: {error}.",
            "Keep it, and begin a new one: ddgate audit new-log.",
        ) from None
    mode = connection.execute("PRAGMA journal_mode").fetchone()[0]
    if mode != "wal":
        raise AuditLogUnusable(
            f"The audit log {path} isn't in write-ahead logging mode ({mode}).",
            "Put the state directory on a local disk; if it is on one, restore the file from a backup.",
        )
    try:
        for part in (APPROVALS, BLOCKLIST):
            part.ensure(connection)
    except NewerSchema as error:
        raise AuditLogUnusable(f"The audit log {path} {error}.", "Use the newest ddgate on it.") from None
    # WAL files appear with the first write; they must exist before their identity is noted.
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("COMMIT")


def _inodes(path: Path) -> tuple[tuple[int, int], ...]:
    return _inode(path), _inode(path.with_name(f"{path.name}-wal"))


def _inode(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino
