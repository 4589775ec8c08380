"""I1 at the enforcement point: without a policy, or not knowing who asks and where, nothing is permitted."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from mitmproxy import http
from mitmproxy.test import taddons

from addons.core.catalogue import Catalogue
from addons.core.model import Reason
from addons.core.policy import PolicySet
from addons.flowstate import Call, Stage
from addons.policy import Policy
from addons.store.policy_files import read_catalogue
from tests.calls import make_flow
from tests.e2e.open_policy import write_open_policy


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return read_catalogue()


@pytest.fixture(scope="module")
def permissive(catalogue: Catalogue, tmp_path_factory: pytest.TempPathFactory) -> PolicySet:
    path = Path(write_open_policy(tmp_path_factory.mktemp("policy")))
    return PolicySet.from_files([(str(path), path.read_text())], catalogue)


def ask(policy: Policy, flow: http.HTTPFlow) -> None:
    with taddons.context(policy):
        policy.request(flow)


def test_a_permitted_call_is_permitted_and_explains_itself(
    catalogue: Catalogue, permissive: PolicySet
) -> None:
    flow, call = make_flow()
    ask(Policy(permissive, catalogue), flow)
    assert call.refusal is None
    assert Stage.POLICY in call.permits
    assert call.decision is not None
    assert (call.decision.rule, call.decision.revision) == ("all-for-agents", permissive.revision)
    assert call.operation is not None
    assert call.operation.name == "ListMonitors"


def test_i1_without_a_policy_set_every_call_is_503(catalogue: Catalogue, permissive: PolicySet) -> None:
    policy = Policy(None, catalogue)
    flow, call = make_flow()
    ask(policy, flow)
    assert call.refusal is not None
    assert (call.refusal.status, call.refusal.reason) == (503, Reason.POLICY_UNAVAILABLE)
    assert call.permits == set()
    assert flow.response is not None
    said = json.loads(flow.response.content or b"")
    assert said["errors"][0].startswith("ddgate: no policy is loaded")
    policy.policy_set = permissive  # and service is back with the next call
    flow, call = make_flow()
    ask(policy, flow)
    assert Stage.POLICY in call.permits


def _nobody(call: Call) -> None:
    call.principal = None


def _nowhere(call: Call) -> None:
    call.host = None


@pytest.mark.parametrize("forget", [_nobody, _nowhere])
def test_i1_a_call_of_nobody_or_to_nowhere_is_not_permitted(
    catalogue: Catalogue, permissive: PolicySet, forget: Callable[[Call], None]
) -> None:
    flow, call = make_flow()
    forget(call)
    ask(Policy(permissive, catalogue), flow)
    assert Stage.POLICY not in call.permits
    assert call.decision is None


@pytest.mark.parametrize("path", ["/a/../b", "/a//b", "/a?_method=DELETE", "/a%2fb", "/a?b=%00", "/a;b"])
def test_abuse_18_a_target_of_two_readings_is_not_decided_on(
    catalogue: Catalogue, permissive: PolicySet, path: str
) -> None:
    flow, call = make_flow(path=path)
    ask(Policy(permissive, catalogue), flow)
    assert call.refusal is not None
    assert (call.refusal.status, call.refusal.reason) == (400, Reason.MALFORMED_REQUEST)
    assert call.decision is None
    assert Stage.POLICY not in call.permits


def test_what_is_forwarded_is_what_was_decided_on(catalogue: Catalogue, permissive: PolicySet) -> None:
    flow, call = make_flow(path="/api/v1/m%6Fnitor?q=%7e")
    ask(Policy(permissive, catalogue), flow)
    assert flow.request.path == "/api/v1/monitor?q=%7e"
    assert call.operation is not None
    assert call.operation.name == "ListMonitors"


def test_a_policy_that_is_replaced_decides_the_next_call(catalogue: Catalogue, permissive: PolicySet) -> None:
    text = '{"version": 1, "rules": [{"id": "none", "effect": "deny", "op": {"risk": ["read"]}}]}'
    policy = Policy(permissive, catalogue)
    policy.policy_set = PolicySet.from_files([("none.yaml", text)], catalogue)
    flow, call = make_flow()
    ask(policy, flow)
    assert call.refusal is not None
    assert (call.refusal.status, call.refusal.rule) == (403, "none")
