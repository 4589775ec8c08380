"""Recordings are stock mitmproxy's: its programs read, filter and show them, and replay them through the
gateway, where a replay is a call like any other. Abuse case 36."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from mitmproxy import http

from addons.core.redact.detectors.vendors import fill
from addons.core.redact.masking.mask import contains_mask
from tests.e2e.gateway_process import Gateway, curl, free_port, wait_until
from tests.e2e.stock_mitmproxy import BIN, Mitmdump, read_flows, write_flow
from tests.sandbox_processes import Issuer, StandIn

API = "https://api.datadoghq.com"
SECRET = "sk_live_" + fill(24)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory, issuer: Issuer, datadog: StandIn) -> Iterator[Gateway]:
    """A gateway that completed one segment and is writing the next."""
    gateway = Gateway(
        tmp_path_factory.mktemp("recorded") / "gateway",
        issuer.url,
        datadog.port,
        datadog.ca,
        datadog.keys,
        config={"recordings": {"segment_size": "64KiB"}},
    ).start()
    try:
        fill_segments(gateway, issuer)
        yield gateway
    finally:
        gateway.stop()


def fill_segments(gateway: Gateway, issuer: Issuer) -> None:
    token = issuer.token("sre-agent", on_behalf_of="bob@example.com")
    assert curl(gateway, f"{API}/api/v1/monitor?name=one", token=token).status == 200
    monitor = {"type": "metric alert", "query": "a > 1", "name": "m", "message": f"page {SECRET}"}
    assert curl(gateway, f"{API}/api/v1/monitor", "-d", json.dumps(monitor), token=token).status == 200
    denied = curl(gateway, f"{API}/api/v2/api_keys", "-d", '{"data": {}}', token=token)
    assert denied.status == 403
    log = json.dumps([{"message": "filler " * 10_000}])
    assert curl(gateway, f"{API}/api/v2/logs", "-d", log, token=token).status == 202
    assert curl(gateway, f"{API}/api/v1/dashboard", token=token).status == 200


@pytest.fixture
def mitmdump(tmp_path: Path) -> Mitmdump:
    return Mitmdump(tmp_path)


def complete(gateway: Gateway) -> Path:
    return next((gateway.state / "recordings").glob("*.mitm"))


def being_written(gateway: Gateway) -> Path:
    return next((gateway.state / "recordings").glob("*.mitm.open"))


def one(gateway: Gateway, operation: str) -> http.HTTPFlow:
    """The first recorded call of an operation."""
    return next(flow for flow in gateway.flows() if flow.metadata.get("ddgate.operation") == operation)


def test_mitmdump_reads_complete_and_open_segments(recorded: Gateway, mitmdump: Mitmdump) -> None:
    said = mitmdump.read(complete(recorded))
    assert said.count(f"GET {API}/api/v1/monitor") == 1
    assert said.count(f"POST {API}/api/v1/monitor") == 1
    assert f"POST {API}/api/v2/api_keys" in said
    assert f"GET {API}/api/v1/dashboard" in mitmdump.read(being_written(recorded))


def test_comment_and_metadata_say_who_what_and_why(recorded: Gateway, mitmdump: Mitmdump) -> None:
    created, denied = one(recorded, "CreateMonitor"), one(recorded, "CreateAPIKey")
    assert created.metadata["ddgate.principal"] == "sre-agent"
    assert created.metadata["ddgate.on_behalf_of"] == "bob@example.com"
    assert created.metadata["ddgate.rule"] == "sre-on-call-work"
    assert created.metadata["ddgate.effect"] == "allow"
    assert created.metadata["ddgate.findings"] >= 1
    assert created.comment.startswith(
        "sre-agent for bob@example.com · CreateMonitor · allow sre-on-call-work"
    )
    assert denied.metadata["ddgate.refused"] is True
    assert "refused denied_by_rule no-key-management" in denied.comment
    assert denied.marked
    (outcome,) = [
        each for each in recorded.records_of("outcome") if each["call"] == created.metadata["ddgate.call"]
    ]
    assert outcome["recording"]["segment"] == complete(recorded).name


@pytest.mark.parametrize(
    ("expression", "operations"),
    [
        ("~comment no-key-management", ["CreateAPIKey"]),
        ("~comment UpdateMonitor", []),
        ("~meta ddgate.refused", ["CreateAPIKey"]),
        ("~meta bob@example.com & ~m POST & ~meta sre-on-call-work", ["CreateMonitor"]),
        ("~meta somebody-else", []),
    ],
)
def test_filters_work(recorded: Gateway, mitmdump: Mitmdump, expression: str, operations: list[str]) -> None:
    found = mitmdump.matching(complete(recorded), expression)
    assert [flow.metadata["ddgate.operation"] for flow in found] == operations


def test_mitmweb_loads_and_lists_a_segment(recorded: Gateway, tmp_path: Path) -> None:
    port = free_port()
    path = complete(recorded)
    command = [str(BIN / "mitmweb"), "-n", "-r", str(path), "--no-web-open-browser", "--web-port", str(port)]
    command += ["--set", f"confdir={tmp_path}", "--set", "web_password=of-the-test"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, env={"PATH": os.environ["PATH"]}, stdout=log, stderr=log)
    try:

        def listed() -> Any:
            try:
                answer = httpx.get(
                    f"http://127.0.0.1:{port}/flows",
                    headers={"Authorization": "Bearer of-the-test"},
                    trust_env=False,
                )
            except httpx.TransportError:
                return None
            return answer.json() if answer.status_code == 200 else None

        shown = wait_until(listed, 30, f"mitmweb; it said {(tmp_path / 'log').read_text()}")
    finally:
        process.kill()
        process.wait()
    here = read_flows(path)
    assert [flow["id"] for flow in shown] == [flow.id for flow in here]
    assert [flow["comment"] for flow in shown] == [flow.comment for flow in here]


def since(gateway: Gateway, before: int) -> list[dict[str, Any]]:
    return gateway.records()[before:]


def test_a_read_is_replayed_and_decided_recorded_and_audited_as_the_replaying_principal(
    recorded: Gateway, issuer: Issuer, fresh: StandIn, mitmdump: Mitmdump, tmp_path: Path
) -> None:
    flow = one(recorded, "ListMonitors")
    assert flow.client_conn.proxy_mode.full_spec == f"upstream:{recorded.url}"
    before = len(recorded.records())
    path = write_flow(tmp_path / "one.mitm", flow)
    (replayed,) = mitmdump.replay(path, recorded, token=issuer.token("demo-agent"))
    assert replayed.response is not None
    assert replayed.response.status_code == 200
    (received,) = fresh.requests()
    assert (received.method, received.path, received.query) == ("GET", "/api/v1/monitor", "name=one")
    assert received.values("dd-api-key") == [fresh.keys["api_key"]]
    attempted, outcome = since(recorded, before)
    assert (attempted["kind"], outcome["kind"]) == ("attempted", "outcome")
    assert attempted["call"] == outcome["call"] != flow.metadata["ddgate.call"]
    anew = [each for each in recorded.flows() if each.metadata["ddgate.call"] == outcome["call"]]
    assert [each.metadata["ddgate.principal"] for each in anew] == ["demo-agent"]
    assert "ddgate.on_behalf_of" not in anew[0].metadata
    assert "demo-agent" in json.dumps(attempted)
    assert "sre-agent" not in json.dumps([attempted, outcome])


def test_i5_a_replayed_write_that_contains_a_mask_is_refused(
    recorded: Gateway, issuer: Issuer, fresh: StandIn, mitmdump: Mitmdump, tmp_path: Path
) -> None:
    flow = one(recorded, "CreateMonitor")
    assert contains_mask(flow.request.raw_content or b"")
    path = write_flow(tmp_path / "write.mitm", flow)
    (replayed,) = mitmdump.replay(path, recorded, token=issuer.token("sre-agent"))
    assert refusal(replayed) == (403, "masked_value")
    assert fresh.requests() == []


def refusal(flow: http.HTTPFlow) -> tuple[int, str]:
    assert flow.response is not None, flow.error
    told = json.loads(flow.response.content or b"")
    assert told["errors"][0].startswith("ddgate:")
    return flow.response.status_code, told["ddgate"]["reason"]


def test_a_replay_without_a_token_is_refused(
    recorded: Gateway, fresh: StandIn, mitmdump: Mitmdump, tmp_path: Path
) -> None:
    before = len(recorded.records())
    path = write_flow(tmp_path / "one.mitm", one(recorded, "ListMonitors"))
    (replayed,) = mitmdump.replay(path, recorded, token=None)
    assert refusal(replayed) == (401, "no_identity")
    assert fresh.requests() == []
    assert {record["kind"] for record in since(recorded, before)} == {"refused"}


def doctored(flow: http.HTTPFlow) -> http.HTTPFlow:
    """As a forger would have it: allowed, by the best of rules, to an administrator."""
    flow.metadata.update(
        {
            "ddgate.effect": "allow",
            "ddgate.rule": "agents-read",
            "ddgate.reason": "allowed_by_rule",
            "ddgate.principal": "administrator",
            "ddgate.groups": "agents sre-agents",
            "ddgate.refused": False,
        }
    )
    flow.comment = "administrator · CreateAPIKey · allow agents-read"
    flow.is_replay = "request"
    return flow


def test_abuse_36_stored_metadata_permits_nothing(
    recorded: Gateway, issuer: Issuer, fresh: StandIn, mitmdump: Mitmdump, tmp_path: Path
) -> None:
    denied = write_flow(tmp_path / "denied.mitm", doctored(one(recorded, "CreateAPIKey")))
    (replayed,) = mitmdump.replay(denied, recorded, token=issuer.token("sre-agent"))
    assert refusal(replayed) == (403, "denied_by_rule")
    before = len(recorded.records())
    read = write_flow(tmp_path / "read.mitm", doctored(one(recorded, "ListMonitors")))
    (replayed,) = mitmdump.replay(read, recorded, token=issuer.token("alice"))
    assert refusal(replayed) == (403, "no_rule")
    (record,) = since(recorded, before)
    assert '"alice"' in json.dumps(record)
    assert "administrator" not in json.dumps(record)
    assert fresh.requests() == []


def test_abuse_36_a_crafted_host_gets_nowhere(
    recorded: Gateway, issuer: Issuer, fresh: StandIn, mitmdump: Mitmdump, tmp_path: Path
) -> None:
    token = issuer.token("sre-agent")
    header = doctored(one(recorded, "ListMonitors"))
    header.request.headers["Host"] = "api.evil.example"
    (replayed,) = mitmdump.replay(write_flow(tmp_path / "header.mitm", header), recorded, token=token)
    assert refusal(replayed)[0] == 403
    host = doctored(one(recorded, "ListMonitors"))
    host.request.host = "api.evil.example"
    for replayed in mitmdump.replay(write_flow(tmp_path / "host.mitm", host), recorded, token=token):
        assert replayed.response is None or replayed.response.status_code in {403, 502}
    assert any("evil.example" in json.dumps(record) for record in recorded.records_of("tunnel_refused"))
    assert fresh.requests() == []
