"""Logins of people's browsers, in `control.sqlite3` of the state directory, shared by all control processes.

The browser holds 256 random bits; the file holds their SHA-256, so that who reads it can't be anybody.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import secrets
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from addons.core.approvals.approval import Person
from addons.store.moment import Deadline, Moment
from addons.store.state_dir import StateDir, StateDirUnusable, create_private_file

FILE_NAME = "control.sqlite3"

_APPLICATION_ID = 0x64646763  # "ddgc"
_VERSION = 1
_TABLE = """
CREATE TABLE IF NOT EXISTS sessions (
    id_hash BLOB PRIMARY KEY,
    person TEXT NOT NULL,
    began REAL NOT NULL,
    expires REAL NOT NULL,
    boot_expires REAL NOT NULL,
    boot_id TEXT NOT NULL
) WITHOUT ROWID
"""
_SCHEMA = (
    _TABLE,
    "CREATE INDEX IF NOT EXISTS sessions_expires ON sessions (expires)",
    f"PRAGMA application_id = {_APPLICATION_ID}",
    f"PRAGMA user_version = {_VERSION}",
)
_ID = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
_BUSY_SECONDS = 3.0


class SessionsUnavailable(Exception):  # noqa: N818 - named after what is wrong, as the other refusals are
    """The file of logins can't be used; the text is for the operator."""


@dataclass(frozen=True, slots=True)
class Session:
    """One browser's login; `began` and `expires` are in seconds since the epoch."""

    person: Person
    began: float
    expires: float


class Sessions:
    """Every method blocks, and may be called from any thread."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self._path = path
        self._connection = connection
        self._lock = threading.Lock()

    @staticmethod
    def open(state: StateDir) -> Sessions:
        """Raises StateDirUnusable for a file that can't be made or isn't ours."""
        path = state.path / FILE_NAME
        try:
            if not path.exists():
                create_private_file(path, b"")
            connection = sqlite3.connect(
                path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            _prepare(path, connection)
        except (OSError, sqlite3.Error) as error:
            raise StateDirUnusable(
                f"{path} can't be used ({error}).", "Make it writable, or move it away."
            ) from None
        return Sessions(path, connection)

    def begin(self, person: Person, at: Moment, seconds: float) -> str:
        """A new login; gives the id for the browser, which is kept nowhere else. Also forgets old ones."""
        session_id = secrets.token_urlsafe(32)
        limit = Deadline.after(at, seconds)
        row = (
            *(_hashed(session_id), _person_text(person)),
            *(limit.begin, limit.wall, limit.boot, limit.boot_id),
        )
        with self._using() as connection:
            connection.execute("DELETE FROM sessions WHERE expires <= ?", (at.wall,))
            connection.execute("INSERT INTO sessions VALUES (?, ?, ?, ?, ?, ?)", row)
        return session_id

    def find(self, unverified_id: str, at: Moment) -> Session | None:
        """None for an id that is unknown or whose time is over."""
        if not _ID.fullmatch(unverified_id):
            return None
        with self._using() as connection:
            row = connection.execute(
                "SELECT person, began, expires, boot_expires, boot_id FROM sessions WHERE id_hash = ?",
                (_hashed(unverified_id),),
            ).fetchone()
        if row is None or Deadline(*row[1:]).is_over(at):
            return None
        person = _person(row[0])
        return None if person is None else Session(person, row[1], row[2])

    def end(self, unverified_id: str) -> None:
        with self._using() as connection:
            connection.execute("DELETE FROM sessions WHERE id_hash = ?", (_hashed(unverified_id),))

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    @contextlib.contextmanager
    def _using(self) -> Iterator[sqlite3.Connection]:
        """Raises SessionsUnavailable."""
        with self._lock:
            try:
                yield self._connection
            except sqlite3.Error as error:
                raise SessionsUnavailable(
                    f"{self._path} can't be used ({error}); see whether its disk is full"
                ) from None


def _prepare(path: Path, connection: sqlite3.Connection) -> None:
    """Several processes may begin at once. Raises StateDirUnusable, sqlite3.Error."""
    connection.execute("BEGIN IMMEDIATE")
    found = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if (found, version) not in {(0, 0), (_APPLICATION_ID, _VERSION)}:
        connection.close()
        raise StateDirUnusable(
            f"{path} isn't this version's file of logins.", "Move it away; people have to log in again."
        )
    for statement in _SCHEMA:
        connection.execute(statement)
    connection.execute("COMMIT")


def _hashed(session_id: str) -> bytes:
    return hashlib.sha256(session_id.encode()).digest()


def _person_text(person: Person) -> str:
    return json.dumps(
        {
            "issuer": person.issuer,
            "subject": person.subject,
            "groups": sorted(person.groups),
            "names": sorted(person.names),
            "display": person.display,
        }
    )


def _person(text: str) -> Person | None:
    """None for what isn't one: then the login is gone, and nothing else."""
    try:
        found = json.loads(text)
        issuer, subject, display = found["issuer"], found["subject"], found["display"]
        groups, names = frozenset(found["groups"]), frozenset(found["names"])
    except (ValueError, TypeError, KeyError):
        return None
    if not all(isinstance(each, str) for each in (issuer, subject, display, *groups, *names)):
        return None
    return Person(issuer, subject, groups, names, display)
