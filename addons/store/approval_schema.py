"""The tables of approvals. They lie in the audit log's file, so that a step of an approval and its audit
records are one transaction. A log that was made before there were approvals gets them when it is opened.
"""

from __future__ import annotations

import contextlib
import sqlite3

from addons.core.approvals.states import LIVE, State

VERSION = 1

_PART = "approvals"

_LIVE = ", ".join(f"'{state}'" for state in sorted(LIVE))
_IS_PENDING = f"state = '{State.PENDING}'"

# `version` is one ascending sequence over all approvals: whoever knows the last one finds what changed since.
# `fixed` and `told` are JSON: what the request was, and what people said. The preview is apart for its size.
_TABLES = (
    "CREATE TABLE IF NOT EXISTS schema_parts (part TEXT PRIMARY KEY, version INTEGER NOT NULL)",
    """CREATE TABLE IF NOT EXISTS approvals (
        id TEXT PRIMARY KEY,
        version INTEGER NOT NULL,
        state TEXT NOT NULL,
        digest TEXT NOT NULL,
        thread TEXT NOT NULL,
        issuer TEXT NOT NULL,
        subject TEXT NOT NULL,
        requested_at REAL NOT NULL,
        pending_until REAL NOT NULL,
        pending_boot REAL NOT NULL,
        pending_boot_id TEXT NOT NULL,
        granted_at REAL,
        grant_until REAL,
        grant_boot REAL,
        grant_boot_id TEXT,
        executing_call TEXT,
        process TEXT,
        status INTEGER,
        ran_at REAL,
        supersedes TEXT,
        superseded_by TEXT,
        review_due REAL,
        fixed TEXT NOT NULL,
        told TEXT NOT NULL,
        preview TEXT NOT NULL
    )""",
    "CREATE UNIQUE INDEX IF NOT EXISTS approvals_version ON approvals (version)",
    f"CREATE UNIQUE INDEX IF NOT EXISTS approvals_live ON approvals (digest) WHERE state IN ({_LIVE})",
    "CREATE INDEX IF NOT EXISTS approvals_digest ON approvals (digest, id)",
    "CREATE INDEX IF NOT EXISTS approvals_thread ON approvals (thread, id)",
    "CREATE INDEX IF NOT EXISTS approvals_state ON approvals (state, id)",
    f"CREATE INDEX IF NOT EXISTS approvals_asked ON approvals (issuer, subject) WHERE {_IS_PENDING}",
    "CREATE INDEX IF NOT EXISTS approvals_lately ON approvals (issuer, subject, requested_at)",
    "CREATE INDEX IF NOT EXISTS approvals_review ON approvals (review_due) WHERE review_due IS NOT NULL",
    """CREATE TABLE IF NOT EXISTS approval_holders (
        approval TEXT NOT NULL,
        process TEXT NOT NULL,
        count INTEGER NOT NULL,
        PRIMARY KEY (approval, process)
    ) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS approval_seen (
        approval TEXT NOT NULL,
        issuer TEXT NOT NULL,
        subject TEXT NOT NULL,
        display TEXT NOT NULL,
        at REAL NOT NULL,
        PRIMARY KEY (approval, issuer, subject)
    ) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS approval_answers (
        approval TEXT PRIMARY KEY,
        status INTEGER NOT NULL,
        reason BLOB NOT NULL,
        headers TEXT NOT NULL,
        content BLOB NOT NULL,
        expires REAL NOT NULL
    )""",
    """CREATE TABLE IF NOT EXISTS approval_history (
        approval TEXT NOT NULL,
        record TEXT NOT NULL,
        PRIMARY KEY (approval, record)
    ) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS outbox (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        approval TEXT NOT NULL,
        event TEXT NOT NULL,
        thread TEXT NOT NULL,
        at REAL NOT NULL,
        body TEXT NOT NULL,
        planned INTEGER NOT NULL DEFAULT 0
    )""",
    "CREATE INDEX IF NOT EXISTS outbox_unplanned ON outbox (number) WHERE planned = 0",
    """CREATE TABLE IF NOT EXISTS deliveries (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        message INTEGER NOT NULL,
        approval TEXT NOT NULL,
        target TEXT NOT NULL,
        state TEXT NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0,
        next_at REAL NOT NULL,
        lease TEXT,
        lease_until REAL,
        last_error TEXT,
        UNIQUE (message, target)
    )""",
    "CREATE INDEX IF NOT EXISTS deliveries_state ON deliveries (state, next_at)",
    "CREATE INDEX IF NOT EXISTS deliveries_approval ON deliveries (approval, target, message)",
)


class NewerSchema(Exception):  # noqa: N818 - named after what is wrong, as the other refusals are
    """A newer ddgate made the tables."""


def ensure_schema(connection: sqlite3.Connection) -> None:
    """Make the tables where they are missing, in one transaction; several processes may do so at once.

    Raises `NewerSchema`, sqlite3.Error.
    """
    if not has_schema(connection):
        connection.execute("BEGIN IMMEDIATE")
        try:
            for statement in _TABLES:
                connection.execute(statement)
            connection.execute("INSERT OR IGNORE INTO schema_parts VALUES (?, ?)", (_PART, VERSION))
            connection.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise
    (version,) = connection.execute("SELECT version FROM schema_parts WHERE part = ?", (_PART,)).fetchone()
    if version != VERSION:
        raise NewerSchema(f"has approvals of version {version}; this ddgate uses {VERSION}")


def has_schema(connection: sqlite3.Connection) -> bool:
    """Whether the tables are there. Raises sqlite3.Error."""
    found = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'schema_parts'").fetchone()
    return (
        found is not None
        and connection.execute("SELECT 1 FROM schema_parts WHERE part = ?", (_PART,)).fetchone() is not None
    )
