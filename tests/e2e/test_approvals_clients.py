"""Unmodified clients get through a call that waits for a person: in one call, or by repeating it."""

from __future__ import annotations

import ast
import json
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.agent_run import CLIENTS, Agent, Ran
from tests.e2e.approving import Control, kinds, running, settings
from tests.e2e.gateway_process import ROOT, Gateway
from tests.e2e.raw_upstream import KEYS, Exchange, RawUpstream
from tests.sandbox_processes import Issuer

MODULES = ROOT / ".ci" / "node" / "node_modules"
JOB = [sys.executable, str(CLIENTS / "create_monitor.py")]
QUERY = "avg(last_5m):avg:a{*} > 1"
ASKING = """version: 1
rules:
  - id: writes
    effect: require_approval
    who: {groups: [agents]}
    op: {name: [CreateMonitor, SubmitCIPipelineTags]}
    approval: {need: [{group: sre-leads, count: 1}], hold: 60s}
"""
# Each creates a monitor named after it; datadog-ci has no such command, and sends a tag of a job.
COMMANDS: Mapping[str, list[str]] = {
    "sync": [*JOB, "sync", "by-sync"],
    "async": [*JOB, "async", "by-async"],
    "datadogpy": [*JOB, "datadogpy", "by-datadogpy"],
    "dogshell": [
        *(str(Path(sys.executable).with_name("dogshell")), "monitor", "post", "metric alert", QUERY),
        *("--name", "by-dogshell"),
    ],
    "curl": [
        *("curl", "-sS", "-w", "\n%{http_code}", "-H", "Content-Type: application/json"),
        *("-d", json.dumps({"name": "by-curl", "type": "metric alert", "query": QUERY})),
        "https://api.datadoghq.com/api/v1/monitor",
    ],
    "npm": ["node", "--require", "global-agent/bootstrap", str(CLIENTS / "create_monitor.js"), "by-npm"],
    "datadog-ci": [
        *("node", str(MODULES / "@datadog" / "datadog-ci" / "dist" / "bundle.js")),
        *("tag", "--level", "job", "--tags", "sent:by-datadog-ci"),
    ],
}
ENVIRONMENT = {
    "NODE_PATH": str(MODULES),
    "GLOBAL_AGENT_ENVIRONMENT_VARIABLE_NAMESPACE": "",  # so that it reads HTTPS_PROXY
    "GITHUB_ACTIONS": "true",
    "GITHUB_SERVER_URL": "https://github.com",
    "GITHUB_REPOSITORY": "a/b",
    "GITHUB_RUN_ID": "1",
    "GITHUB_RUN_ATTEMPT": "1",
    "GITHUB_JOB": "j",
    "GITHUB_SHA": "a" * 40,
}
NEEDS_NODE = {"npm", "datadog-ci"}
HAS_NODE = shutil.which("node") is not None and MODULES.is_dir()
THINKING_SECONDS = 3.0
PENDING = "ddgate: a person has to approve this call, and has not decided yet"

pytestmark = pytest.mark.timeout(300)  # seven clients, three at once, for both halves

with_node = pytest.mark.skipif(
    not HAS_NODE,
    reason="there is no `node`, or `npm ci --prefix .ci/node` was not run",
)
every_client = pytest.mark.parametrize(
    "client", [pytest.param(name, marks=with_node if name in NEEDS_NODE else ()) for name in COMMANDS]
)


def _answer(exchange: Exchange) -> None:
    status, body = b"202 Accepted", b"{}"
    if exchange.path == "/api/v1/monitor":
        asked = json.loads(exchange.body)
        status, body = b"200 OK", json.dumps({"id": 1, **asked, "options": {}, "tags": []}).encode()
    head = b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (
        status,
        len(body),
    )
    exchange.send(head + body)


@dataclass
class Place:
    """What ran: by client its process, and what came in at Datadog."""

    gateway: Gateway
    control: Control
    upstream: RawUpstream
    ran: Mapping[str, Ran]

    def received(self, client: str) -> int:
        return sum(f"by-{client}".encode() in exchange.body for exchange in self.upstream.seen)

    def approval(self, client: str) -> str:
        (found,) = [one["id"] for one in self.control.listed() if _is_of(client, one)]
        return str(found)

    def answers(self, approval: str) -> list[int]:
        """The statuses of what ddgate itself answered to the calls of an approval."""
        refused = [one for one in self.gateway.records_of("refused") if one.get("approval") == approval]
        return [one["http_response"]["status"] for one in refused]


def _is_of(client: str, approval: Mapping[str, object]) -> bool:
    if client == "datadog-ci":
        return approval["operation"] == "SubmitCIPipelineTags"
    return f"by-{client}" in str(approval["summary"])


type Decide = Callable[[Gateway, Control], None]


