"""A real gateway process on its own state directory, and what it left behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from mitmproxy import http
from mitmproxy.io import FlowReader

from tests.e2e import forked
from tests.e2e.forked import Forked

ROOT = Path(__file__).resolve().parents[2]

AGENT_POLICY = ROOT / "policies" / "default.yaml"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until[T](ask: Callable[[], T | bool | None], seconds: float = 30.0, what: str = "it") -> T:
    """Polls `ask` until it gives something true, and returns that."""
    deadline = time.monotonic() + seconds
    while True:
        answer = ask()
        if answer:
            return answer  # type: ignore[return-value]
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds} s in vain for {what}")
        time.sleep(0.02)


def accepts(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


@dataclass
class Gateway:
    """One gateway. `config` is merged over a working one; `command`, or `mitmdump`'s arguments, may replace
    `ddgate gateway`, with PORT standing for the listener's; without a command, it begins with all loaded (see
    `forked`)."""

    directory: Path
    issuer: str
    upstream_port: int
    upstream_ca: Path
    keys: Mapping[str, str]
    config: Mapping[str, Any] = field(default_factory=dict)
    command: Sequence[str] = ()
    mitmdump: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    port: int = 0
    process: subprocess.Popen[bytes] | Forked | None = None

    def __post_init__(self) -> None:
        self.port = self.port or free_port()
        self.state = self.directory / "state"
        self.log = self.directory / "gateway.log"
        self.config_path = self.directory / "ddgate.yaml"
        self.directory.mkdir(parents=True, exist_ok=True)
        for name, value in self.keys.items():
            path = self.directory / f"{name}.key"
            path.write_text(value + "\n")
            path.chmod(0o600)
        self.config_path.write_text(json.dumps(self._config(), indent=1))

    def _config(self) -> dict[str, Any]:
        config: dict[str, Any] = {
            "version": 1,
            "listen": {"port": self.port},
            "certs": "certs",
            "policy": [str(AGENT_POLICY)],
            "issuers": [{"issuer": self.issuer, "audience": "ddgate", "algorithms": ["RS256", "ES256"]}],
            "credentials": {
                "default": {
                    "api_key": {"file": "api_key.key"},
                    "application_key": {"file": "application_key.key"},
                },
                "readonly": {
                    "api_key": {"file": "readonly_api_key.key"},
                    "application_key": {"file": "readonly_application_key.key"},
                },
            },
            "upstream": {
                "connect_to": {
                    "*": {"address": "127.0.0.1", "port": self.upstream_port, "ca": str(self.upstream_ca)}
                }
            },
        }
        config.update(self.config)
        return config

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ca(self) -> Path:
        return self.directory / "certs" / "ddgate-ca.pem"

    def start(self, *, wait: bool = True) -> Gateway:
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "DDGATE_CONFIG": str(self.config_path),
            "DDGATE_STATE": str(self.state),
            **self.environment,
        }
        with self.log.open("ab") as log:
            self.process = self._started(environment, log)
        if wait:
            wait_until(self._is_up, 30, f"the gateway; its log: {self.log.read_text()}")
        return self

    def _started(self, environment: Mapping[str, str], log: IO[bytes]) -> subprocess.Popen[bytes] | Forked:
        given = [part.replace("PORT", str(self.port)) for part in self.command or self.mitmdump]
        if not self.command:
            program = "mitmdump" if self.mitmdump else "ddgate"
            return forked.start(given or ["gateway"], environment, log, program=program)
        return subprocess.Popen(
            given,
            env=environment,
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
        )

    def _is_up(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()
        return accepts(self.port) and any((self.state / "gateways").glob("*.json"))

    def stop(self, number: int = signal.SIGTERM, seconds: float = 20) -> int:
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise

    def records(self) -> list[dict[str, Any]]:
        database = self.state / "audit.sqlite3"
        if not database.exists():
            return []
        with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
            rows = connection.execute("SELECT body FROM records ORDER BY idx").fetchall()
        return [json.loads(body) for (body,) in rows]

    def records_of(self, kind: str) -> list[dict[str, Any]]:
        return [record for record in self.records() if record["kind"] == kind]

    def flows(self) -> list[http.HTTPFlow]:
        return list(self._flows())

    def _flows(self) -> Iterator[http.HTTPFlow]:
        for path in sorted((self.state / "recordings").glob("*.mitm*")):
            with path.open("rb") as file:
                for flow in FlowReader(file).stream():
                    assert isinstance(flow, http.HTTPFlow)
                    yield flow

    def files(self) -> Iterator[tuple[Path, bytes]]:
        """Every file that the gateway may have written, its log included."""
        for path in [*self.state.rglob("*"), *(self.directory / "certs").rglob("*"), self.log]:
            if path.is_file():
                yield path, path.read_bytes()

    def status(self) -> dict[str, Any]:
        for path in (self.state / "gateways").glob("*.json"):
            loaded: dict[str, Any] = json.loads(path.read_text())
            return loaded
        return {}


def curl(
    gateway: Gateway,
    *arguments: str,
    token: str | None = None,
    timeout: float = 20,
    stdin: bytes | None = None,
) -> Curled:
    """curl through the gateway, the token as the proxy's password."""
    user = ["--proxy-user", f"agent:{token}"] if token else []
    command = ["curl", "-sS", "--max-time", str(timeout), "--proxy", gateway.url, *user]
    command += ["--cacert", str(gateway.ca), "-D", "-", *arguments]
    done = subprocess.run(
        command, capture_output=True, check=False, env={"PATH": os.environ["PATH"]}, input=stdin
    )
    return Curled.parse(done.stdout, done.stderr.decode(), done.returncode)


@dataclass(frozen=True)
class Curled:
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    error: str
    exit_code: int

    @staticmethod
    def parse(out: bytes, error: str, exit_code: int) -> Curled:
        """The last head in `out` is the answer's; those before are the proxy's 200 and interim ones."""
        status, headers = 0, []
        while out.startswith(b"HTTP/"):
            head, _, out = out.partition(b"\r\n\r\n")
            first, *lines = head.decode("latin-1").split("\r\n")
            status = int(first.split()[1])
            headers = [
                (name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)
            ]
        return Curled(status, tuple(headers), out, error, exit_code)

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def errors(self) -> str:
        """The text of ddgate's answer; fails if it has not the shape that every client reads."""
        loaded = self.json()
        assert isinstance(loaded["errors"], list), loaded
        assert loaded["errors"][0].startswith("ddgate:"), loaded
        return str(loaded["errors"][0])
