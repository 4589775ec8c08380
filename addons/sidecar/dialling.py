"""Connections away from the child, each ready for its bytes."""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from dataclasses import dataclass
from http import HTTPStatus

from addons.sidecar.heads import Authority, MalformedHeadError, parse_status, request_head
from addons.sidecar.limits import Limits
from addons.sidecar.relay import Stream, close


class RefusedError(Exception):
    """The child gets `status` and the text, as JSON."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class ConnectAnswer:
    """How a proxy answered a CONNECT; `raw` is the head as it came, the body is still in the stream."""

    status: int
    raw: bytes
    content_length: int | None

    @property
    def is_open(self) -> bool:
        return HTTPStatus.OK <= self.status < HTTPStatus.MULTIPLE_CHOICES


async def dial(to: Authority, what: str, limits: Limits, tls: ssl.SSLContext | None = None) -> Stream:
    """Open a connection; `what` names it in the error. Raises RefusedError (502, 504)."""
    try:
        async with asyncio.timeout(limits.dial_time):
            reader, writer = await asyncio.open_connection(
                to.host,
                to.port,
                ssl=tls,
                limit=limits.head_bytes,
                happy_eyeballs_delay=0.25,
            )
    except TimeoutError:
        text = f"{what} doesn't answer within {limits.dial_time:.0f} s"
        raise RefusedError(HTTPStatus.GATEWAY_TIMEOUT, text) from None
    except ssl.SSLCertVerificationError as error:
        reason = f"its certificate isn't trusted: {error.verify_message}"
        raise RefusedError(HTTPStatus.BAD_GATEWAY, f"{what} can't be used: {reason}") from None
    except (OSError, UnicodeError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or "no connection"
        raise RefusedError(HTTPStatus.BAD_GATEWAY, f"{what} can't be reached: {reason}") from None
    return Stream(reader, writer)


async def ask_for_tunnel(
    proxy: Stream, target: Authority, authorization: str | None, what: str, limits: Limits
) -> ConnectAnswer:
    """Send CONNECT (RFC 9110, 9.3.6) and read the answer's head. Raises RefusedError; closes nothing."""
    fields = [("Host", str(target))]
    if authorization is not None:
        fields.append(("Proxy-Authorization", authorization))
    try:
        async with asyncio.timeout(limits.connect_answer_time):
            proxy.writer.write(request_head("CONNECT", str(target), fields))
            await proxy.writer.drain()
            raw = await proxy.reader.readuntil(b"\r\n\r\n")
        status, answered = parse_status(raw)
    except TimeoutError:
        text = f"{what} gave no answer within {limits.connect_answer_time:.0f} s"
        raise RefusedError(HTTPStatus.GATEWAY_TIMEOUT, text) from None
    except (OSError, asyncio.IncompleteReadError):
        raise RefusedError(
            HTTPStatus.BAD_GATEWAY, f"{what} closed the connection without an answer"
        ) from None
    except (asyncio.LimitOverrunError, MalformedHeadError):
        raise RefusedError(HTTPStatus.BAD_GATEWAY, f"{what} doesn't speak HTTP/1.1 as a proxy does") from None
    lengths = [value for name, value in answered if name.lower() == "content-length"]
    length = (
        int(lengths[0]) if len(lengths) == 1 and lengths[0].isdecimal() and lengths[0].isascii() else None
    )
    return ConnectAnswer(status, raw, length)


async def refuse_loop(far: Stream, own_port: int) -> None:
    """Close a connection that came back to the listener itself, by whatever name. Raises RefusedError."""
    address, port = far.writer.get_extra_info("peername")[:2]
    peer = ipaddress.ip_address(str(address).partition("%")[0])
    mapped = peer.ipv4_mapped if isinstance(peer, ipaddress.IPv6Address) else None
    if port == own_port and (mapped or peer).is_loopback:
        await close(far.writer)
        raise RefusedError(HTTPStatus.FORBIDDEN, "that is this proxy itself")
