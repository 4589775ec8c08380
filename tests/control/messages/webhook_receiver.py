"""A receiver of webhooks on loopback, whose answers a test chooses, and which keeps what it got."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

PATH = "/services/T000/B000/a-secret-of-the-url"

type Answer = Callable[[BaseHTTPRequestHandler], None]


@dataclass(frozen=True, slots=True)
class Got:
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def message(self) -> dict[str, Any]:
        parsed = json.loads(self.body)
        assert isinstance(parsed, dict)
        return parsed

    @property
    def type(self) -> str:
        return str(self.message["type"])


def status(code: int, **headers: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        for name, value in {"Content-Length": "0", **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()

    return answer


def garbage(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"\x00\xff not HTTP \r\n\r\n")


def hang_up(handler: BaseHTTPRequestHandler) -> None:
    handler.connection.close()


def endless(handler: BaseHTTPRequestHandler) -> None:
    """A success whose body never ends."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
    try:
        while True:
            handler.wfile.write(b"x" * 65536)
    except OSError:
        return


def endless_head(handler: BaseHTTPRequestHandler) -> None:
    try:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            handler.wfile.write(b"X-A: " + b"x" * 60_000 + b"\r\n")
    except OSError:
        return


class WebhookReceiver:
    """Answers 204, or what `answers` says for each request in its turn, the last of them for ever."""

    def __init__(self, *answers: Answer, certificate: Path | None = None) -> None:
        self.answers = list(answers)
        self.got: list[Got] = []
        self.released = threading.Event()
        self._changed = threading.Condition()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            timeout = 10
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.path != PATH:
                    status(404)(self)
                    return
                outer.take(Got({name.lower(): value for name, value in self.headers.items()}, body))(self)
                self.close_connection = True

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
                """Say nothing."""

        class Server(ThreadingHTTPServer):
            request_queue_size = 128  # more at once than it could take are reset, and come again

            def handle_error(self, request: object, client_address: object) -> None:
                """A client that leaves is no news."""

        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        if certificate is not None:
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(certificate)
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        scheme = "http" if certificate is None else "https"
        self.url = f"{scheme}://127.0.0.1:{self.server.server_address[1]}{PATH}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)

    def take(self, got: Got) -> Answer:
        with self._changed:
            self.got.append(got)
            answer = status(204)
            if self.answers:
                answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            self._changed.notify_all()
        return answer

    def hold(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer only once `released` is set."""
        self.released.wait(20)
        status(204)(handler)

    def wait_for(self, count: int, seconds: float = 15) -> list[Got]:
        """What it got, once it is so many messages."""
        end = time.monotonic() + seconds
        with self._changed:
            while len(self.got) < count:
                left = end - time.monotonic()
                assert left > 0, f"{len(self.got)} of {count} messages: {[one.body[:80] for one in self.got]}"
                self._changed.wait(left)
            return list(self.got)

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.released.set()
        if self.thread.is_alive():
            self.server.shutdown()
            self.server.server_close()
            self.thread.join()
