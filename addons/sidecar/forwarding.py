"""One absolute-form request and its answer."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from enum import Enum, auto

from addons.sidecar.body_framing import Framing, copy_body, framing_of
from addons.sidecar.heads import MalformedHeadError, RequestHead
from addons.sidecar.limits import Limits
from addons.sidecar.relay import Stream, close, pump

_LOGIN_REFUSED = re.compile(rb"HTTP/1\.[01] 407 ")
_FIRST = 65536


class _Sent(Enum):
    """How the child's side ended. ANOTHER: it sent more than one request."""

    DONE = auto()
    BROKEN = auto()
    ANOTHER = auto()


async def forward(  # noqa: PLR0913, PLR0917 - both sides, and what is said between them
    child: Stream,
    far: Stream,
    head: RequestHead,
    request: bytes,
    limits: Limits,
    login_refused: Callable[[], None] = lambda: None,
) -> None:
    """Send `request`, the head rewritten, with the body of `head`, and hand the answer on as it comes.

    Carries exactly one request, so that no other head passes unread: with the answer both sides end.
    `login_refused` is called where the answer is a proxy's 407. Raises MalformedHeadError before anything is
    sent; closes `far`.
    """
    try:
        framing = framing_of(head)
        far.writer.write(request)
        await _exchange(child, far, framing, limits, login_refused)
    finally:
        await close(far.writer)


async def _exchange(
    child: Stream, far: Stream, framing: Framing, limits: Limits, login_refused: Callable[[], None]
) -> None:
    up = asyncio.create_task(_send(child, far, framing))
    down = asyncio.create_task(_receive(far, child, login_refused))
    try:
        await asyncio.wait({up, down}, return_when=asyncio.FIRST_COMPLETED)
        if not down.done() and up.result() is _Sent.DONE:
            await asyncio.wait({down}, timeout=limits.half_closed_time)
    finally:
        for task in (up, down):
            task.cancel()
        await asyncio.gather(up, down, return_exceptions=True)


async def _send(child: Stream, far: Stream, framing: Framing) -> _Sent:
    try:
        await copy_body(child.reader, far.writer, framing)
        # A client speaks again only when it has the whole answer, or it pipelines, which nobody does.
        return _Sent.ANOTHER if await child.reader.read(1) else _Sent.DONE
    except (OSError, MalformedHeadError, asyncio.IncompleteReadError):
        return _Sent.BROKEN


async def _receive(far: Stream, child: Stream, login_refused: Callable[[], None]) -> None:
    try:
        first = await far.reader.read(_FIRST)
        if _LOGIN_REFUSED.match(first):
            login_refused()
        child.writer.write(first)
        await pump(far.reader, child.writer, lambda: None)
    except OSError:
        return  # one of the two left; so does the other now
