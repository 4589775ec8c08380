"""What a witness remembers: the newest checkpoint that it cosigned of each log, and what spoke against a log.

An SQLite file in the witness's own directory. It is durable before an answer tells of it: a witness that
forgets would cosign another past.
"""

from __future__ import annotations

import contextlib
import sqlite3
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from addons.core.transparency.merkle import EMPTY_ROOT
from addons.store.state_dir import StateDirUnusable, create_private_file

_FILE = "witness.sqlite3"
_BUSY_SECONDS = 5.0
_APPLICATION_ID = 0x64646777  # "ddgw": tells our file from another program's SQLite
_SCHEMA_VERSION = 1
_MOST_UNPROVEN = 1000

_SCHEMA = f"""
CREATE TABLE identity (one INTEGER PRIMARY KEY CHECK (one = 1), name TEXT NOT NULL);
CREATE TABLE heads (
    origin TEXT PRIMARY KEY,
    size INTEGER NOT NULL,
    root BLOB NOT NULL,
    note TEXT NOT NULL,
    cosignature TEXT NOT NULL,
    time INTEGER NOT NULL
);
CREATE TABLE evidence (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    time INTEGER NOT NULL,
    origin TEXT NOT NULL,
    kind TEXT NOT NULL,
    held TEXT NOT NULL,
    submitted TEXT NOT NULL,
    submitted_text TEXT NOT NULL,
    old_size INTEGER NOT NULL,
    UNIQUE (origin, kind, submitted_text)
);
PRAGMA application_id = {_APPLICATION_ID};
PRAGMA user_version = {_SCHEMA_VERSION};
"""


class EvidenceKind(StrEnum):
    """TWO_HEADS proves by itself that the log signed two pasts. UNPROVEN is a signed checkpoint that came
    without a proof that it continues the one that is held: proof only if nobody ever brings it.
    """

    TWO_HEADS = "two_heads"
    UNPROVEN = "unproven"


@dataclass(frozen=True, slots=True)
class Held:
    """The newest checkpoint of a log that was cosigned. `note` carries the log's signatures alone,
    `cosignature` is the line without its newline; both are empty before the first.
    """

    size: int = 0
    root: bytes = EMPTY_ROOT
    note: str = ""
    cosignature: str = ""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Two notes of one log that don't go together, as it signed them; `time` in seconds since the epoch."""

    time: int
    origin: str
    kind: EvidenceKind
    held: str
    submitted: str
    submitted_text: str
    old_size: int


class Memory:
    """For any number of threads, and of processes."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self._path = path
        self._connection = connection
        self._lock = threading.Lock()
        self._inode = _inode(path)

    @staticmethod
    def exists(directory: Path) -> bool:
        return (directory / _FILE).exists()

    @staticmethod
    def create(directory: Path, name: str) -> None:
        """An empty one, mode 0600; where there is one already, it stays. Raises `StateDirUnusable`."""
        path = directory / _FILE
        try:
            create_private_file(path, _empty(directory, name))
        except (OSError, sqlite3.Error) as error:
            raise _unusable(path, error) from None

    @staticmethod
    def open(directory: Path) -> Memory:
        """Raises `StateDirUnusable`."""
        path = directory / _FILE
        try:
            connection = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode=rw",
                uri=True,
                timeout=_BUSY_SECONDS,
                isolation_level=None,
                check_same_thread=False,
            )
            try:
                _check(path, connection)
                # EXTRA: the name of the rollback journal, too, is gone for good before a commit returns.
                connection.execute("PRAGMA synchronous = EXTRA")
                return Memory(path, connection)
            except BaseException:
                connection.close()
                raise
        except (OSError, sqlite3.Error) as error:
            raise _unusable(path, error) from None

    def close(self) -> None:
        with self._lock, contextlib.suppress(sqlite3.Error):
            self._connection.close()

    @property
    def name(self) -> str:
        """The witness's. Raises `StateDirUnusable`."""
        with self._reading() as connection:
            return str(connection.execute("SELECT name FROM identity").fetchone()[0])

    def held(self, origin: str) -> Held | None:
        """Raises `StateDirUnusable`."""
        with self._reading() as connection:
            return _held(connection, origin)

    def is_empty(self) -> bool:
        """Whether it never cosigned anything. Raises `StateDirUnusable`."""
        with self._reading() as connection:
            return connection.execute("SELECT 1 FROM heads LIMIT 1").fetchone() is None

    def evidence(self) -> list[Evidence]:
        """The oldest first. Raises `StateDirUnusable`."""
        with self._reading() as connection:
            rows = connection.execute(
                "SELECT time, origin, kind, held, submitted, submitted_text, old_size FROM evidence "
                "ORDER BY id"
            ).fetchall()
        return [Evidence(time, origin, EvidenceKind(kind), *rest) for time, origin, kind, *rest in rows]

    @contextlib.contextmanager
    def deciding(self) -> Iterator[Deciding]:
        """Nobody else decides meanwhile. What was decided is durable at the end, and only if it ends well.

        Raises `StateDirUnusable`.
        """
        with self._lock:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                try:
                    yield Deciding(self._connection)
                    self._connection.execute("COMMIT")
                except BaseException:
                    with contextlib.suppress(sqlite3.Error):
                        self._connection.execute("ROLLBACK")
                    raise
                self._check_in_place()
            except (OSError, sqlite3.Error) as error:
                raise _unusable(self._path, error) from None

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                yield self._connection
            except sqlite3.Error as error:
                raise _unusable(self._path, error) from None

    def _check_in_place(self) -> None:
        """SQLite goes on writing to a file that was deleted or replaced, and that no restart finds again."""
        if _inode(self._path) != self._inode:
            raise StateDirUnusable(
                f"The witness's memory {self._path} was replaced or removed while in use.",
                "Put the original file back, and restart the witness.",
            )


