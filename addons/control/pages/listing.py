"""What the list of approvals shows one person: what waits for them, what for others, what was lately."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from addons.control.standing import Action, left, standing
from addons.core.approvals.approval import Approval, Person
from addons.core.approvals.states import State
from addons.core.approvals.voting import VoteReason
from addons.store.approvals.reading import Approvals

PATH = "/approvals"
MOST_WAITING = 200
"""How many waiting requests one page shows."""
A_PAGE = 25
"""How many of the others."""

_SETTLED = frozenset(State) - {State.PENDING}
_UNTIL = {State.PENDING: "expires", State.APPROVED: "to be used"}


@dataclass(frozen=True, slots=True)
class Row:
    """`left` is how many people of which group have still to say yes, `note` what it is to this person."""

    approval: Approval
    left: tuple[tuple[str, int], ...]
    until: float | None
    until_word: str
    note: str


@dataclass(frozen=True, slots=True)
class Filter:
    word: str
    href: str
    is_current: bool
    count: int | None


@dataclass(frozen=True, slots=True)
class ListView:
    """`before` is the id that an earlier page ended with; `older` is where the next one is."""

    mine: tuple[Row, ...]
    mine_said: str
    others: tuple[Row, ...]
    recent: tuple[Row, ...]
    filters: tuple[Filter, ...]
    before: str | None
    older: str | None
    is_cut: bool


def read_list(
    approvals: Approvals, person: Person, now: float, state: State | None, before: str | None
) -> ListView:
    """Blocks. Raises AuditLogUnusable."""
    pending = approvals.list(frozenset({State.PENDING}), MOST_WAITING)
    mine = [_row(one, "") for one in pending if _may(one, person, now)]
    mine += [_row(one, "its glass was broken: review it") for one in _to_review(approvals, person, now)]
    mine += [_row(one, "say what became of it") for one in _to_resolve(approvals, person, now)]
    here = {row.approval.id for row in mine}
    others = [_row(one, _why_others(one, person, now)) for one in pending if one.id not in here]
    wanted = _SETTLED if state is None else frozenset({state})
    recent = approvals.list(wanted, A_PAGE + 1, before)
    return ListView(
        mine=_by_urgency(mine),
        mine_said=_said(len(mine)),
        others=_by_urgency(others),
        recent=tuple(_row(one, "") for one in recent[:A_PAGE]),
        filters=_filters(approvals, state),
        before=before,
        older=_href(state, recent[A_PAGE - 1].id) if len(recent) > A_PAGE else None,
        is_cut=len(pending) == MOST_WAITING,
    )


def next_for(approvals: Approvals, person: Person, now: float, other_than: str) -> Approval | None:
    """The request that this person should look at next. Blocks."""
    pending = approvals.list(frozenset({State.PENDING}), MOST_WAITING)
    waiting = [one for one in pending if one.id != other_than and _may(one, person, now)]
    return min(waiting, key=lambda one: one.pending_until, default=None)


def _may(approval: Approval, person: Person, now: float) -> bool:
    return standing(approval, person, now)[Action.APPROVE] is None


def _to_review(approvals: Approvals, person: Person, now: float) -> Iterable[Approval]:
    due = approvals.reviews_due()
    return (one for one in due if standing(one, person, now)[Action.REVIEW] is None)


def _to_resolve(approvals: Approvals, person: Person, now: float) -> Iterable[Approval]:
    lost = approvals.list(frozenset({State.UNKNOWN}), MOST_WAITING)
    return (one for one in lost if standing(one, person, now)[Action.RESOLVE] is None)


def _why_others(approval: Approval, person: Person, now: float) -> str:
    may = standing(approval, person, now)
    if may[Action.BREAK_GLASS] is None:
        return "you can break the glass"
    refused = may[Action.APPROVE]
    return "" if refused is None else _IN_SHORT.get(refused.reason, refused.text)


_IN_SHORT = {
    VoteReason.OWN_REQUEST: "your own, or on your behalf",
    VoteReason.ALREADY_VOTED: "you have approved it",
    VoteReason.NOT_IN_GROUP: "",
    VoteReason.PLACE_TAKEN: "the places of your groups are filled",
    VoteReason.TOO_LATE: "out of time",
}


def _row(approval: Approval, note: str) -> Row:
    until = {State.PENDING: approval.pending_until, State.APPROVED: approval.grant_until}.get(approval.state)
    return Row(approval, tuple(sorted(left(approval).items())), until, _UNTIL.get(approval.state, ""), note)


def _by_urgency(rows: Sequence[Row]) -> tuple[Row, ...]:
    """What runs out first stands first; what doesn't, after it."""
    return tuple(sorted(rows, key=lambda row: (row.until is None, row.until or 0.0, row.approval.id)))


def _said(count: int) -> str:
    if count == 0:
        return "Nothing waits for you."
    return "One request waits for you." if count == 1 else f"{count} requests wait for you."


def _filters(approvals: Approvals, current: State | None) -> tuple[Filter, ...]:
    counts = approvals.counts()
    some = [Filter("all", _href(None, None), current is None, None)]
    for state in State:
        count = counts.get(state, 0)
        if state is not State.PENDING and (count or state is current):
            some.append(Filter(state, _href(state, None), state is current, count))
    return tuple(some)


def _href(state: State | None, before: str | None) -> str:
    given = {"state": state, "before": before}
    query = urlencode({name: str(value) for name, value in given.items() if value is not None})
    return f"{PATH}?{query}" if query else PATH
