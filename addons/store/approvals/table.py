"""Reading and writing approvals within a change. Here is the one place that a state is written in."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import replace

from addons.core.approvals.approval import Approval
from addons.core.approvals.states import Event, after
from addons.store.approvals import history
from addons.store.approvals.rows import (
    SELECT,
    ApprovalUnreadable,
    Stored,
    fixed_to_json,
    preview_to_json,
    stored,
    told_to_json,
)
from addons.store.approvals.standing import STANDING, parameters
from addons.store.audit.changes import ChangeRefused, RefusedBecause
from addons.store.audit.record import AuditRecord
from addons.store.moment import Deadline
from addons.store.sqlite_text import storable

NEXT_VERSION = "(SELECT coalesce(max(version), 0) + 1 FROM approvals)"


def rows(
    connection: sqlite3.Connection, sql: str, parameters: Sequence[object] | Mapping[str, object] = ()
) -> list[dict[str, object]]:
    """Give what a SELECT finds, by the names of its columns."""
    cursor = connection.execute(sql, parameters)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def load(connection: sqlite3.Connection, approval: str) -> Stored:
    """Raises `ChangeRefused`."""
    found = rows(connection, f"{SELECT} WHERE id = ?", (storable(approval),))
    if not found:
        raise ChangeRefused(RefusedBecause.NO_SUCH_APPROVAL, "There is no such approval.")
    return _readable(found[0])


def standing(connection: sqlite3.Connection, digest: str, at: float, window: float) -> Stored | None:
    """What an identical call belongs to, with its preview. Raises `ChangeRefused`."""
    found = rows(connection, STANDING, parameters(digest, at, window))
    return _readable(found[0]) if found else None


def insert(connection: sqlite3.Connection, approval: Approval, pending: Deadline) -> None:
    """Put in a new one. Raises sqlite3.IntegrityError for its id, or where one of its digest lives."""
    values = {
        "id": approval.id,
        "state": approval.state,
        "digest": approval.digest,
        "thread": approval.thread,
        "issuer": storable(approval.requester.issuer),
        "subject": storable(approval.requester.subject),
        "requested_at": approval.requested_at,
        "pending_until": approval.pending_until,
        "pending_boot": pending.boot,
        "pending_boot_id": pending.boot_id,
        "supersedes": approval.supersedes,
        "fixed": fixed_to_json(approval),
        "told": told_to_json(approval),
        "preview": preview_to_json(approval.preview),
    }
    connection.execute(
        f"INSERT INTO approvals ({', '.join(values)}, version) "  # noqa: S608 - names from above
        f"VALUES ({', '.join('?' * len(values))}, {NEXT_VERSION})",
        tuple(values.values()),
    )


def move(
    connection: sqlite3.Connection,
    before: Approval,
    event: Event,
    changed: Approval | None = None,
    grant: Deadline | None = None,
) -> Approval:
    """Write `changed` (or `before`) in the state that the event leads to; a grant that begins goes with it.

    Raises `NoSuchTransition`.
    """
    moved = replace(changed or before, state=after(before.state, event))
    return save(connection, before, moved, grant)


def save(
    connection: sqlite3.Connection, before: Approval, now: Approval, grant: Deadline | None = None
) -> Approval:
    """Write all that may change of an approval but its state, which only `move` changes."""
    glass = now.broken_glass
    values = {
        "state": now.state,
        "granted_at": now.granted_at,
        "grant_until": now.grant_until,
        "executing_call": storable(now.executing_call),
        "process": storable(now.process),
        "status": now.status,
        "ran_at": now.ran_at,
        "superseded_by": now.superseded_by,
        "review_due": glass.review_due if glass is not None and glass.review is None else None,
        "told": told_to_json(now),
    }
    if grant is not None:
        values |= {"grant_boot": grant.boot, "grant_boot_id": grant.boot_id}
    written = connection.execute(
        f"UPDATE approvals SET {', '.join(f'{name} = ?' for name in values)}, version = {NEXT_VERSION} "  # noqa: S608 - names from above
        "WHERE id = ? AND state = ?",
        (*values.values(), now.id, before.state),
    )
    if written.rowcount != 1:
        raise ChangeRefused(RefusedBecause.FAILED, "The approval has changed meanwhile.")
    return now


def finish(
    connection: sqlite3.Connection, approval: Approval, *records: AuditRecord
) -> tuple[AuditRecord, ...]:
    """Note the records of a step as the approval's own, and give them."""
    history.keep_history(connection, approval.id, records)
    return records


def readable(found: list[dict[str, object]]) -> list[Stored]:
    """Give those that can be read."""
    every: list[Stored] = []
    for row in found:
        with contextlib.suppress(ApprovalUnreadable):  # `get` of it says so, and in time it ends
            every.append(stored(row))
    return every


def _readable(row: dict[str, object]) -> Stored:
    try:
        return stored(row)
    except ApprovalUnreadable as error:
        raise ChangeRefused(RefusedBecause.UNREADABLE, str(error)) from None
