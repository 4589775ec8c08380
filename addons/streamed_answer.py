"""An answer that is passed on while it comes: what is known of it, and the one way in which its parts pass.

mitmproxy hands each piece of a streamed body to a function that can't wait, and sends what it returns. Here
every piece is a hook of its own instead, `answer_part`: the stages look at it in their order, as long as they
need, and what the last of them released is sent. The method concerned is replaced, for the minor version
that `pyproject.toml` pins. Where it isn't, or a stage fails, nothing passes and the answer is cut: its last
chunk is missing, so no client takes it for whole.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from mitmproxy import connection, ctx, flow, http
from mitmproxy.proxy import commands
from mitmproxy.proxy.layers.http import HttpStream, SendHttp
from mitmproxy.proxy.layers.http._events import (
    ErrorCode,
    RequestProtocolError,
    ResponseData,
    ResponseEndOfMessage,
)
from mitmproxy.proxy.layers.http._hooks import HttpResponseHook

from addons import flowstate
from addons.answers import cut_note
from addons.flowstate import Call


@dataclass
class AnswerPartHook(commands.StartHook):
    """Some of a streamed answer came, or its end."""

    flow: http.HTTPFlow
    blocking = True


def nothing_passes(_: bytes) -> tuple[bytes, ...]:
    """What mitmproxy itself may send of an answer that is streamed."""
    return ()


async def stop_reading(client: connection.Client) -> Callable[[], None] | None:
    """Let nothing more be read for this client, from either side, until the function that this gives is
    called: what comes meanwhile would be kept in memory, however much it is. Waits until the client has taken
    most of what was sent to it.
    """
    proxy = ctx.master.addons.get("proxyserver")
    handler = proxy.connections.get(client.id) if proxy is not None else None
    if handler is None:
        return None
    # Its holder writes out what is to be sent before anything more is read.
    lock: asyncio.Lock = handler._drain_lock  # noqa: SLF001 - mitmproxy has no other way to wait
    await lock.acquire()
    return lock.release


async def catch_up(client: connection.Client) -> None:
    """Wait, as the holder of `stop_reading`, until the client has taken most of what was sent to it."""
    proxy = ctx.master.addons.get("proxyserver")
    handler = proxy.connections.get(client.id) if proxy is not None else None
    transport = handler.transports.get(client) if handler is not None else None
    if transport is not None and transport.writer is not None:
        with suppress(OSError):  # it left, which its own handler tells
            await transport.writer.drain()


def keep_open(client: connection.Client) -> None:
    """Let silence on this client's connections count from now."""
    proxy = ctx.master.addons.get("proxyserver")
    handler = proxy.connections.get(client.id) if proxy is not None else None
    if handler is not None:
        handler.timeout_watchdog.register_activity()


def break_off(one: http.HTTPFlow, why: str) -> None:
    """Close the way to the upstream; mitmproxy then reports the call as broken off. A client that doesn't
    take what was sent to it is left behind.
    """
    proxy = ctx.master.addons.get("proxyserver")
    handler = proxy.connections.get(one.client_conn.id) if proxy is not None else None
    if handler is None:
        return
    for end, transport in list(handler.transports.items()):
        if isinstance(end, connection.Server) and transport.handler is not None:
            transport.handler.cancel(why)
        elif transport.writer is not None and transport.writer.transport.get_write_buffer_size():
            transport.writer.transport.abort()


def _streaming(original: Callable[[Any, Any], Iterator[Any]]) -> Callable[[Any, Any], Iterator[Any]]:
    def streaming(self: Any, event: Any) -> Iterator[Any]:
        call = flowstate.known_call(self.flow)
        stream = call.stream if call is not None else None
        if call is None or stream is None:
            yield from original(self, event)
            return
        is_end = isinstance(event, ResponseEndOfMessage)
        if not is_end and not isinstance(event, ResponseData):
            return  # trailers, which aren't passed on
        stream.begin_part(b"" if is_end else event.data, is_last=is_end)
        yield AnswerPartHook(self.flow)
        # What was read already passes before more is read.
        queue = self._paused_event_queue
        more = bool(queue) and isinstance(queue[0], (ResponseData, ResponseEndOfMessage))
        stream.end_part(go_on=stream.out is None or not more)
        if stream.out is None:
            yield from _cut(self, call)
            return
        stream.waiting += stream.out
        if is_end:
            yield from _end(self, call)
        # Where the end is there already, the last events wait for it, and for the record.
        elif not any(isinstance(one, ResponseEndOfMessage) for one in self._paused_event_queue):
            yield from _send_waiting(self, stream)

    return streaming


def _send_waiting(layer: Any, stream: flowstate.Streamed) -> Iterator[Any]:
    if stream.waiting:  # an empty chunk would be the last one
        data, stream.waiting = stream.waiting, b""
        yield SendHttp(ResponseData(layer.stream_id, data), layer.context.client)


def _end(layer: Any, call: Call) -> Iterator[Any]:
    """As mitmproxy ends an answer, where the stages let it."""
    layer.flow.response.timestamp_end = time.time()
    yield HttpResponseHook(layer.flow)
    layer.server_state = layer.state_done
    if not call.delivered:
        layer.flow.error = flow.Error(flow.Error.KILLED_MESSAGE)
    if (yield from layer.check_killed(False)):
        return
    assert call.stream is not None  # noqa: S101 - it doesn't end being one
    yield from _send_waiting(layer, call.stream)
    if layer.client_state == layer.state_done:
        yield from layer.flow_done()


def _cut(layer: Any, call: Call) -> Iterator[Any]:
    why = RequestProtocolError(layer.stream_id, "the answer was cut", ErrorCode.KILL)
    yield SendHttp(why, layer.context.server)
    yield HttpResponseHook(layer.flow)
    assert call.stream is not None  # noqa: S101 - it doesn't end being one
    yield from _send_waiting(layer, call.stream)  # it was released, and is on record
    note = ResponseData(layer.stream_id, cut_note(call.refusal, call.id))
    yield SendHttp(note, layer.context.client)
    layer.server_state = layer.state_done
    layer.flow.error = flow.Error(flow.Error.KILLED_MESSAGE)
    yield from layer.check_killed(False)


_ORIGINAL = HttpStream.state_stream_response_body


def install() -> None:
    """Replaces it; calling it again changes nothing."""
    setattr(HttpStream, "state_stream_response_body", _streaming(_ORIGINAL))  # noqa: B010 - mypy forbids assigning a method
