"""The API of approvals: `/api/v1`. Its OpenAPI document is at `/openapi.json`."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from addons.control import deciding, problems
from addons.control.api import views
from addons.control.api.asked import CallerHere, Parts
from addons.control.api.models import (
    Alone,
    ApprovalId,
    ApprovalPage,
    ApprovalWhole,
    Explanation,
    Finding,
    Me,
    ProblemSaid,
    Review,
    Word,
)
from addons.control.deciding import Decided
from addons.control.login.people import Caller
from addons.control.parts import ControlParts
from addons.control.problems import MEDIA_TYPE, ProblemError
from addons.core.approvals.states import State
from addons.core.approvals.voting import VoteRefused

_PROBLEM: dict[str, Any] = {"content": {MEDIA_TYPE: {"schema": ProblemSaid.model_json_schema()}}}
_MEANINGS = {
    HTTPStatus.BAD_REQUEST: "The request can't be read.",
    HTTPStatus.UNAUTHORIZED: "Nobody is believed to ask.",
    HTTPStatus.FORBIDDEN: "This person may not, or another site made the request.",
    HTTPStatus.NOT_FOUND: "There is no approval of this id.",
    HTTPStatus.CONFLICT: "It is not in a state for that (any more), or has changed.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is too large.",
    HTTPStatus.MISDIRECTED_REQUEST: "This is reached by another name.",
    HTTPStatus.UNPROCESSABLE_ENTITY: "It isn't as described here, or lacks a reason that the policy wants.",
    HTTPStatus.INTERNAL_SERVER_ERROR: "It failed, or what is stored is damaged; control's log says more.",
    HTTPStatus.SERVICE_UNAVAILABLE: "It can't be put on record, or looked up, now.",
}
_ALWAYS = (
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.MISDIRECTED_REQUEST,
    HTTPStatus.UNPROCESSABLE_ENTITY,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.SERVICE_UNAVAILABLE,
)


def documented(*more: HTTPStatus) -> dict[int | str, dict[str, Any]]:
    """The problems that a route may answer with, for the OpenAPI document."""
    return {
        int(status): {"description": _MEANINGS[status], **_PROBLEM} for status in sorted({*_ALWAYS, *more})
    }


_ONE = documented(HTTPStatus.NOT_FOUND)
BODY = (HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
_DECISION = documented(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, *BODY)


class _Nothing(BaseModel):
    """No query parameters: one that names an approver, say, is an error and not overlooked."""

    model_config = ConfigDict(extra="forbid")


class _Listing(_Nothing):
    state: Annotated[list[State], Field(max_length=len(State))] = []
    limit: Annotated[int, Field(ge=1, le=200)] = 50
    before: ApprovalId | None = None


OneId = Annotated[ApprovalId, Path()]
Nothing = Annotated[_Nothing, Query()]


def make_router(_parts: ControlParts) -> APIRouter:
    router = APIRouter(prefix="/api/v1", tags=["approvals"])
    router.get("/me", responses=documented(), name="me")(_me)
    router.get("/approvals", responses=documented(), name="list")(_list)
    router.get("/approvals/{approval_id}", responses=_ONE, name="show")(_show)
    for name, endpoint in (
        ("approve", _approve),
        ("deny", _deny),
        ("break-glass", _break_glass),
        ("review", _review),
        ("resolve", _resolve),
        ("cancel", _cancel),
    ):
        router.post(f"/approvals/{{approval_id}}/{name}", responses=_DECISION, name=name)(endpoint)
    return router


async def _me(caller: CallerHere, _query: Nothing) -> Me:
    """Who asks, as control knows them."""
    return views.me(caller)


async def _list(parts: Parts, caller: CallerHere, query: Annotated[_Listing, Query()]) -> ApprovalPage:
    """Approvals, newest first; without `state` those in any."""
    states = frozenset(query.state) or None
    version = await asyncio.to_thread(parts.approvals.last_version)  # before the list: nothing is missed
    found = await asyncio.to_thread(parts.approvals.list, states, query.limit + 1, query.before)
    now = parts.now().wall
    shown = found[: query.limit]
    return ApprovalPage(
        approvals=[views.line(one, caller.person, now) for one in shown],
        before=shown[-1].id if len(found) > query.limit else None,
        version=version,
    )


async def _show(parts: Parts, caller: CallerHere, approval_id: OneId, _query: Nothing) -> ApprovalWhole:
    """One approval in full. That this person has seen it is put on record."""
    found = await deciding.open_whole(parts, approval_id, caller.person)
    return views.whole(found, caller.person, parts.now().wall)


async def _approve(
    parts: Parts, caller: CallerHere, approval_id: OneId, _query: Nothing, word: Word
) -> ApprovalWhole:
    """Say yes. Each person fills one place; when none is left, the call may run."""
    decided = await deciding.vote(
        parts, approval_id, caller.person, approves=True, reason=word.reason, digest=word.digest
    )
    return await _after(parts, caller, decided)


async def _deny(
    parts: Parts, caller: CallerHere, approval_id: OneId, _query: Nothing, word: Word
) -> ApprovalWhole:
    """Say no: that ends it, also after others have said yes, as long as the call hasn't run."""
    decided = await deciding.vote(
        parts, approval_id, caller.person, approves=False, reason=word.reason, digest=word.digest
    )
    return await _after(parts, caller, decided)


async def _break_glass(
    parts: Parts, caller: CallerHere, approval_id: OneId, _query: Nothing, word: Alone
) -> ApprovalWhole:
    """Let it pass alone, in an emergency: everyone is told, and a review is due."""
    decided = await deciding.break_glass(
        parts, approval_id, caller.person, reason=word.reason, digest=word.digest
    )
    return await _after(parts, caller, decided)


async def _review(
    parts: Parts, caller: CallerHere, approval_id: OneId, _query: Nothing, word: Review
) -> ApprovalWhole:
    """Say what somebody else's look at a broken glass has found."""
    decided = await deciding.review(parts, approval_id, caller.person, reason=word.reason)
    return await _after(parts, caller, decided)


async def _resolve(
    parts: Parts, caller: CallerHere, approval_id: OneId, _query: Nothing, word: Finding
) -> ApprovalWhole:
    """Say whether a call ran of which the gateway can't tell."""
    decided = await deciding.resolve(parts, approval_id, caller.person, ran=word.ran, reason=word.reason)
    return await _after(parts, caller, decided)


async def _cancel(
    parts: Parts, caller: CallerHere, approval_id: OneId, _query: Nothing, word: Explanation
) -> ApprovalWhole:
    """Take one's own request back, or one that was made on one's behalf."""
    decided = await deciding.cancel(parts, approval_id, caller.person, reason=word.reason)
    return await _after(parts, caller, decided)


async def _after(parts: ControlParts, caller: Caller, decided: Decided) -> ApprovalWhole:
    if isinstance(decided, VoteRefused):
        raise ProblemError(problems.of_refused_vote(decided))
    found = await deciding.read_whole(parts, decided.id)
    return views.whole(found, caller.person, parts.now().wall)
