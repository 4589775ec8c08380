"""One GET of Datadog's API by the gateway itself, with its own key.

The way is that of agents' calls: the same routes and CA files, the same check of what DNS says. The address
is resolved here and dialled as it was checked (httpx would resolve the name once more, and dial the port of
the URL); the name stays in SNI, certificate and Host. The key is in the head of this one request, on a
verified connection. httpx's exceptions carry the request, so none of them, and none of their texts, leaves
this module.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from addons.core.body import BodyTooLarge, UndecodableBody, decode_body
from addons.store.credentials import Credential
from addons.store.dialling import HTTPS, Dialling

_IN_THREAD = 16 * 1024
_MAX_ADDRESSES = 4
_CONNECT_SHARE = 0.3
"""Of the whole time, for one address: one that swallows packets leaves time for the next."""

HEADERS = (
    (b"Accept", b"application/json"),
    (b"Accept-Encoding", b"gzip, deflate, br, zstd"),
    (b"User-Agent", b"ddgate"),
    (b"Connection", b"close"),
)
"""What is sent beside Host and the keys."""


@dataclass(frozen=True, slots=True)
class GetLimits:
    """`seconds` for all of it; `answer_bytes` of the body, as it travels and decoded."""

    seconds: float = 10.0
    answer_bytes: int = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """`content` is decoded, `length` the body's as it travelled."""

    status: int
    content_type: str | None
    content: bytes = field(repr=False)
    length: int


class GetFailed(Exception):  # noqa: N818 - an outcome that callers live with, not a fault
    """There is no answer that can be used. `why` names nothing that was sent or received; `sent`: the request
    may have left; `status` is the answer's, where there was one.
    """

    def __init__(self, why: str, *, sent: bool, status: int | None = None) -> None:
        super().__init__(why)
        self.why, self.sent, self.status = why, sent, status


@dataclass(slots=True)
class _Progress:
    """How far one request got."""

    sent: bool = False
    status: int | None = None

    async def trace(self, event: str, _info: Mapping[str, object]) -> None:
        if event == "http11.send_request_headers.started":
            self.sent = True

    def failed(self, why: str) -> GetFailed:
        return GetFailed(why, sent=self.sent, status=self.status)


class DatadogGet:
    """Makes one connection for each request: a pool would know connections by their address, and Datadog's
    hosts can share one.
    """

    def __init__(self, dialling: Dialling, limits: GetLimits) -> None:
        self._dialling = dialling
        self._limits = limits
        self._contexts: dict[str | None, ssl.SSLContext] = {}

    async def get(self, host: str, path: str, credential: Credential) -> Answer:
        """Ask `host` for `path`, both in normal form, and without a query. Redirects are not followed.

        Raises:
            GetFailed: no answer, or one that is too large or can't be decoded. Any status is an answer.

        """
        progress = _Progress()
        try:
            async with asyncio.timeout(self._limits.seconds):
                return await self._get(host, path, credential, progress)
        except TimeoutError:
            why = f"no answer within {self._limits.seconds:g} s"
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            why = _reason(error, progress)
        except BodyTooLarge:
            why = f"the answer is over {self._limits.answer_bytes} bytes"
        except UndecodableBody:
            why = "the answer can't be decoded"
        raise progress.failed(why)  # out here, so that no exception with the request in it goes along

    async def _get(self, host: str, path: str, credential: Credential, progress: _Progress) -> Answer:
        loop = asyncio.get_running_loop()
        found = await self._dialling.addresses_of(host, HTTPS, loop.getaddrinfo, type=socket.SOCK_STREAM)
        ends = list(dict.fromkeys((str(address[0]), int(address[1])) for *_, address in found))
        if not ends:
            raise OSError("the name has no address")
        route = self._dialling.route(host)
        context = await self._context(route.ca if route is not None else None)
        last = len(ends[:_MAX_ADDRESSES]) - 1
        for place, end in enumerate(ends[:_MAX_ADDRESSES]):
            try:
                return await self._exchange(context, end, _request(host, path, credential), progress)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                if place == last:
                    raise
        raise AssertionError("the last address has answered or raised")

    async def _exchange(
        self, context: ssl.SSLContext, end: tuple[str, int], request: _Request, progress: _Progress
    ) -> Answer:
        seconds = self._limits.seconds
        address = f"[{end[0]}]" if ":" in end[0] else end[0]
        async with (
            httpx.AsyncClient(
                verify=context,
                trust_env=False,  # no proxy, no CA and no password from the environment
                follow_redirects=False,
                timeout=httpx.Timeout(seconds, connect=seconds * _CONNECT_SHARE),
            ) as client,
            client.stream(
                "GET",
                f"https://{address}:{end[1]}/",
                headers=request.headers,
                extensions={**request.extensions, "trace": progress.trace},
            ) as answer,
        ):
            progress.status = answer.status_code
            raw = bytearray()
            async for chunk in answer.aiter_raw():
                raw += chunk
                if len(raw) > self._limits.answer_bytes:
                    raise BodyTooLarge(self._limits.answer_bytes)
            fields = answer.headers
            content = await self._decoded(bytes(raw), fields.get("content-encoding"))
            return Answer(answer.status_code, fields.get("content-type"), content, len(raw))

    async def _decoded(self, raw: bytes, encoding: str | None) -> bytes:
        if not raw:
            return raw
        if len(raw) > _IN_THREAD:
            return await asyncio.to_thread(decode_body, raw, encoding, limit=self._limits.answer_bytes)
        return decode_body(raw, encoding, limit=self._limits.answer_bytes)

    async def _context(self, ca: str | None) -> ssl.SSLContext:
        """Made once for each CA file, in a thread: the public ones take a while to read."""
        known = self._contexts.get(ca)
        if known is None:
            known = self._contexts[ca] = await asyncio.to_thread(_tls, ca)
        return known


@dataclass(frozen=True, slots=True)
class _Request:
    headers: list[tuple[bytes, bytes]] = field(repr=False)
    extensions: dict[str, Any]


def _request(host: str, path: str, credential: Credential) -> _Request:
    headers = [(b"Host", host.encode("ascii")), *HEADERS, (b"DD-API-KEY", credential.api_key)]
    if credential.application_key is not None:
        headers.append((b"DD-APPLICATION-KEY", credential.application_key))
    # The target goes out as it was decided on; httpx would write an escape in its own way.
    return _Request(headers, {"sni_hostname": host, "target": path.encode("ascii")})


def _tls(ca: str | None) -> ssl.SSLContext:
    """Verify as the gateway's own connections do: the public authorities or the route's, the name in the
    certificate's SAN (RFC 9525), TLS 1.2 and up.
    """
    if ca is None:
        context = httpx.create_ssl_context(verify=True, trust_env=False)
    else:
        context = ssl.create_default_context(cafile=ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.hostname_checks_common_name = False
    return context


def _reason(error: Exception, progress: _Progress) -> str:
    """Say what failed without a text that came from outside."""
    root: BaseException | None = error
    while root is not None:
        if isinstance(root, ssl.SSLCertVerificationError):
            return "Datadog's certificate is not valid"
        root = root.__cause__ or root.__context__
    if not progress.sent:
        return "Datadog can't be reached"
    if isinstance(error, httpx.TimeoutException):
        return "no answer in time"
    return "the connection broke off before the answer was complete"
