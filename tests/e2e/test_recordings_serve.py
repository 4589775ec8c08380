"""A recording as Datadog: real clients find their recorded answers, with other keys and other secrets,
directly and behind a gateway; what isn't recorded gets 404 and is told."""

from __future__ import annotations

import gzip
import io
import json
import os
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from mitmproxy import http
from mitmproxy.io import FlowWriter
from mitmproxy.test import tflow

from addons.core.redact.detectors.vendors import fill
from tests.e2e.agent_run import CLIENTS, Agent, Said
from tests.e2e.conftest import MakeGateway
from tests.e2e.gateway_process import Gateway, curl
from tests.e2e.served_recording import Served, served
from tests.e2e.stock_mitmproxy import Mitmdump
from tests.sandbox_processes import Issuer, StandIn

API = "https://api.datadoghq.com"
QUERY = "avg(last_5m):avg:a{*} > 1"
# Which secrets were planted in the recorded run, and other ones of the same kinds.
PLANTED = {
    "log": f"password=Tr0ub4dor-{fill(6)}",
    "monitor": "sk_live_" + fill(24)[::-1],
    "query": "ghp_" + fill(36),
    "path": "glpat-" + fill(20)[::-1],
}
OTHERS = {
    "log": f"password=Tr0ub4dor-{fill(6)[::-1]}",
    "monitor": "sk_live_" + fill(24),
    "query": "ghp_" + fill(36)[::-1],
    "path": "glpat-" + fill(20),
}
TIMES = ("--ignore", "$.series[*].points")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory, issuer: Issuer, datadog: StandIn) -> Iterator[Gateway]:
    directory = tmp_path_factory.mktemp("served") / "gateway"
    gateway = Gateway(directory, issuer.url, datadog.port, datadog.ca, datadog.keys).start()
    yield gateway
    gateway.stop()


def job(gateway: Gateway, issuer: Issuer, directory: Path, secrets: dict[str, str], mode: str) -> list[Said]:
    directory.mkdir()
    agent = Agent(gateway, issuer, directory)
    return agent.client("api_client_job.py", mode, "typed", more={"JOB_SECRETS": json.dumps(secrets)}).said


def behind(served_one: Served) -> dict[str, Any]:
    """The configuration of a gateway whose Datadog it is."""
    route = {"address": "127.0.0.1", "port": served_one.https_port, "ca": str(served_one.ca)}
    return {"upstream": {"connect_to": {"*": route}}}


@pytest.mark.parametrize("mode", ["sync", pytest.param("async", marks=pytest.mark.long)])
def test_a_job_runs_on_its_recording_behind_a_gateway_with_other_secrets(
    recorded: Gateway,
    make_gateway: MakeGateway,
    issuer: Issuer,
    fresh: StandIn,
    tmp_path: Path,
    mode: str,
) -> None:
    before = job(recorded, issuer, tmp_path / "before", PLANTED, mode)
    fresh.reset()
    with served(tmp_path, "--state", str(recorded.state), *TIMES) as stand_in:
        replayed = make_gateway(config=behind(stand_in)).start()
        after = job(replayed, issuer, tmp_path / "after", OTHERS, mode)
        replayed.stop()
    told = [(one.call, one.status, one.kind, one.error) for one in before]
    assert len(told) > 15
    assert [(one.call, one.status, one.kind, one.error) for one in after] == told, [one.body for one in after]
    assert fresh.requests() == []


