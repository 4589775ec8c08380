"""The tables of the audit log: records, and the Merkle tree over them.

The body of a record is its JSON text, and all there is of it: the columns beside are computed from it, so
they can't say anything else. `leaf` is its hash in the tree, and stays when the body is dropped. `log_nodes`
are the roots of complete subtrees, `log_head` is the one signed head, and `log_checkpoints` are those heads
that are kept.
"""

from __future__ import annotations

import contextlib
import sqlite3
import tempfile
from pathlib import Path

from addons.core.transparency import checkpoint
from addons.core.transparency.checkpoint import Checkpoint
from addons.core.transparency.merkle import EMPTY_ROOT
from addons.core.transparency.signed_note import SignerKey
from addons.store.audit.heads import extensions
from addons.store.audit.problems import AuditLogUnusable
from addons.store.audit.question import INDEXES
from addons.store.sqlite_text import as_text

SCHEMA_VERSION = 2
_OBJECTS = "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"
APPLICATION_ID = 0x64646761  # "ddga": tells our file from another program's SQLite

_COMPUTED = {
    "id": ("TEXT UNIQUE", "$.id"),
    "kind": ("TEXT", "$.kind"),
    "call": ("TEXT", "$.call"),
    "time": ("REAL", "$.time"),
    "subject": ("TEXT", "$.actor.subject"),
    "on_behalf_of": ("TEXT", "$.on_behalf_of"),
    "session": ("TEXT", "$.session"),
    "operation": ("TEXT", "$.api.operation"),
    "rule": ("TEXT", "$.decision.rule"),
    "effect": ("TEXT", "$.decision.effect"),
    "status": ("INTEGER", "$.http_response.status"),
}

_COLUMNS = "".join(
    f",\n    {name} {form} GENERATED ALWAYS AS (json_extract(body, '{path}')) VIRTUAL"
    for name, (form, path) in _COMPUTED.items()
)

_SCHEMA = f"""
CREATE TABLE records (
    idx INTEGER PRIMARY KEY AUTOINCREMENT,
    leaf BLOB NOT NULL,
    body TEXT{_COLUMNS}
);
CREATE INDEX records_call ON records (call, kind);
CREATE INDEX records_time ON records (time);
CREATE INDEX records_subject ON records (subject, time);
CREATE TABLE log_nodes (
    level INTEGER NOT NULL,
    number INTEGER NOT NULL,
    hash BLOB NOT NULL,
    PRIMARY KEY (level, number)
) WITHOUT ROWID;
CREATE TABLE log_head (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    origin TEXT NOT NULL,
    key_number INTEGER NOT NULL,
    size INTEGER NOT NULL,
    frontier BLOB NOT NULL,
    note TEXT NOT NULL,
    kept_size INTEGER NOT NULL,
    kept_at REAL NOT NULL
);
CREATE TABLE log_checkpoints (
    size INTEGER PRIMARY KEY,
    note TEXT NOT NULL
);
CREATE TABLE log_cosignatures (
    size INTEGER NOT NULL,
    name TEXT NOT NULL,
    line TEXT NOT NULL,
    PRIMARY KEY (size, name)
) WITHOUT ROWID;
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {SCHEMA_VERSION};
"""


def check_schema(connection: sqlite3.Connection) -> None:
    """Raise ValueError, saying what, where a table or an index of the log isn't as this ddgate makes it, or
    where there is a view or a trigger: what is read must be what was written.
    """
    with contextlib.closing(sqlite3.connect(":memory:")) as fresh:
        _make(fresh)
        expected = dict(fresh.execute(_OBJECTS).fetchall())
    found = {as_text(name): as_text(sql) for name, sql in connection.execute(_OBJECTS)}
    for name, sql in expected.items():
        if found.get(name) != sql:
            raise ValueError(f"{name} isn't what this ddgate makes it")
    for kind, name in connection.execute("SELECT type, name FROM sqlite_master"):
        if as_text(kind) not in {"table", "index"}:
            raise ValueError(f"it holds a {as_text(kind)}, {as_text(name)}, which nothing here makes")


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


def empty_log(directory: Path, key: SignerKey, number: int) -> bytes:
    """Make the bytes of a log without records, whose head `key` has signed, the key of that number; its name
    is the log's origin.

    Made aside and put in place whole, so that processes that start at once never see half a schema or meet
    in the change to write-ahead logging, which waits for nobody.
    """
    note = checkpoint.signed(Checkpoint(key.verifier.name, 0, EMPTY_ROOT, extensions(0, 0)), key)
    with tempfile.TemporaryDirectory(prefix=".new-audit-log-", dir=directory) as aside:
        path = Path(aside) / "log"
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            _make(connection)
            connection.execute(
                "INSERT INTO log_head VALUES (1, ?, ?, 0, x'', ?, 0, 0)", (key.verifier.name, number, note)
            )
        return path.read_bytes()


def _make(connection: sqlite3.Connection) -> None:
    connection.executescript(_SCHEMA)
    for index in INDEXES:
        connection.execute(index)
