"""A stand-in for the endpoints that give tokens to workloads: answers as told, remembers what was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

REQUEST_TOKEN = "the-jobs-own-request-token"


@dataclass
class Endpoint:
    """`answer` makes status and body of each request; `location` goes along where it is set."""

    answer: Callable[[], tuple[int, bytes]]
    location: str | None = None
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    posted: list[bytes] = field(default_factory=list)
    port: int = 0

    @property
    def authority(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def github(self) -> dict[str, str]:
        """What the runner puts into a job's variables."""
        return {
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"http://{self.authority}/token?api-version=2.0",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": REQUEST_TOKEN,
        }

    def azure(self, file: Path) -> dict[str, str]:
        """What the webhook of Azure workload identity puts into a pod's variables."""
        return {
            "AZURE_FEDERATED_TOKEN_FILE": str(file),
            "AZURE_CLIENT_ID": "0c11e0c1",
            "AZURE_TENANT_ID": "7e0a07",
            "AZURE_AUTHORITY_HOST": f"http://{self.authority}/",
        }

    @contextmanager
    def running(self) -> Iterator[Endpoint]:
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                endpoint.posted.append(self.rfile.read(int(self.headers["Content-Length"])))
                self.do_GET()

            def do_GET(self) -> None:
                endpoint.asked.append(
                    (self.path, {name.lower(): text for name, text in self.headers.items()})
                )
                status, body = endpoint.answer()
                self.send_response(status)
                if endpoint.location is not None:
                    self.send_header("Location", endpoint.location)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
                """Say nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


def as_entra(token: str) -> tuple[int, bytes]:
    return 200, json.dumps({"token_type": "Bearer", "expires_in": 3599, "access_token": token}).encode()


def as_github(token: str) -> tuple[int, bytes]:
    return 200, json.dumps({"count": len(token), "value": token}).encode()
