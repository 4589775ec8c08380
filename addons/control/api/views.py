"""From approvals to what the API says of them."""

from __future__ import annotations

from typing import Any

from addons.control.api.models import (
    ApprovalSaid,
    ApprovalWhole,
    BreakGlassSaid,
    BrokenGlassSaid,
    EndSaid,
    HistorySaid,
    MaySaid,
    Me,
    NeedsSaid,
    PersonSaid,
    RequesterSaid,
    VoteSaid,
)
from addons.control.deciding import Whole
from addons.control.login.people import Caller
from addons.control.standing import Action, left, standing
from addons.core.approvals.approval import Approval, Person
from addons.core.approvals.voting import VoteRefused


def me(caller: Caller) -> Me:
    person = caller.person
    return Me(
        issuer=person.issuer,
        subject=person.subject,
        display=person.display,
        groups=sorted(person.groups),
        until=caller.until,
        csrf_token=caller.csrf_token,
    )


def line(approval: Approval, person: Person, now: float) -> ApprovalSaid:
    return ApprovalSaid(**_line(approval, person, now))


def whole(found: Whole, person: Person, now: float) -> ApprovalWhole:
    approval, asked = found.approval, found.approval.asked
    may = standing(approval, person, now)
    return ApprovalWhole(
        **_line(approval, person, now),
        digest=approval.digest,
        version=asked.version,
        why=list(asked.why),
        rules=list(asked.rules),
        policy_revision=asked.policy_revision,
        credential=asked.credential,
        intent=asked.intent,
        needs=_needs(approval),
        votes=[
            VoteSaid(person=_person(vote.person), approves=vote.approves, reason=vote.reason, at=vote.at)
            for vote in approval.votes
        ],
        granted_at=approval.granted_at,
        broken_glass=_broken_glass(approval),
        end=_end(approval),
        executing_call=approval.executing_call,
        status=approval.status,
        ran_at=approval.ran_at,
        supersedes=approval.supersedes,
        superseded_by=approval.superseded_by,
        seen_by=list(approval.seen_by),
        preview=approval.preview,
        history=[
            HistorySaid(what=one.what, who=one.who, at=one.at, text=one.text, reason=one.reason)
            for one in found.history
        ],
        thread=[line(one, person, now) for one in found.thread],
        may={action: _may(refused) for action, refused in may.items()},
    )


def _line(approval: Approval, person: Person, now: float) -> dict[str, Any]:
    asked, requester, glass = approval.asked, approval.requester, approval.broken_glass
    why_not = standing(approval, person, now)[Action.APPROVE]
    return {
        "id": approval.id,
        "state": approval.state,
        "summary": asked.summary,
        "operation": asked.operation,
        "risk": asked.risk,
        "method": asked.method,
        "host": asked.host,
        "target": asked.target,
        "rule": asked.rule,
        "requester": RequesterSaid(
            issuer=requester.issuer,
            subject=requester.subject,
            on_behalf_of=requester.on_behalf_of,
            session=requester.session,
        ),
        "requested_at": approval.requested_at,
        "pending_until": approval.pending_until,
        "grant_until": approval.grant_until,
        "places_left": dict(left(approval)),
        "glass_broken": glass is not None,
        "review_due": glass.review_due if glass is not None and glass.review is None else None,
        "may_approve": why_not is None,
        "why_not": None if why_not is None else why_not.text,
    }


def _person(person: Person) -> PersonSaid:
    return PersonSaid(issuer=person.issuer, subject=person.subject, display=person.display)


def _may(refused: VoteRefused | None) -> MaySaid:
    if refused is None:
        return MaySaid(allowed=True)
    return MaySaid(allowed=False, reason=refused.reason, text=refused.text)


def _needs(approval: Approval) -> NeedsSaid:
    needs, glass = approval.needs, approval.needs.break_glass
    return NeedsSaid(
        groups=dict(needs.groups),
        reason_required=needs.reason_required,
        pending=needs.pending,
        grant=needs.grant,
        hold=needs.hold,
        break_glass=None
        if glass is None
        else BreakGlassSaid(groups=list(glass.groups), review_within=glass.review_within),
    )


def _broken_glass(approval: Approval) -> BrokenGlassSaid | None:
    glass = approval.broken_glass
    if glass is None:
        return None
    review = glass.review
    return BrokenGlassSaid(
        person=_person(glass.person),
        reason=glass.reason,
        at=glass.at,
        review_due=glass.review_due,
        reviewed_by=None if review is None else _person(review.person),
        review=None if review is None else review.reason,
        reviewed_at=None if review is None else review.at,
    )


def _end(approval: Approval) -> EndSaid | None:
    end = approval.end
    return None if end is None else EndSaid(who=end.who, reason=end.reason, at=end.at)
