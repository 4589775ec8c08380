"""The index's own file: made whole, put aside where it can't be trusted, and never in the way of a reader.

It is derived from the segments, so anybody may delete it. A rollback journal rather than write-ahead logging:
then it is one file while nobody writes, and nothing is left beside it that a new one could be mistaken for.
"""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

from addons.store.sqlite_text import lenient_text
from addons.store.state_dir import create_private_file

APPLICATION_ID = 0x64646778  # "ddgx": tells our file from another program's SQLite
_VERSION = 1
_BUSY_SECONDS = 20.0
_CACHE_KIB = 16 * 1024

_SCHEMA = f"""
CREATE TABLE segments (
    name TEXT PRIMARY KEY,
    complete INTEGER NOT NULL,
    size INTEGER NOT NULL,
    changed INTEGER NOT NULL,
    read INTEGER NOT NULL,
    problem TEXT,
    unread INTEGER NOT NULL,
    unread_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE TABLE calls (
    number INTEGER PRIMARY KEY,
    call TEXT NOT NULL,
    flow TEXT NOT NULL,
    time REAL NOT NULL,
    duration REAL,
    issuer TEXT,
    subject TEXT,
    on_behalf_of TEXT,
    session TEXT,
    operation TEXT,
    rule TEXT,
    effect TEXT,
    reason TEXT,
    refused INTEGER NOT NULL,
    approval TEXT,
    method TEXT NOT NULL,
    host TEXT NOT NULL,
    path TEXT NOT NULL,
    query TEXT NOT NULL,
    status INTEGER,
    findings INTEGER NOT NULL,
    request_size INTEGER NOT NULL,
    answer_size INTEGER NOT NULL,
    segment TEXT NOT NULL,
    offset INTEGER NOT NULL,
    length INTEGER NOT NULL,
    sha256 TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX calls_place ON calls (segment, offset);
CREATE INDEX calls_call ON calls (call);
CREATE INDEX calls_time ON calls (time);
CREATE INDEX calls_subject ON calls (subject, time);
CREATE INDEX calls_session ON calls (session, time) WHERE session IS NOT NULL;
CREATE INDEX calls_approval ON calls (approval) WHERE approval IS NOT NULL;
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {_VERSION};
"""

# What tells of the disk or of other processes; everything else that SQLite says is the file's own fault.
_NOT_THE_FILE = (
    "SQLITE_BUSY",
    "SQLITE_FULL",
    "SQLITE_READONLY",
    "SQLITE_CANTOPEN",
    "SQLITE_IOERR",
    "SQLITE_NOMEM",
)


class IndexUntrusted(Exception):  # noqa: N818 - named after what is wrong, as the other refusals are
    """The file is damaged, another program's, or of another version."""


# A text of the file may stand in SQLite's own message, which Python then can't decode.
TELLS_OF_DAMAGE = (sqlite3.Error, UnicodeDecodeError, IndexUntrusted)


def open_file(path: Path) -> sqlite3.Connection:
    """Open the index at `path`, made empty where there is none.

    Raises `IndexUntrusted`; sqlite3.Error or OSError where the disk or another process is in the way.
    """
    if not path.is_symlink() and not path.exists():
        _remove_beside(path)
        create_private_file(path, _empty())
    if path.is_symlink() or not path.is_file():
        raise IndexUntrusted
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=_BUSY_SECONDS, isolation_level=None
    )
    try:
        _prepare(connection)
    except TELLS_OF_DAMAGE as error:
        connection.close()
        if blames_the_file(error):
            raise IndexUntrusted from None
        raise
    except BaseException:
        connection.close()
        raise
    return connection


def open_aside() -> sqlite3.Connection:
    """Open an index of this process's own, which is gone with it."""
    connection = sqlite3.connect("", isolation_level=None)
    connection.executescript(_SCHEMA)
    _prepare(connection)
    return connection


def put_aside(path: Path) -> None:
    """Move the file to `<path>.damaged`, so that a new one can take its place. Raises OSError."""
    aside = path.with_name(f"{path.name}.damaged")
    _remove_beside(path)
    if aside.is_dir() and not aside.is_symlink():
        aside.rmdir()
    with contextlib.suppress(FileNotFoundError):
        path.replace(aside)


def remove(path: Path) -> None:
    """Raises OSError."""
    _remove_beside(path)
    path.unlink(missing_ok=True)


def blames_the_file(error: Exception) -> bool:
    """Whether a new index would help against one of `TELLS_OF_DAMAGE`."""
    return not (getattr(error, "sqlite_errorname", None) or "").startswith(_NOT_THE_FILE)


def _remove_beside(path: Path) -> None:
    """A journal that outlived its index would be played back into the next one."""
    for suffix in ("-journal", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _empty() -> bytes:
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.executescript(_SCHEMA)
        return connection.serialize()


def _prepare(connection: sqlite3.Connection) -> None:
    connection.text_factory = lenient_text
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA synchronous = NORMAL")  # what a power cut takes is made again
    connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
    if _made_as(connection) != _expected():
        raise IndexUntrusted


def _made_as(connection: sqlite3.Connection) -> list[tuple[object, ...]]:
    """The whole schema, so that nothing but the tables of this version is ever asked."""
    return [
        *connection.execute("PRAGMA application_id"),
        *connection.execute("PRAGMA user_version"),
        *connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name"),
    ]


def _expected() -> list[tuple[object, ...]]:
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.executescript(_SCHEMA)
        return _made_as(connection)
