"""Bounds on what one connection may make the gateway buffer, and HTTP that mitmproxy leaves half done.

mitmproxy bounds bodies and nothing else, raises on trailers, and takes an interim answer for the answer. The
methods concerned are wrapped, in one place, for the minor version that `pyproject.toml` pins.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import h11
from h11._readers import ChunkedReader
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.layers.http import HttpStream, _http1
from mitmproxy.proxy.layers.http._base import ReceiveHttp
from mitmproxy.proxy.layers.http._events import ErrorCode, RequestData, ResponseProtocolError

from addons import flowstate
from addons.wire_errors import ANSWER_HEAD_EXCEEDS, error_answer

type _Handler = Callable[[Any, Any], Iterator[Any]]

_END_OF_HEAD = re.compile(rb"\n\r?\n")
# RFC 9110 section 15.2. Not 101: an upgrade is refused with its answer.
_INTERIM = re.compile(rb"HTTP/1\.[01] 1(?!01)[0-9][0-9][^\n]*\n(?:[^\r\n][^\n]*\n)*\r?\n")


def _is_head_over(buffered: Any, limit: int) -> bool:
    return len(buffered) > limit and _END_OF_HEAD.search(bytes(buffered)[:limit]) is None


def _bounded_request_head(read_headers: _Handler, limit: int) -> _Handler:
    def bounded(self: Any, event: events.ConnectionEvent) -> Iterator[Any]:
        if not _is_head_over(self.buf, limit):
            yield from read_headers(self, event)
            return
        self.state = self.done
        yield commands.SendData(self.conn, error_answer(431))
        yield commands.CloseConnection(self.conn)

    return bounded


def _bounded_answer_head(read_headers: _Handler, limit: int) -> _Handler:
    def bounded(self: Any, event: events.ConnectionEvent) -> Iterator[Any]:
        if self.stream_id is not None:
            _drop_interim_answers(self.buf)
        if self.stream_id is None or not _is_head_over(self.buf, limit):
            yield from read_headers(self, event)
            return
        self.state = self.done
        yield commands.CloseConnection(self.conn)
        error = ResponseProtocolError(self.stream_id, ANSWER_HEAD_EXCEEDS, ErrorCode.GENERIC_SERVER_ERROR)
        yield ReceiveHttp(error)

    return bounded


def _drop_interim_answers(buffered: Any) -> None:
    """The agent gets the answer alone; an interim one needs no passing on (RFC 9110 section 15.2)."""
    while len(buffered) and (found := _INTERIM.match(bytes(buffered))) is not None:
        buffered.maybe_extract_at_most(found.end())


def _without_upgrades(mark_done: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
    """Mitmproxy takes a connection that answered 101 for a pipe, and the next call on it would hang."""

    def done(self: Any, *, request: bool = False, response: bool = False) -> Iterator[Any]:
        if response and self.response.status_code == 101:  # noqa: PLR2004 - Switching Protocols
            self.state = self.done
            yield commands.CloseConnection(self.conn)
            return
        yield from mark_done(self, request=request, response=response)

    return done


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


def _without_refused_bodies(consume: _Handler) -> _Handler:
    """The body of a request that was refused by its head is read, so that the client hears the answer, and
    thrown away.
    """

    def consuming(self: Any, event: Any) -> Iterator[Any]:
        yield from consume(self, event)
        if isinstance(event, RequestData):
            call = flowstate.known_call(self.flow)
            if call is not None and call.refusal is not None:
                call.discarded += len(self.request_body_buf)
                self.request_body_buf.clear()

    return consuming


class _ChunkedReader(ChunkedReader):
    """Drops trailers, as RFC 9112 section 7.1.2 permits (mitmproxy raises on them, and the call hangs), and
    gives up on a chunk's first line, or a trailer section, that is over `limit` bytes.
    """

    limit = 64 * 1024

    def __call__(self, buf: Any) -> Any:
        event = super().__call__(buf)
        if event is None and len(buf) > self.limit:
            raise h11.RemoteProtocolError("chunk line or trailers too long")
        return h11.EndOfMessage() if isinstance(event, h11.EndOfMessage) else event


def _make_body_reader(expected_size: int | None) -> Any:
    return _ChunkedReader() if expected_size is None else _ORIGINAL_BODY_READER(expected_size)


_ORIGINAL_BODY_READER = _http1.make_body_reader
_ORIGINALS: dict[str, Callable[..., Iterator[Any]]] = {
    "request": _http1.Http1Server.read_headers,
    "answer": _http1.Http1Client.read_headers,
    "done": _http1.Http1Client.mark_done,
    "wait": _http1.Http1Server.wait,
    "body": HttpStream.state_consume_request_body,
}


def install(head_limit: int) -> None:
    """Replaces those methods; `head_limit` is in bytes. Calling it again only changes the limit."""
    _http1.make_body_reader = _make_body_reader
    _ChunkedReader.limit = head_limit
    replacements: tuple[tuple[type, str, Callable[..., Iterator[Any]]], ...] = (
        (_http1.Http1Server, "read_headers", _bounded_request_head(_ORIGINALS["request"], head_limit)),
        (_http1.Http1Client, "read_headers", _bounded_answer_head(_ORIGINALS["answer"], head_limit)),
        (_http1.Http1Client, "mark_done", _without_upgrades(_ORIGINALS["done"])),
        (_http1.Http1Server, "wait", _bounded_wait(_ORIGINALS["wait"], head_limit)),
        (HttpStream, "state_consume_request_body", _without_refused_bodies(_ORIGINALS["body"])),
    )
    for layer, name, replacement in replacements:
        setattr(layer, name, replacement)
