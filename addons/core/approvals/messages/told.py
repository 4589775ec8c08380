"""What a message tells of an approval: a few kilobytes, whatever was asked."""

from __future__ import annotations

from dataclasses import dataclass

from addons.core.approvals.approval import Approval
from addons.core.approvals.messages.events import MessageEvent
from addons.core.approvals.needs import places_left
from addons.core.approvals.states import State
from addons.core.model import Json

_SHORT = 200
_LONG = 1000
_MOST_CHANGES = 8
_MOST_REASONS = 5


@dataclass(frozen=True, slots=True)
class ToldChange:
    """One field that would change; `before` and `after` as JSON text, None where there is nothing."""

    path: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class ToldAct:
    """Who did what the message is about, in their own words."""

    who: str
    reason: str


@dataclass(frozen=True, slots=True)
class Told:
    """Times in seconds since the epoch. Texts are redacted and shortened, and else as they came: what shows
    them to people makes deceptive characters visible.

    `places` is how many people of which group are still needed; `more_changes` how many are left out.
    """

    event: MessageEvent
    at: float
    approval: str
    thread: str
    state: str
    summary: str
    operation: str | None
    risk: str
    method: str
    host: str
    target: str
    issuer: str
    requester: str
    on_behalf_of: str | None
    session: str | None
    intent: str | None
    rule: str
    why: tuple[str, ...]
    policy_revision: str
    places: tuple[tuple[str, int], ...]
    requested_at: float
    pending_until: float
    grant_until: float | None
    changes: tuple[ToldChange, ...]
    more_changes: int
    act: ToldAct | None
    review_due: float | None
    status: int | None
    supersedes: str | None
    superseded_by: str | None


def tell(approval: Approval, event: MessageEvent, at: float) -> Told:
    """What there is to say of `event`, which happened to `approval` and left it as it is now."""
    asked, requester, glass = approval.asked, approval.requester, approval.broken_glass
    changes, more = _changes(approval.preview)
    return Told(
        event=event,
        at=at,
        approval=approval.id,
        thread=approval.thread,
        state=approval.state.value,
        summary=shortened(asked.summary, 2 * _SHORT),
        operation=asked.operation,
        risk=asked.risk,
        method=asked.method,
        host=asked.host,
        target=shortened(asked.target, _LONG),
        issuer=shortened(requester.issuer, _SHORT),
        requester=shortened(requester.subject, _SHORT),
        on_behalf_of=_maybe(requester.on_behalf_of, _SHORT),
        session=_maybe(requester.session, _SHORT),
        intent=_maybe(asked.intent, _LONG),
        rule=asked.rule,
        why=tuple(shortened(each, _SHORT) for each in asked.why[:_MOST_REASONS]),
        policy_revision=asked.policy_revision,
        places=_places(approval),
        requested_at=approval.requested_at,
        pending_until=approval.pending_until,
        grant_until=approval.grant_until,
        changes=changes,
        more_changes=more,
        act=_act(approval, event),
        review_due=glass.review_due if glass is not None and glass.review is None else None,
        status=approval.status,
        supersedes=approval.supersedes,
        superseded_by=approval.superseded_by,
    )


def shortened(text: str, most: int) -> str:
    """At most `most` characters, the last of them `…` where something is missing."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _maybe(text: str | None, most: int) -> str | None:
    return None if text is None else shortened(text, most)


def _places(approval: Approval) -> tuple[tuple[str, int], ...]:
    if approval.state is not State.PENDING:
        return ()
    left = places_left(approval.needs, [vote.person.groups for vote in approval.yes_votes])
    return tuple(sorted((left or {}).items()))


def _act(approval: Approval, event: MessageEvent) -> ToldAct | None:
    glass, end = approval.broken_glass, approval.end
    match event:
        case MessageEvent.APPROVED if approval.yes_votes:
            names = ", ".join(vote.person.display for vote in approval.yes_votes)
            return _as_act(names, approval.yes_votes[-1].reason)
        case MessageEvent.GLASS_BROKEN if glass is not None:
            return _as_act(glass.person.display, glass.reason)
        case MessageEvent.REVIEWED if glass is not None and glass.review is not None:
            return _as_act(glass.review.person.display, glass.review.reason)
        case MessageEvent.DENIED | MessageEvent.EXPIRED | MessageEvent.CANCELLED | MessageEvent.RESOLVED if (
            end is not None
        ):
            return _as_act(end.who, end.reason)
        case _:
            return None


def _as_act(who: str, reason: str) -> ToldAct:
    return ToldAct(shortened(who, _SHORT), shortened(reason, _LONG))


def _changes(preview: Json) -> tuple[tuple[ToldChange, ...], int]:
    """The first fields that would change, out of the JSON form of a preview, and how many more there are."""
    rows = preview.get("changes") if isinstance(preview, dict) else None
    found = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    told = tuple(
        ToldChange(shortened(_text(row, "path") or "", _SHORT), _text(row, "before"), _text(row, "after"))
        for row in found[:_MOST_CHANGES]
    )
    return told, len(found) - len(told)


def _text(row: dict[str, Json], name: str) -> str | None:
    value = row.get(name)
    return shortened(value, _SHORT) if isinstance(value, str) else None
