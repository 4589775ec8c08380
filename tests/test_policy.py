"""I1 at the enforcement point: without a policy, or not knowing who asks and where, nothing is permitted."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import pytest
from mitmproxy import http
from mitmproxy.test import taddons

from addons.core.catalogue import Catalogue
from addons.core.model import Reason
from addons.core.policy.policy_set import PolicySet
from addons.core.policy.request import Evidence, PolicyRequest, Seen, Unreadable
from addons.flowstate import Call, Stage
from addons.policy import Policy
from addons.store.policy.counts import PolicyCounts
from addons.store.policy.decider import Decider
from addons.store.policy.decision_worker import DecisionWorker, WorkerUnavailable
from addons.store.policy.files import read_catalogue
from addons.store.policy.limit_counters import LimitCounters
from addons.store.state_dir import StateDir
from addons.store.targets.reader import Subject, TargetReader
from addons.store.targets.seen import TargetSeen
from tests.calls import make_flow
from tests.e2e.open_policy import write_open_policy

RISKS = '{"risk": ["read", "write", "destructive"]}'


class Targets:
    """Stands for Datadog's answers: what it holds, and how often it was asked and told to forget."""

    def __init__(self) -> None:
        self.holds: Evidence = Unreadable("Datadog answered 404")
        self.asked: list[str] = []
        self.forgotten: list[str] = []

    async def read(
        self, _policy_set: PolicySet, request: PolicyRequest, _subject: Subject, *, fresh: bool
    ) -> TargetSeen:
        assert not fresh  # nobody has decided on it before
        self.asked.append(request.path)
        return TargetSeen(self.holds, {"read": "R1"})

    def forget(self, _host: str, path: str) -> None:
        self.forgotten.append(path)


class NoWorker:
    async def judge(self, *_: object) -> None:
        raise WorkerUnavailable("it is gone")


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return read_catalogue()


@pytest.fixture(scope="module")
def permissive(catalogue: Catalogue, tmp_path_factory: pytest.TempPathFactory) -> PolicySet:
    path = Path(write_open_policy(tmp_path_factory.mktemp("policy")))
    return PolicySet.from_files([(str(path), path.read_text())], catalogue)


type MakePolicy = Callable[..., Policy]


@pytest.fixture
def targets() -> Targets:
    return Targets()


@pytest.fixture
def counters(tmp_path: Path) -> Iterator[LimitCounters]:
    made = LimitCounters.open(StateDir.open(tmp_path / "state"))
    yield made
    made.close()


@pytest.fixture
def make_policy(catalogue: Catalogue, targets: Targets, counters: LimitCounters) -> MakePolicy:
    """Takes a policy set, the text of one, or None."""

    def make(rules: PolicySet | str | None) -> Policy:
        if isinstance(rules, str):
            rules = PolicySet.from_files([("rules.yaml", rules)], catalogue)
        decider = Decider(cast("DecisionWorker", NoWorker()), cast("TargetReader", targets))
        return Policy(rules, catalogue, decider=decider, limits=counters, counts=PolicyCounts())

    return make


async def ask(policy: Policy, flow: http.HTTPFlow) -> None:
    with taddons.context(policy):
        await policy.request(flow)


async def test_a_permitted_call_is_permitted_and_explains_itself(
    make_policy: MakePolicy, permissive: PolicySet
) -> None:
    flow, call = make_flow()
    await ask(make_policy(permissive), flow)
    assert call.refusal is None
    assert Stage.POLICY in call.permits
    assert call.decision is not None
    assert (call.decision.rule, call.decision.revision) == ("all-for-agents", permissive.revision)
    assert call.operation is not None
    assert call.operation.name == "ListMonitors"


async def test_i1_without_a_policy_set_every_call_is_503(
    make_policy: MakePolicy, permissive: PolicySet
) -> None:
    policy = make_policy(None)
    flow, call = make_flow()
    await ask(policy, flow)
    assert call.refusal is not None
    assert (call.refusal.status, call.refusal.reason) == (503, Reason.POLICY_UNAVAILABLE)
    assert call.permits == set()
    assert flow.response is not None
    said = json.loads(flow.response.content or b"")
    assert said["errors"][0].startswith("ddgate: no policy is loaded")
    policy.policy_set = permissive  # and service is back with the next call
    flow, call = make_flow()
    await ask(policy, flow)
    assert Stage.POLICY in call.permits


