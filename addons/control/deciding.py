"""What people see of approvals and do to them: the page and the API both go through here, nothing else does.

Every function may raise ProblemError (there is no such approval; the row is damaged) and JournalUnavailable
(it can't be put on record, so nothing changed).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from addons.control import problems
from addons.control.parts import ControlParts
from addons.control.problems import ProblemError
from addons.control.standing import HistoryEntry, history
from addons.core.approvals.approval import Approval, Person
from addons.core.approvals.voting import VoteRefused
from addons.store.approvals.requests import CancelAsPerson, SeenBy
from addons.store.approvals.rows import ApprovalUnreadable
from addons.store.approvals.votes import BreakTheGlass, Resolve, ReviewGlass, VoteFor
from addons.store.audit.changes import Change, ChangeRefused

type Decided = Approval | VoteRefused
"""The approval as it is after it (without its preview), or why the word doesn't count: that is on record."""


@dataclass(frozen=True, slots=True)
class Whole:
    """Everything about one approval. `thread` are the others that belong together with it, newest first."""

    approval: Approval
    history: tuple[HistoryEntry, ...]
    thread: Sequence[Approval]


async def open_whole(parts: ControlParts, approval_id: str, person: Person) -> Whole:
    """That this person has seen it is on record from now on."""
    if not await asyncio.to_thread(parts.approvals.has_seen, approval_id, person):
        await _change(parts, SeenBy(approval_id, person, parts.now()))
    return await read_whole(parts, approval_id)


async def read_whole(parts: ControlParts, approval_id: str) -> Whole:
    try:
        return await asyncio.to_thread(_read, parts, approval_id)
    except ApprovalUnreadable:
        raise ProblemError(problems.unreadable()) from None


async def vote(  # noqa: PLR0913 - by name, but for what every one of these takes
    parts: ControlParts, approval_id: str, person: Person, *, approves: bool, reason: str, digest: str | None
) -> Decided:
    """`digest` is that of the request which the person saw: a word about another one doesn't count."""
    return await _change(
        parts, VoteFor(approval_id, person, approves, parts.scrub(reason), digest, parts.now())
    )


async def break_glass(
    parts: ControlParts, approval_id: str, person: Person, *, reason: str, digest: str | None
) -> Decided:
    return await _change(parts, BreakTheGlass(approval_id, person, parts.scrub(reason), parts.now(), digest))


async def review(parts: ControlParts, approval_id: str, person: Person, *, reason: str) -> Decided:
    return await _change(parts, ReviewGlass(approval_id, person, parts.scrub(reason), parts.now()))


async def resolve(
    parts: ControlParts, approval_id: str, person: Person, *, ran: bool, reason: str
) -> Decided:
    """Says what became of a call that nobody can tell of: whether it `ran`."""
    return await _change(parts, Resolve(approval_id, person, ran, parts.scrub(reason), parts.now()))


async def cancel(parts: ControlParts, approval_id: str, person: Person, *, reason: str) -> Decided:
    return await _change(parts, CancelAsPerson(approval_id, person, parts.scrub(reason), parts.now()))


def _read(parts: ControlParts, approval_id: str) -> Whole:
    approval = parts.approvals.get(approval_id)
    if approval is None:
        raise ProblemError(problems.no_such_approval())
    steps = history(parts.approvals.history(approval_id))
    others = [one for one in parts.approvals.thread(approval.thread) if one.id != approval_id]
    return Whole(approval, steps, others)


async def _change[T](parts: ControlParts, change: Change[T]) -> T:
    try:
        return await parts.journal.change(change)
    except ChangeRefused as refused:
        raise ProblemError(problems.of_refused_change(refused)) from None
