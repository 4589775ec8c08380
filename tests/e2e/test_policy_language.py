"""The rule language through the running gateway: what a rule says of a call is what happens to it, and what
the trail and the recording tell of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import MakeGateway
from tests.e2e.gateway_process import Curled, Gateway, curl
from tests.sandbox_processes import Issuer, StandIn

API = "https://api.datadoghq.com"
POLICY = """version: 1
lists: {prod: ["env:prod", "env:production"]}
rules:
  - {id: all, effect: allow, who: {groups: [agents]}, op: {risk: [read, write, destructive, ingest]}}
  - id: no-prod
    effect: deny
    op: {name: [CreateMonitor, UpdateMonitor], absent: false}
    when: 'body.tags.exists(t, t in lists.prod)'
    log: warning
    reason: Production monitors are changed by people.
  - id: metric-alerts-only
    effect: deny
    op: {name: CreateMonitor, absent: false}
    body: {type: {in: [log alert, query alert], absent: false}}
  - id: no-force
    effect: deny
    op: {name: DeleteMonitor, absent: false}
    http: {query: {force: {is: "true", absent: false}}}
  - id: after-hours
    effect: deny
    op: {name: CreateDashboard, absent: false}
    time: {from: 2026-01-01, until: 2199-01-01, days: mon-sun, hours: "00:00-24:00"}
  - id: for-bob-alone
    effect: deny
    op: {name: ListDashboards, absent: false}
    who: {on_behalf_of: "bob@*", claims: {team: {is: blue, absent: false}}}
  - id: soon
    effect: deny
    mode: shadow
    op: {tags: monitors, absent: false}
    when: 'size(body.name) > 3'
