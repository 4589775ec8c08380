"""What agents are for: unmodified clients do their work under `ddgate run`, and leave no secret."""

from __future__ import annotations

import http.server
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from addons.core.body import decode_body
from addons.core.redact.detectors.vendors import fill, upper
from addons.core.redact.masking.mask import MASK, contains_mask
from tests.e2e.agent_run import Agent, Said
from tests.e2e.gateway_process import Gateway
from tests.e2e.test_abuse_credential import assert_absent
from tests.e2e.traces import assert_nothing_readable, decoded
from tests.sandbox_processes import Issuer, Received, StandIn

# A different one in each place, so that a leak tells where it began.
SECRETS = {
    "log": f"password=Tr0ub4dor-{fill(6)}",
    "tag": "token:glpat-" + fill(20),
    "metric": "AKIA" + upper(16)[:16].replace("0", "Q").replace("1", "R").replace("8", "S").replace("9", "T"),
    "monitor": "sk_live_" + fill(24)[::-1],
    "dashboard": "xoxb-123456789012-123456789012-" + fill(24),
    "query": "ghp_" + fill(36),
    "path": "glpat-" + fill(20)[::-1],
    "header": "Bearer " + fill(40)[::-1],
}
PLANTED = {
    name: text.rpartition("=")[2].rpartition(" ")[2].rpartition(":")[2] for name, text in SECRETS.items()
}
TELEMETRY = ("/api/v2/logs", "/api/v2/series", "/api/v1/series", "/api/v1/events", "/api/v1/check_run")

MONITOR_CALLS = ["create monitor", "update monitor", "read monitor", "list monitors", "delete monitor"]
BOARD_CALLS = [
    "create dashboard",
    "read dashboard",
    "update dashboard",
    "read no dashboard",
    "delete dashboard",
]
SENT = [f"{what} {encoding}" for encoding in ("", "gzip", "deflate", "zstd1") for what in ("log", "series")]
CLIENT_CALLS = ["validate", *SENT, "series v1", *MONITOR_CALLS, *BOARD_CALLS]


@pytest.fixture(scope="module")
def job_gateway(
    tmp_path_factory: pytest.TempPathFactory, issuer: Issuer, datadog: StandIn
) -> Iterator[Gateway]:
    directory = tmp_path_factory.mktemp("job") / "gateway"
    gateway = Gateway(directory, issuer.url, datadog.port, datadog.ca, datadog.keys).start()
    yield gateway
    gateway.stop()


@pytest.fixture
def agent(job_gateway: Gateway, issuer: Issuer, tmp_path: Path) -> Agent:
    return Agent(job_gateway, issuer, tmp_path)


def assert_only_the_gateways_keys(received: list[Received], agent: Agent, datadog: StandIn) -> None:
    assert received
    assert agent.tokens
    for one in received:
        assert one.values("dd-api-key") == [datadog.keys["api_key"]]
        assert one.values("dd-application-key") in ([datadog.keys["application_key"]], [])
        others = [value for name, value in one.headers if not name.lower().startswith("dd-a")]
        whole = f"{one.path}?{one.query} {others} {one.body!r}".encode()
        assert_absent(whole, [*agent.tokens, "0" * 32, *datadog.keys.values()], one.path)
        assert not one.values("authorization")
        assert not one.values("proxy-authorization")


def ran(said: list[Said]) -> list[Said]:
    """The calls that reached Datadog: all but the last, which is the denied one."""
    *allowed, denied = said
    assert denied.call == "create api key"
    return allowed


