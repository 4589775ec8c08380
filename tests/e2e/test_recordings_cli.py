"""`ddgate recordings` on what a gateway is recording: found, proven, handed on and made again."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from addons.core.redact.detectors.vendors import fill
from tests.e2e import forked
from tests.e2e.gateway_process import Gateway, curl
from tests.e2e.stock_mitmproxy import Mitmdump, read_flows
from tests.sandbox_processes import Issuer, StandIn

API = "https://api.datadoghq.com"
SECRET = "sk_live_" + fill(24)
MONITOR = {"type": "metric alert", "query": "a > 1", "name": "it's $HOME", "message": "page me"}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory, issuer: Issuer, datadog: StandIn) -> Iterator[Gateway]:
    gateway = Gateway(
        tmp_path_factory.mktemp("listed") / "gateway", issuer.url, datadog.port, datadog.ca, datadog.keys
    ).start()
    try:
        token = issuer.token("sre-agent", on_behalf_of="bob@example.com")
        assert curl(gateway, f"{API}/api/v1/monitor", "-d", json.dumps(MONITOR), token=token).status == 200
        secret = {**MONITOR, "message": f"page {SECRET}"}
        assert curl(gateway, f"{API}/api/v1/monitor", "-d", json.dumps(secret), token=token).status == 200
        denied = curl(gateway, f"{API}/api/v2/api_keys", "-d", '{"data": {}}', token=token)
        assert denied.status == 403
        yield gateway
    finally:
        gateway.stop()


def recordings(gateway: Gateway, *arguments: str) -> subprocess.CompletedProcess[str]:
    return forked.run(["recordings", *arguments, "--state", str(gateway.state)])


def listed(gateway: Gateway, *arguments: str) -> list[dict[str, Any]]:
    done = recordings(gateway, "list", "--json", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_what_is_being_recorded_is_listed_and_proven(recorded: Gateway) -> None:
    denied, _, created = listed(recorded)[:3]
    assert (denied["operation"], denied["status"], denied["refused"]) == ("CreateAPIKey", 403, True)
    assert (created["subject"], created["on_behalf_of"]) == ("sre-agent", "bob@example.com")
    for call in (denied, created):
        shown = recordings(recorded, "show", call["call"])
        assert shown.returncode == 0, shown.stderr
        assert "these bytes are what was recorded (audit record " in shown.stdout
    assert [each["call"] for each in listed(recorded, "--effect", "deny")] == [denied["call"]]


def test_what_was_masked_is_not_found_by_its_value(recorded: Gateway) -> None:
    assert "page [REDACTED" in recordings(recorded, "search", "page [redacted").stdout
    assert "No recorded call fits" in recordings(recorded, "search", SECRET).stderr
    assert all(SECRET.encode() not in content for _, content in recorded.files())


def test_stock_mitmdump_reads_what_is_exported(recorded: Gateway, tmp_path: Path) -> None:
    for form in ("mitm", "har"):
        out = tmp_path / f"out.{form}"
        done = recordings(recorded, "export", "-f", form, "-o", str(out), "--operation", "Create*")
        assert done.returncode == 0, done.stderr
        said = Mitmdump(tmp_path).read(out)
        assert said.count(f"POST {API}/api/v1/monitor") >= 2
        assert f"POST {API}/api/v2/api_keys" in said
    assert {flow.metadata["ddgate.principal"] for flow in read_flows(tmp_path / "out.mitm")} == {"sre-agent"}


def test_a_curl_script_makes_the_call_again_through_the_gateway(
    recorded: Gateway, issuer: Issuer, tmp_path: Path
) -> None:
    first = listed(recorded, "--operation", "CreateMonitor")[-1]
    script = tmp_path / "again.sh"
    done = recordings(recorded, "export", first["call"], "-f", "curl", "-o", str(script))
    assert done.returncode == 0, done.stderr
    environment = {
        "PATH": os.environ["PATH"],
        "DDGATE_TOKEN": issuer.token("sre-agent"),
        "DDGATE_PROXY": recorded.url,
        "DDGATE_CA": str(recorded.ca),
    }
    ran = subprocess.run(["sh", str(script)], env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["name"] == MONITOR["name"]
    again = listed(recorded, "--operation", "CreateMonitor")[0]
    assert again["call"] != first["call"]
    assert again["subject"] == "sre-agent"
    assert "on_behalf_of" not in again
