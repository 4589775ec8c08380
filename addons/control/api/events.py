"""Live changes: server-sent events (WHATWG HTML, section 9.2)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Header, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import StreamingResponse

from addons.control.api.approvals import documented
from addons.control.api.asked import CallerHere, Parts, caller_of
from addons.control.login.csrf import CrossSite
from addons.control.login.people import NotAPerson
from addons.control.login.sessions import SessionsUnavailable
from addons.control.parts import ControlParts
from addons.control.problems import Problem, ProblemError
from addons.store.audit.problems import AuditLogUnusable

HEARTBEAT = 10.0
"""Seconds; at each, the caller is asked for anew, so a stream ends when a login does."""

_EVENTS = {"content": {"text/event-stream": {"schema": {"type": "string"}}}, "description": "A stream."}


class _Since(BaseModel):
    model_config = ConfigDict(extra="forbid")

    after: Annotated[int, Field(ge=0, lt=2**63)] | None = None


def make_router(_parts: ControlParts) -> APIRouter:
    router = APIRouter(prefix="/api/v1", tags=["approvals"])
    router.get(
        "/events",
        responses={**documented(), int(HTTPStatus.OK): _EVENTS},
        response_class=StreamingResponse,
        name="events",
    )(_events)
    return router


async def _events(
    request: Request,
    parts: Parts,
    _caller: CallerHere,
    query: Annotated[_Since, Query()],
    last_event_id: Annotated[str | None, Header(max_length=20)] = None,
) -> StreamingResponse:
    """`event: approvals`, `data: {"changed": [ids], "version": N}` whenever approvals change. `after` (or
    `Last-Event-ID`) is the version that is known, and what has changed since is told first.
    """
    after = query.after
    if last_event_id is not None and last_event_id.isascii() and last_event_id.isdigit():
        after = int(last_event_id)
    if parts.feed.is_full:
        raise ProblemError(
            Problem(HTTPStatus.SERVICE_UNAVAILABLE, "too_many_listeners", "too many watch; ask again later")
        )
    return StreamingResponse(_stream(request, parts, after), media_type="text/event-stream")


async def _stream(request: Request, parts: ControlParts, after: int | None) -> AsyncIterator[str]:
    async with parts.feed.listening(after) as listener:
        yield ": listening\n\n"
        while not parts.feed.is_closed and await _is_still_there(request):
            ids = await listener.changed(HEARTBEAT)
            if ids:
                data = json.dumps({"changed": ids, "version": listener.version})
                yield f"id: {listener.version}\nevent: approvals\ndata: {data}\n\n"
            else:
                yield ": nothing\n\n"


async def _is_still_there(request: Request) -> bool:
    try:
        await caller_of(request)
    except (NotAPerson, CrossSite, SessionsUnavailable, AuditLogUnusable):
        return False
    return True
