"""What one request's page shows one person: where it stands, what they may do, and what happened to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from addons.control.deciding import Whole
from addons.control.pages.fixed_parts import Fixed
from addons.control.pages.listing import next_for
from addons.control.standing import Action, HistoryEntry, left, standing
from addons.core.approvals.approval import Approval, Person
from addons.core.approvals.states import State
from addons.core.approvals.voting import VoteReason, VoteRefused
from addons.store.approvals.reading import Approvals

_MOST_STEPS = 200
"""That are shown: whoever is refused again and again makes one each time."""


@dataclass(frozen=True, slots=True)
class Can:
    """Which forms stand on the page."""

    approve: bool
    deny: bool
    break_glass: bool
    review: bool
    resolve: bool
    cancel: bool


@dataclass(frozen=True, slots=True)
class Standing:
    """`tone` is a class of the style sheet; `reason` are somebody's words."""

    tone: str
    headline: str
    text: str = ""
    reason: str = ""
    until: float | None = None
    until_word: str = ""


@dataclass(frozen=True, slots=True)
class Happened:
    tone: str
    who: str
    did: str
    detail: str
    at: float
    reason: str


@dataclass(frozen=True, slots=True)
class Typed:
    """What came with a word that was refused: it is shown again beside why, by the id of its field."""

    refused: VoteRefused | None = None
    texts: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class About:
    """What a page is made of, whoever looks at it."""

    whole: Whole
    fixed: Fixed
    typed: Typed


@dataclass(frozen=True, slots=True)
class OneView:
    """`fixed` is what never changes of it, `thread` are the other requests of its thread, `left_out` counts
    the steps before `timeline`.
    """

    approval: Approval
    fixed: Fixed
    standing: Standing
    left: tuple[tuple[str, int], ...]
    can: Can
    why_not: str
    thread: Sequence[Approval]
    timeline: tuple[Happened, ...]
    left_out: int
    next_up: Approval | None
    refused: VoteRefused | None
    typed: Mapping[str, str]


def read_one(approvals: Approvals, about: About, person: Person, now: float) -> OneView:
    """Blocks. Raises AuditLogUnusable."""
    whole, fixed, typed = about.whole, about.fixed, about.typed
    approval = whole.approval
    may = standing(approval, person, now)
    can = _can(may, is_readable=fixed.is_readable)
    is_done = not (can.approve or can.review or can.resolve)
    return OneView(
        approval=approval,
        fixed=fixed,
        standing=_standing(approval, person),
        left=tuple(sorted(left(approval).items())),
        can=can,
        why_not=_why_not(approval, may[Action.APPROVE]),
        thread=whole.thread,
        timeline=tuple(map(_happened, whole.history[-_MOST_STEPS:])),
        left_out=max(0, len(whole.history) - _MOST_STEPS),
        next_up=next_for(approvals, person, now, approval.id) if is_done else None,
        refused=typed.refused,
        typed=typed.texts,
    )


def _can(may: Mapping[Action, VoteRefused | None], *, is_readable: bool) -> Can:
    """Nobody says yes to what they can't read."""
    return Can(
        approve=may[Action.APPROVE] is None and is_readable,
        deny=may[Action.DENY] is None,
        break_glass=may[Action.BREAK_GLASS] is None and is_readable,
        review=may[Action.REVIEW] is None,
        resolve=may[Action.RESOLVE] is None,
        cancel=may[Action.CANCEL] is None,
    )


def _why_not(approval: Approval, refused: VoteRefused | None) -> str:
    if approval.state is not State.PENDING or refused is None:
        return ""
    text = refused.text
    return f"You can't approve this: {text}" if refused.reason is not VoteReason.ALREADY_VOTED else text


def _standing(approval: Approval, person: Person) -> Standing:
    match approval.state:
        case State.PENDING:
            return _pending(approval, person)
        case State.APPROVED:
            return _approved(approval, person)
        case State.EXECUTING:
            return Standing("busy", "It is running now", "Datadog hasn't answered yet.")
        case State.UNKNOWN:
            return Standing(
                "bad",
                "Nobody can tell whether it ran",
                "The gateway, or Datadog's answer, was lost while it ran. It isn't tried again by itself: "
                "somebody has to look in Datadog and say.",
            )
        case State.SUCCEEDED | State.FAILED:
            return _ran(approval)
        case State.DENIED | State.EXPIRED | State.CANCELLED:
            return _ended(approval, person)


