"""The audit log: one SQLite file that several gateway processes append to and never change.

WAL with synchronous=FULL, so a committed transaction survives `kill -9` and a power cut. The body column is
authoritative; the columns beside it repeat fields of the body so that they can be searched.
"""

from __future__ import annotations

import contextlib
import sqlite3
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from addons.store.approval_schema import NewerSchema, ensure_schema
from addons.store.audit_record import AuditRecord, RecordRefused
from addons.store.changes import Change, ChangeRefused, run
from addons.store.state_dir import create_private_file

SCHEMA_VERSION = 1
APPLICATION_ID = 0x64646761  # "ddga": tells our file from another program's SQLite

_SCHEMA = f"""
CREATE TABLE records (
    idx INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    call TEXT,
    time REAL NOT NULL,
    subject TEXT,
    on_behalf_of TEXT,
    session TEXT,
    operation TEXT,
    rule TEXT,
    effect TEXT,
    status INTEGER,
    body TEXT NOT NULL
);
CREATE INDEX records_call ON records (call);
CREATE INDEX records_time ON records (time);
CREATE INDEX records_subject ON records (subject, time);
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {SCHEMA_VERSION};
"""

_COLUMNS = "id, kind, call, time, subject, on_behalf_of, session, operation, rule, effect, status, body"
_ROW = "(" + ", ".join("?" * len(_COLUMNS.split(","))) + ")"

# Rows a statement. Each statement gives the interpreter lock away and must win it back from a busy event
# loop, so few large ones are quicker than many small ones; few sizes keep them all in the statement cache.
_ROWS_PER_INSERT = (64, 16, 4, 1)

_EXPLANATIONS = {
    "SQLITE_BUSY": (
        "is locked by another process for too long",
        "End the program that holds it open for writing.",
    ),
    "SQLITE_FULL": (
        "can't grow: the disk is full",
        "Free space on the disk of the state directory.",
    ),
    "SQLITE_READONLY": (
        "is read-only",
        "Make the file and its directory writable for ddgate.",
    ),
    "SQLITE_CANTOPEN": (
        "can't be opened",
        "Check that the state directory is there and belongs to ddgate's user.",
    ),
    "SQLITE_NOTADB": (
        "is not an audit log: not a SQLite database",
        "Move the file away, or name another state directory.",
    ),
    "SQLITE_CORRUPT": (
        "is damaged",
        "Stop ddgate, keep the file, and restore it from a backup.",
    ),
    "SQLITE_IOERR": (
        "can't be written or read",
        "Check the disk of the state directory: full, failing or over quota.",
    ),
}

_TAKEN = "the audit log has a record of this id already"

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


class AuditLogUnusable(Exception):  # noqa: N818 - named after what is wrong, as the other refusals are
    """The file can't be used as an audit log: `what` is wrong, `remedy` helps."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what} {remedy}")
        self.what = what
        self.remedy = remedy


class AuditLog:
    """One process's connection for appending. Not for use by two threads at once."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self._path = path
        self._connection = connection
        self._files = _inodes(path)

    @property
    def file(self) -> tuple[int, int]:
        """Device and inode of the file."""
        return self._files[0]

    @staticmethod
    def open(
        path: Path, *, busy_seconds: float, create: bool, same_as: tuple[int, int] | None = None
    ) -> AuditLog:
        """Open the log, and with `create` make it (mode 0600) where there is none.

        Raises `AuditLogUnusable`. Without `create` a missing file is an error, and so is one that isn't the
        `file` that `same_as` names: a log that vanished under a running gateway must not be followed by an
        empty one that looks whole, nor by another that its write-ahead log happens to fill.
        """
        try:
            if not path.exists():
                if not create:
                    raise AuditLogUnusable(
                        f"The audit log {path} is gone.",
                        "Put the file back, or restart the gateway to begin a new log.",
                    )
                create_private_file(path, _empty_log(path.parent))
            connection = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode=rw",
                uri=True,
                timeout=busy_seconds,
                isolation_level=None,
                check_same_thread=False,
            )
        except (OSError, sqlite3.Error) as error:
            raise explain(path, error) from None
        try:
            if same_as is not None and _inode(path) != same_as:
                raise _replaced(path)
            _prepare(path, connection)
            return AuditLog(path, connection)
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
        except (OSError, sqlite3.Error) as error:
            raise explain(self._path, error) from None
        return indices

    def append_with_changes(self, wishes: Sequence[Wish]) -> list[WrittenOrNot]:
        """Write records and apply changes in one transaction, in order; durable on return.

        A wish that is refused is left out whole. Raises `AuditLogUnusable`, and then nothing was
        acknowledged.
        """
        try:
            written = self._transaction(wishes, lambda each: [self._write_wish(wish) for wish in each])
            self._check_in_place()
        except (OSError, sqlite3.Error) as error:
            raise explain(self._path, error) from None
        return written

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
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            indices = append(groups)
            self._connection.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
            raise
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
            try:
                indices.extend(self._append_all([group]))
            except sqlite3.IntegrityError:
                self._connection.execute("ROLLBACK TO one_group")
                indices.append(RecordRefused(_TAKEN))
            self._connection.execute("RELEASE one_group")
        return indices

    def _write_wish(self, wish: Wish) -> WrittenOrNot:
        self._connection.execute("SAVEPOINT one_wish")
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
        self._connection.execute("RELEASE one_wish")
        return outcome

    def _insert(self, rows: _Group) -> int:
        """Return the last index. Within a transaction nobody else inserts, so indices have no gaps."""
        last: int | None = 0
        done = 0
        for size in _ROWS_PER_INSERT:
            statement = f"INSERT INTO records ({_COLUMNS}) VALUES {', '.join([_ROW] * size)}"  # noqa: S608 - constants
            while len(rows) - done >= size:
                values = [
                    value for record, body in rows[done : done + size] for value in _values(record, body)
                ]
                last = self._connection.execute(statement, values).lastrowid
                done += size
        return last or 0

    def _check_in_place(self) -> None:
        """SQLite goes on writing to a file that was deleted or replaced; such a commit is worth nothing."""
        if _inodes(self._path) != self._files:
            raise _replaced(self._path)