@pytest.mark.parametrize(
    "client", ["api_client_job.py sync raw", "api_client_job.py async raw", "curl_job.py"]
)
def test_answers_are_byte_for_byte_datadogs(agent: Agent, fresh: StandIn, client: str) -> None:
    said = ran(agent.client(*client.split()).said)
    received = fresh.requests()
    assert [one.call for one in said] == [one.call for one in said if one.status]
    assert set(CLIENT_CALLS) <= {one.call for one in said}
    assert len(said) == len(received)
    for seen, one in zip(said, received, strict=True):
        assert seen.status == one.status, seen.call
        if seen.error:  # the sync client's exception holds the parsed answer alone, the async one's nothing
            assert (seen.call, one.status) == ("read no dashboard", 404)
            assert json.loads(seen.body) in ("", json.loads(one.answer))
        else:
            assert seen.body == one.answer, seen.call
    coded = [value for one in received for name, value in one.headers if name.lower() == "content-encoding"]
    assert set(coded) == {"gzip", "deflate", "zstd1"}
    assert_only_the_gateways_keys(received, agent, fresh)


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_the_typed_client_reads_every_answer_under_the_default_policy(
    agent: Agent, fresh: StandIn, mode: str
) -> None:
    said = agent.client("api_client_job.py", mode, "typed").said
    kinds = {one.call: one.kind for one in said if one.kind}
    assert set(CLIENT_CALLS) - set(kinds) == {"read no dashboard"}
    assert kinds["update monitor"] == kinds["read monitor"] == "Monitor"
    assert kinds["update dashboard"] == kinds["read dashboard"] == "Dashboard"
    assert kinds["list monitors"] == "list"
    errors = {one.call: (one.error, one.status) for one in said if one.error}
    assert errors == {
        "read no dashboard": ("NotFoundException", 404),
        "create api key": ("ForbiddenException", 403),
    }
    (denied,) = [one for one in said if one.call == "create api key"]
    (text,) = json.loads(denied.body)["errors"]
    assert text.startswith("ddgate:")
    assert "no-key-management" in text
    received = fresh.requests()
    assert "/api/v2/api_keys" not in {one.path for one in received}
    assert_only_the_gateways_keys(received, agent, fresh)


def test_answers_with_a_secret_in_them_differ_by_its_mask_alone(agent: Agent, fresh: StandIn) -> None:
    job = agent.client("api_client_job.py", "sync", "raw", more={"JOB_SECRETS": json.dumps(SECRETS)})
    masked = set()
    for seen, one in zip(ran(job.said), fresh.requests(), strict=True):
        assert seen.status == one.status
        if contains_mask(seen.body) and not seen.error:
            secret = PLANTED["dashboard" if "dashboard" in seen.call else "monitor"].encode()
            assert MASK.sub(secret, seen.body) == one.answer, seen.call
            masked.add(seen.call)
        elif not seen.error:
            assert seen.body == one.answer, seen.call
    assert masked == {
        *("create monitor", "update monitor", "read monitor"),
        *("create dashboard", "read dashboard", "update dashboard"),
    }


@pytest.mark.parametrize(
    "client", ["api_client_job.py sync typed", "api_client_job.py async raw", "curl_job.py"]
)
def test_a_planted_secret_is_in_no_file_and_in_no_telemetry(
    agent: Agent, fresh: StandIn, client: str
) -> None:
    job = agent.client(*client.split(), more={"JOB_SECRETS": json.dumps(SECRETS)})
    assert {one.call for one in job.said} >= {*CLIENT_CALLS, "create api key"}
    received = fresh.requests()
    arrived = b" ".join(f"{one.path}?{one.query} {one.headers}".encode() + one.body for one in received)
    for name in ("monitor", "dashboard", "query", "path", "header"):
        assert PLANTED[name].encode() in arrived, f"{name} was never sent, so this proves nothing"
    assert_telemetry_is_masked(received)
    assert_only_the_gateways_keys(received, agent, fresh)
    assert_nothing_readable(agent.gateway, [*PLANTED.values(), *agent.tokens, *fresh.keys.values()])


def assert_telemetry_is_masked(received: list[Received]) -> None:
    telemetry = [one for one in received if one.path in TELEMETRY]
    assert len(telemetry) == 9  # logs and series under four codings, series v1
    for one in telemetry:
        assert one.status == 202
        assert one.values("content-length") == [str(len(one.body))]
        (coding,) = one.values("content-encoding") or [""]
        body = decode_body(one.body, coding, limit=1 << 20)
        json.loads(body)
        assert contains_mask(body)
        assert_absent(body, PLANTED.values(), one.path)


