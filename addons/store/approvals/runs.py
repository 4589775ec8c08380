"""A grant is used, once, and what became of the call. Each is a `Change` for the journal."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from addons.core.approvals.approval import Approval
from addons.core.approvals.needs import places_left
from addons.core.approvals.states import Event, State, after
from addons.core.model import Json
from addons.core.transparency.merkle import leaf_hash
from addons.store.approvals import history
from addons.store.approvals.answers import KeptAnswer, keep_answer
from addons.store.approvals.expiry import GRANT_HOLDS, clocks, end_unreadable
from addons.store.approvals.outbox import enqueue
from addons.store.approvals.rows import SELECT, ApprovalUnreadable, stored
from addons.store.approvals.table import NEXT_VERSION, finish, load, move, rows
from addons.store.audit.changes import Applied, ChangeRefused, RefusedBecause
from addons.store.audit.record import AuditRecord, CallFacts, RecordKind
from addons.store.moment import Moment
from addons.store.sqlite_text import storable
from addons.store.state_dir import StateDir
from addons.store.writing.process_lock import is_dead

_FIRST_FAILURE = 400


@dataclass(frozen=True, slots=True)
class Consume:
    """Use the grant for `call`, that `process` is about to forward. Of several who try, one succeeds; the
    others are refused as NOT_APPROVED. The call's `attempted` record belongs into the same append.
    """

    id: str
    digest: str
    process: str
    call: str
    at: Moment

    def apply(self, connection: sqlite3.Connection) -> Applied[Approval]:
        taken = connection.execute(
            "UPDATE approvals "  # noqa: S608 - constants
            f"SET state = :executing, executing_call = :call, process = :process, version = {NEXT_VERSION} "
            f"WHERE id = :id AND digest = :digest AND state = '{State.APPROVED}' AND {GRANT_HOLDS}",
            {
                "executing": after(State.APPROVED, Event.CONSUMED),
                "call": storable(self.call),
                "process": self.process,
                "id": storable(self.id),
                "digest": self.digest,
                **clocks(self.at),
            },
        )
        if taken.rowcount != 1:
            raise ChangeRefused(RefusedBecause.NOT_APPROVED, "There is no approval for this call any more.")
        approval = load(connection, self.id).approval
        _check_given(connection, approval)
        record = _step(RecordKind.APPROVAL_CONSUMED, approval, self.at, "the approval is used for this call")
        return Applied(approval, finish(connection, approval, record))


@dataclass(frozen=True, slots=True)
class NotSent:
    """The call ended before its head left: the grant is there again, for as long as it would have been."""

    id: str
    call: str
    at: Moment

    def apply(self, connection: sqlite3.Connection) -> Applied[Approval]:
        approval = _executing(connection, self.id, self.call)
        back = move(
            connection, approval, Event.NOT_SENT, replace(approval, executing_call=None, process=None)
        )
        record = _step(RecordKind.APPROVAL_NOT_SENT, approval, self.at, "the call was not sent")
        return Applied(back, finish(connection, back, record))


@dataclass(frozen=True, slots=True)
class Ran:
    """Datadog has answered with `status`; `answer` is kept to be given again."""

    id: str
    call: str
    status: int
    answer: KeptAnswer | None
    at: Moment

    def apply(self, connection: sqlite3.Connection) -> Applied[Approval]:
        approval = _executing(connection, self.id, self.call)
        failed = self.status >= _FIRST_FAILURE
        ran = move(
            connection,
            approval,
            Event.FAILED if failed else Event.SUCCEEDED,
            replace(approval, status=self.status, ran_at=self.at.wall),
        )
        if self.answer is not None:
            keep_answer(connection, self.id, self.answer)
        enqueue(connection, ran, "executed", self.at.wall)
        result: dict[str, Json] = {"result": "failed" if failed else "succeeded", "status": self.status}
        message = f"the approved call ran: {self.status}"
        record = _step(RecordKind.APPROVAL_EXECUTED, ran, self.at, message, result)
        return Applied(ran, finish(connection, ran, record))


@dataclass(frozen=True, slots=True)
class Lost:
    """Nobody can tell whether the call ran. `call` None: whichever it is."""

    id: str
    call: str | None
    at: Moment
    why: str = "its answer was lost"

    def apply(self, connection: sqlite3.Connection) -> Applied[Approval]:
        approval = _executing(connection, self.id, self.call)
        return _lose(connection, approval, self.at, self.why)


@dataclass(frozen=True, slots=True)
class Recover:
    """Calls whose process has ended are lost, and what it held is held no more. Gives the ids of the lost.

    A process that lives is never touched: it holds its lock since before it could consume.
    """

    state: StateDir
    at: Moment

    def apply(self, connection: sqlite3.Connection) -> Applied[tuple[str, ...]]:
        self._drop_holders(connection)
        ids: list[str] = []
        records: list[AuditRecord] = []
        for row in rows(connection, f"{SELECT} WHERE state = ? ORDER BY id", (State.EXECUTING,)):
            if not is_dead(self.state, str(row["process"])):
                continue
            try:
                approval = stored(row).approval
            except ApprovalUnreadable as error:
                ids.append(error.approval)
                records.append(end_unreadable(connection, row, Event.LOST, error, self.at))
                continue
            lost = _lose(connection, approval, self.at, "the gateway that ran it has ended")
            ids.append(approval.id)
            records += [*lost.records, *self._outcome(connection, approval)]
        return Applied(tuple(ids), tuple(records))

    def _drop_holders(self, connection: sqlite3.Connection) -> None:
        for row in rows(connection, "SELECT DISTINCT process FROM approval_holders"):
            if is_dead(self.state, str(row["process"])):
                connection.execute("DELETE FROM approval_holders WHERE process = ?", (row["process"],))

    def _outcome(self, connection: sqlite3.Connection, approval: Approval) -> list[AuditRecord]:
        """The end of the call itself, unless it is on record."""
        call, asked = approval.executing_call, approval.asked
        known = "SELECT 1 FROM records WHERE call = ? AND kind = ?"
        if call is None or connection.execute(known, (call, RecordKind.OUTCOME)).fetchone() is not None:
            return []
        facts = CallFacts(
            principal=history.principal_of(approval.requester),
            rule=asked.rule,
            policy_revision=asked.policy_revision,
            approval=approval.id,
            method=asked.method,
            host=asked.host,
            path=asked.target,
        )
        attributes: dict[str, Json] = {"outcome": "unknown", "operation": asked.operation}
        return [AuditRecord(RecordKind.OUTCOME, self.at.wall, call, facts, attributes=attributes)]


def _check_given(connection: sqlite3.Connection, approval: Approval) -> None:
    """Whoever can write to the file could set a state; what lets a call run is what people said, as it stands
    in the log. Raises `ChangeRefused`.
    """
    votes = (frozenset(vote.person.groups) for vote in approval.votes if vote.approves)
    left = places_left(approval.needs, votes)
    given = approval.broken_glass is not None or (left is not None and not left)
    kinds = (RecordKind.APPROVAL_APPROVED, RecordKind.APPROVAL_GLASS_BROKEN)
    for leaf, body in connection.execute(
        "SELECT leaf, body FROM records JOIN approval_history ON record = id WHERE approval = ? "
        "AND kind IN (?, ?)",
        (storable(approval.id), *kinds),
    ):
        is_whole = leaf_hash(body.encode("utf-8", "surrogateescape")) == leaf
        if given and is_whole and _is_about(body, approval.id):
            return
    raise ChangeRefused(RefusedBecause.NOT_APPROVED, "Nobody's yes to this call is on record.")


def _is_about(body: str, approval: str) -> bool:
    """Whether a record is of this approval: the table that ties the two could be written to as well."""
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        return False
    return isinstance(parsed, dict) and parsed.get("approval") == approval


def _executing(connection: sqlite3.Connection, approval: str, call: str | None) -> Approval:
    found = load(connection, approval).approval
    if found.state is not State.EXECUTING or (call is not None and found.executing_call != call):
        raise ChangeRefused(RefusedBecause.NOT_EXECUTING, "This call is not being made with that approval.")
    return found


def _lose(connection: sqlite3.Connection, approval: Approval, at: Moment, why: str) -> Applied[Approval]:
    lost = move(connection, approval, Event.LOST)
    enqueue(connection, lost, "unknown", at.wall)
    message = f"nobody can tell whether the call ran: {why}"
    record = _step(RecordKind.APPROVAL_UNKNOWN, lost, at, message, {"why": why})
    return Applied(lost, finish(connection, lost, record))


def _step(
    kind: RecordKind,
    approval: Approval,
    at: Moment,
    message: str,
    attributes: Mapping[str, Json] = MappingProxyType({}),
) -> AuditRecord:
    """A step of the run: the requester's own call."""
    more = {"digest": approval.digest, **attributes}
    by = approval.requester
    return history.step(kind, approval, at.wall, by, message, more, call=approval.executing_call)