"""


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory, issuer: Issuer, datadog: StandIn) -> Iterator[Gateway]:
    directory = tmp_path_factory.mktemp("language")
    policy = directory / "policy.yaml"
    policy.write_text(POLICY)
    config = {"policy": [str(policy)]}
    made = Gateway(directory / "gateway", issuer.url, datadog.port, datadog.ca, datadog.keys, config=config)
    yield made.start()
    made.stop()


def send(gateway: Gateway, token: str, method: str, path: str, body: object = None, **headers: str) -> Curled:
    content = [] if body is None else ["-d", json.dumps(body), "-H", "Content-Type: application/json"]
    extra = [part for name, value in headers.items() for part in ("-H", f"{name}: {value}")]
    return curl(gateway, "-X", method, *content, *extra, f"{API}{path}", token=token)


def monitor(**more: Any) -> dict[str, Any]:
    return {"type": "metric alert", "query": "q", "name": "x", "tags": ["env:dev"]} | more


@pytest.mark.parametrize(
    ("method", "path", "body", "rule"),
    [
        ("POST", "/api/v1/monitor", monitor(), None),
        ("POST", "/api/v1/monitor", monitor(tags=["a", "env:prod"]), "no-prod"),
        ("POST", "/api/v1/monitor", monitor(type="log alert"), "metric-alerts-only"),
        ("PUT", "/api/v1/monitor/7", {"name": "y", "tags": ["env:production"]}, "no-prod"),
        # what the rule can't be evaluated on is denied
        ("PUT", "/api/v1/monitor/7", {"name": "y"}, "no-prod"),
        ("PUT", "/api/v1/monitor/7", {"name": "y", "Tags": ["env:prod"], "tags": []}, "no-prod"),
        ("DELETE", "/api/v1/monitor/7?force=true", None, "no-force"),
        ("DELETE", "/api/v1/monitor/7?force=false&force=true", None, "no-force"),
        ("DELETE", "/api/v1/monitor/7?FORCE=true", None, "no-force"),
        ("POST", "/api/v1/dashboard", {"title": "t", "layout_type": "free", "widgets": []}, "after-hours"),
        ("GET", "/api/v1/monitor", None, None),
    ],
)
def test_a_rule_decides_on_the_wire_as_it_says(
    strict: Gateway,
    issuer: Issuer,
    fresh: StandIn,
    method: str,
    path: str,
    body: object,
    rule: str | None,
) -> None:
    answer = send(strict, issuer.token("demo-agent"), method, path, body)
    if rule is None:
        assert answer.status == 200, answer
        assert len(fresh.requests()) == 1
        return
    assert answer.status == 403, answer
    assert answer.json()["ddgate"]["rule"] == rule
    assert fresh.requests() == []
    (record,) = [
        each for each in strict.records_of("refused") if each["call"] == answer.json()["ddgate"]["call"]
    ]
    assert record["decision"]["rule"] == rule
    assert record["decision"]["effect"] == "deny"


def test_a_reason_is_told_and_a_log_level_is_kept(strict: Gateway, issuer: Issuer, fresh: StandIn) -> None:
    answer = send(strict, issuer.token("demo-agent"), "POST", "/api/v1/monitor", monitor(tags=["env:prod"]))
    assert "Production monitors are changed by people" in answer.errors
    call = answer.json()["ddgate"]["call"]
    (line,) = [line for line in strict.log.read_text().splitlines() if call in line]
    assert "CreateMonitor of 'demo-agent': deny no-prod" in line
    assert fresh.requests() == []


def test_claims_and_on_behalf_of_are_conditions(strict: Gateway, issuer: Issuer, fresh: StandIn) -> None:
    for owner, team, status in (
        ("bob@example.com", "blue", 403),
        ("eve@example.com", "blue", 200),
        ("bob@example.com", "red", 200),
    ):
        actor = {"sub": "bot", "groups": ["agents"], "team": team}
        answer = send(strict, issuer.mint(sub=owner, act=actor), "GET", "/api/v1/dashboard")
        assert answer.status == status, answer
    assert len(fresh.requests()) == 2


def test_a_shadow_rule_lets_pass_and_is_told_everywhere(
    strict: Gateway, issuer: Issuer, fresh: StandIn
) -> None:
    token = issuer.token("demo-agent")
    for name, shadow in (("x", None), ("long name", [{"rule": "soon", "effect": "deny"}])):
        answer = send(strict, token, "POST", "/api/v1/monitor", monitor(name=name))
        assert answer.status == 200
        attempted = strict.records_of("attempted")[-1]
        assert attempted["attributes"].get("shadow") == shadow
        flow = strict.flows()[-1]
        assert flow.metadata.get("ddgate.shadow") == ("soon" if shadow else None)
        told = "the shadow rule soon would deny" in strict.log.read_text()
        assert told is bool(shadow)
    assert send(strict, token, "GET", "/api/v1/monitor").status == 200
    error = [{"rule": "soon", "effect": "deny", "error": True}]
    assert strict.records_of("attempted")[-1]["attributes"]["shadow"] == error
    assert len(fresh.requests()) == 3


def test_a_body_that_a_rule_reads_and_nobody_can_parse_is_refused(
    strict: Gateway, issuer: Issuer, fresh: StandIn
) -> None:
    for body in ("{", '{"a": 1, "a": 2}', "[" * 100_000, '{"a": "\\ud800"}', "\x00"):
        answer = curl(
            strict,
            *("-X", "PUT", "--data-binary", "@-", f"{API}/api/v1/monitor/7"),
            token=issuer.token("demo-agent"),
            stdin=body.encode(),
        )
        assert answer.status == 403, answer
        assert answer.json()["ddgate"]["reason"] == "unreadable_body"
    assert fresh.requests() == []


def test_large_bodies_are_decided_as_small_ones(strict: Gateway, issuer: Issuer, fresh: StandIn) -> None:
    filler = "lorem ipsum " * 20_000
    for tags, status in ((["env:dev"], 200), (["env:prod"], 403)):
        body = json.dumps(monitor(message=filler, tags=tags)).encode()
        answer = curl(
            strict,
            *("--data-binary", "@-", "-H", "Content-Type: application/json", f"{API}/api/v1/monitor"),
            token=issuer.token("demo-agent"),
            stdin=body,
        )
        assert answer.status == status, answer
    (received,) = fresh.requests()
    assert json.loads(received.body)["message"] == filler


LIMITED = """version: 1
limits:
  writes: {key: [identity.subject], rate: 2/1h}
  all: {key: [identity.issuer, host], quota: 6/1d}
