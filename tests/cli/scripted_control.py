"""An HTTP(S) server in control's place that answers as a test says, and remembers what it was asked."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

EMPTY_PAGE: dict[str, Any] = {"approvals": [], "before": None, "version": 0}


@dataclass
class Answer:
    status: int = 200
    body: Any = field(default_factory=lambda: EMPTY_PAGE)
    """JSON, unless it is bytes."""
    headers: dict[str, str] = field(default_factory=dict)


def problem(status: int, reason: str, detail: str = "because") -> Answer:
    return Answer(status, {"title": "x", "status": status, "detail": detail, "reason": reason})


@dataclass
class ScriptedControl:
    """`answers` one after the other; the last one stays."""

    answers: list[Answer]
    tls: ssl.SSLContext | None = None
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    """(method, path, Authorization)"""
    port: int = 0

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def next(self) -> Answer:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    @contextmanager
    def running(self) -> Iterator[ScriptedControl]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 10

            def do_GET(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", "0")))
                outer.asked.append((self.command, self.path, self.headers.get("Authorization", "")))
                answer = outer.next()
                body = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
                self.send_response(answer.status)
                for name, value in {**answer.headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET  # noqa: N815 - the base class's name

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
                """Say nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        if self.tls is not None:
            server.socket = self.tls.wrap_socket(server.socket, server_side=True)
        self.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            thread.join(5)
            server.server_close()