class Deciding:
    """What may be done about one submission, within one transaction. Everything may raise sqlite3.Error."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def held(self, origin: str) -> Held:
        return _held(self._connection, origin) or Held()

    def hold(self, origin: str, held: Held, text: str, time: int) -> None:
        """From now on this is the newest. `text`, the checkpoint's own, is no longer unproven."""
        self._connection.execute(
            "INSERT OR REPLACE INTO heads VALUES (?, ?, ?, ?, ?, ?)",
            (origin, held.size, held.root, held.note, held.cosignature, time),
        )
        self._connection.execute(
            "DELETE FROM evidence WHERE origin = ? AND kind = ? AND submitted_text = ?",
            (origin, EvidenceKind.UNPROVEN, text),
        )

    def accuse(self, found: Evidence) -> bool:
        """Keep it; False where it is kept already, or there is more than enough that proves nothing: anybody
        can send a true checkpoint with a wrong proof.
        """
        if found.kind is EvidenceKind.UNPROVEN:
            counted = self._connection.execute(
                "SELECT COUNT(*) FROM evidence WHERE origin = ? AND kind = ?", (found.origin, found.kind)
            ).fetchone()[0]
            if counted >= _MOST_UNPROVEN:
                return False
        cursor = self._connection.execute(
            "INSERT OR IGNORE INTO evidence (time, origin, kind, held, submitted, submitted_text, old_size) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                *(found.time, found.origin, found.kind, found.held),
                *(found.submitted, found.submitted_text, found.old_size),
            ),
        )
        return cursor.rowcount == 1


def _held(connection: sqlite3.Connection, origin: str) -> Held | None:
    row = connection.execute(
        "SELECT size, root, note, cosignature FROM heads WHERE origin = ?", (origin,)
    ).fetchone()
    return Held(*row) if row is not None else None


def _empty(directory: Path, name: str) -> bytes:
    """Made aside and put in place whole, as no process may find half of it."""
    with tempfile.TemporaryDirectory(prefix=".new-witness-", dir=directory) as aside:
        path = Path(aside) / _FILE
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.executescript(_SCHEMA)
            connection.execute("INSERT INTO identity VALUES (1, ?)", (name,))
        return path.read_bytes()


def _check(path: Path, connection: sqlite3.Connection) -> None:
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if (application, version) != (_APPLICATION_ID, _SCHEMA_VERSION):
        raise StateDirUnusable(
            f"{path} is not a memory that this witness can read.",
            "Use the ddgate that made it, or name another directory.",
        )


def _unusable(path: Path, error: OSError | sqlite3.Error) -> StateDirUnusable:
    reason = (
        error.strerror or type(error).__name__
        if isinstance(error, OSError)
        else getattr(error, "sqlite_errorname", "") or type(error).__name__
    )
    return StateDirUnusable(
        f"The witness's memory {path} can't be used ({reason}).",
        "Check the file and its disk; if the file is damaged or lost, retire this witness, and begin another "
        "in an empty directory.",
    )


def _inode(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino
