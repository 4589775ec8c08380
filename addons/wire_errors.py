"""mitmproxy's own error answers, put into ddgate's form; and bounds on what one connection may buffer.

mitmproxy answers protocol errors before any addon runs, in HTML that quotes what it could not read: that
crashes clients which expect JSON and may repeat a secret. It has no option for either matter, so a few of
its functions are replaced, in one place, for the minor version that `pyproject.toml` pins.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, cast

import h11
from h11._readers import ChunkedReader
from mitmproxy import http
from mitmproxy.net.http import http1
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.layers.http import _http1
from mitmproxy.proxy.layers.http._base import ReceiveHttp
from mitmproxy.proxy.layers.http._events import ErrorCode, ResponseProtocolError

from addons.answers import error_body
from addons.core.model import Reason, Refusal

_MALFORMED = Refusal(400, Reason.MALFORMED_REQUEST, "the request is not well-formed HTTP", "mend the client")
_BY_STATUS = {
    400: _MALFORMED,
    413: Refusal(
        413, Reason.BODY_TOO_LARGE, "the body is over the gateway's limit", "send less in one request"
    ),
    431: Refusal(
        431, Reason.MALFORMED_REQUEST, "the request's head is over the gateway's limit", "send fewer headers"
    ),
    502: Refusal(
        502,
        Reason.UPSTREAM_FAILED,
        "Datadog could not be reached, or broke off",
        "try again later; the audit trail says whether the call was sent",
    ),
}
# An answer that is too large to be checked came from a call that ran: a 5xx would make clients repeat it.
_ANSWER_TOO_LARGE = Refusal(
    409,
    Reason.ANSWER_WITHHELD,
    "the call ran; its answer is over the gateway's limit and is withheld",
    "ask for less at a time",
)
# How mitmproxy's message, and one of ours, begin.
_ANSWER_HEAD_EXCEEDS = "Response head exceeds"
_TOO_LARGE = ("Response body exceeds", _ANSWER_HEAD_EXCEEDS)


def make_error_response(status_code: int, message: str = "") -> bytes:
    """Stands in for mitmproxy's function of the same name. `message` may quote what came
    over the wire, so it only chooses between fixed texts.
    """
    refusal = _BY_STATUS.get(status_code, _MALFORMED)
    if status_code == 502 and message.startswith(_TOO_LARGE):  # noqa: PLR2004 - HTTP
        refusal = _ANSWER_TOO_LARGE
    response = http.Response.make(
        refusal.status,
        error_body(refusal),
        http.Headers([(b"Content-Type", b"application/json"), (b"Connection", b"close")]),
    )
    return cast(bytes, http1.assemble_response(response))


type _Handler = Callable[[Any, events.ConnectionEvent], Iterator[Any]]

_END_OF_HEAD = re.compile(rb"\n\r?\n")


def _is_head_over(buffered: Any, limit: int) -> bool:
    return len(buffered) > limit and _END_OF_HEAD.search(bytes(buffered)[:limit]) is None


def _bounded_request_head(read_headers: _Handler, limit: int) -> _Handler:
    def bounded(self: Any, event: events.ConnectionEvent) -> Iterator[Any]:
        if not _is_head_over(self.buf, limit):
            yield from read_headers(self, event)
            return
        self.state = self.done
        yield commands.SendData(self.conn, make_error_response(431))
        yield commands.CloseConnection(self.conn)

    return bounded


def _bounded_answer_head(read_headers: _Handler, limit: int) -> _Handler:
    def bounded(self: Any, event: events.ConnectionEvent) -> Iterator[Any]:
        if self.stream_id is None or not _is_head_over(self.buf, limit):
            yield from read_headers(self, event)
            return
        self.state = self.done
        yield commands.CloseConnection(self.conn)
        error = ResponseProtocolError(self.stream_id, _ANSWER_HEAD_EXCEEDS, ErrorCode.GENERIC_SERVER_ERROR)
        yield ReceiveHttp(error)

    return bounded


def _bounded_wait(wait: _Handler, limit: int) -> _Handler:
    """A client that goes on sending while its call runs fills the gateway's memory: past what a pipelined
    head may take it is treated as one that left.
    """

    def bounded(self: Any, event: events.ConnectionEvent) -> Iterator[Any]:
        if isinstance(event, events.DataReceived) and len(self.buf) > limit:
            self.state = self.done
            event = events.ConnectionClosed(event.connection)
        yield from wait(self, event)

    return bounded


class _ChunkedReader(ChunkedReader):
    """Drops trailers, as RFC 9112 section 7.1.2 permits. mitmproxy raises on them, and the call hangs."""

    def __call__(self, buf: Any) -> Any:
        event = super().__call__(buf)
        return h11.EndOfMessage() if isinstance(event, h11.EndOfMessage) else event


def _make_body_reader(expected_size: int | None) -> Any:
    return _ChunkedReader() if expected_size is None else _original_body_reader(expected_size)


_original_body_reader = _http1.make_body_reader
_ORIGINALS: dict[str, _Handler] = {
    "request": _http1.Http1Server.read_headers,
    "answer": _http1.Http1Client.read_headers,
    "wait": _http1.Http1Server.wait,
}


def install(head_limit: int) -> None:
    """Replaces those functions; `head_limit` is in bytes. Calling it again only changes the limit."""
    _http1.make_error_response = make_error_response
    _http1.make_body_reader = _make_body_reader
    server, client = _http1.Http1Server, _http1.Http1Client
    # setattr, because mypy forbids assigning a method.
    setattr(server, "read_headers", _bounded_request_head(_ORIGINALS["request"], head_limit))  # noqa: B010
    setattr(client, "read_headers", _bounded_answer_head(_ORIGINALS["answer"], head_limit))  # noqa: B010
    setattr(server, "wait", _bounded_wait(_ORIGINALS["wait"], head_limit))  # noqa: B010