def test_clients_use_it_directly_with_any_keys(recorded: Gateway, issuer: Issuer, tmp_path: Path) -> None:
    token = issuer.token("sre-agent")
    monitor = {"type": "metric alert", "query": QUERY, "name": "direct", "message": PLANTED["monitor"]}
    made = curl(recorded, f"{API}/api/v1/monitor", "-d", json.dumps(monitor), token=token).json()
    log = json.dumps([{"message": PLANTED["monitor"], "ddtags": "env:prod"}])
    intake = "https://http-intake.logs.datadoghq.com/api/v2/logs"
    as_json = ("-H", "Content-Type: application/json")
    assert curl(recorded, intake, "-d", log, *as_json, token=token).status == 202
    with served(tmp_path, "--state", str(recorded.state)) as stand_in:
        ports = (str(stand_in.https_port), str(stand_in.ca), str(stand_in.http_port))
        done = subprocess.run(
            [sys.executable, str(CLIENTS / "direct_job.py"), *ports, OTHERS["monitor"]],
            env={"PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["created"][0] == said["datadogpy"] == made["id"]
    assert said["created"][1].startswith("[REDACTED:")
    status, error, body = said["unknown"]
    assert (status, error) == (404, "NotFoundException")
    assert "no recorded call is GET" in body
    assert "no recorded call is GET" in said["datadogpy unknown"]


def flows_file(path: Path, *flows: http.HTTPFlow) -> Path:
    file = io.BytesIO()
    for flow in flows:
        FlowWriter(file).add(flow)
    path.write_bytes(file.getvalue())
    return path


def stock_flow(url: str, answer: bytes, at: float, **headers: str) -> http.HTTPFlow:
    """As stock mitmproxy records one."""
    flow = tflow.tflow(resp=True)
    flow.request = http.Request.make("GET", url)
    flow.request.timestamp_start = at
    fields = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    flow.response = http.Response.make(200, b"", http.Headers(fields))
    flow.response.raw_content = answer
    return flow


def test_answers_come_as_recorded_in_their_order_over_https_and_http(tmp_path: Path) -> None:
    zipped = gzip.compress(b'{"n": 2}')
    path = flows_file(
        tmp_path / "stock.mitm",
        stock_flow(f"{API}/api/v1/a", zipped, 2.0, Content_Type="application/json", Content_Encoding="gzip"),
        stock_flow(f"{API}/api/v1/a", b'{"n": 1}', 1.0, Content_Type="application/json", Link="<x>"),
    )
    with served(tmp_path, str(path), "--state", str(tmp_path / "no-state"), "--once") as stand_in:
        trust = ssl.create_default_context(cafile=str(stand_in.ca))
        with httpx.Client(verify=trust, trust_env=False) as client:
            first = client.get(f"{stand_in.https}/api/v1/a")
            assert (first.json(), first.headers["link"]) == ({"n": 1}, "<x>")
            with client.stream("GET", f"{stand_in.http}/api/v1/a") as second:
                assert second.headers["content-encoding"] == "gzip"
                assert b"".join(second.iter_raw()) == zipped
            third = client.get(f"{stand_in.https}/api/v1/a")
            assert third.status_code == 404
            assert "given once" in third.json()["errors"][0]
        assert "masks are compared by their kind alone" in stand_in.log.read_text()
    assert not (tmp_path / "no-state").exists()


def test_a_damaged_recording_is_told_and_the_rest_is_served(tmp_path: Path) -> None:
    good = flows_file(tmp_path / "cut.mitm", stock_flow(f"{API}/api/v1/a", b"{}", 1.0))
    good.write_bytes(good.read_bytes() + b"300:and no more")
    (tmp_path / "odd.mitm").write_bytes(b"5:hello}")
    with served(tmp_path, str(good), str(tmp_path / "odd.mitm"), "--state", str(tmp_path / "no")) as stand_in:
        assert stand_in.calls == 1
        said = stand_in.log.read_text()
    assert "cut.mitm" in said
    assert "odd.mitm" in said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["no-such.mitm"], "no such file"),
        (["--ignore", "modified"], "does not begin with $"),
    ],
)
def test_what_cant_be_served_is_told(tmp_path: Path, arguments: list[str], words: str) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "addons.cli.main",
            "recordings",
            "serve",
            *arguments,
            "--state",
            str(tmp_path / "s"),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    assert words in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_serving_a_recording_is_on_record(recorded: Gateway, tmp_path: Path) -> None:
    before = len(recorded.records())
    with served(tmp_path, "--state", str(recorded.state)):
        pass
    (record,) = recorded.records()[before:]
    assert (record["kind"], record["attributes"]["command"]) == ("read", "recordings serve")


def test_stock_mitmdump_replays_a_segment_through_a_gateway_on_its_own_recording(
    make_gateway: MakeGateway, issuer: Issuer, fresh: StandIn, tmp_path: Path
) -> None:
    """What is allowed brings the recorded answers, byte for byte, from the recording."""
    first = make_gateway("first").start()
    token = issuer.token("demo-agent")
    for path in ("/api/v1/monitor?name=x", "/api/v1/dashboard", "/api/v1/validate"):
        assert curl(first, f"{API}{path}", token=token).status == 200
    first.stop()
    (segment,) = (first.state / "recordings").glob("*.mitm")
    fresh.reset()
    with served(tmp_path, str(segment), "--state", str(first.state)) as stand_in:
        again = make_gateway("again", config=behind(stand_in)).start()
        replayed = Mitmdump(tmp_path).replay(segment, again, token=token)
        again.stop()
    recorded_flows = first.flows()
    assert [flow.id for flow in replayed] == [flow.id for flow in recorded_flows]
    for old, new in zip(recorded_flows, replayed, strict=True):
        assert old.response is not None
        assert new.response is not None
        assert (new.response.status_code, new.response.raw_content) == (
            old.response.status_code,
            old.response.raw_content,
        )
    assert fresh.requests() == []
