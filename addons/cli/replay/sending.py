"""Sends one call through a gateway, over a connection of its own: the audit log knows the call by that."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path

import h11

from addons.core.start_problems import GatewayProblem
from addons.replaying.comparing import Answer
from addons.replaying.resending import NotSendable, Resent
from addons.sidecar.dialling import RefusedError, ask_for_tunnel, dial
from addons.sidecar.heads import MalformedHeadError, parse_authority, parse_status
from addons.sidecar.limits import Limits
from addons.sidecar.relay import Stream, close
from addons.sidecar.upstreams import BadGatewayError, Gateway, parse_gateway

_LARGEST = 256 * 1024 * 1024
_LARGEST_REFUSAL = 64 * 1024
_ANSWER_SECONDS = 150.0  # beside what it may wait for people
_CHUNK = 64 * 1024


class SendFailed(Exception):  # noqa: N818 - named after what happened
    """No answer came; the text says why. It may have run nevertheless where `sent`."""

    def __init__(self, text: str, *, sent: bool) -> None:
        super().__init__(text)
        self.sent = sent


@dataclass(frozen=True, slots=True)
class Way:
    """To the gateway, and who signs for Datadog's hosts there."""

    gateway: Gateway
    tls: ssl.SSLContext = field(repr=False)


@dataclass(frozen=True, slots=True)
class Person:
    """Who replays: the token that is shown, what is said of the call, and for how many seconds it may wait
    for approvers.
    """

    token: str = field(repr=False)
    intent: str
    wait: int = 0


@dataclass(frozen=True, slots=True)
class Sent:
    """The answer, and the own end of the connection, (address, port)."""

    answer: Answer
    client: tuple[str, int]


def way_to(gateway: str, gateway_ca: Path | None, ca: Path) -> Way:
    """Raises GatewayProblem."""
    try:
        place = parse_gateway(gateway, gateway_ca)
    except BadGatewayError as bad:
        raise GatewayProblem(str(bad)) from None
    if place.sends_in_clear:
        raise GatewayProblem(f"your token would cross the network to {place} unencrypted; use https://")
    try:
        tls = ssl.create_default_context(cafile=str(ca))
    except (OSError, ssl.SSLError):
        raise GatewayProblem(
            f"the gateway's public CA {ca} can't be read; name it with --ca, it is certs/ddgate-ca.pem there"
        ) from None
    tls.set_alpn_protocols(["http/1.1"])
    return Way(place, tls)


async def send(way: Way, resent: Resent, person: Person) -> Sent:
    """Raises SendFailed, NotSendable where HTTP has no form for what was recorded."""
    try:
        target = parse_authority(f"{resent.host}:{resent.port}")
    except MalformedHeadError:
        raise NotSendable("its host is no host name") from None
    request = _request(resent, person)
    limits = Limits()
    try:
        stream = await dial(way.gateway.authority, f"the gateway {way.gateway}", limits, way.gateway.tls)
    except RefusedError as refused:
        raise SendFailed(str(refused), sent=False) from None
    try:
        host, port = stream.writer.get_extra_info("sockname")[:2]
        asked = await ask_for_tunnel(stream, target, f"Bearer {person.token}", "the gateway", limits)
        if not asked.is_open:
            refusal = await _refusal(stream, asked.raw, asked.content_length or 0)
            return Sent(refusal, (str(host), int(port)))
        await _start_tls(stream, way.tls, resent.host)
        with _broken_off():
            async with asyncio.timeout(person.wait + _ANSWER_SECONDS):
                answer = await _exchange(stream, request, resent.body)
        return Sent(answer, (str(host), int(port)))
    except RefusedError as refused:
        raise SendFailed(str(refused), sent=False) from None
    finally:
        await close(stream.writer)


def _request(resent: Resent, person: Person) -> h11.Request:
    """Raises NotSendable."""
    try:
        fields = [(b"Host", resent.authority.encode("latin-1")), *resent.headers]
        fields += [(b"X-DDGate-Intent", person.intent.encode()), (b"Prefer", b"wait=%d" % person.wait)]
        fields.append((b"Connection", b"close"))
        if resent.body or resent.method not in {"GET", "HEAD", "DELETE"}:
            fields.append((b"Content-Length", b"%d" % len(resent.body)))
        return h11.Request(method=resent.method, target=resent.target, headers=fields)
    except (h11.LocalProtocolError, UnicodeError):
        raise NotSendable("HTTP has no form for its method or its headers") from None


async def _start_tls(stream: Stream, tls: ssl.SSLContext, host: str) -> None:
    try:
        await stream.writer.start_tls(tls, server_hostname=host)
    except ssl.SSLCertVerificationError as error:
        raise SendFailed(
            f"the gateway's certificate for {host} isn't trusted ({error.verify_message}); --ca names its CA",
            sent=False,
        ) from None
    except (OSError, ValueError):
        raise SendFailed("the gateway ended the connection in the TLS handshake", sent=False) from None


@contextmanager
def _broken_off() -> Iterator[None]:
    try:
        yield
    except TimeoutError:
        raise SendFailed("no answer came in time; it may have run", sent=True) from None
    except (OSError, h11.RemoteProtocolError):
        raise SendFailed("the connection broke off before the answer was complete", sent=True) from None


async def _exchange(stream: Stream, request: h11.Request, body: bytes) -> Answer:
    """Raises OSError, h11.RemoteProtocolError, SendFailed."""
    http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_CHUNK * 4)
    events: list[h11.Event] = [request, *([h11.Data(data=body)] if body else []), h11.EndOfMessage()]
    for event in events:
        stream.writer.write(http.send(event) or b"")
    await stream.writer.drain()
    head: h11.Response | None = None
    parts: list[bytes] = []
    size = 0
    while True:
        came = http.next_event()
        if came is h11.NEED_DATA:
            http.receive_data(await stream.reader.read(_CHUNK))
        elif isinstance(came, h11.Response):
            head = came
        elif isinstance(came, h11.Data):
            parts.append(bytes(came.data))
            size += len(came.data)
            if size > _LARGEST:
                raise SendFailed(f"the answer is larger than {_LARGEST // 1024**2} MiB", sent=True)
        elif isinstance(came, h11.EndOfMessage) and head is not None:
            return Answer(head.status_code, tuple(head.headers.raw_items()), b"".join(parts))
        elif isinstance(came, h11.ConnectionClosed):
            raise SendFailed("the connection ended without an answer", sent=True)


async def _refusal(stream: Stream, raw: bytes, length: int) -> Answer:
    """Give what the gateway says instead of opening a tunnel."""
    body = b""
    try:
        async with asyncio.timeout(Limits().refusal_time):
            body = await stream.reader.readexactly(min(length, _LARGEST_REFUSAL))
        status, fields = parse_status(raw)
    except (OSError, asyncio.IncompleteReadError, TimeoutError, MalformedHeadError):
        return Answer(HTTPStatus.BAD_GATEWAY, (), body)
    return Answer(
        status, tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in fields), body
    )
