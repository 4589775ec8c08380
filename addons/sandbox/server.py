"""A small HTTP/1.1 server on asyncio and h11 that shows its handler what really came over the wire.

Frameworks normalise: names in lower case, decoded paths, no way to split a chunk at a chosen byte or to
answer something that isn't HTTP. A stand-in that proves what a gateway sends, and that plays a broken
upstream, needs the bytes (RFC 9112).
"""

from __future__ import annotations

import asyncio
import itertools
import json
import socket
import ssl
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus

import h11

type Json = bool | int | float | str | list[Json] | dict[str, Json] | None
type Header = tuple[str, str]

MAX_BODY = 64 * 1024 * 1024  # octets, as received
MAX_HEAD = 64 * 1024
_READ = 64 * 1024
_HANDSHAKE_SECONDS = 20.0
_BODILESS = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})


@dataclass(frozen=True, slots=True)
class Request:
    """One request as received.

    `path` and `query` are undecoded, `headers` in order with their own case and Latin-1 values, `body` is
    before any content decoding. `connection` numbers the TCP connections from 1.
    """

    connection: int
    method: str
    path: str
    query: str
    headers: tuple[Header, ...]
    body: bytes

    def values(self, name: str) -> list[str]:
        """Every value of a field, whatever the case of its name."""
        return [value for each, value in self.headers if each.lower() == name.lower()]

    def value(self, name: str) -> str | None:
        """Look up a field that is there exactly once; None otherwise."""
        values = self.values(name)
        return values[0] if len(values) == 1 else None


@dataclass(frozen=True, slots=True)
class Answer:
    """What to send back. With `cuts` the body goes out chunked, cut at these offsets.

    `raw` replaces the whole answer by these octets, after which the connection is closed; empty, it is closed
    without an answer.
    """

    status: int = 200
    headers: tuple[Header, ...] = ()
    body: bytes = b""
    cuts: tuple[int, ...] | None = None
    raw: bytes | None = None

    def wire_headers(self) -> tuple[Header, ...]:
        """`headers` and the framing field that the body needs."""
        if self.raw is not None or self.status in _BODILESS:
            return self.headers
        if self.cuts is not None:
            return (*self.headers, ("Transfer-Encoding", "chunked"))
        return (*self.headers, ("Content-Length", str(len(self.body))))


def json_answer(content: Json, status: int = 200, headers: tuple[Header, ...] = ()) -> Answer:
    body = json.dumps(content).encode()
    return Answer(status, (("Content-Type", "application/json"), *headers), body)


def parse_json_object(body: bytes) -> dict[str, Json]:
    """Take an empty body for an empty object. Raises ValueError where it isn't a JSON object."""
    try:
        content = json.loads(body or b"{}")
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(content, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004 - one error for all that can't be read
    return content


type Handler = Callable[[Request], Awaitable[Answer]]


@dataclass(slots=True)
class Counters:
    """`accepted`: TCP connections; `established`: those whose TLS handshake succeeded (all, without TLS).

    `malformed`: those that ended over something that isn't HTTP/1.1.
    """

    accepted: int = 0
    established: int = 0
    malformed: int = 0


class Server:
    """Serves one listening socket until `close`. Calls in flight are broken off then, as by a crash."""

    def __init__(self, listener: socket.socket, handler: Handler, tls: ssl.SSLContext | None = None) -> None:
        self.counters = Counters()
        self._listener = listener
        self._handler = handler
        self._tls = tls
        self._tasks: set[asyncio.Task[None]] = set()
        self._accepting = asyncio.create_task(self._accept())

    async def close(self) -> None:
        tasks = [self._accepting, *self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._listener.close()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, _ = await loop.sock_accept(self._listener)
            except OSError as error:  # out of descriptors, or gone before it was taken
                sys.stderr.write(f"sandbox: a connection was not accepted: {error.strerror}\n")
                await asyncio.sleep(0.05)
                continue
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.counters.accepted += 1
            task = asyncio.create_task(self._serve(accepted, self.counters.accepted))
            self._tasks.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            sys.stderr.write(f"sandbox: a call failed in the sandbox itself: {type(error).__name__}\n")

    async def _serve(self, accepted: socket.socket, number: int) -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(loop=loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        try:
            transport, _ = await loop.connect_accepted_socket(
                lambda: protocol,
                accepted,
                ssl=self._tls,
                ssl_handshake_timeout=_HANDSHAKE_SECONDS if self._tls else None,
            )
        except OSError:  # ssl.SSLError is one; the client's side says what it didn't like
            accepted.close()
            return
        self.counters.established += 1
        writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        try:
            await _Connection(number, reader, writer, self._handler, self.counters).run()
        except asyncio.CancelledError:
            transport.abort()
            raise
        except (OSError, EOFError):
            pass  # the client left
        finally:
            writer.close()


class _Connection:
    def __init__(
        self,
        number: int,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        handler: Handler,
        counters: Counters,
    ) -> None:
        self._number = number
        self._reader = reader
        self._writer = writer
        self._handler = handler
        self._counters = counters
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)

    async def run(self) -> None:
        try:
            while (head := await self._next()) is not None:
                if not isinstance(head, h11.Request):
                    return
                body = await self._body()
                if body is None:
                    await self._send(
                        json_answer({"errors": ["Payload too large"]}, 413, (("Connection", "close"),))
                    )
                    return
                answer = await self._handler(_request(self._number, head, body))
                if answer.raw is not None:
                    self._writer.write(answer.raw)
                    await self._writer.drain()
                    return
                await self._send(answer, bodiless=head.method == b"HEAD")
                if self._http.states != {h11.CLIENT: h11.DONE, h11.SERVER: h11.DONE}:
                    return
                self._http.start_next_cycle()
        except h11.RemoteProtocolError:
            self._counters.malformed += 1
            if self._http.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
                await self._send(json_answer({"errors": ["Bad request"]}, 400, (("Connection", "close"),)))

    async def _next(self) -> h11.Event | None:
        """Wait for the next event; None where the client closed between two requests or cut one off."""
        while True:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                if self._http.they_are_waiting_for_100_continue:
                    self._write(h11.InformationalResponse(status_code=100, headers=[]))
                self._http.receive_data(await self._reader.read(_READ))
            elif isinstance(event, h11.ConnectionClosed) or event is h11.PAUSED:
                return None
            else:
                return event  # type: ignore[return-value]  # the two markers are dealt with

    async def _body(self) -> bytes | None:
        """Read the body to its end; None where it is larger than MAX_BODY."""
        parts: list[bytes] = []
        size = 0
        while isinstance(event := await self._next(), h11.Data):
            size += len(event.data)
            if size > MAX_BODY:
                return None
            parts.append(bytes(event.data))
        if not isinstance(event, h11.EndOfMessage):
            raise EOFError  # noqa: TRY004 - the client went in the middle of its body
        return b"".join(parts)

    async def _send(self, answer: Answer, *, bodiless: bool = False) -> None:
        self._write(
            h11.Response(
                status_code=answer.status,
                headers=[
                    (name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.wire_headers()
                ],
                reason=HTTPStatus(answer.status).phrase.encode() if answer.status in set(HTTPStatus) else b"",
            )
        )
        if not bodiless and answer.status not in _BODILESS:
            edges = [0, *(answer.cuts or ()), len(answer.body)]
            for start, end in itertools.pairwise(edges):
                if start < end:
                    self._write(h11.Data(data=answer.body[start:end]))
                    await self._writer.drain()
        self._write(h11.EndOfMessage())
        await self._writer.drain()

    def _write(self, event: h11.Event) -> None:
        if data := self._http.send(event):
            self._writer.write(data)


def _request(connection: int, head: h11.Request, body: bytes) -> Request:
    path, _, query = head.target.decode("latin-1").partition("?")
    return Request(
        connection=connection,
        method=head.method.decode("latin-1"),
        path=path,
        query=query,
        headers=tuple(
            (name.decode("latin-1"), value.decode("latin-1")) for name, value in head.headers.raw_items()
        ),
        body=body,
    )
