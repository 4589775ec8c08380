"""The sandbox's two programs as real processes, for tests: `start_issuer`, `start_datadog`.

Both return once the process is ready, and are context managers that stop it. The clients here go straight to
loopback, whatever proxy the environment names.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import signal
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from addons.sandbox.issuer_client import fetch_token

REPOSITORY = Path(__file__).resolve().parent.parent
START_SECONDS = 20.0
STOP_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Received:
    """One request as the stand-in got it. `status` is None while it is held, and if it was broken off."""

    n: int
    method: str
    host: str | None
    path: str
    query: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    status: int | None
    answer: bytes
    answer_headers: tuple[tuple[str, str], ...]
    connection: int

    def values(self, name: str) -> list[str]:
        return [value for each, value in self.headers if each.lower() == name.lower()]


class _Program:
    """A started process and what its ready file says."""

    def __init__(self, directory: Path, process: subprocess.Popen[bytes], ready: Mapping[str, Any]) -> None:
        self.dir = directory
        self.process = process
        self.ready = ready

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> int:
        """SIGTERM, then wait; the exit status. Does nothing to a process that has ended."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def kill(self) -> None:
        """As by a crash: SIGKILL."""
        self.process.kill()
        self.process.wait(STOP_SECONDS)


class Issuer(_Program):
    """A running development issuer."""

    @property
    def url(self) -> str:
        return str(self.ready["issuer"])

    @property
    def port(self) -> int:
        return int(self.ready["port"])

    def token(
        self,
        client_id: str,
        *,
        ttl: int | None = None,
        on_behalf_of: str | None = None,
        audience: str | None = None,
    ) -> str:
        """A good token for one of demo-agent, sre-agent, alice, bob, carol."""
        return fetch_token(self.dir, client_id, ttl=ttl, on_behalf_of=on_behalf_of, audience=audience)

    def login(self, person: str, authorize_url: str) -> str:
        """Where the browser is sent after that person has answered the login page. Raises RuntimeError where
        there is no page, or it leads nowhere."""
        parts = urllib.parse.urlsplit(authorize_url)
        status, _, page = _exchange(self.port, "GET", f"{parts.path}?{parts.query}")
        if status != 200:
            raise RuntimeError(f"GET authorize: {status} {page[:400]!r}")
        form = _LoginForm()
        form.feed(page.decode())
        body = urllib.parse.urlencode({**form.hidden, "person": person})
        status, headers, page = _exchange(
            self.port, "POST", urllib.parse.urljoin(parts.path, form.action), body
        )
        if status != 303:
            raise RuntimeError(f"POST authorize: {status} {page[:400]!r}")
        return headers["location"]

    def mint(
        self,
        *,
        ttl: int = 600,
        alg: str = "RS256",
        headers: Mapping[str, object] | None = None,
        omit: Sequence[str] = (),
        **claims: object,
    ) -> str:
        """Any token, good or bad, signed with the issuer's key."""
        body = {"claims": claims, "ttl": ttl, "alg": alg, "headers": dict(headers or {}), "omit": list(omit)}
        return str(self._admin("POST", "mint", body)["token"])

    def rotate(self, *, keep_old: bool) -> None:
        self._admin("POST", "rotate", {"keep_old": keep_old})

    def outage(self, mode: str) -> None:
        """`ok`, `error`, `garbage` or `slow`."""
        self._admin("POST", "outage", {"mode": mode})

    def stats(self) -> dict[str, int]:
        """`jwks_fetches` and `discovery_fetches`."""
        return self._admin("GET", "stats", None)

    def _admin(self, method: str, what: str, body: object) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self.ready['admin_secret']}"}
        answer: dict[str, Any] = _call(self.port, method, f"/ddgate-sandbox/{what}", body, headers)
        return answer


class _LoginForm(HTMLParser):
    """What a browser would post: the form's place and its hidden fields."""

    def __init__(self) -> None:
        super().__init__()
        self.action = ""
        self.hidden: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.action = attributes["action"]
        if tag == "input" and attributes.get("type") == "hidden":
            self.hidden[attributes["name"]] = attributes["value"]


