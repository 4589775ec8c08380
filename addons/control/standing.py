"""What one person may do to one approval now, and what has happened to it: for the page and the API alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from addons.core.approvals import voting
from addons.core.approvals.approval import Approval, Person
from addons.core.approvals.needs import places_left
from addons.core.approvals.states import LIVE, State
from addons.core.approvals.voting import VoteReason, VoteRefused
from addons.store.audit.record import StoredRecord

_SOME_REASON = "-"  # whether one is given is asked when it is


class Action(StrEnum):
    APPROVE = "approve"
    DENY = "deny"
    BREAK_GLASS = "break-glass"
    REVIEW = "review"
    RESOLVE = "resolve"
    CANCEL = "cancel"


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One step, out of the audit trail: `what` is its kind without `approval_`, `text` a sentence. `at` is in
    seconds since the epoch.
    """

    what: str
    who: str
    at: float
    text: str
    reason: str


def standing(approval: Approval, person: Person, now: float) -> Mapping[Action, VoteRefused | None]:
    """By action: None where this person may, else why not. A missing reason is not among the whys."""
    return MappingProxyType(
        {
            Action.APPROVE: voting.why_not_approve(approval, person, _SOME_REASON, now),
            Action.DENY: voting.why_not_deny(approval, person, _SOME_REASON, now),
            Action.BREAK_GLASS: voting.why_not_break_glass(approval, person, _SOME_REASON, now),
            Action.REVIEW: voting.why_not_review(approval, person, _SOME_REASON),
            Action.RESOLVE: voting.why_not_resolve(approval, person, _SOME_REASON),
            Action.CANCEL: _why_not_cancel(approval, person),
        }
    )


def left(approval: Approval) -> Mapping[str, int]:
    """How many people of each group are still to say yes; {} when it isn't waiting for any."""
    if approval.state is not State.PENDING:
        return {}
    return places_left(approval.needs, [vote.person.groups for vote in approval.yes_votes]) or {}


def history(records: Iterable[StoredRecord]) -> tuple[HistoryEntry, ...]:
    """In the order of the trail. A record that can't be read stands there as such."""
    return tuple(_entry(record) for record in records)


def _entry(record: StoredRecord) -> HistoryEntry:
    try:
        found = record.to_json()
    except ValueError:
        return HistoryEntry("unreadable", "", 0.0, f"record {record.idx} of the trail can't be read", "")
    actor, attributes, time = found.get("actor"), found.get("attributes"), found.get("time")
    who = actor.get("subject") if isinstance(actor, dict) else None
    reason = attributes.get("reason") if isinstance(attributes, dict) else None
    message = found.get("message")
    return HistoryEntry(
        what=str(found.get("kind", "")).removeprefix("approval_"),
        who=who if isinstance(who, str) else "the gateway",
        at=float(time) if isinstance(time, int | float) else 0.0,
        text=message if isinstance(message, str) else "",
        reason=reason if isinstance(reason, str) else "",
    )


def _why_not_cancel(approval: Approval, person: Person) -> VoteRefused | None:
    if not voting.is_on_behalf_of(approval, person):
        return VoteRefused(VoteReason.NOT_REQUESTER, "only who asked, or for whom it runs, takes it back")
    if approval.state in LIVE and approval.state not in {State.EXECUTING, State.UNKNOWN}:
        return None
    return VoteRefused(VoteReason.NOT_PENDING, f"it is {approval.state} already")