def _pending(approval: Approval, person: Person) -> Standing:
    voted = any(_is(vote.person, person) for vote in approval.yes_votes)
    wanted = " and ".join(
        f"{'1 person' if count == 1 else f'{count} people'} of {group}"
        for group, count in sorted(left(approval).items())
    )
    headline = f"You approved it; it still needs {wanted}" if voted else f"It waits for {wanted}"
    return Standing("warn", headline, until=approval.pending_until, until_word="It expires")


def _approved(approval: Approval, person: Person) -> Standing:
    glass = approval.broken_glass
    text = "It runs once, when the agent sends exactly the same call; one that still waits for it runs now."
    if glass is not None:
        headline = f"{_name(glass.person, person)} broke the glass: it may run"
        return Standing("warn", headline, text, glass.reason, approval.grant_until, "To be used")
    last = approval.yes_votes[-1] if approval.yes_votes else None
    by = "" if last is None else f" by {_names(approval, person)}"
    return Standing("good", f"Approved{by}", text, until=approval.grant_until, until_word="To be used")


def _ran(approval: Approval) -> Standing:
    end, status = approval.end, approval.status
    if status is not None:
        headline = f"It ran, and Datadog answered {status}"
        return Standing("good" if approval.state is State.SUCCEEDED else "bad", headline)
    found = "it ran" if approval.state is State.SUCCEEDED else "it did not run"
    if end is None:
        return Standing("good" if approval.state is State.SUCCEEDED else "bad", found.capitalize())
    tone = "good" if approval.state is State.SUCCEEDED else ""
    return Standing(tone, f"{end.who} looked: {found}", reason=end.reason)


def _ended(approval: Approval, person: Person) -> Standing:
    end = approval.end
    if approval.state is State.EXPIRED:
        used = approval.granted_at is not None
        text = "It was approved, and not used in time." if used else "Nobody decided in time."
        return Standing("", "It expired", f"{text} The agent can ask again.")
    if approval.state is State.CANCELLED and approval.superseded_by is not None:
        return Standing("", "Replaced by a newer request of the same agent run")
    did = "Denied" if approval.state is State.DENIED else "Taken back"
    if end is None:
        return Standing("bad" if approval.state is State.DENIED else "", did)
    mine = end.who == person.display
    headline = f"{did} by {'you' if mine else end.who}"
    return Standing("bad" if approval.state is State.DENIED else "", headline, reason=end.reason)


def _is(one: Person, other: Person) -> bool:
    return (one.issuer, one.subject) == (other.issuer, other.subject)


def _name(who: Person, reader: Person) -> str:
    return "You" if _is(who, reader) else who.display


def _names(approval: Approval, reader: Person) -> str:
    names = ["you" if _is(vote.person, reader) else vote.person.display for vote in approval.yes_votes]
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


_GATEWAY = "the gateway"
_PEOPLE = {
    "requested": ("", "asked"),
    "seen": ("", "opened it"),
    "voted": ("good", "approved; more people are needed"),
    "approved": ("good", "approved; nobody more is needed"),
    "denied": ("bad", "denied it"),
    "vote_refused": ("bad", "tried, and it didn't count"),
    "glass_broken": ("warn", "broke the glass"),
    "reviewed": ("", "reviewed the broken glass"),
    "resolved": ("", "said what became of it"),
    "cancelled": ("", "ended it"),
}
"""By the kind of the audit record. The others are the gateway's doing, on behalf of who asked."""
_GATEWAYS = {
    "consumed": ("", "took the approval, and forwards the call"),
    "not_sent": ("warn", "did not send the call; the approval can still be used"),
    "executed": ("good", "had Datadog's answer"),
    "unknown": ("bad", "lost the call: nobody can tell whether it ran"),
    "expired": ("", "let it expire"),
}
_TELLING = frozenset({"vote_refused", "cancelled", "expired", "executed", "resolved"})
"""Kinds whose record says more than is said here."""


def _happened(entry: HistoryEntry) -> Happened:
    who = entry.who if entry.what in _PEOPLE else _GATEWAY
    tone, did = _PEOPLE.get(entry.what) or _GATEWAYS.get(entry.what) or ("", entry.text)
    detail = entry.text if entry.what in _TELLING else ""
    return Happened(tone, who, did, detail, entry.at, entry.reason)
