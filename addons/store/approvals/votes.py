"""What people say about an approval. Each is a `Change` for the journal; a word that doesn't count is no
error but an answer, `VoteRefused`, and goes on record as well.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, replace

from addons.core.approvals.approval import Approval, BrokenGlass, End, Person, Review, Vote
from addons.core.approvals.states import Event
from addons.core.approvals.voting import (
    VoteReason,
    VoteRefused,
    places_after,
    why_not_approve,
    why_not_break_glass,
    why_not_deny,
    why_not_resolve,
    why_not_review,
)
from addons.core.model import Json
from addons.store.approvals import history
from addons.store.approvals.expiry import open_at
from addons.store.approvals.outbox import enqueue
from addons.store.approvals.table import finish, load, move, save
from addons.store.audit.changes import Applied
from addons.store.audit.record import AuditRecord, RecordKind
from addons.store.moment import Deadline, Moment

type _Answer = Applied[Approval | VoteRefused]

_CHANGED = VoteRefused(
    VoteReason.CHANGED, "it is not the request that you were shown: look at it again before you decide"
)


@dataclass(frozen=True, slots=True)
class VoteFor:
    """A yes or a no. `expected_digest` is that of what the person was shown."""

    id: str
    person: Person
    approves: bool
    reason: str
    expected_digest: str | None
    at: Moment

    def apply(self, connection: sqlite3.Connection) -> _Answer:
        approval, expired = open_at(connection, self.id, self.at)
        why_not = why_not_approve if self.approves else why_not_deny
        refused = why_not(approval, self.person, self.reason, self.at.wall)
        refused = refused or _is_other(approval, self.expected_digest)
        if refused is not None:
            tried = "approve" if self.approves else "deny"
            return _refused(connection, (approval, expired), self._word, tried, refused)
        vote = Vote(_counted(self.person, approval), self.approves, self.reason, self.at.wall)
        voted = replace(approval, votes=(*approval.votes, vote))
        if not self.approves:
            return self._deny(connection, approval, voted)
        left = places_after(approval, self.person)
        if left:
            moved = move(connection, approval, Event.APPROVED_IN_PART, voted)
            message = f"approved by {self.person.display}; more people are needed"
            more: dict[str, Json] = {"digest": moved.digest, "still_needed": dict[str, Json](left)}
            return _said(connection, moved, self._word, (RecordKind.APPROVAL_VOTED, message, more))
        grant = Deadline.after(self.at, approval.needs.grant)
        moved = move(connection, approval, Event.APPROVED, _granted(voted, grant), grant)
        enqueue(connection, moved, "approved", self.at.wall)
        message = f"approved by {', '.join(vote.person.display for vote in moved.yes_votes)}"
        more = {"digest": moved.digest, "grant_until": grant.wall}
        return _said(connection, moved, self._word, (RecordKind.APPROVAL_APPROVED, message, more))

    @property
    def _word(self) -> _Word:
        return _Word(self.person, self.reason, self.at)

    def _deny(self, connection: sqlite3.Connection, approval: Approval, voted: Approval) -> _Answer:
        end = End(self.person.display, self.reason, self.at.wall)
        denied = move(connection, approval, Event.DENIED, replace(voted, end=end))
        enqueue(connection, denied, "denied", self.at.wall)
        more: dict[str, Json] = {"digest": denied.digest, "was": str(approval.state)}
        message = f"denied by {self.person.display}"
        return _said(connection, denied, self._word, (RecordKind.APPROVAL_DENIED, message, more))


@dataclass(frozen=True, slots=True)
class BreakTheGlass:
    """One person lets it pass alone; somebody else has to look at that afterwards."""

    id: str
    person: Person
    reason: str
    at: Moment
    expected_digest: str | None = None

    def apply(self, connection: sqlite3.Connection) -> _Answer:
        word = _Word(self.person, self.reason, self.at)
        approval, expired = open_at(connection, self.id, self.at)
        refused = why_not_break_glass(approval, self.person, self.reason, self.at.wall)
        refused = refused or _is_other(approval, self.expected_digest)
        way = approval.needs.break_glass
        if refused is not None or way is None:
            why = refused or VoteRefused(VoteReason.NO_BREAK_GLASS, "the policy has no break-glass")
            return _refused(connection, (approval, expired), word, "break the glass", why)
        now = self.at.wall
        person = replace(self.person, groups=self.person.groups & set(way.groups))
        glass = BrokenGlass(person, self.reason, now, now + way.review_within)
        grant = Deadline.after(self.at, approval.needs.grant)
        changed = _granted(replace(approval, broken_glass=glass), grant)
        moved = move(connection, approval, Event.GLASS_BROKEN, changed, grant)
        enqueue(connection, moved, "glass_broken", now)
        message = f"{self.person.display} broke the glass: {self.reason}"
        more: dict[str, Json] = {
            "digest": moved.digest,
            "grant_until": grant.wall,
            "review_due": glass.review_due,
        }
        return _said(connection, moved, word, (RecordKind.APPROVAL_GLASS_BROKEN, message, more))


@dataclass(frozen=True, slots=True)
class ReviewGlass:
    """Somebody else has looked at a broken glass."""

    id: str
    person: Person
    reason: str
    at: Moment

    def apply(self, connection: sqlite3.Connection) -> _Answer:
        word = _Word(self.person, self.reason, self.at)
        approval = load(connection, self.id).approval
        refused = why_not_review(approval, self.person, self.reason)
        glass = approval.broken_glass
        if refused is not None or glass is None:
            why = refused or VoteRefused(VoteReason.NO_REVIEW_DUE, "there is nothing to review")
            return _refused(connection, (approval, ()), word, "review", why)
        review = Review(_counted(self.person, approval), self.reason, self.at.wall)
        reviewed = save(connection, approval, replace(approval, broken_glass=replace(glass, review=review)))
        enqueue(connection, reviewed, "reviewed", self.at.wall)
        message = f"the broken glass was reviewed by {self.person.display}"
        more: dict[str, Json] = {"in_time": self.at.wall <= glass.review_due}
        return _said(connection, reviewed, word, (RecordKind.APPROVAL_REVIEWED, message, more))


@dataclass(frozen=True, slots=True)
class Resolve:
    """A person says what became of a call of which nobody could tell."""

    id: str
    person: Person
    ran: bool
    reason: str
    at: Moment

    def apply(self, connection: sqlite3.Connection) -> _Answer:
        word = _Word(self.person, self.reason, self.at)
        approval = load(connection, self.id).approval
        refused = why_not_resolve(approval, self.person, self.reason)
        if refused is not None:
            return _refused(connection, (approval, ()), word, "resolve", refused)
        end = End(self.person.display, self.reason, self.at.wall)
        event = Event.FOUND_RUN if self.ran else Event.FOUND_NOT_RUN
        resolved = move(connection, approval, event, replace(approval, end=end))
        enqueue(connection, resolved, "resolved", self.at.wall)
        message = f"{self.person.display} found that it {'ran' if self.ran else 'did not run'}"
        said = (RecordKind.APPROVAL_RESOLVED, message, {"ran": self.ran})
        return _said(connection, resolved, word, said)


@dataclass(frozen=True, slots=True)
class _Word:
    person: Person
    reason: str
    at: Moment


def _said(
    connection: sqlite3.Connection,
    approval: Approval,
    word: _Word,
    said: tuple[RecordKind, str, Mapping[str, Json]],
) -> _Answer:
    """Put a word that counts on record."""
    kind, message, more = said
    attributes = {"reason": word.reason or None, **more}
    record = history.step(kind, approval, word.at.wall, word.person, message, attributes)
    return Applied(approval, finish(connection, approval, record))


def _refused(
    connection: sqlite3.Connection,
    opened: tuple[Approval, tuple[AuditRecord, ...]],
    word: _Word,
    tried: str,
    why: VoteRefused,
) -> _Answer:
    approval, expired = opened
    record = history.refused(approval, word.at.wall, word.person, tried, why)
    return Applied(why, (*expired, *finish(connection, approval, record)))


def _granted(approval: Approval, grant: Deadline) -> Approval:
    return replace(approval, granted_at=grant.begin, grant_until=grant.wall)


def _counted(person: Person, approval: Approval) -> Person:
    """The person with those of their groups that this approval asks for."""
    needs = approval.needs
    asked = {group for group, _ in needs.groups} | set(needs.break_glass.groups if needs.break_glass else ())
    return replace(person, groups=person.groups & asked)


def _is_other(approval: Approval, expected_digest: str | None) -> VoteRefused | None:
    return _CHANGED if expected_digest not in {None, approval.digest} else None