def _replaced(path: Path) -> AuditLogUnusable:
    return AuditLogUnusable(
        f"The audit log {path} was replaced or removed while in use.",
        "Put the original file (and its -wal) back, or restart the gateway.",
    )


def explain(path: Path, error: OSError | sqlite3.Error) -> AuditLogUnusable:
    """Say what a person should hear about `error`."""
    if isinstance(error, OSError):
        return AuditLogUnusable(
            f"The audit log {path} can't be reached ({error.strerror}).",
            "Check the state directory and its disk.",
        )
    code = getattr(error, "sqlite_errorname", "") or ""
    for prefix, (what, remedy) in _EXPLANATIONS.items():
        if code.startswith(prefix):
            return AuditLogUnusable(f"The audit log {path} {what}.", remedy)
    return AuditLogUnusable(
        f"The audit log {path} can't be used ({code or error}).", "Check the file and its disk."
    )


def check_version(path: Path, connection: sqlite3.Connection) -> None:
    """Raise `AuditLogUnusable` unless this is an audit log of this version.

    Raises sqlite3.Error for a file that is no database.
    """
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    if application != APPLICATION_ID:
        raise AuditLogUnusable(
            f"{path} is not an audit log of ddgate's.",
            "Move the file away, or name another state directory.",
        )
    if version != SCHEMA_VERSION:
        raise AuditLogUnusable(
            f"The audit log {path} has schema version {version}; this ddgate uses {SCHEMA_VERSION}.",
            "Use the ddgate that wrote it, or another state directory.",
        )


def _empty_log(directory: Path) -> bytes:
    """Make the bytes of a log without records.

    Made aside and put in place whole, so that processes that start at once never see half a schema or meet
    in the change to write-ahead logging, which waits for nobody.
    """
    with tempfile.TemporaryDirectory(prefix=".new-audit-log-", dir=directory) as aside:
        path = Path(aside) / "log"
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.executescript(_SCHEMA)
        return path.read_bytes()


def _prepare(path: Path, connection: sqlite3.Connection) -> None:
    connection.text_factory = lenient_text
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA journal_size_limit = 67108864")  # a WAL that once grew gives its space back
    check_version(path, connection)
    mode = connection.execute("PRAGMA journal_mode").fetchone()[0]
    if mode != "wal":
        raise AuditLogUnusable(
            f"The audit log {path} isn't in write-ahead logging mode ({mode}).",
            "Put the state directory on a local disk; if it is on one, restore the file from a backup.",
        )
    try:
        ensure_schema(connection)
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


def _values(record: AuditRecord, body: str) -> tuple[str | float | int | None, ...]:
    facts = record.facts
    principal, operation = facts.principal, facts.operation
    return (
        storable(record.id),
        record.kind,
        storable(record.call),
        record.time,
        storable(principal.subject) if principal else None,
        storable(principal.on_behalf_of) if principal else None,
        storable(principal.session) if principal else None,
        storable(operation.name) if operation else None,
        storable(facts.rule),
        facts.effect,
        facts.status,
        body,
    )


def lenient_text(octets: bytes) -> str:
    """As a connection's `text_factory`: a damaged field is somebody's to report, and stops no transaction."""
    return octets.decode("utf-8", "replace")


def storable(text: str | None) -> str | None:
    """SQLite's text is UTF-8, which a lone surrogate is not; the body has it as a JSON escape."""
    return None if text is None else text.encode("utf-8", "backslashreplace").decode()
