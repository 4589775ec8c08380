"""Who may say what about an approval. Every refusal has a reason out of a closed vocabulary, and a text for
the person. Separation of duties has no exception: there is no administrator here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from addons.core.approvals.approval import Approval, Person, Requester
from addons.core.approvals.needs import places_left
from addons.core.approvals.states import State
from addons.core.model import Json, Principal

_NAME_CLAIMS = ("sub", "email", "preferred_username", "upn")


class VoteReason(StrEnum):
    """Why a word doesn't count."""

    NOT_PENDING = "not_pending"
    TOO_LATE = "too_late"
    OWN_REQUEST = "own_request"
    ALREADY_VOTED = "already_voted"
    NOT_IN_GROUP = "not_in_group"
    PLACE_TAKEN = "place_taken"
    REASON_MISSING = "reason_missing"
    CHANGED = "changed"
    NO_BREAK_GLASS = "no_break_glass"
    NOT_UNKNOWN = "not_unknown"
    NO_REVIEW_DUE = "no_review_due"
    OWN_GLASS = "own_glass"
    NOT_REQUESTER = "not_requester"


@dataclass(frozen=True, slots=True)
class VoteRefused:
    reason: VoteReason
    text: str


def person_of(principal: Principal) -> Person:
    """Raises ValueError for a token that speaks for somebody else: an agent that holds a person's delegated
    token can't decide as that person.
    """
    if principal.actors or principal.on_behalf_of is not None or "act" in principal.claims:
        raise ValueError("a delegated token doesn't decide")
    display = principal.claims.get("email") or principal.claims.get("preferred_username")
    return Person(
        issuer=principal.issuer,
        subject=principal.subject,
        groups=principal.groups,
        names=_names(principal.subject, principal.claims),
        display=display if isinstance(display, str) and display else principal.subject,
    )


def requester_of(principal: Principal) -> Requester:
    names = set(_names(principal.subject, principal.claims))
    names.update(actor.subject.casefold() for actor in principal.actors)
    if principal.on_behalf_of is not None:
        names.add(principal.on_behalf_of.casefold())
        names.update(_names(principal.on_behalf_of, principal.claims))
    return Requester(
        principal.issuer,
        principal.subject,
        principal.on_behalf_of,
        principal.session or principal.token_id,
        frozenset(names),
    )


def why_not_approve(approval: Approval, person: Person, reason: str, now: float) -> VoteRefused | None:
    """None where this person's yes counts."""
    refused = _not_open(approval, now) or _not_theirs(approval, person)
    if refused is not None:
        return refused
    if any(_is_same(vote.person, person) for vote in approval.yes_votes):
        return VoteRefused(VoteReason.ALREADY_VOTED, "you have approved this already; others have to")
    relevant = {group for group, _ in approval.needs.groups}
    if not person.groups & relevant:
        wanted = " or ".join(sorted(relevant))
        return VoteRefused(VoteReason.NOT_IN_GROUP, f"only people of {wanted} decide on this")
    if _places(approval, person) is None:
        return VoteRefused(
            VoteReason.PLACE_TAKEN, "the places of your groups are filled; it waits for people of other ones"
        )
    if approval.needs.reason_required and not reason.strip():
        return VoteRefused(VoteReason.REASON_MISSING, "the policy wants to know why: give a reason")
    return None


def why_not_deny(approval: Approval, person: Person, reason: str, now: float) -> VoteRefused | None:
    """None where this person's no counts; an approved call may be denied as long as it hasn't run."""
    if approval.state is not State.APPROVED and (refused := _not_open(approval, now)) is not None:
        return refused
    if (refused := _not_theirs(approval, person)) is not None:
        return refused
    relevant = {group for group, _ in approval.needs.groups}
    if approval.needs.break_glass is not None:
        relevant |= set(approval.needs.break_glass.groups)
    if not person.groups & relevant:
        wanted = " or ".join(sorted(relevant))
        return VoteRefused(VoteReason.NOT_IN_GROUP, f"only people of {wanted} decide on this")
    if approval.needs.reason_required and not reason.strip():
        return VoteRefused(VoteReason.REASON_MISSING, "the policy wants to know why: give a reason")
    return None


