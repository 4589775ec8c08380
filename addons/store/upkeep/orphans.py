"""Calls whose process ended between `attempted` and `outcome`: nobody can tell whether they ran, and the
trail says so.
"""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from addons.store.audit.changes import Applied
from addons.store.audit.problems import AuditLogUnusable
from addons.store.audit.reading import reading
from addons.store.audit.record import AuditRecord, RecordKind
from addons.store.audit.record_facts import facts_of
from addons.store.audit.tree import TreeDamaged, read_head
from addons.store.state_dir import StateDir
from addons.store.writing.process_lock import is_dead

_log = logging.getLogger(__name__)

# Answered out of the index by call and kind alone; `after` is given when only what is new is to be looked at.
_OPEN = """SELECT idx, call FROM records AS one WHERE kind = 'attempted' AND idx > :after
    AND NOT EXISTS (SELECT 1 FROM records AS other WHERE other.call = one.call AND other.kind = 'outcome')
    ORDER BY idx"""


@dataclass(frozen=True, slots=True)
class OpenCalls:
    """Calls without an outcome: those of processes that have ended, and where to go on looking next time."""

    orphans: tuple[str, ...]
    after: int


def open_calls(state: StateDir, after: int) -> OpenCalls:
    """Look at calls that were attempted after the record with the index `after`. Takes no lock; blocks.

    Raises `AuditLogUnusable`.
    """
    try:
        with reading(state.audit_log) as connection:
            last = read_head(connection).frontier.size
            found = connection.execute(_OPEN, {"after": after}).fetchall()
            orphans: list[str] = []
            living: list[int] = []
            for idx, call in found:
                if is_dead(state, _process_of(connection, idx)):
                    orphans.append(call)
                else:
                    living.append(idx)
    except TreeDamaged as damaged:
        raise AuditLogUnusable(damaged.what, damaged.remedy) from None
    return OpenCalls(tuple(orphans), min(living) - 1 if living else int(last))


@dataclass(frozen=True, slots=True)
class SettleOrphans:
    """Put `outcome: unknown` on record for calls that still have no outcome; gives how many. `at` is in
    seconds since the epoch.
    """

    calls: Sequence[str]
    at: float

    def apply(self, connection: sqlite3.Connection) -> Applied[int]:
        records: list[AuditRecord] = []
        for call in self.calls:
            rows = connection.execute("SELECT kind, body FROM records WHERE call = ?", (call,)).fetchall()
            attempted = [body for kind, body in rows if kind == RecordKind.ATTEMPTED]
            if attempted and all(kind != RecordKind.OUTCOME for kind, _ in rows):
                records.append(_unknown(call, attempted[0], self.at))
        return Applied(len(records), tuple(records))


def _unknown(call: str, attempted: str, at: float) -> AuditRecord:
    """The outcome repeats who and what, so that it is found as other outcomes are."""
    try:
        parsed = json.loads(attempted)
    except (ValueError, RecursionError):
        parsed = None
    facts = facts_of(parsed if isinstance(parsed, dict) else {})
    message = "nobody can tell whether the call ran: its gateway process ended"
    return AuditRecord(RecordKind.OUTCOME, at, call, facts, message, {"outcome": "unknown"})


def _process_of(connection: sqlite3.Connection, idx: int) -> str:
    row = connection.execute(
        "SELECT json_extract(body, '$.attributes.process') FROM records WHERE idx = ?", (idx,)
    ).fetchone()
    return str(row[0]) if row is not None else ""
