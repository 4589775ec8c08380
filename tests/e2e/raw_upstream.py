"""An upstream that answers exactly what it is told to, byte for byte, behind the stand-in's certificate."""

from __future__ import annotations

import re
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from addons.sandbox.datadog_tls import CA_FILE, CA_NAME, server_context
from tests.e2e.gateway_process import Gateway
from tests.e2e.open_policy import write_open_policy

API_KEY = "0123456789abcdef0123456789abcde1"
APPLICATION_KEY = "f123456789abcdef0123456789abcdef01234567"
KEYS: Mapping[str, str] = {
    "api_key": API_KEY,
    "application_key": APPLICATION_KEY,
    "readonly_api_key": "a" * 31 + "1",
    "readonly_application_key": "b" * 39 + "2",
}
_LENGTH = re.compile(rb"(?im)^content-length: *([0-9]+)")
_LAST_CHUNK = b"0\r\n\r\n"


def ok(body: bytes, *headers: str) -> bytes:
    """A whole 200 answer with its length."""
    lines = ["HTTP/1.1 200 OK", *headers, f"Content-Length: {len(body)}"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@dataclass
class Exchange:
    """One request as it came in, and the connection to answer it on."""

    head: bytes
    body: bytes
    connection: ssl.SSLSocket
    released: threading.Event

    @property
    def path(self) -> str:
        return self.head.split()[1].decode("latin-1").partition("?")[0]

    def fields(self, name: str) -> list[str]:
        pairs = (line.partition(b":") for line in self.head.split(b"\r\n")[1:])
        return [value.strip().decode() for key, _, value in pairs if key.lower() == name.lower().encode()]

    def send(self, data: bytes) -> None:
        self.connection.sendall(data)

    def hold(self) -> None:
        """Says nothing until the test releases it, or ends."""
        self.released.wait()


type Script = Callable[[Exchange], bool | None]
"""Answers one request; False closes the connection."""


def _default(exchange: Exchange) -> None:
    exchange.send(ok(b'{"ok": true}', "Content-Type: application/json"))


@dataclass
class RawUpstream:
    """Answers by the scripts' paths, and `{"ok": true}` elsewhere. With `speaks_tls` False it accepts
    connections and never says a word; with `accepts` False it does not even accept them. A real issuer needs
    a `ca_name` that isn't the sandbox's.
    """

    directory: Path
    scripts: Mapping[str, Script] = field(default_factory=dict)
    speaks_tls: bool = True
    accepts: bool = True
    ca_name: str = CA_NAME
    seen: list[Exchange] = field(default_factory=list)
    connections: int = 0
    released: threading.Event = field(default_factory=threading.Event)
    port: int = 0

    def __enter__(self) -> Self:
        self.directory.mkdir(parents=True, exist_ok=True)
        self._context = server_context(self.directory, self.ca_name)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128 if self.accepts else 0)
        self._kept: list[socket.socket] = []
        self.port = int(self._listener.getsockname()[1])
        if self.accepts:
            threading.Thread(target=self._serve, daemon=True).start()
        else:
            self._fill_the_queue()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.released.set()
        self._listener.close()
        for kept in self._kept:
            kept.close()

    @property
    def ca(self) -> Path:
        return self.directory / CA_FILE

    def paths(self) -> list[str]:
        return [exchange.path for exchange in self.seen]

    def _fill_the_queue(self) -> None:
        """The system then drops what else would connect, as a firewall does."""
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", self.port))
            self._kept.append(filler)

    def _serve(self) -> None:
        while True:
            try:
                accepted, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            if self.speaks_tls:
                threading.Thread(target=self._one, args=(accepted,), daemon=True).start()
            else:
                self._kept.append(accepted)

    def _one(self, accepted: socket.socket) -> None:
        try:
            with self._context.wrap_socket(accepted, server_side=True) as connection:
                received = b""
                while (read := self._request(connection, received)) is not None:
                    head, body, received = read
                    exchange = Exchange(head, body, connection, self.released)
                    self.seen.append(exchange)
                    if self.scripts.get(exchange.path, _default)(exchange) is False:
                        return
        except OSError:
            return  # the gateway hung up

    def _request(self, connection: ssl.SSLSocket, received: bytes) -> tuple[bytes, bytes, bytes] | None:
        """Head, body as it travelled, and what came after; None at the end of the connection."""

        def more(until: Callable[[bytes], bool], data: bytes) -> bytes | None:
            while not until(data):
                piece = connection.recv(65536)
                if not piece:
                    return None
                data += piece
            return data

        whole = more(lambda data: b"\r\n\r\n" in data, received)
        if whole is None:
            return None
        head, _, rest = whole.partition(b"\r\n\r\n")
        if (found := _LENGTH.search(head)) is not None:
            length = int(found[1])
            read = more(lambda data: len(data) >= length, rest)
            return None if read is None else (head, read[:length], read[length:])
        if b"chunked" in head.lower():
            read = more(lambda data: _LAST_CHUNK in data, rest)
            end = -1 if read is None else read.index(_LAST_CHUNK) + len(_LAST_CHUNK)
            return None if read is None else (head, read[:end], read[end:])
        return head, b"", rest


def gateway_before(directory: Path, issuer_url: str, upstream: RawUpstream, /, **config: object) -> Gateway:
    """A gateway, not started, that permits agents everything and dials `upstream`."""
    policy = {"policy": [write_open_policy(directory)]}
    return Gateway(
        directory / "gateway", issuer_url, upstream.port, upstream.ca, KEYS, config={**policy, **config}
    )


def records_of_call(gateway: Gateway, call: str) -> list[tuple[str, str | None]]:
    """Kind and outcome of each record of one call, in their order."""
    mine = [record for record in gateway.records() if record.get("call") == call]
    return [(record["kind"], (record.get("attributes") or {}).get("outcome")) for record in mine]