def _run_all(directory: Path, issuer: Issuer, decide: Decide, **approvals: object) -> Iterator[Place]:
    """All clients, while `decide` is called again and again."""
    clients = [name for name in COMMANDS if HAS_NODE or name not in NEEDS_NODE]
    answers = {"/api/v1/monitor": _answer, "/api/v2/ci/pipeline/tags": _answer}
    with RawUpstream(directory / "upstream", answers) as upstream:
        config = settings(directory, issuer, ASKING, **approvals)
        gateway = Gateway(
            directory / "gateway", issuer.url, upstream.port, upstream.ca, KEYS, config=config
        ).start()
        try:
            with running(gateway, issuer) as control, ThreadPoolExecutor(3) as threads:
                agent = Agent(gateway, issuer, directory)
                calls = {
                    name: threads.submit(agent.run, *COMMANDS[name], more=ENVIRONMENT, timeout=90)
                    for name in clients
                }
                pause = threading.Event()
                while not all(call.done() for call in calls.values()):
                    decide(gateway, control)
                    pause.wait(0.1)
                ran = {name: call.result() for name, call in calls.items()}
                yield Place(gateway, control, upstream, ran)
        finally:
            gateway.stop()


def _approve_after_a_while(gateway: Gateway, control: Control) -> None:
    for pending in control.listed("pending"):
        if time.time() - pending["requested_at"] > THINKING_SECONDS:
            assert control.decide(pending["id"]).status_code == 200


def _approve_what_datadog_ci_heard_of(gateway: Gateway, control: Control) -> None:
    heard = {one.get("approval") for one in gateway.records_of("refused")}
    for pending in control.listed("pending"):
        if pending["id"] in heard and pending["operation"] == "SubmitCIPipelineTags":
            assert control.decide(pending["id"]).status_code == 200


@pytest.fixture(scope="module")
def approved(tmp_path_factory: pytest.TempPathFactory, issuer: Issuer) -> Iterator[Place]:
    yield from _run_all(tmp_path_factory.mktemp("approved"), issuer, _approve_after_a_while)


@pytest.fixture(scope="module")
def unanswered(tmp_path_factory: pytest.TempPathFactory, issuer: Issuer) -> Iterator[Place]:
    directory = tmp_path_factory.mktemp("unanswered")
    yield from _run_all(directory, issuer, _approve_what_datadog_ci_heard_of, longest_wait="1s")


@every_client
def test_a_call_that_a_person_approves_after_three_seconds_is_one_call_to_its_client(
    approved: Place, client: str
) -> None:
    ran = approved.ran[client]
    assert ran.exit_code == 0, ran.err
    if client == "curl":
        body, _, status = ran.out.rpartition("\n")
        assert (json.loads(body)["name"], status) == ("by-curl", "200")
    elif client != "datadog-ci":
        assert json.loads(ran.out)["name"] == f"by-{client}"
    assert "attempt" not in ran.out + ran.err
    assert approved.received(client) == 1
    approval = approved.approval(client)
    assert approved.answers(approval) == []
    assert kinds(approved.gateway, approval) == [
        *("approval_requested", "approval_approved", "attempted", "approval_consumed"),
        *("outcome", "approval_executed"),
    ]


def _said(client: str, ran: Ran) -> dict[str, Any]:
    """ddgate's answer as a program sees it in what its client raised. Its status is checked here."""
    if client == "curl":
        body, _, status = ran.out.rpartition("\n")
        assert status == "429"
        return dict(json.loads(body))
    said = json.loads(ran.out)
    if client == "datadogpy":
        assert said["error"] == "ApiError"
        return dict(ast.literal_eval(said["text"]))
    assert (said["error"], said["status"]) == ("ApiException", 429)
    if client == "npm":
        return {**said["body"]["additionalProperties"], "errors": said["body"]["errors"]}
    assert "'X-RateLimit-Reset': '5'" in said["text"]
    return dict(said["body"])


@every_client
def test_a_client_that_can_not_wait_longer_hears_that_its_call_is_pending(
    unanswered: Place, client: str
) -> None:
    ran, approval = unanswered.ran[client], unanswered.approval(client)
    assert unanswered.answers(approval) == [429]
    if client == "datadog-ci":  # it repeats by itself, after five seconds
        assert ran.exit_code == 0, ran.err
        assert "[attempt 1] Could not send tags. Retrying...: Request failed with status code 429" in ran.err
        assert "[attempt 2]" not in ran.err
        assert unanswered.received(client) == 1
        return
    if client == "dogshell":
        assert ran.exit_code == 1
        assert f"ERROR: {PENDING}" in ran.err
    else:
        said = _said(client, ran)
        assert said["errors"][0].startswith(PENDING)
        about = said["ddgate"]
        assert (about["reason"], about["approval"]) == ("approval_pending", approval)
        assert about["status_url"] == f"https://api.datadoghq.com/.ddgate/approvals/{approval}"
        assert about["next"] == "repeat the same request"
    assert unanswered.received(client) == 0
    assert unanswered.control.show(approval)["state"] == "pending"
