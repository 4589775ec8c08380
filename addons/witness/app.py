"""A witness's HTTP interface: https://c2sp.org/tlog-witness, and what it holds, to read."""

from __future__ import annotations

import asyncio
import logging
from http import HTTPStatus

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from addons.core.transparency.add_checkpoint import MAX_REQUEST
from addons.store.state_dir import StateDirUnusable
from addons.witness.judging import Answer, Witness

BODY_SECONDS = 10.0
_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
_log = logging.getLogger(__name__)


def make_app(witness: Witness) -> Starlette:
    async def add(request: Request) -> Response:
        try:
            body = await _body(request)
        except _Refused as refused:
            # Nothing more is read of it, so nothing can follow on this connection.
            return _response(refused.answer, {"Connection": "close"})
        return _response(await run_in_threadpool(witness.add_checkpoint, body))

    async def newest(request: Request) -> Response:
        return _response(await run_in_threadpool(witness.newest, request.path_params["log"]))

    async def key(_request: Request) -> Response:
        return _response(Answer(HTTPStatus.OK, f"{witness.verifier.encode()}\n"))

    async def unusable(_request: Request, error: Exception) -> Response:
        _log.critical("Nothing is cosigned: %s", error)
        text = "this witness can't remember anything now, and so cosigns nothing\n"
        return _response(Answer(HTTPStatus.SERVICE_UNAVAILABLE, text))

    return Starlette(
        routes=[
            Route("/add-checkpoint", add, methods=["POST"]),
            Route("/checkpoint/{log}", newest, methods=["GET"]),
            Route("/key", key, methods=["GET"]),
        ],
        exception_handlers={StateDirUnusable: unusable},
    )


class _Refused(Exception):  # noqa: N818 - ends a request, with this answer
    def __init__(self, status: HTTPStatus, text: str) -> None:
        super().__init__()
        self.answer = Answer(status, f"{text}\n")


async def _body(request: Request) -> bytes:
    """Raises _Refused."""
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_REQUEST:
                    text = f"a request has {MAX_REQUEST} bytes at most"
                    raise _Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, text)
    except TimeoutError:
        raise _Refused(HTTPStatus.REQUEST_TIMEOUT, "the request took too long") from None
    except ClientDisconnect:
        raise _Refused(HTTPStatus.BAD_REQUEST, "the request broke off") from None
    return bytes(body)


def _response(answer: Answer, headers: dict[str, str] | None = None) -> Response:
    # The type as it is: given as `media_type`, Starlette would add a charset.
    own = {"Content-Type": answer.media_type, **_HEADERS, **(headers or {})}
    return Response(answer.text, answer.status, own)
