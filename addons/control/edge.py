"""What every request passes before anything reads it, and every answer before it leaves.

Plain ASGI, around the whole application, so that no route can be without it.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import traceback
from http import HTTPStatus

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from addons.control.health import PATHS as HEALTH_PATHS
from addons.control.problems import MEDIA_TYPE, Problem, unexpected
from addons.control.public_url import PublicUrl

MAX_BODY = 64 * 1024
"""Bytes; a reason is all that people send."""
BODY_SECONDS = 15.0

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not no-referrer: with it browsers send `Origin: null` with our own forms (Fetch, section 3.2).
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
_log = logging.getLogger(__name__)


class Edge:
    """Answers what must not get in: a foreign Host (DNS rebinding), a body too large, an error of ours."""

    def __init__(self, app: ASGIApp, public: PublicUrl) -> None:
        self._app = app
        self._public = public

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def sending(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                _harden(MutableHeaders(scope=message), https=self._public.is_https)
            await send(message)

        try:
            self._check(scope)
            body = await _whole_body(receive)
        except _Refused as refused:
            await refused.answer(scope, receive, sending)
            return
        except _ClientGone:
            return
        try:
            await self._app(scope, _given(body, receive), sending)
        except Exception as error:  # noqa: BLE001 - the caller hears that it failed, and nothing of why
            _log.error("A request failed unexpectedly: %s at %s", type(error).__name__, _where(error))
            if not started:
                await _said(unexpected())(scope, receive, sending)

    def _check(self, scope: Scope) -> None:
        """Raises _Refused."""
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if len(hosts) != 1:
            raise _Refused(self._other_host())
        host = hosts[0].lower()
        if not self._answers(host, scope["path"]):
            typed = scope["method"] == "GET" and _is_this_machine(_without_port(host))  # localhost, say
            raise _Refused(self._moved(scope) if typed else self._other_host())
        length = headers.get("content-length", "0")
        if not length.isascii() or not length.isdigit() or int(length) > MAX_BODY:
            raise _Refused(_too_large())

    def _other_host(self) -> Response:
        text = f"this is reached as {self._public.origin}; another name has to be set as control.url"
        return _said(Problem(HTTPStatus.MISDIRECTED_REQUEST, "other_host", text))

    def _moved(self, scope: Scope) -> Response:
        query = scope["query_string"].decode("latin-1")
        path = scope["raw_path"].decode("latin-1") + (f"?{query}" if query else "")
        return RedirectResponse(f"{self._public.origin}{path}", HTTPStatus.TEMPORARY_REDIRECT)

    def _answers(self, host: str, path: str) -> bool:
        if host in self._public.hosts:
            return True
        name = _without_port(host)
        if path in HEALTH_PATHS:
            # Probes come by address. An address, or a name without a dot, can't be made to point here.
            return _is_address(name) or "." not in name
        # Nor can loopback: the command line on this machine. Pages are reached by their one URL alone.
        return path.startswith("/api/") and _is_this_machine(name)


class _Refused(Exception):  # noqa: N818 - ends a request, with this answer
    def __init__(self, answer: Response) -> None:
        super().__init__()
        self.answer = answer


class _ClientGone(Exception):  # noqa: N818 - nobody to answer
    pass


async def _whole_body(receive: Receive) -> bytes:
    """Nothing reads half a body: what a client that left had not said yet may have mattered.

    Raises _Refused, _ClientGone.
    """
    body = b""
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise _ClientGone
                body += bytes(message.get("body", b""))
                if len(body) > MAX_BODY:
                    raise _Refused(_too_large())
                if not message.get("more_body", False):
                    return body
    except TimeoutError:
        problem = Problem(HTTPStatus.REQUEST_TIMEOUT, "too_slow", "the body took too long")
        raise _Refused(_said(problem)) from None


def _given(body: bytes, receive: Receive) -> Receive:
    """`receive`, with the body that has been read already in front."""
    first = True

    async def given() -> Message:
        nonlocal first
        if first:
            first = False
            return {"type": "http.request", "body": body, "more_body": False}
        return await receive()

    return given


def _said(problem: Problem) -> Response:
    return JSONResponse(problem.to_json(), problem.status, media_type=MEDIA_TYPE)


def _too_large() -> Response:
    text = f"a body may have {MAX_BODY // 1024} KiB at most"
    return _said(Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large", text))


def _harden(headers: MutableHeaders, *, https: bool) -> None:
    for name, value in _HEADERS.items():
        headers[name] = value
    headers.setdefault("Cache-Control", "no-store")
    if https:
        headers["Strict-Transport-Security"] = "max-age=31536000"


def _where(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "nowhere"


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host.partition("]")[0][1:]
    return host.partition(":")[0]


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_this_machine(name: str) -> bool:
    return name == "localhost" or (_is_address(name) and ipaddress.ip_address(name).is_loopback)