def why_not_break_glass(approval: Approval, person: Person, reason: str, now: float) -> VoteRefused | None:
    """None where this person may let it pass alone."""
    refused = _not_open(approval, now) or _not_theirs(approval, person)
    if refused is not None:
        return refused
    way = approval.needs.break_glass
    if way is None:
        return VoteRefused(VoteReason.NO_BREAK_GLASS, "the policy has no break-glass for this call")
    if not person.groups.issuperset(way.groups):
        return VoteRefused(VoteReason.NOT_IN_GROUP, f"only people of {' and '.join(way.groups)} may do that")
    if not reason.strip():
        return VoteRefused(VoteReason.REASON_MISSING, "breaking the glass needs a reason")
    return None


def why_not_review(approval: Approval, person: Person, reason: str) -> VoteRefused | None:
    """None where this person may review a broken glass: somebody else who could have decided."""
    glass = approval.broken_glass
    if glass is None or glass.review is not None:
        return VoteRefused(VoteReason.NO_REVIEW_DUE, "there is nothing to review")
    if _is_same(glass.person, person):
        return VoteRefused(VoteReason.OWN_GLASS, "somebody else has to review it")
    if (refused := _not_theirs(approval, person)) is not None:
        return refused
    return _outside(approval, person) or _unexplained(reason)


def why_not_resolve(approval: Approval, person: Person, reason: str) -> VoteRefused | None:
    """None where this person may say what became of a lost call."""
    if approval.state is not State.UNKNOWN:
        return VoteRefused(VoteReason.NOT_UNKNOWN, f"it is {approval.state}, so there is nothing to settle")
    if (refused := _not_theirs(approval, person)) is not None:
        return refused
    return _outside(approval, person) or _unexplained(reason)


def is_on_behalf_of(approval: Approval, person: Person) -> bool:
    """Whether the call is this person's own, or made for them: they may take it back."""
    return bool(approval.requester.names & person.names)


def places_after(approval: Approval, person: Person) -> Mapping[str, int]:
    """Who is still needed once this person has said yes; {} for nobody. Ask `why_not_approve` first."""
    left = _places(approval, person)
    if left is None:
        raise ValueError("there is no place for this person")
    return left


def _places(approval: Approval, person: Person) -> Mapping[str, int] | None:
    return places_left(approval.needs, [*(vote.person.groups for vote in approval.yes_votes), person.groups])


def _not_open(approval: Approval, now: float) -> VoteRefused | None:
    if approval.state is State.EXPIRED or (
        approval.state is State.PENDING and not approval.requested_at - 300 <= now < approval.pending_until
    ):
        return VoteRefused(VoteReason.TOO_LATE, "the request has expired; the agent has to ask again")
    if approval.state is not State.PENDING:
        return VoteRefused(VoteReason.NOT_PENDING, f"it is {approval.state} already")
    return None


def _not_theirs(approval: Approval, person: Person) -> VoteRefused | None:
    requester = approval.requester
    same = (requester.issuer, requester.subject) == (person.issuer, person.subject)
    if same or requester.names & person.names:
        return VoteRefused(
            VoteReason.OWN_REQUEST, "it is your own request, or made on your behalf: somebody else decides"
        )
    return None


def _outside(approval: Approval, person: Person) -> VoteRefused | None:
    relevant = {group for group, _ in approval.needs.groups}
    if approval.needs.break_glass is not None:
        relevant |= set(approval.needs.break_glass.groups)
    if person.groups & relevant:
        return None
    return VoteRefused(VoteReason.NOT_IN_GROUP, f"only people of {' or '.join(sorted(relevant))} may do that")


def _unexplained(reason: str) -> VoteRefused | None:
    return None if reason.strip() else VoteRefused(VoteReason.REASON_MISSING, "say what you found")


def _is_same(one: Person, other: Person) -> bool:
    return (one.issuer, one.subject) == (other.issuer, other.subject) or bool(one.names & other.names)


def _names(subject: str, claims: Mapping[str, Json]) -> frozenset[str]:
    found = {subject.casefold()}
    for name in _NAME_CLAIMS:
        value = claims.get(name)
        if isinstance(value, str) and value:
            found.add(value.casefold())
    return frozenset(found)
