"""What `ddgate demo` plays on: the whole sandbox, in a state directory and on ports of its own."""

from __future__ import annotations

import base64
import http.client
import json
import os
import secrets
import select
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from addons.cli import sandbox_config
from addons.cli.options import PROJECT_ROOT
from addons.cli.parts import start_parts, start_sandbox, without_datadog_variables
from addons.cli.processes import Child, ChildFailed, Processes
from addons.core.config import Config
from addons.core.model import Json
from addons.sandbox.issuer_client import fetch_token
from addons.sidecar.environment import DUMMY_API_KEY
from addons.store.config_file import read_config
from addons.store.state_dir import StateDir, create_private_file

DATADOG = "api.datadoghq.com"
AGENT = Path(__file__).with_name("agent.py")

_ANSWER_SECONDS = 30.0
_STOP_SECONDS = 10.0
_PARTS = ("listen", "control", "inspector")


@dataclass(frozen=True, slots=True)
class Said:
    """One line of the agent; see `agent` for what the fields mean."""

    status: int | None
    returned: str
    raised: str
    text: str
    reason: str
    id: int | None
    body: bytes
    environment: Mapping[str, str] = field(repr=False)

    @staticmethod
    def parse(line: bytes) -> Said:
        """Raises ValueError."""
        told = json.loads(line)
        words = {name: str(told.get(name) or "") for name in ("returned", "raised", "text", "reason")}
        return Said(
            status=told.get("status"),
            id=told.get("id"),
            body=base64.b64decode(told.get("body", "")),
            environment=told.get("environment", {}),
            **words,
        )


@dataclass(slots=True)
class Agent:
    """A running `agent`."""

    child: Child
    _unread: bytes = b""

    def do(self, job: str, **more: Json) -> Said:
        """Raises ChildFailed where it ends, or says nothing for half a minute."""
        self.begin(job, **more)
        return self.end()

    def begin(self, job: str, **more: Json) -> None:
        """Only tell it; `end` has what came of it."""
        process = self.child.process
        assert process.stdin is not None  # noqa: S101 - made so below
        with suppress(BrokenPipeError):  # it has ended, which the reading finds too
            process.stdin.write(json.dumps({"do": job, **more}).encode() + b"\n")

    def end(self) -> Said:
        """Raises ChildFailed, as `do`."""
        return Said.parse(self._line(time.monotonic() + _ANSWER_SECONDS))

    @property
    def has_answered(self) -> bool:
        output = self.child.process.stdout
        assert output is not None  # noqa: S101 - as above
        return bool(self._unread) or bool(select.select([output], [], [], 0)[0])

    def leave(self) -> int:
        """It ends when it is told nothing more; returns the exit status. Raises ChildFailed."""
        process = self.child.process
        assert process.stdin is not None  # noqa: S101 - as above
        process.stdin.close()
        try:
            return process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            raise ChildFailed(f"{self.child.name} didn't end within {_STOP_SECONDS:.0f} s") from None

    def _line(self, deadline: float) -> bytes:
        output = self.child.process.stdout
        assert output is not None  # noqa: S101 - as above
        while b"\n" not in self._unread:
            readable, _, _ = select.select([output], [], [], max(0.0, deadline - time.monotonic()))
            if not readable:
                raise ChildFailed(f"{self.child.name} said nothing for {_ANSWER_SECONDS:.0f} s")
            read = os.read(output.fileno(), 65536)
            if not read:
                raise ChildFailed(f"{self.child.name} ended with status {self.child.process.wait()}")
            self._unread += read
        line, _, self._unread = self._unread.partition(b"\n")
        return line