rules:
  - {id: read, effect: allow, op: {risk: [read]}, limit: all}
  - {id: write, effect: allow, op: {risk: [write]}, limit: [all, writes]}
"""


def test_limits_hold_across_restarts_and_are_shared_by_processes(
    make_gateway: MakeGateway, tmp_path: Path, issuer: Issuer, fresh: StandIn
) -> None:
    policy = tmp_path / "limited.yaml"
    policy.write_text(LIMITED)
    config = {"policy": [str(policy)]}
    one, other = (make_gateway(name, config=config) for name in ("one", "other"))
    other.state = one.state
    demo, alice = issuer.token("demo-agent"), issuer.token("alice")
    one.start()
    other.start()
    body = monitor()
    assert send(one, demo, "POST", "/api/v1/monitor", body).status == 200
    assert send(other, demo, "POST", "/api/v1/monitor", body).status == 200
    refused = send(one, demo, "POST", "/api/v1/monitor", body)
    assert refused.status == 429, refused
    assert refused.json()["ddgate"]["reason"] == "rate_limited"
    assert 3000 < int(dict(refused.headers)["retry-after"]) <= 3660
    assert send(other, alice, "POST", "/api/v1/monitor", body).status == 200  # another's count
    one.stop()
    one.start()
    assert send(one, demo, "POST", "/api/v1/monitor", body).status == 429
    assert send(one, demo, "GET", "/api/v1/monitor").status == 200
    assert [send(other, alice, "GET", "/api/v1/monitor").status for _ in range(3)] == [200, 200, 429]
    record = one.records_of("refused")[-1]
    assert record["decision"]["reason"] == "quota_exceeded"
    assert len(fresh.requests()) == 6
    other.stop()


OBSERVING = """version: 1
profile: observe
observe_until: {until}
rules:
  - {{id: read, effect: allow, who: {{groups: [agents]}}, op: {{risk: [read]}}}}
"""


def test_observing_lets_the_known_pass_says_so_everywhere_and_ends_on_its_date(
    make_gateway: MakeGateway, tmp_path: Path, issuer: Issuer, fresh: StandIn
) -> None:
    policy = tmp_path / "observing.yaml"
    policy.write_text(OBSERVING.format(until="2199-01-01"))
    gateway = make_gateway(config={"policy": [str(policy)]}).start()
    token = issuer.token("demo-agent")
    assert send(gateway, token, "POST", "/api/v1/monitor", monitor()).status == 200
    attempted = gateway.records_of("attempted")[-1]
    assert attempted["decision"]["reason"] == "observed"
    assert attempted["attributes"]["withheld"] == {"effect": "deny", "reason": "no_rule", "rule": None}
    flow = gateway.flows()[-1]
    assert flow.metadata["ddgate.observed"] == "deny no_rule"
    assert "observed, would be: deny no_rule" in flow.comment
    assert send(gateway, token, "GET", "/api/v1/monitor").status == 200
    assert gateway.flows()[-1].metadata["ddgate.observed"] == "allow read"
    assert "2199-01-01" in json.dumps(gateway.status()["warnings"])
    assert "only observes until 2199-01-01" in gateway.log.read_text()
    assert len(fresh.requests()) == 2
    # nobody without an identity, and nothing to elsewhere
    assert curl(gateway, f"{API}/api/v1/monitor").status == 401
    assert curl(gateway, "https://example.com/", token=token).exit_code == 56
    gateway.stop()
    policy.write_text(OBSERVING.format(until="2026-01-01"))
    gateway.start()
    assert send(gateway, token, "POST", "/api/v1/monitor", monitor()).status == 403
    assert len(fresh.requests()) == 2