class StandIn(_Program):
    """A running stand-in for Datadog."""

    @property
    def port(self) -> int:
        return int(self.ready["port"])

    @property
    def ca(self) -> Path:
        return Path(self.ready["ca"])

    @property
    def keys(self) -> dict[str, str]:
        """`api_key`, `application_key`, `readonly_api_key`, `readonly_application_key`."""
        keys: dict[str, str] = json.loads((self.dir / "keys.json").read_text())
        return keys

    def requests(self) -> list[Received]:
        """All that came in, in order."""
        return [_received(each) for each in self._admin("GET", "/requests")]

    def wait_for_requests(self, count: int, seconds: float = 10.0) -> list[Received]:
        """The requests, as soon as there are `count`. Raises TimeoutError."""
        deadline = time.monotonic() + seconds
        while len(received := self.requests()) < count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(received)} of {count} requests came in {seconds} s")
            time.sleep(0.02)
        return received

    def reset(self) -> None:
        """Forget the requests; monitors, logs and the like stay."""
        self._admin("DELETE", "/requests")

    def state(self) -> dict[str, Any]:
        """`logs`, `series`, `events`, `checks`, `monitors`, `dashboards`, `api_keys`."""
        state: dict[str, Any] = self._admin("GET", "/state")
        return state

    def connections(self) -> dict[str, int]:
        """`accepted` TCP connections, `established` TLS ones, `malformed` ones that spoke no HTTP."""
        connections: dict[str, int] = self._admin("GET", "/connections")
        return connections

    def _admin(self, method: str, path: str) -> Any:
        return _call(int(self.ready["admin_port"]), method, path, None, {})


def start_issuer(dir: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> Issuer:  # noqa: A002 - the option's name
    """Start `addons.sandbox.issuer` on `dir`, with more `arguments` and `environment` variables if given."""
    return Issuer(dir, *_start("issuer", dir, arguments, environment))


def start_datadog(dir: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> StandIn:  # noqa: A002 - the option's name
    """Start `addons.sandbox.datadog` on `dir`, with more `arguments` and `environment` variables if given."""
    return StandIn(dir, *_start("datadog", dir, arguments, environment))


def _start(
    name: str, directory: Path, arguments: Sequence[str], environment: Mapping[str, str] | None
) -> tuple[subprocess.Popen[bytes], dict[str, Any]]:
    command = [
        sys.executable,
        "-m",
        f"addons.sandbox.{name}",
        "--dir",
        str(directory),
        "--exit-with-parent",
        *arguments,
    ]
    process = subprocess.Popen(command, cwd=REPOSITORY, env={**os.environ, **(environment or {})})
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the sandbox {name} ended with {process.returncode}; see its stderr")
        ready = _ready(directory / f"{name}.json")
        if ready.get("pid") == process.pid:  # not the file of one that was killed
            return process, ready
        time.sleep(0.02)
    process.kill()
    process.wait(STOP_SECONDS)
    raise TimeoutError(f"the sandbox {name} wasn't ready in {START_SECONDS} s")


def _ready(path: Path) -> dict[str, Any]:
    try:
        ready: dict[str, Any] = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    return ready


def _received(entry: Mapping[str, Any]) -> Received:
    return Received(
        n=entry["n"],
        method=entry["method"],
        host=entry["host"],
        path=entry["path"],
        query=entry["query"],
        headers=tuple((name, value) for name, value in entry["headers"]),
        body=base64.b64decode(entry["body_b64"]),
        status=entry["status"],
        answer=base64.b64decode(entry["answer_b64"]),
        answer_headers=tuple((name, value) for name, value in entry["answer_headers"]),
        connection=entry["peer_connection"],
    )


def _exchange(port: int, method: str, path: str, form: str = "") -> tuple[int, dict[str, str], bytes]:
    """Status, headers by their lower-case names, body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=15)
    try:
        headers = {"Content-Type": "application/x-www-form-urlencoded"} if form else {}
        connection.request(method, path, form or None, headers)
        response = connection.getresponse()
        return (
            response.status,
            {name.lower(): value for name, value in response.getheaders()},
            response.read(),
        )
    finally:
        connection.close()


def _call(port: int, method: str, path: str, body: object, headers: Mapping[str, str]) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=15)
    try:
        connection.request(method, path, None if body is None else json.dumps(body), dict(headers))
        response = connection.getresponse()
        content = response.read()
        if response.status != 200:
            raise RuntimeError(f"{method} {path}: {response.status} {content[:200]!r}")
        return json.loads(content)
    finally:
        connection.close()