@dataclass(slots=True)
class Stage:
    """`base` is the environment of agents: the caller's, without proxies and without what steers Datadog's
    clients or ddgate.
    """

    directory: Path
    state: StateDir
    config: Config
    sandbox: sandbox_config.Sandbox
    processes: Processes
    gateway: Child
    base: Mapping[str, str]
    log: Path

    @property
    def gateway_url(self) -> str:
        return f"http://{self.config.listen.host}:{self.config.listen.port}"

    @property
    def ca(self) -> Path:
        return Path(self.config.certs) / "ddgate-ca.pem"

    @property
    def inspector_url(self) -> str:
        place = self.config.inspector
        return f"http://{place.host}:{place.port}/?token={self.state.inspector_password()}"

    @property
    def approvals_url(self) -> str:
        return f"{self.config.control.public_url}/approvals"

    def keys(self) -> Mapping[str, str]:
        """The gateway's Datadog keys, by name: `api_key`, `application_key` and a read-only pair."""
        keys: dict[str, str] = json.loads((self.sandbox.directory / "datadog" / "keys.json").read_text())
        return keys

    def token(self, client_id: str, *, on_behalf_of: str | None = None, audience: str | None = None) -> str:
        """One for the gateway, unless it is for another `audience`."""
        issuer = self.sandbox.directory / "issuer"
        return fetch_token(issuer, client_id, on_behalf_of=on_behalf_of, audience=audience)

    def make_monitor(self, monitor: Json) -> int:
        """As a person would at Datadog itself, not through the gateway; gives its id."""
        keys = self.keys()
        headers = {
            "Host": DATADOG,
            "DD-API-KEY": keys["api_key"],
            "DD-APPLICATION-KEY": keys["application_key"],
        }
        trust = ssl.create_default_context(cafile=str(self.sandbox.upstream_ca))
        with httpx.Client(verify=trust, trust_env=False) as client:
            made = client.post(
                f"https://127.0.0.1:{self.sandbox.upstream_port}/api/v1/monitor",
                json=monitor,
                headers=headers,
                extensions={"sni_hostname": DATADOG},
            )
        return int(made.raise_for_status().json()["id"])

    def expired_token(self, subject: str) -> str:
        """A token of the issuer's that was good until ten minutes ago."""
        ready = json.loads((self.sandbox.directory / "issuer" / "issuer.json").read_text())
        began = int(time.time()) - 1200
        claims = {"sub": subject, "iat": began, "nbf": began}
        connection = http.client.HTTPConnection("127.0.0.1", ready["port"], timeout=10)
        try:
            headers = {"Authorization": f"Bearer {ready['admin_secret']}"}
            body = json.dumps({"claims": claims, "ttl": -600})
            connection.request("POST", "/ddgate-sandbox/mint", body, headers)
            return str(json.loads(connection.getresponse().read())["token"])
        finally:
            connection.close()

    def agent_under_ddgate_run(self, name: str, token: str) -> Agent:
        """`ddgate run -- python agent.py`, its token in a file, as a projected one is."""
        file = self.directory / f"{secrets.token_hex(4)}.token"
        create_private_file(file, token.encode())
        arguments = ["--gateway", self.gateway_url, "--ca", str(self.ca), "--token-file", str(file)]
        run = [sys.executable, "-m", "addons.cli.main", "run", *arguments, "--state", str(self.state.path)]
        environment = {**self.base, "PYTHONPATH": str(PROJECT_ROOT)}
        return self._agent(name, [*run, "--", sys.executable, "-P", str(AGENT)], environment)

    def agent_on_its_own(self, name: str, api_key: str = DUMMY_API_KEY) -> Agent:
        """The same agent, going to the gateway without `ddgate run`."""
        environment = {
            **self.base,
            "DEMO_PROXY": self.gateway_url,
            "SSL_CERT_FILE": str(self.ca),
            "DD_API_KEY": api_key,
        }
        return self._agent(name, [sys.executable, "-P", str(AGENT)], environment)

    def log_end(self) -> list[str]:
        return _last_lines(self.log)

    def _agent(self, name: str, command: list[str], environment: Mapping[str, str]) -> Agent:
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                bufsize=0,
                start_new_session=True,
            )
        child = Child(name, process)
        self.processes.children.append(child)
        return Agent(child)


@contextmanager
def sandbox_stage(*, with_inspector: bool) -> Iterator[Stage]:
    """Starts everything, and ends and removes all of it. Raises ChildFailed where a part doesn't start."""
    directory = Path(tempfile.mkdtemp(prefix="ddgate-demo-"))
    base = _agents_environment(os.environ)
    environment = {
        **base,
        "PYTHONPATH": str(PROJECT_ROOT),
        "DDGATE__CERTS": str(directory / "certs"),
        "DDGATE__INSPECTOR__ENABLED": "true" if with_inspector else "false",
        **{f"DDGATE__{part.upper()}__PORT": str(port) for part, port in _free_ports().items()},
    }
    log = directory / "processes.log"
    processes = Processes(environment, log)
    try:
        state = StateDir.open(directory / "state")
        try:
            sandbox = start_sandbox(processes, state.path)
            config_path = sandbox_config.write_config(sandbox, PROJECT_ROOT)
            config = read_config(config_path, environment).config
            gateway = start_parts(processes, config_path, config, state.path)
        except ChildFailed as failed:
            raise ChildFailed("; ".join([str(failed), *_last_lines(log)])) from None
        yield Stage(directory, state, config, sandbox, processes, gateway, base, log)
    finally:
        with _undisturbed():
            _stop(processes)
            shutil.rmtree(directory)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Signals wait until the block has ended: whoever is impatient leaves nothing behind either."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _agents_environment(environment: Mapping[str, str]) -> dict[str, str]:
    kept = without_datadog_variables(environment)
    return {
        name: value
        for name, value in kept.items()
        if not name.startswith(("DDGATE_", "SSL_CERT", "PYTHONPATH")) and not name.lower().endswith("_proxy")
    }


def _free_ports() -> dict[str, int]:
    """All held at once while they are chosen, so that no two are the same."""
    with ExitStack() as stack:
        sockets = {part: stack.enter_context(socket.socket()) for part in _PARTS}
        for one in sockets.values():
            one.bind(("127.0.0.1", 0))
        return {part: int(one.getsockname()[1]) for part, one in sockets.items()}


def _last_lines(log: Path, count: int = 12) -> list[str]:
    try:
        return log.read_text(errors="replace").splitlines()[-count:]
    except FileNotFoundError:
        return []


def _stop(processes: Processes) -> None:
    processes.stop(_STOP_SECONDS)
    for child in processes.children:
        # What an agent may have left behind in its own process group.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child.process.pid, signal.SIGKILL)
        for pipe in (child.process.stdin, child.process.stdout):
            if pipe is not None:
                pipe.close()


def still_running(processes: Processes) -> list[str]:
    """The names of the children that have a living process in their group."""
    found = []
    for child in processes.children:
        try:
            os.killpg(child.process.pid, 0)
        except (ProcessLookupError, PermissionError):  # the second: a number that somebody else has by now
            continue
        found.append(child.name)
    return found
