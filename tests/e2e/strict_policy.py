"""A gateway with rules that read paths, queries, headers and bodies, and what abuse of it must come to."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.e2e import raw_client
from tests.e2e.gateway_process import Curled, Gateway
from tests.sandbox_processes import Issuer, StandIn

API = "api.datadoghq.com"
HOST = ("Host", API)
JSON = ("Content-Type", "application/json")
KIB = 1024

# Unknown operations are allowed, so that a spelling which hides the operation would pass.
POLICY = """version: 1
rules:
  - id: all
    effect: allow
    who: {groups: [agents]}
    op: {risk: [read, write, ingest, execute, destructive, unknown]}
  - id: no-prod
    effect: deny
    op: {name: UpdateMonitor, absent: false}
    body: {tags: {any: ["env:prod"], absent: false}}
  - id: no-bulk
    effect: deny
    op: {name: DeleteDashboards, absent: false}
    when: 'has(body.data) && size(body.data) > 1'
  - id: no-prod-hosts
    effect: deny
    op: {name: GetHostTags, absent: false}
    http: {path: "/api/v1/tags/hosts/prod-*"}
  - id: no-force
    effect: deny
    op: {name: DeleteMonitor, absent: false}
    http: {query: {force: {is: "true", absent: false}}}
  - id: no-intent
    effect: deny
    op: {name: GetDashboard, absent: false}
    http: {headers: {X-Intent: {is: danger, absent: false}}}
  - id: no-secret-monitors
    effect: deny
    op: {name: GetMonitor, absent: false}
    http: {path: "/api/v1/monitor/666"}
"""

type Headers = Sequence[tuple[str, str]]

MONITOR = "/api/v1/monitor/7"
DASHBOARDS = "/api/v1/dashboard"
PROD = b'{"name": "x", "tags": ["env:prod"]}'
DEV = b'{"name": "x", "tags": ["env:dev"]}'
BULK = json.dumps({"data": [{"id": name, "type": "dashboard"} for name in ("a-b-c", "d-e-f")]}).encode()


@contextmanager
def strict_gateway(directory: Path, issuer: Issuer, datadog: StandIn) -> Iterator[Gateway]:
    policy = directory / "policy.yaml"
    policy.write_text(POLICY)
    config = {"policy": [str(policy)], "limits": {"body": "2MiB", "decoded_body": "4MiB"}}
    made = Gateway(directory / "gateway", issuer.url, datadog.port, datadog.ca, datadog.keys, config=config)
    yield made.start()
    made.stop()
    said = made.log.read_text()
    assert "Traceback" not in said
    assert "crashed" not in said


def open_tunnel(gateway: Gateway, issuer: Issuer) -> raw_client.Tunnel:
    token = raw_client.basic(issuer.token("demo-agent"))
    return raw_client.tunnel(gateway.port, gateway.ca, headers=[token], timeout=30)


def assert_denied_by(rule: str, answer: Curled, fresh: StandIn) -> None:
    assert answer.status == 403, answer
    assert answer.json()["ddgate"]["rule"] == rule
    assert fresh.requests() == []


def assert_refused_or_denied_by(rule: str, answer: Curled, fresh: StandIn) -> None:
    """Status 0: the connection was closed, which is no answer and no forwarding."""
    assert fresh.requests() == []
    if answer.status == 0:
        return
    told = answer.json()["ddgate"]
    refused = {
        "malformed_request",
        "unreadable_body",
        "body_too_large",
        "policy_error",
        "destination_mismatch",
    }
    assert told["reason"] in refused or told["rule"] == rule, answer
    assert answer.status in {400, 403, 413}, answer
    assert answer.errors
