"""A control process beside a gateway, people who decide, and a policy that asks them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.e2e import forked
from tests.e2e.forked import Forked
from tests.e2e.gateway_process import ROOT, Curled, Gateway, accepts, curl, free_port, wait_until
from tests.sandbox_processes import Issuer, Received, StandIn

AUDIENCE = "ddgate-control"
NOW = ("-H", "Prefer: wait=0")
"""curl's arguments for a call that is not held."""
MONITOR = "https://api.datadoghq.com/api/v1/monitor"
DASHBOARD = "https://api.datadoghq.com/api/v1/dashboard"

POLICY = """version: 1
rules:
  - id: read
    effect: allow
    who: {groups: [agents]}
    op: {risk: [read, ingest]}
  - id: write-monitors
    effect: require_approval
    who: {groups: [agents]}
    op: {name: [CreateMonitor, UpdateMonitor, DeleteMonitor]}
    approval: {need: [{group: sre-leads, count: 1}], hold: 30s}
    reason: Monitors page people.
  - id: two-people
    effect: require_approval
    who: {groups: [agents]}
    op: {name: [CreateDashboard]}
    approval:
      need: [{group: sre-leads, count: 1}, {group: secops, count: 1}]
      reason: required
      break_glass: {group: incident, review_within: 24h}
"""


def settings(directory: Path, issuer: Issuer, policy: str = POLICY, **approvals: object) -> dict[str, Any]:
    """What a gateway's configuration needs so that people can be asked."""
    path = directory / "approvals.yaml"
    path.write_text(policy)
    return {
        "policy": [str(path)],
        "control": {
            "port": free_port(),
            "login": {
                "issuer": issuer.url,
                "client_id": "ddgate-control",
                "audience": AUDIENCE,
            },
        },
        "approvals": {"default_wait": "10s", **approvals},
    }


@dataclass
class Control:
    """`ddgate control` on the state of a gateway."""

    gateway: Gateway
    issuer: Issuer
    port: int = 0
    process: Forked | None = None

    def __post_init__(self) -> None:
        self.port = self.port or int(self.gateway.config["control"]["port"])
        self.log = self.gateway.directory / f"control-{self.port}.log"
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", trust_env=False, timeout=15)

    def start(self) -> Control:
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "DDGATE_CONFIG": str(self.gateway.config_path),
            "DDGATE_STATE": str(self.gateway.state),
            "DDGATE__CONTROL__PORT": str(self.port),
        }
        with self.log.open("ab") as log:
            self.process = forked.start(["control"], environment, log)
        wait_until(self._is_up, 30, "control")
        return self

    def _is_up(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()
        return accepts(self.port)

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(15)
        self.client.close()

    def token(self, person: str, **claims: Any) -> str:
        """Of one of the sandbox's people, or of anybody else with the `groups` given."""
        if not claims:
            return self.issuer.token(person, audience=AUDIENCE)
        return self.issuer.mint(sub=person, aud=AUDIENCE, **claims)

    def ask(self, method: str, path: str, token: str, body: object = None) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"}
        return self.client.request(method, f"/api/v1/{path}", headers=headers, json=body)

    def listed(self, state: str | None = None) -> list[dict[str, Any]]:
        path = "approvals" + (f"?state={state}" if state else "")
        answer = self.ask("GET", path, self.token("alice"))
        assert answer.status_code == 200, answer.text
        return list(answer.json()["approvals"])

    def show(self, approval: str) -> dict[str, Any]:
        answer = self.ask("GET", f"approvals/{approval}", self.token("alice"))
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def wait_for(self, state: str, count: int = 1) -> list[dict[str, Any]]:
        def look() -> list[dict[str, Any]] | None:
            found = self.listed(state)
            return found if len(found) >= count else None

        return wait_until(look, 15, f"{count} {state} approvals")

    def decide(
        self, approval: str, what: str = "approve", person: str = "alice", reason: str = "", **claims: Any
    ) -> httpx.Response:
        token = self.token(person, **claims)
        return self.ask("POST", f"approvals/{approval}/{what}", token, {"reason": reason})


@contextmanager
def running(gateway: Gateway, issuer: Issuer, **options: Any) -> Iterator[Control]:
    control = Control(gateway, issuer, **options).start()
    try:
        yield control
    finally:
        control.stop()


type Place = tuple[Gateway, Control]


@contextmanager
def people_are_asked(
    make_gateway: Callable[..., Gateway], issuer: Issuer, directory: Path
) -> Iterator[Place]:
    """A gateway by the policy above, and control; neither has broken down in the end."""
    gateway = make_gateway(config=settings(directory, issuer)).start()
    with running(gateway, issuer) as control:
        yield gateway, control
    gateway.stop()
    assert "Traceback" not in gateway.log.read_text() + control.log.read_text()


def agent(gateway: Gateway, issuer: Issuer, name: str = "demo-agent") -> Callable[..., Curled]:
    """Calls by curl, as this identity."""
    token = issuer.token(name)
    return lambda *arguments: curl(gateway, *arguments, token=token)


def writes(datadog: StandIn) -> list[Received]:
    return [one for one in datadog.requests() if one.method != "GET"]


@contextmanager
def calling(call: Callable[[], Curled]) -> Iterator[Future[Curled]]:
    """Makes one call in a thread, since it is held."""
    with ThreadPoolExecutor(1) as threads:
        yield threads.submit(call)


def create_monitor(name: str = "m", **more: object) -> list[str]:
    """curl's arguments."""
    body = {"name": name, "type": "metric alert", "query": "avg(last_5m):avg:system.cpu.user{*} > 90", **more}
    return ["-X", "POST", "-H", "Content-Type: application/json", "-d", json.dumps(body), MONITOR]


def kinds(gateway: Gateway, approval: str) -> Sequence[str]:
    """The audit trail of one approval, in order."""
    return [record["kind"] for record in gateway.records() if record.get("approval") == approval]
