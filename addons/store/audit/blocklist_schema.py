"""The tables of freezes and revocations. They lie in the audit log's file, so that a change of the list and
its audit record are one transaction.
"""

from __future__ import annotations

from addons.store.audit.schema_parts import SchemaPart

# `version` is another one after each change. `seconds` is NULL for what has no end of its own.
BLOCKLIST = SchemaPart(
    "blocklist",
    1,
    (
        """CREATE TABLE IF NOT EXISTS blocklist (
            one INTEGER PRIMARY KEY CHECK (one = 1),
            version INTEGER NOT NULL
        )""",
        "INSERT OR IGNORE INTO blocklist VALUES (1, 1)",
        """CREATE TABLE IF NOT EXISTS blocks (
            id TEXT PRIMARY KEY,
            kind TEXT NOT NULL,
            named TEXT NOT NULL,
            name TEXT NOT NULL,
            issuer TEXT,
            reason TEXT NOT NULL,
            said_by TEXT NOT NULL,
            at REAL NOT NULL,
            at_boot REAL NOT NULL,
            boot_id TEXT NOT NULL,
            seconds REAL
        ) WITHOUT ROWID""",
    ),
)
