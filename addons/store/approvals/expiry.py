"""Time runs out for what waits."""

from __future__ import annotations

import sqlite3
from dataclasses import replace

from addons.core.approvals.approval import Approval, End
from addons.core.approvals.states import Event, State, after
from addons.store.approvals import history
from addons.store.approvals.outbox import enqueue
from addons.store.approvals.rows import SELECT, ApprovalUnreadable, Stored, stored
from addons.store.approvals.table import NEXT_VERSION, finish, load, move, rows
from addons.store.audit.record import AuditRecord, CallFacts, RecordKind
from addons.store.moment import SLACK, Moment

# `Deadline.is_over` in SQL, the other way round; what is no number (+ 0.0) or NULL never holds. Parameters
# are those of `clocks`.
_PENDING_HOLDS = f"""(
    requested_at + 0.0 - {SLACK} <= :wall AND :wall < pending_until + 0.0
    AND (pending_boot_id = '' OR pending_boot_id != :boot_id OR :boot < pending_boot + 0.0)
)"""
GRANT_HOLDS = f"""(
    granted_at + 0.0 - {SLACK} <= :wall AND :wall < grant_until + 0.0
    AND (grant_boot_id = '' OR grant_boot_id != :boot_id OR :boot < grant_boot + 0.0)
)"""
_DUE = f"""
    (state = '{State.PENDING}' AND {_PENDING_HOLDS} IS NOT 1)
    OR (state = '{State.APPROVED}' AND {GRANT_HOLDS} IS NOT 1)
"""


def clocks(at: Moment) -> dict[str, object]:
    return {"wall": at.wall, "boot": at.boot, "boot_id": at.boot_id}


def open_at(
    connection: sqlite3.Connection, approval: str, at: Moment
) -> tuple[Approval, tuple[AuditRecord, ...]]:
    """Load one; if its time is over it expires first, of which the records tell. Raises `ChangeRefused`."""
    found = load(connection, approval)
    if is_overdue(found, at):
        return expire(connection, found.approval, at)
    return found.approval, ()


def is_overdue(found: Stored, at: Moment) -> bool:
    match found.approval.state:
        case State.PENDING:
            return found.pending.is_over(at)
        case State.APPROVED:
            return found.grant is None or found.grant.is_over(at)
        case _:
            return False


def expire(
    connection: sqlite3.Connection, approval: Approval, at: Moment
) -> tuple[Approval, tuple[AuditRecord, ...]]:
    """Let it expire, and tell whom it concerns."""
    why = "nobody decided in time" if approval.state is State.PENDING else "it was not used in time"
    end = End("the gateway", why, at.wall)
    expired = move(connection, approval, Event.EXPIRED, replace(approval, end=end))
    enqueue(connection, expired, "expired", at.wall)
    record = history.step(
        RecordKind.APPROVAL_EXPIRED, expired, at.wall, None, f"expired: {why}", {"was": str(approval.state)}
    )
    return expired, finish(connection, expired, record)


def expire_due(connection: sqlite3.Connection, at: Moment) -> tuple[tuple[str, ...], tuple[AuditRecord, ...]]:
    """Let expire whose time is over; give their ids, and the records of it.

    What can't be read ends then, too: nobody could decide on it, and it would be in the way of the same call
    for ever.
    """
    ids: list[str] = []
    records: list[AuditRecord] = []
    for row in rows(connection, f"{SELECT} WHERE {_DUE} ORDER BY id", clocks(at)):
        try:
            found = stored(row)
        except ApprovalUnreadable as error:
            ids.append(error.approval)
            records.append(end_unreadable(connection, row, Event.EXPIRED, error, at))
            continue
        _, made = expire(connection, found.approval, at)
        ids.append(found.approval.id)
        records.extend(made)
    return tuple(ids), tuple(records)


def end_unreadable(
    connection: sqlite3.Connection,
    row: dict[str, object],
    event: Event,
    error: ApprovalUnreadable,
    at: Moment,
) -> AuditRecord:
    """Move what can't be read by its columns alone."""
    state = after(State(str(row["state"])), event)
    connection.execute(
        f"UPDATE approvals SET state = ?, version = {NEXT_VERSION} WHERE id = ?",  # noqa: S608 - a constant
        (state, row["id"]),
    )
    kind = RecordKind.APPROVAL_UNKNOWN if state is State.UNKNOWN else RecordKind.APPROVAL_EXPIRED
    facts = CallFacts(approval=error.approval)
    return AuditRecord(kind, at.wall, None, facts, f"{state}: {error}", {"why": "unreadable"})
