"""An upstream that streams what a test tells it to, when it tells it, and a client that reads as it comes."""

from __future__ import annotations

import itertools
import queue
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.e2e import raw_client
from tests.e2e.gateway_process import Gateway
from tests.e2e.raw_upstream import Exchange

API = "api.datadoghq.com"
PATH = "/api/v2/stream"
MASKED = "/api/v2/masked-stream"
EVENTS = "Content-Type: text/event-stream"
_ID = re.compile(rb"[?]id=([0-9]+)")


class _Close:
    """Break the connection off here."""


@dataclass
class Streams:
    """What each call is still to be sent, by the id in its query."""

    sent: int = 0
    _queues: dict[int, queue.SimpleQueue[bytes | type[_Close] | None]] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def script(self, exchange: Exchange) -> bool:
        found = _ID.search(exchange.head)
        assert found is not None
        pieces = self._queues[int(found[1])]
        (key,) = exchange.fields("dd-api-key")
        while (piece := pieces.get()) is not None:
            if isinstance(piece, type):
                return False
            exchange.send(piece.replace(b"KEY", key.encode()))
            self.sent += len(piece)
        return True

    def new(self) -> tuple[int, queue.SimpleQueue[bytes | type[_Close] | None]]:
        number = next(self._numbers)
        self._queues[number] = queue.SimpleQueue()
        return number, self._queues[number]


@dataclass
class Stream:
    """One call of which both ends are in the test's hands."""

    connection: socket.socket
    upstream: queue.SimpleQueue[bytes | type[_Close] | None]
    got: bytes = b""
    is_closed: bool = False

    def head(self, *fields: str) -> None:
        self.upstream.put("\r\n".join(["HTTP/1.1 200 OK", *fields]).encode() + b"\r\n\r\n")

    def chunked(self, *fields: str) -> None:
        self.head(EVENTS, "Transfer-Encoding: chunked", *fields)

    def send(self, data: bytes) -> None:
        """One chunk. `KEY` in it is the gateway's key, which is longer."""
        size = len(data) + data.count(b"KEY") * 29
        self.upstream.put(b"%x\r\n%s\r\n" % (size, data))

    def send_raw(self, data: bytes) -> None:
        self.upstream.put(data)

    def end(self) -> None:
        self.upstream.put(b"0\r\n\r\n")
        self.upstream.put(None)

    def break_off(self) -> None:
        self.upstream.put(_Close)

    def read_until(self, mark: bytes) -> bytes:
        """All that has come, once `mark` is in it. Fails if the answer ends before, or stays away."""
        while mark not in self.got:
            assert self._read(), (mark, self.got)
        return self.got

    def read_all(self) -> bytes:
        """All that comes until the answer is whole, or breaks off."""
        while not self.is_whole and self._read():
            pass
        return self.got

    @property
    def is_whole(self) -> bool:
        # Of the body alone: a head that ends with a call's id may end like that, too.
        return self.got.partition(b"\r\n\r\n")[2].endswith(b"0\r\n\r\n")

    @property
    def call(self) -> str:
        found = re.search(rb"(?i)x-ddgate-call: ([0-9A-Z]{26})", self.got)
        assert found is not None, self.got
        return found[1].decode()

    @property
    def text(self) -> bytes:
        """The body that has come, its chunks put together."""
        _, _, rest = self.got.partition(b"\r\n\r\n")
        body = b""
        while rest:
            size, _, rest = rest.partition(b"\r\n")
            body += rest[: int(size, 16)]
            rest = rest[int(size, 16) + 2 :]
        return body

    def _read(self) -> bool:
        try:
            piece = self.connection.recv(65536)
        except ConnectionError:
            piece = b""
        except TimeoutError:
            raise AssertionError(f"nothing more came after {self.got!r}") from None
        self.got += piece
        self.is_closed = not piece
        return bool(piece)


@contextmanager
def streaming(
    gateway: Gateway, streams: Streams, token: str, path: str = PATH, *fields: tuple[str, str]
) -> Iterator[Stream]:
    number, pieces = streams.new()
    tunnel = raw_client.tunnel(gateway.port, gateway.ca, headers=[raw_client.basic(token)], timeout=20)
    try:
        request = raw_client.head(f"GET {path}?id={number} HTTP/1.1", [("Host", API), *fields])
        tunnel.connection.sendall(request)
        yield Stream(tunnel.connection, pieces)
    finally:
        tunnel.close()
        pieces.put(_Close)
