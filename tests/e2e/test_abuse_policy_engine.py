"""An agent against the rules, through the running gateway."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.gateway_process import Gateway
from tests.e2e.test_policy_language import monitor, send
from tests.sandbox_processes import Issuer, StandIn

PRIVATE = "Mandant Roth 4711-B"
POLICY = """version: 1
rules:
  - id: all
    effect: allow
    op: {risk: [read, write, ingest]}
    mask: {forward: {json: [$.message]}}
  - id: no-payments
    effect: deny
    op: {name: SubmitLog, absent: false}
    body: {"[*].service": {is: payments, absent: false}}
  - id: no-databases
    effect: deny
    op: {name: GetHostTags, absent: false}
    http: {path: "/api/v1/tags/hosts/db:*"}
  - id: no-web
    effect: deny
    op: {name: GetHostTags, absent: false}
    when: 'request.path == "/api/v1/tags/hosts/web@eu"'
  - id: no-name
    effect: deny
    op: {name: CreateMonitor, absent: false}
    body: {name: {is: forbidden, absent: false}}
"""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, issuer: Issuer, datadog: StandIn) -> Iterator[Gateway]:
    directory = tmp_path_factory.mktemp("engine")
    policy = directory / "policy.yaml"
    policy.write_text(POLICY)
    config = {"policy": [str(policy)]}
    made = Gateway(directory / "gateway", issuer.url, datadog.port, datadog.ca, datadog.keys, config=config)
    yield made.start()
    made.stop()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ([{"message": "m", "service": "payments"}], 403),
        ({"message": "m", "service": "payments"}, 403),
        ([[{"message": "m", "service": "payments"}]], 403),
        ([{"message": "m", "service": "web"}], 202),
    ],
)
def test_one_log_entry_without_its_list_evades_no_rule(
    gateway: Gateway, issuer: Issuer, fresh: StandIn, body: object, status: int
) -> None:
    answer = send(gateway, issuer.token("demo-agent"), "POST", "/api/v2/logs", body)
    assert answer.status == status, answer
    assert len(fresh.requests()) == (status != 403)


@pytest.mark.parametrize(
    ("path", "rule"),
    [
        ("db:1", "no-databases"),
        ("db%3A1", "no-databases"),
        ("%64b%3a1/", "no-databases"),
        ("web@eu", "no-web"),
        ("web%40eu", "no-web"),
        ("web@eu/", "no-web"),
        ("web-eu", None),
    ],
)
def test_another_spelling_of_a_path_evades_no_rule(
    gateway: Gateway, issuer: Issuer, fresh: StandIn, path: str, rule: str | None
) -> None:
    answer = send(gateway, issuer.token("demo-agent"), "GET", f"/api/v1/tags/hosts/{path}")
    if rule is None:
        assert len(fresh.requests()) == 1
        return
    assert answer.json()["ddgate"]["rule"] == rule
    assert fresh.requests() == []


def test_what_a_rule_masks_is_masked_on_record_when_another_denies(
    gateway: Gateway, issuer: Issuer, fresh: StandIn
) -> None:
    body = monitor(name="forbidden", message=PRIVATE)
    answer = send(gateway, issuer.token("demo-agent"), "POST", "/api/v1/monitor", body)
    assert answer.json()["ddgate"]["rule"] == "no-name"
    assert fresh.requests() == []
    recorded = b"".join(each.read_bytes() for each in recordings(gateway))
    assert b"forbidden" in recorded
    assert PRIVATE.encode() not in recorded


def recordings(gateway: Gateway) -> list[Path]:
    return [each for each in (gateway.log.parent / "state" / "recordings").rglob("*.mitm*") if each.is_file()]