def _nobody(call: Call) -> None:
    call.principal = None


def _nowhere(call: Call) -> None:
    call.host = None


@pytest.mark.parametrize("forget", [_nobody, _nowhere])
async def test_i1_a_call_of_nobody_or_to_nowhere_is_not_permitted(
    make_policy: MakePolicy, permissive: PolicySet, forget: Callable[[Call], None]
) -> None:
    flow, call = make_flow()
    forget(call)
    await ask(make_policy(permissive), flow)
    assert Stage.POLICY not in call.permits
    assert call.decision is None


@pytest.mark.parametrize("path", ["/a/../b", "/a//b", "/a?_method=DELETE", "/a%2fb", "/a?b=%00", "/a;b"])
async def test_abuse_18_a_target_of_two_readings_is_not_decided_on(
    make_policy: MakePolicy, permissive: PolicySet, path: str
) -> None:
    flow, call = make_flow(path=path)
    await ask(make_policy(permissive), flow)
    assert call.refusal is not None
    assert (call.refusal.status, call.refusal.reason) == (400, Reason.MALFORMED_REQUEST)
    assert call.decision is None
    assert Stage.POLICY not in call.permits


async def test_what_is_forwarded_is_what_was_decided_on(
    make_policy: MakePolicy, permissive: PolicySet
) -> None:
    flow, call = make_flow(path="/api/v1/m%6Fnitor?q=%7e")
    await ask(make_policy(permissive), flow)
    assert flow.request.path == "/api/v1/monitor?q=%7e"
    assert call.operation is not None
    assert call.operation.name == "ListMonitors"


async def test_a_policy_that_is_replaced_decides_the_next_call(
    make_policy: MakePolicy, catalogue: Catalogue, permissive: PolicySet
) -> None:
    text = '{"version": 1, "rules": [{"id": "none", "effect": "deny", "op": {"risk": ["read"]}}]}'
    policy = make_policy(permissive)
    policy.policy_set = PolicySet.from_files([("none.yaml", text)], catalogue)
    flow, call = make_flow()
    await ask(policy, flow)
    assert call.refusal is not None
    assert (call.refusal.status, call.refusal.rule) == (403, "none")


DELETION = f"""version: 1
rules:
  - {{id: all, effect: allow, op: {RISKS}}}
  - id: no-prod
    effect: deny
    op: {{name: [DeleteMonitor, UpdateMonitor]}}
    body: {{force: {{is: true, absent: true}}}}
    target: {{tags: {{any: ["env:prod"], absent: false}}}}
"""


@pytest.mark.parametrize(
    ("body", "holds", "reason", "asked"),
    [
        (b"", Seen({"tags": ["env:prod"]}), Reason.DENIED_BY_RULE, True),
        (b"", Seen({"tags": ["env:dev"]}), None, True),
        (b"", Unreadable("Datadog answered 404"), Reason.TARGET_UNREADABLE, True),
        (b'{"force": false}', Seen({"tags": ["env:prod"]}), None, False),
        (b'{"force": true, "force": false}', Seen({}), Reason.UNREADABLE_BODY, False),
        (b"--x", Seen({}), Reason.UNREADABLE_BODY, False),
    ],
)
async def test_the_resource_is_read_where_the_body_leaves_a_rule_open(
    make_policy: MakePolicy,
    targets: Targets,
    body: bytes,
    holds: Evidence,
    reason: Reason | None,
    asked: bool,
) -> None:
    targets.holds = holds
    flow, call = make_flow("DELETE", "/api/v1/monitor/5", content=body)
    call.body = body
    await ask(make_policy(DELETION), flow)
    assert (call.refusal.reason if call.refusal else None) is reason
    assert (Stage.POLICY in call.permits) is (reason is None)
    assert targets.asked == (["/api/v1/monitor/5"] if asked else [])
    assert call.resource == ({"read": "R1"} if asked else None)


