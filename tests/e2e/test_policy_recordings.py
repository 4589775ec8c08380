"""What a security engineer does with recordings: a real gateway records a real client's calls, and `explain`,
`backtest` and `suggest` run on its state directory as processes of their own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import forked
from tests.e2e.agent_run import Agent, Said
from tests.e2e.gateway_process import AGENT_POLICY, ROOT, Gateway, curl
from tests.sandbox_processes import Issuer, StandIn

API = "https://api.datadoghq.com"
# Reads the resource of a deletion, and so has it recorded what tags that had.
LOOKS = """version: 1
rules:
  - id: no-frozen-deletes
    effect: deny
    mode: shadow
    op: {name: [DeleteMonitor], absent: false}
    target: {tags: {any: [frozen]}}
"""
ENFORCED = LOOKS.replace("    mode: shadow\n", "")
DELETES = ("delete monitor", "delete dashboard")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory, issuer: Issuer, datadog: StandIn) -> Iterator[Gateway]:
    """A gateway that recorded the official client's job, and refused something; it still runs."""
    directory = tmp_path_factory.mktemp("recorded")
    (directory / "looks.yaml").write_text(LOOKS)
    policies = [str(AGENT_POLICY), str(directory / "looks.yaml")]
    gateway = Gateway(
        directory / "gateway", issuer.url, datadog.port, datadog.ca, datadog.keys, config={"policy": policies}
    ).start()
    try:
        agent = Agent(gateway, issuer, directory)
        assert all(said.status and said.status < 500 for said in run_job(agent).values())
        token = issuer.token("demo-agent", on_behalf_of="bob@example.com")
        denied = curl(gateway, f"{API}/api/v1/monitor", "-d", '{"type": "metric alert"}', token=token)
        assert denied.status == 403
        yield gateway
    finally:
        gateway.stop()


def run_job(agent: Agent) -> dict[str, Said]:
    return {said.call: said for said in agent.client("api_client_job.py", "sync", "raw").said}


def ddgate(*arguments: str) -> tuple[int, str]:
    done = forked.run(["policy", *arguments], cwd=ROOT, timeout=60)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout or done.stderr


def loaded(*arguments: str) -> dict[str, Any]:
    _, out = ddgate(*arguments, "--json")
    found: dict[str, Any] = json.loads(out)
    return found


def policies(gateway: Gateway) -> list[str]:
    return [str(path) for path in gateway._config()["policy"]]


def test_every_call_is_judged_as_it_was_decided(recorded: Gateway) -> None:
    """What the recording holds is enough: by the same policy, nothing changes."""
    default, looks = policies(recorded)
    report = loaded("backtest", default, "--also", looks, str(recorded.state))
    assert report["calls"] >= 20
    assert report["changes"] == []
    assert report["not_judged"] == []
    assert report["judged"] == report["calls"]
    assert not report["damage"]


def test_a_refused_call_is_explained_by_its_id(recorded: Gateway) -> None:
    (refused,) = [flow for flow in recorded.flows() if flow.metadata.get("ddgate.principal") == "demo-agent"]
    call = refused.metadata["ddgate.call"]
    configured = ("--config", str(recorded.config_path), "--state", str(recorded.state))
    explained = loaded("explain", call, *configured)
    assert explained["call"]["decided"] == "deny no_rule"
    assert (explained["decision"]["effect"], explained["decision"]["reason"]) == ("deny", "no_rule")
    assert explained["request"]["on_behalf_of"] == "bob@example.com"
    nearest = explained["rules"][0]
    assert (nearest["rule"], nearest["misses"]) == ("sre-on-call-work", {"who.groups": ["sre-agents"]})
    code, text = ddgate("explain", call, *configured)
    assert code == 0
    assert "sre-on-call-work" in text


def test_what_a_new_rule_would_have_stopped_is_told(recorded: Gateway, tmp_path: Path) -> None:
    """The deletion's recording holds the tags that the monitor had, because a rule read them then."""
    default, _ = policies(recorded)
    stricter = tmp_path / "stricter.yaml"
    stricter.write_text(ENFORCED.replace("[frozen]", '["env:prod"]'))
    code, text = ddgate("backtest", str(stricter), "--also", default, str(recorded.state))
    assert code == 1
    assert "would now be denied: 1 call, 1 of which ran" in text
    report = loaded("backtest", str(stricter), "--also", default, str(recorded.state))
    (change,) = report["changes"]
    assert change["operations"] == {"v1.DeleteMonitor": 1}
    assert change["would_be"] == "deny no-frozen-deletes"
    other = tmp_path / "other.yaml"
    other.write_text(ENFORCED.replace("tags: {any: [frozen]}", "name: [x]"))
    (unjudged,) = loaded("backtest", str(other), "--also", default, str(recorded.state))["not_judged"]
    assert "the resource that it is about" in unjudged["why"]


def test_a_suggested_policy_lets_the_agent_do_its_work_again(
    recorded: Gateway, issuer: Issuer, datadog: StandIn, tmp_path: Path
) -> None:
    suggested = tmp_path / "suggested.yaml"
    code, text = ddgate("suggest", str(recorded.state), "--seen", "1", "-o", str(suggested))
    assert code == 0, text
    assert ddgate("check", str(suggested))[0] == 0
    assert ddgate("test", "--coverage", str(suggested))[0] == 0
    report = loaded("backtest", str(suggested), str(recorded.state))
    assert {change["change"] for change in report["changes"]} == {"asked"}
    gateway = Gateway(
        tmp_path / "gateway",
        issuer.url,
        datadog.port,
        datadog.ca,
        datadog.keys,
        config={
            "policy": [str(suggested)],
            "approvals": {"longest_wait": "0s"},
        },  # nobody is there to approve
    ).start()
    try:
        said = run_job(Agent(gateway, issuer, tmp_path))
        reasons = {flow.metadata.get("ddgate.reason") for flow in gateway.flows()}
    finally:
        gateway.stop()
    assert {name for name, one in said.items() if one.status == 403} == {"create api key"}
    assert {name for name, one in said.items() if one.status == 429} == set(DELETES)
    assert reasons == {"allowed", "approval_pending", "no_rule"}
