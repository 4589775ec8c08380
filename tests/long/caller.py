"""A client with a kept tunnel, which can tell whether it got the whole of an answer."""

from __future__ import annotations

import json
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import h11

from tests.e2e import raw_client
from tests.e2e.raw_client import Headers

_ENOUGH = 64 * 1024


@dataclass(frozen=True)
class Answer:
    """One answer, whole. `is_last`: the connection is of no use after it."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    is_last: bool

    def header(self, name: str) -> str:
        return next((value for each, value in self.headers if each == name), "")

    @property
    def is_ddgates(self) -> bool:
        """Made by the gateway: JSON with a list `errors` of its own texts, or the head of that."""
        if not self.body:
            return bool(self.header("x-ddgate-call"))
        try:
            loaded = json.loads(self.body)
        except (ValueError, RecursionError):
            return False
        told = loaded.get("errors") if isinstance(loaded, dict) else None
        return (
            isinstance(told, list)
            and bool(told)
            and all(isinstance(one, str) and one.startswith("ddgate:") for one in told)
        )


def read_answer(connection: socket.socket, method: str, so_far: bytes = b"") -> tuple[Answer | None, bytes]:
    """The next answer and what came after it; None if the connection ended, or its time-out passed, first.

    Raises h11.RemoteProtocolError for what is no HTTP/1.1 answer (RFC 9112).
    """
    http = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
    http.send(h11.Request(method=method, target="/", headers=[("Host", "x")]))
    http.send(h11.EndOfMessage())
    received = bytearray(so_far)
    if so_far:
        http.receive_data(so_far)
    head: h11.Response | None = None
    body = b""
    while True:
        event = http.next_event()
        if event is h11.NEED_DATA:
            try:
                data = connection.recv(_ENOUGH)
            except OSError:  # a time-out and the errors of TLS among them
                return None, bytes(received)
            received += data
            if not data and http.their_state is h11.SEND_RESPONSE:
                return None, bytes(received)
            http.receive_data(data)
        elif isinstance(event, h11.Response):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage) or (event is h11.PAUSED and head is not None):
            assert head is not None  # paused: what follows a CONNECT's 200 is no HTTP
            headers = tuple((name.decode(), value.decode("latin-1")) for name, value in head.headers)
            is_last = http.their_state is not h11.DONE
            return Answer(head.status_code, headers, body, is_last), http.trailing_data[0]
        elif not isinstance(event, h11.InformationalResponse):
            return None, bytes(received)


class Caller:
    """Calls one host through one tunnel, which is opened again when it has ended."""

    def __init__(self, port: int, ca: Path, host: str, token: str, timeout: float = 20) -> None:
        self._port, self._ca, self._host, self._timeout = port, ca, host, timeout
        self._login = [raw_client.basic(token)]
        self._connection: socket.socket | None = None

    @property
    def is_open(self) -> bool:
        return self._connection is not None

    def connection(self) -> socket.socket:
        """Raises OSError if there is no tunnel to be had."""
        if self._connection is None:
            opened = raw_client.tunnel(self._port, self._ca, self._host, self._login, timeout=self._timeout)
            if opened.connected is None or opened.connected.status != 200:
                opened.close()
                raise ConnectionError(f"no tunnel: {opened.connected}")
            self._connection = opened.connection
        return self._connection

    def call(self, method: str, target: str, body: bytes = b"", headers: Headers = ()) -> Answer | None:
        """The whole answer, or None if the connection ended before. Raises OSError as `connection` does."""
        return self.exchange(self.request(method, target, body, headers), method)

    def exchange(self, data: bytes, method: str) -> Answer | None:
        """As `call`, with a request that the caller made."""
        connection = self.connection()
        try:
            connection.sendall(data)
            answer, _ = read_answer(connection, method)
        except (OSError, h11.RemoteProtocolError):
            answer = None
        if answer is None or answer.is_last:
            self.close()
        return answer

    def request(self, method: str, target: str, body: bytes = b"", headers: Headers = ()) -> bytes:
        fields: Sequence[tuple[str, str]] = [("Host", self._host), *headers]
        if body:
            fields = [*fields, ("Content-Length", str(len(body)))]
        return raw_client.head(f"{method} {target} HTTP/1.1", fields) + body

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