async def test_what_was_read_is_forgotten_once_a_call_to_it_ran(
    make_policy: MakePolicy, targets: Targets
) -> None:
    policy = make_policy(DELETION)
    for method, forgotten in (("DELETE", ["/api/v1/monitor/5"]), ("GET", [])):
        targets.forgotten.clear()
        flow, call = make_flow(method, "/api/v1/monitor/5")
        targets.holds = Seen({})
        await ask(policy, flow)
        policy.response(flow)
        assert targets.forgotten == []  # it was not sent
        call.attempted = True
        policy.response(flow)
        assert targets.forgotten == forgotten
        policy.error(flow)  # it may have run, though nobody waited for the answer
        assert targets.forgotten == forgotten * 2


async def test_i1_a_large_body_that_nobody_can_judge_is_503(make_policy: MakePolicy) -> None:
    flow, call = make_flow("DELETE", "/api/v1/monitor/5")
    call.body = b'{"text": "%s"}' % (b"x" * 40_000)
    await ask(make_policy(DELETION), flow)
    assert call.refusal is not None
    assert (call.refusal.status, call.refusal.reason) == (503, Reason.POLICY_UNAVAILABLE)
    assert Stage.POLICY not in call.permits


LIMITED = f"""version: 1
limits: {{two: {{key: identity.subject, rate: 2/1m}}}}
rules: [{{id: all, effect: allow, op: {RISKS}, limit: two}}]
"""


async def test_a_call_over_its_limit_is_429_with_the_time_to_wait(
    make_policy: MakePolicy, counters: LimitCounters
) -> None:
    policy = make_policy(LIMITED)
    for _ in range(2):
        flow, call = make_flow()
        await ask(policy, flow)
        assert Stage.POLICY in call.permits
    flow, call = make_flow()
    await ask(policy, flow)
    assert call.refusal is not None
    assert (call.refusal.status, call.refusal.reason) == (429, Reason.RATE_LIMITED)
    assert Stage.POLICY not in call.permits
    assert flow.response is not None
    assert 1 <= int(flow.response.headers["retry-after"]) <= 62
    assert flow.response.headers["retry-after"] == flow.response.headers["x-ratelimit-reset"]


async def test_i1_counts_that_can_not_be_had_are_503(
    make_policy: MakePolicy, counters: LimitCounters, tmp_path: Path
) -> None:
    counters.close()
    (found,) = (tmp_path / "state").glob("limits.db")
    found.write_bytes(b"no database" * 100)
    flow, call = make_flow()
    await ask(make_policy(LIMITED), flow)
    assert Stage.POLICY not in call.permits
    assert call.refusal is not None
    assert (call.refusal.status, call.refusal.reason) == (503, Reason.POLICY_UNAVAILABLE)


async def test_decisions_and_shadow_rules_are_logged_as_rules_say(
    make_policy: MakePolicy, caplog: pytest.LogCaptureFixture
) -> None:
    text = f"""version: 1
rules:
  - {{id: all, effect: allow, op: {RISKS}, log: warning}}
  - {{id: later, effect: deny, op: {RISKS}, mode: shadow}}
"""
    flow, call = make_flow()
    with caplog.at_level(logging.INFO, "addons.policy"):
        await ask(make_policy(text), flow)
    assert Stage.POLICY in call.permits
    found = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert found == [
        ("WARNING", f"{call.id}: ListMonitors of 'agent': allow all"),
        ("INFO", f"{call.id}: ListMonitors of 'agent': the shadow rule later would deny"),
    ]


async def test_that_observing_has_ended_is_told_once(
    make_policy: MakePolicy, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "version: 1\nprofile: observe\nobserve_until: 2030-01-01\n"
    policy, ends = make_policy(text), 1893456000.0
    for now, permitted, told in ((ends - 1, True, 0), (ends, False, 1), (ends + 1, False, 1)):
        monkeypatch.setattr("addons.policy.time", lambda now=now: now)
        flow, call = make_flow()
        await ask(policy, flow)
        assert (Stage.POLICY in call.permits) is permitted
        assert caplog.text.count("enforced from now on") == told