def test_recorded_bodies_are_the_masked_ones_under_their_own_coding(agent: Agent, fresh: StandIn) -> None:
    before = len(agent.gateway.flows())
    agent.client("curl_job.py", more={"JOB_SECRETS": json.dumps(SECRETS)})
    flows = agent.gateway.flows()[before:]
    sent = [one for one in flows if one.request.path.partition("?")[0] in TELEMETRY]
    codings = {one.request.headers.get("content-encoding", "") for one in sent}
    assert codings == {"", "gzip", "deflate", "zstd1"}
    by_path = {one.path: one for one in fresh.requests()}
    for flow in sent:
        assert contains_mask(decoded(flow.request))
        assert flow.request.headers["content-length"] == str(len(flow.request.raw_content or b""))
        assert flow.request.path in by_path
    (created,) = [one for one in flows if one.metadata.get("ddgate.operation") == "CreateMonitor"]
    assert re.search(rb"page @sre \[REDACTED:[a-z-]+:[0-9a-f]{8}\]", decoded(created.request))


class _Other(http.server.BaseHTTPRequestHandler):
    seen: list[str]

    def do_GET(self) -> None:
        self.seen.append(str(self.headers))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"the other host")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Say nothing."""


@pytest.fixture
def other_host() -> Iterator[tuple[str, list[str]]]:
    seen: list[str] = []
    handler = type("Handler", (_Other,), {"seen": seen})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/hello", seen
    server.shutdown()
    server.server_close()
    thread.join()


def test_datadogpy_does_its_job_and_the_same_process_calls_another_host(
    agent: Agent, fresh: StandIn, other_host: tuple[str, list[str]]
) -> None:
    url, seen = other_host
    calls_before = len(agent.gateway.records())
    job = agent.client("datadogpy_job.py", url, more={"JOB_SECRETS": json.dumps(SECRETS)})
    assert job.exit_code == 0, job.err
    answers = json.loads(job.out)
    assert answers["metric"] == answers["check"] == {"status": "ok"}
    assert answers["event"]["status"] == "ok"
    assert answers["update"]["query"].endswith("2")
    assert answers["read"]["id"] == answers["create"]["id"] == answers["delete"]["deleted_monitor_id"]
    assert "deleted_dashboard_id" in answers["delete dashboard"]
    assert "ddgate:" in str(answers["mute host"])

    assert answers["other"] == "the other host"
    (headers,) = seen
    assert "authorization" not in headers.lower()
    assert_absent(headers.encode(), agent.tokens, "what the other host saw")
    told = json.dumps(agent.gateway.records()[calls_before:])
    assert url not in told

    received = fresh.requests()
    assert_only_the_gateways_keys(received, agent, fresh)
    sent = [one for one in received if one.path in ("/api/v1/series", "/api/v1/events")]
    assert {(one.path, *one.values("content-encoding")) for one in sent} == {
        ("/api/v1/series", "deflate"),
        ("/api/v1/events",),
    }
    for one in sent:
        body = decode_body(one.body, (one.values("content-encoding") or [""])[0], limit=1 << 20)
        assert contains_mask(body)
        assert_absent(body, PLANTED.values(), one.path)
    assert_nothing_readable(agent.gateway, [*PLANTED.values(), *agent.tokens])


def test_i6_one_process_outlives_three_tokens_and_no_call_fails(
    job_gateway: Gateway, issuer: Issuer, fresh: StandIn, tmp_path: Path
) -> None:
    agent = Agent(job_gateway, issuer, tmp_path, ttl=4)
    before = len(job_gateway.records())
    job = agent.client("long_lived_job.py", "13")
    assert job.exit_code == 0, job.err
    came_to = json.loads(job.out)
    assert set(came_to) == {"client: list", 'session: {"valid": true}'}
    assert min(came_to.values()) > 20
    assert len(set(agent.tokens)) >= 4
    records = job_gateway.records()[before:]
    assert {record["kind"] for record in records} == {"attempted", "outcome"}
    assert len(fresh.requests()) == sum(came_to.values())
