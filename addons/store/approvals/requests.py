"""A call asks, waits, is taken back, or has waited too long. Each is a `Change` for the journal."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, replace

from addons.core.approvals.approval import Approval, End, Person, Requester
from addons.core.approvals.states import WAITING, Event, NoSuchTransition, State
from addons.core.approvals.voting import VoteReason, VoteRefused, is_on_behalf_of
from addons.store.approvals import history, load, table
from addons.store.approvals.answers import forget_answers
from addons.store.approvals.expiry import expire_due, open_at
from addons.store.approvals.outbox import enqueue
from addons.store.approvals.rows import SELECT
from addons.store.approvals.table import finish, move, rows, standing
from addons.store.audit.changes import Applied, ChangeRefused, RefusedBecause
from addons.store.audit.record import AuditRecord, RecordKind
from addons.store.moment import Deadline, Moment
from addons.store.sqlite_text import storable


@dataclass(frozen=True, slots=True)
class Asked:
    """`joined`: there was one already for the very same call."""

    approval: Approval
    joined: bool


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask for `approval`, or join the one that there is for the same digest (see `approvals.standing`, where
    `window` is in seconds); times and state are set here.

    With `supersede`, pending requests of the same thread that no process holds a call for are cancelled.
    `process` is the name of the process that holds this call. Refused as TOO_MANY when the requester has
    `most_pending` others that wait, or has asked `most_an_hour` times in the last one.
    """

    approval: Approval
    at: Moment
    most_pending: int
    supersede: bool = False
    process: str | None = None
    window: float = 0.0
    most_an_hour: int | None = None

    def apply(self, connection: sqlite3.Connection) -> Applied[Asked]:
        _, expired = expire_due(connection, self.at)
        live = standing(connection, self.approval.digest, self.at.wall, self.window)
        if live is not None:
            self._hold(connection, live.approval.id)
            return Applied(Asked(live.approval, joined=True), expired)
        earlier = self._of_thread(connection)
        given_way = self._superseded(connection, earlier) if self.supersede else []
        records = self._cancel(connection, given_way)
        self._check_room(connection)
        pending = Deadline.after(self.at, self.approval.needs.pending)
        fresh = replace(
            self.approval,
            state=State.PENDING,
            requested_at=pending.begin,
            pending_until=pending.wall,
            votes=(),
            granted_at=None,
            grant_until=None,
            broken_glass=None,
            end=None,
            executing_call=None,
            process=None,
            status=None,
            ran_at=None,
            supersedes=given_way[0].id if given_way else None,
            superseded_by=None,
            seen_by=(),
        )
        table.insert(connection, fresh, pending)
        self._hold(connection, fresh.id)
        # One message a thread: those who were asked about the earlier one look at the same page.
        enqueue(connection, fresh, "updated" if self.supersede and earlier else "requested", self.at.wall)
        made = finish(connection, fresh, history.requested(fresh))
        return Applied(Asked(fresh, joined=False), (*expired, *records, *made))

    def _of_thread(self, connection: sqlite3.Connection) -> list[Approval]:
        """All that wait, the newest first; not those that can't be read, which are nobody's to cancel."""
        found = rows(
            connection,
            f"{SELECT} WHERE thread = ? AND state = ? ORDER BY id DESC",
            (self.approval.thread, State.PENDING),
        )
        return [each.approval for each in table.readable(found)]

    def _superseded(self, connection: sqlite3.Connection, earlier: list[Approval]) -> list[Approval]:
        held = {row["approval"] for row in rows(connection, "SELECT DISTINCT approval FROM approval_holders")}
        return [one for one in earlier if one.id not in held]

    def _cancel(self, connection: sqlite3.Connection, given_way: list[Approval]) -> tuple[AuditRecord, ...]:
        records: list[AuditRecord] = []
        why = "the same agent run asks for something else on the same target"
        for one in given_way:
            end = End("the gateway", why, self.at.wall)
            changed = replace(one, end=end, superseded_by=self.approval.id)
            cancelled = move(connection, one, Event.SUPERSEDED, changed)
            record = history.step(
                RecordKind.APPROVAL_CANCELLED,
                cancelled,
                self.at.wall,
                self.approval.requester,
                f"cancelled: {why}",
                {"why": "superseded", "superseded_by": self.approval.id},
            )
            records.extend(finish(connection, cancelled, record))
        return tuple(records)

    def _check_room(self, connection: sqlite3.Connection) -> None:
        requester = self.approval.requester
        whose = load.parameters(requester.issuer, requester.subject, self.at.wall)
        asked = load.Load.of(rows(connection, load.LOAD, whose)[0])
        if asked.waiting >= self.most_pending:
            raise ChangeRefused(
                RefusedBecause.TOO_MANY,
                f"{asked.waiting} requests of the same principal wait for approval already.",
            )
        if self.most_an_hour is not None and asked.lately >= self.most_an_hour:
            raise ChangeRefused(
                RefusedBecause.TOO_MANY,
                f"the same principal has made {asked.lately} requests for approval in the last hour.",
            )

    def _hold(self, connection: sqlite3.Connection, approval: str) -> None:
        if self.process is not None:
            connection.execute(
                "INSERT INTO approval_holders VALUES (?, ?, 1) "
                "ON CONFLICT (approval, process) DO UPDATE SET count = max(count, 1)",
                (approval, self.process),
            )


