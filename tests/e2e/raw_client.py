"""A client that says exactly what it is told to, byte for byte."""

from __future__ import annotations

import base64
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.gateway_process import Curled

Headers = Sequence[tuple[str, str]]


def basic(token: str, user: str = "agent") -> tuple[str, str]:
    return "Proxy-Authorization", "Basic " + base64.b64encode(f"{user}:{token}".encode()).decode()


def bearer(token: str) -> tuple[str, str]:
    return "Proxy-Authorization", f"Bearer {token}"


def head(first_line: str, headers: Headers) -> bytes:
    lines = [first_line, *(f"{name}: {value}" for name, value in headers)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape")


def read_answer(connection: socket.socket) -> Curled:
    """One answer by its Content-Length or chunks, or what came until the end. Status 0 means the connection
    was closed without one."""
    received = b""
    while b"\r\n\r\n" not in received:
        piece = _receive(connection)
        if not piece:
            return Curled(0, (), received, "closed", 0)
        received += piece
    raw_head, _, body = received.partition(b"\r\n\r\n")
    first, *lines = raw_head.decode("latin-1").split("\r\n")
    headers = tuple(
        (name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)
    )
    fields = dict(headers)
    if "content-length" in fields:
        while len(body) < int(fields["content-length"]):
            piece = _receive(connection)
            if not piece:
                break
            body += piece
        body = body[: int(fields["content-length"])]  # what follows answers the next request
    elif fields.get("transfer-encoding") == "chunked":
        while not body.endswith(b"0\r\n\r\n"):
            piece = _receive(connection)
            if not piece:
                break
            body += piece
    return Curled(int(first.split()[1]), headers, body, "", 0)


def _receive(connection: socket.socket) -> bytes:
    try:
        return connection.recv(65536)
    except (ConnectionError, ssl.SSLError):
        return b""


@dataclass
class Tunnel:
    """A connection to the gateway, through a CONNECT if `connect` succeeded."""

    connection: socket.socket
    connected: Curled | None = None

    def send(self, data: bytes) -> Curled:
        self.connection.sendall(data)
        return read_answer(self.connection)

    def request(self, method: str, target: str, headers: Headers = (), body: bytes = b"") -> Curled:
        sized = [*headers, ("Content-Length", str(len(body)))] if body else list(headers)
        return self.send(head(f"{method} {target} HTTP/1.1", sized) + body)

    def close(self) -> None:
        self.connection.close()


def plain(port: int, timeout: float = 10) -> Tunnel:
    return Tunnel(socket.create_connection(("127.0.0.1", port), timeout))


def connect(port: int, authority: str, headers: Headers = (), timeout: float = 10) -> Tunnel:
    """CONNECT, without TLS in it yet."""
    tunnel = plain(port, timeout)
    tunnel.connected = tunnel.send(head(f"CONNECT {authority} HTTP/1.1", [("Host", authority), *headers]))
    return tunnel


def tunnel(
    port: int,
    ca: Path,
    host: str = "api.datadoghq.com",
    headers: Headers = (),
    *,
    sni: str | None = "",
    timeout: float = 10,
) -> Tunnel:
    """CONNECT and TLS. `sni`: the server name to send, the host by default, None for none. The certificate
    must be signed by the gateway's CA; its name is only checked where SNI is the host."""
    opened = connect(port, f"{host}:443", headers, timeout)
    assert opened.connected is not None
    if opened.connected.status != 200:
        return opened
    context = ssl.create_default_context(cafile=str(ca))
    context.check_hostname = sni == ""
    if not context.check_hostname:
        # The leaf of another name is outside the CA's constraints: that is the next test's subject.
        context.verify_mode = ssl.CERT_NONE
    opened.connection = context.wrap_socket(opened.connection, server_hostname=host if sni == "" else sni)
    return opened
