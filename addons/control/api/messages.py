"""Messages that could not be delivered: which, and once more."""

from __future__ import annotations

import asyncio
import logging
from contextlib import closing
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Path

from addons.control.api.approvals import BODY, Nothing, documented
from addons.control.api.asked import CallerHere, Parts
from addons.control.api.models import Nothing as NothingGiven
from addons.control.api.models import Said
from addons.control.parts import ControlParts
from addons.control.problems import Problem, ProblemError
from addons.store.approvals.outbox import DeadLetter, Outbox, OutboxFigures

_MOST = 200
_log = logging.getLogger(__name__)


class DeadLetterSaid(Said):
    """A message that one receiver never took. `error` is why, at the last attempt; `receiver` its name in the
    configuration.
    """

    id: int
    message: str
    receiver: str
    event: str
    approval: str
    at: float
    attempts: int
    error: str


class Messages(Said):
    """`dead` are the newest, of `dead_count`. `queued` wait to be sent, the oldest since `oldest`."""

    dead: list[DeadLetterSaid]
    dead_count: int
    queued: int
    oldest: float | None


class Retried(Said):
    """It is sent again soon."""

    id: int


def make_router(_parts: ControlParts) -> APIRouter:
    router = APIRouter(prefix="/api/v1", tags=["messages"])
    router.get("/messages", responses=documented(), name="messages")(_messages)
    missing = documented(HTTPStatus.NOT_FOUND, *BODY)
    router.post("/messages/{message_id}/retry", responses=missing, name="retry-message")(_retry)
    return router


async def _messages(parts: Parts, _caller: CallerHere, _query: Nothing) -> Messages:
    """Messages that no attempt has delivered, and how many wait."""
    letters, figures = await asyncio.to_thread(_look, parts)
    return Messages(
        dead=[
            DeadLetterSaid(
                id=letter.id,
                message=letter.message,
                receiver=letter.target,
                event=letter.event,
                approval=letter.approval,
                at=letter.at,
                attempts=letter.attempts,
                error=letter.error,
            )
            for letter in letters
        ],
        dead_count=figures.dead,
        queued=figures.queued,
        oldest=figures.oldest,
    )


async def _retry(
    parts: Parts,
    caller: CallerHere,
    message_id: Annotated[int, Path(ge=1, lt=2**63)],
    _query: Nothing,
    _body: NothingGiven,
) -> Retried:
    """Send a dead letter once more, as often as a new one."""
    if not await asyncio.to_thread(_again, parts, message_id):
        text = "there is no message of this id that was given up"
        raise ProblemError(Problem(HTTPStatus.NOT_FOUND, "no_such_message", text))
    _log.info("Message %d is sent again, as %s wants.", message_id, caller.person.subject)
    return Retried(id=message_id)


def _look(parts: ControlParts) -> tuple[list[DeadLetter], OutboxFigures]:
    with closing(Outbox.open(parts.state.audit_log)) as outbox:
        return outbox.dead(_MOST), outbox.figures()


def _again(parts: ControlParts, letter: int) -> bool:
    with closing(Outbox.open(parts.state.audit_log)) as outbox:
        return outbox.retry(letter, parts.now().wall)