@dataclass(frozen=True, slots=True)
class SetHolders:
    """`process` holds `count` calls for this approval."""

    id: str
    process: str
    count: int

    def apply(self, connection: sqlite3.Connection) -> Applied[None]:
        where = (self.id, self.process)
        if self.count <= 0:
            connection.execute("DELETE FROM approval_holders WHERE approval = ? AND process = ?", where)
        else:
            connection.execute(
                "INSERT INTO approval_holders VALUES (?, ?, ?) "
                "ON CONFLICT (approval, process) DO UPDATE SET count = excluded.count",
                (*where, self.count),
            )
        return Applied(None)


@dataclass(frozen=True, slots=True)
class Withdraw:
    """The gateway takes it back: what it is about has changed, say. NOT_WAITING unless it waits."""

    id: str
    reason: str
    at: Moment

    def apply(self, connection: sqlite3.Connection) -> Applied[Approval]:
        approval, expired = open_at(connection, self.id, self.at)
        end = End("the gateway", self.reason, self.at.wall)
        try:
            cancelled, made = _cancelled(connection, approval, None, end, "withdrawn")
        except NoSuchTransition:
            raise ChangeRefused(RefusedBecause.NOT_WAITING, f"It is {approval.state} already.") from None
        return Applied(cancelled, (*expired, *made))


@dataclass(frozen=True, slots=True)
class CancelAsRequester:
    """The agent takes its own request back."""

    id: str
    requester: Requester
    reason: str
    at: Moment

    def apply(self, connection: sqlite3.Connection) -> Applied[Approval | VoteRefused]:
        approval, expired = open_at(connection, self.id, self.at)
        theirs = approval.requester.is_same(self.requester)
        end = End("the requester", self.reason, self.at.wall)
        return _cancel_if_theirs(connection, (approval, expired), self.requester, end, theirs=theirs)


@dataclass(frozen=True, slots=True)
class CancelAsPerson:
    """The person on whose behalf it runs takes it back."""

    id: str
    person: Person
    reason: str
    at: Moment

    def apply(self, connection: sqlite3.Connection) -> Applied[Approval | VoteRefused]:
        approval, expired = open_at(connection, self.id, self.at)
        theirs = is_on_behalf_of(approval, self.person)
        end = End(self.person.display, self.reason, self.at.wall)
        return _cancel_if_theirs(connection, (approval, expired), self.person, end, theirs=theirs)


@dataclass(frozen=True, slots=True)
class SeenBy:
    """A person has opened it. Gives whether it was the first time."""

    id: str
    person: Person
    at: Moment

    def apply(self, connection: sqlite3.Connection) -> Applied[bool]:
        approval = table.load(connection, self.id).approval
        person = self.person
        written = connection.execute(
            "INSERT OR IGNORE INTO approval_seen VALUES (?, ?, ?, ?, ?)",
            (
                approval.id,
                storable(person.issuer),
                storable(person.subject),
                storable(person.display),
                self.at.wall,
            ),
        )
        if written.rowcount == 0:
            return Applied(result=False)
        table.save(connection, approval, approval)
        record = history.step(RecordKind.APPROVAL_SEEN, approval, self.at.wall, person, "opened by a person")
        return Applied(True, finish(connection, approval, record))


@dataclass(frozen=True, slots=True)
class ExpireDue:
    """Let expire whose time is over, and forget answers that are no longer given again."""

    at: Moment

    def apply(self, connection: sqlite3.Connection) -> Applied[tuple[str, ...]]:
        forget_answers(connection, self.at.wall)
        return Applied(*expire_due(connection, self.at))


def _cancel_if_theirs(
    connection: sqlite3.Connection,
    opened: tuple[Approval, tuple[AuditRecord, ...]],
    by: Person | Requester,
    end: End,
    *,
    theirs: bool,
) -> Applied[Approval | VoteRefused]:
    approval, expired = opened
    refused = None
    if not theirs:
        refused = VoteRefused(VoteReason.NOT_REQUESTER, "only who asked for it takes it back")
    elif approval.state is State.EXPIRED:
        refused = VoteRefused(VoteReason.TOO_LATE, "the request has expired")
    elif approval.state not in WAITING:
        refused = VoteRefused(VoteReason.NOT_PENDING, f"it is {approval.state} already")
    if refused is not None:
        record = history.refused(approval, end.at, by, "cancel", refused)
        return Applied(refused, (*expired, *finish(connection, approval, record)))
    cancelled, made = _cancelled(connection, approval, by, end, "taken_back")
    return Applied(cancelled, (*expired, *made))


def _cancelled(
    connection: sqlite3.Connection, approval: Approval, by: Person | Requester | None, end: End, why: str
) -> tuple[Approval, tuple[AuditRecord, ...]]:
    cancelled = move(connection, approval, Event.CANCELLED, replace(approval, end=end))
    enqueue(connection, cancelled, "cancelled", end.at)
    record = history.step(
        RecordKind.APPROVAL_CANCELLED,
        cancelled,
        end.at,
        by,
        f"cancelled by {end.who}",
        {"why": why, "reason": end.reason or None},
    )
    return cancelled, finish(connection, cancelled, record)
