"""The tables of approvals. They lie in the audit log's file, so that a step of an approval and its audit
records are one transaction. A log that was made before there were approvals gets them when it is opened.
"""

from __future__ import annotations

from addons.core.approvals.states import LIVE, State
from addons.store.audit.schema_parts import SchemaPart

_LIVE = ", ".join(f"'{state}'" for state in sorted(LIVE))
_IS_PENDING = f"state = '{State.PENDING}'"

# `version` is one ascending sequence over all approvals: whoever knows the last one finds what changed since.
# `fixed` and `told` are JSON: what the request was, and what people said. The preview is apart for its size.
_TABLES = (
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

APPROVALS = SchemaPart("approvals", 1, _TABLES)
