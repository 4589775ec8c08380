"""Approvals that ended long ago go, and that they went is on record; what people did is in the audit log."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from addons.core.approvals.states import LIVE
from addons.core.model import Json
from addons.store.approvals.table import rows
from addons.store.audit.changes import Applied
from addons.store.audit.record import AuditRecord, RecordKind

_AT_ONCE = 100
_LIVE = ", ".join(f"'{state}'" for state in sorted(LIVE))
# The newest version stays: those who watch ask for what came after the last one that they know.
_OLD = f"""SELECT id FROM approvals WHERE state NOT IN ({_LIVE}) AND review_due IS NULL
    AND max(requested_at, pending_until, coalesce(grant_until, 0), coalesce(ran_at, 0)) < :before
    AND version < (SELECT max(version) FROM approvals)
    AND NOT EXISTS (SELECT 1 FROM deliveries WHERE approval = approvals.id AND state = 'queued')
    ORDER BY id LIMIT {_AT_ONCE}"""  # noqa: S608 - constants
_OF_AN_APPROVAL = (
    ("approvals", "id"),
    ("approval_holders", "approval"),
    ("approval_seen", "approval"),
    ("approval_answers", "approval"),
    ("approval_history", "approval"),
    ("deliveries", "approval"),
    ("outbox", "approval"),
)


@dataclass(frozen=True, slots=True)
class RemoveOld:
    """Remove approvals that were over before `before` (seconds since the epoch), with their previews and
    messages. What lives, must still be reviewed, or has a message under way stays. Gives how many went; it
    takes a bounded time, since nobody else writes meanwhile: ask again until there are none.
    """

    before: float
    at: float

    def apply(self, connection: sqlite3.Connection) -> Applied[int]:
        found = [str(row["id"]) for row in rows(connection, _OLD, {"before": self.before})]
        if not found:
            return Applied(0)
        for table, column in _OF_AN_APPROVAL:
            connection.executemany(
                f"DELETE FROM {table} WHERE {column} = ?",  # noqa: S608 - names from above
                [(each,) for each in found],
            )
        record = AuditRecord(
            RecordKind.APPROVALS_REMOVED,
            self.at,
            message=f"{len(found)} old approvals were removed",
            attributes={
                "approvals": list[Json](found),
                "before": self.before,
                "by": "approvals.retention",
            },
        )
        return Applied(len(found), (record,))
