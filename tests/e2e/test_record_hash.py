"""`record: hash` with a real gateway: bulk telemetry passes, and no body of it is left anywhere."""

from __future__ import annotations

import gzip
import hmac
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from addons.core.body import decode_body
from addons.core.redact.detectors.vendors import fill
from addons.store.recordings.flows import NOT_STORED
from addons.store.state_dir import StateDir
from tests.e2e.agent_run import Agent, Said
from tests.e2e.gateway_process import Gateway, curl
from tests.e2e.replaying import replay
from tests.e2e.stock_mitmproxy import Mitmdump
from tests.e2e.test_abuse_credential import assert_absent
from tests.e2e.test_policy_recordings import loaded
from tests.e2e.traces import assert_nothing_readable, readable
from tests.sandbox_processes import Issuer, Received, StandIn

API = "https://api.datadoghq.com"
PASSWORD = f"Tr0ub4dor-{fill(6)}"
UNKNOWN = "what no detector knows"
LOG = f"{UNKNOWN}: password={PASSWORD}"
POLICY = {
    "version": 1,
    "rules": [
        {"id": "bulk", "effect": "allow", "op": {"name": ["SubmitLog", "unknown"]}, "record": "hash"},
        {"id": "rest", "effect": "allow", "op": {"risk": ["read", "write", "destructive", "ingest"]}},
        {"id": "no-large", "effect": "deny", "op": {"name": "v2.SubmitLog"}, "http": {"size": ">1MiB"}},
    ],
}
READS_LOGS = """version: 1
rules:
  - {id: rest, effect: allow}
  - {id: no-secrets, effect: deny, op: {name: SubmitLog, absent: false}, when: 'size(body) > 3'}
"""


@pytest.fixture(scope="module")
def bulk(tmp_path_factory: pytest.TempPathFactory, issuer: Issuer, datadog: StandIn) -> Iterator[Gateway]:
    directory = tmp_path_factory.mktemp("bulk")
    policy = directory / "bulk.json"
    policy.write_text(json.dumps(POLICY))
    gateway = Gateway(
        directory / "gateway",
        issuer.url,
        datadog.port,
        datadog.ca,
        datadog.keys,
        config={"policy": [str(policy)]},
    ).start()
    yield gateway
    gateway.stop()


@pytest.fixture(scope="module")
def sent(
    bulk: Gateway, issuer: Issuer, datadog: StandIn, tmp_path_factory: pytest.TempPathFactory
) -> list[tuple[Said, Received]]:
    """The official client's calls that ran, each as the client and as Datadog saw it."""
    datadog.reset()
    agent = Agent(bulk, issuer, tmp_path_factory.mktemp("agent"))
    secrets = {"JOB_SECRETS": json.dumps({"log": LOG})}
    *ran, denied = agent.client("api_client_job.py", "sync", "raw", more=secrets).said
    assert denied.status == 403
    return list(zip(ran, datadog.requests(), strict=True))


def logs(sent: list[tuple[Said, Received]]) -> list[tuple[Said, Received]]:
    found = [pair for pair in sent if pair[0].call.startswith("log ")]
    assert len(found) == 4
    return found


def keyed(gateway: Gateway, body: bytes) -> str:
    key = StateDir.open(gateway.state).installation_key("body-digest")
    return f"hmac-sha256:{hmac.digest(key, body, 'sha256').hex()}"


def told(gateway: Gateway, kind: str, operation: str) -> list[dict[str, Any]]:
    return [
        record for record in gateway.records_of(kind) if record.get("api", {}).get("operation") == operation
    ]


def test_the_logs_reach_datadog_as_they_are_and_the_client_gets_its_answers(
    sent: list[tuple[Said, Received]],
) -> None:
    for said, received in logs(sent):
        assert (said.status, said.body) == (202, received.answer)
        arrived = decode_body(
            received.body, next(iter(received.values("content-encoding")), None), limit=1 << 20
        )
        assert LOG.encode() in arrived


def test_neither_the_secret_nor_the_body_is_in_any_file(
    bulk: Gateway, sent: list[tuple[Said, Received]]
) -> None:
    assert_nothing_readable(bulk, [PASSWORD, UNKNOWN])
    bodies = [received.body for _, received in logs(sent)]
    for where, data in readable(bulk):
        assert not any(body in data for body in bodies), where
        assert b"login failed" not in data, where  # as its text begins
    assert any(b"prod latency" in data for _, data in readable(bulk))  # a monitor is no bulk


def test_the_trail_has_the_size_and_the_digest_of_each(
    bulk: Gateway, sent: list[tuple[Said, Received]]
) -> None:
    begun, ended = told(bulk, "attempted", "SubmitLog")[:4], told(bulk, "outcome", "SubmitLog")[:4]
    for (_, received), start, end in zip(logs(sent), begun, ended, strict=True):
        digest = keyed(bulk, received.body)
        assert start["attributes"]["record"] == "hash"
        assert start["attributes"]["request"]["not_stored"] == {
            "length": len(received.body),
            "digest": digest,
        }
        assert "body_base64" not in start["attributes"]["request"]
        for record in (start, end):
            assert record["http_request"]["length"] == len(received.body)
            assert "sha256" not in record["http_request"]
            assert "findings" not in record  # nobody looked for any
        assert end["http_response"] == {"status": 202, "length": len(received.answer)}
        assert end["attributes"]["response_digest"] == keyed(bulk, received.answer)
    assert all("record" not in one["attributes"] for one in told(bulk, "attempted", "CreateMonitor"))


def test_stock_mitmdump_reads_the_recording(
    bulk: Gateway, sent: list[tuple[Said, Received]], tmp_path: Path
) -> None:
    (segment,) = (bulk.state / "recordings").glob("*.mitm*")
    dump = Mitmdump(tmp_path / "home")
    assert "https://http-intake.logs.datadoghq.com/api/v2/logs" in dump.read(segment)
    flows = dump.matching(segment, "~meta SubmitLog")[:4]
    for flow, (said, received) in zip(flows, logs(sent), strict=True):
        found = NOT_STORED.fullmatch(flow.request.raw_content or b"")
        assert found is not None, said.call
        assert int(found[1]) == len(received.body)
        assert keyed(bulk, received.body).encode() in found[0]
        assert flow.response is not None
        assert NOT_STORED.fullmatch(flow.response.raw_content or b"") is not None
        assert flow.request.headers["content-type"] == "application/json"


def test_a_recorded_call_is_judged_by_all_but_its_body(
    bulk: Gateway, sent: list[tuple[Said, Received]], tmp_path: Path
) -> None:
    (same,) = [str(path) for path in bulk._config()["policy"]]
    as_before = loaded("backtest", same, str(bulk.state))
    assert (as_before["changes"], as_before["not_judged"]) == ([], [])
    stricter = tmp_path / "stricter.yaml"
    stricter.write_text(READS_LOGS)
    (unjudged,) = loaded("backtest", str(stricter), str(bulk.state))["not_judged"]
    count = len(told(bulk, "attempted", "SubmitLog"))
    assert (unjudged["calls"], unjudged["operations"]) == (count, {"v2.SubmitLog": count})
    assert "reads its body, and the recording doesn't hold that" in unjudged["why"]
    call = told(bulk, "attempted", "SubmitLog")[0]["call"]
    explained = loaded("explain", call, "-p", str(stricter), "--state", str(bulk.state))
    assert len(explained["notes"]) == 2
    assert "can't be told for sure" in explained["notes"][0]
    assert "no body of this call" in explained["notes"][1]
    (fits,) = [rule for rule in explained["rules"] if rule["fits"]]
    assert fits["rule"] == "rest"
    plain = loaded("explain", call, "-p", same, "--state", str(bulk.state))
    assert (plain["decision"]["rule"], plain["decision"]["record"]) == ("bulk", "hash")


@pytest.mark.usefixtures("sent")
def test_the_size_that_rules_saw_is_known_where_another_one_travelled(
    bulk: Gateway, issuer: Issuer, fresh: StandIn, tmp_path: Path
) -> None:
    """Compressed it is far below the bound of the rule, and what was decided is not guessed anew by that."""
    large, encoded = tmp_path / "large", tmp_path / "large.gz"
    large.write_bytes(b'["' + b"x" * 900_000 + b'"]')
    encoded.write_bytes(gzip.compress(large.read_bytes()))
    options = ["-H", "Content-Type: application/json", "-H", "Content-Encoding: gzip"]
    said = curl(
        bulk,
        f"{API}/api/v2/logs",
        *options,
        "--data-binary",
        f"@{encoded}",
        token=issuer.token("sre-agent"),
    )
    assert said.status == 202, said.body
    assert len(fresh.requests()[0].body) < 10_000
    call = told(bulk, "attempted", "SubmitLog")[-1]["call"]
    (policy,) = [str(path) for path in bulk._config()["policy"]]
    explained = loaded("explain", call, "-p", policy, "--state", str(bulk.state))
    assert explained["request"]["size"] == 900_004


@pytest.mark.usefixtures("sent")
def test_a_denied_call_is_recorded_whole(bulk: Gateway, issuer: Issuer, fresh: StandIn) -> None:
    large = b'["' + b"y" * 1_100_000 + b'"]'
    said = curl(
        bulk, f"{API}/api/v2/logs", "--data-binary", "@-", token=issuer.token("sre-agent"), stdin=large
    )
    assert said.status == 403
    assert fresh.requests() == []
    assert bulk.flows()[-1].request.raw_content == large
    assert "record" not in bulk.records_of("refused")[-1].get("attributes", {})


def test_an_echoed_key_is_scrubbed_from_what_the_agent_gets(
    bulk: Gateway, issuer: Issuer, datadog: StandIn
) -> None:
    keys = [datadog.keys["api_key"], datadog.keys["application_key"]]
    for form in ("json", "base64", "header"):
        answer = curl(bulk, f"{API}/_sandbox/echo?form={form}", token=issuer.token("sre-agent"))
        assert answer.status == 200, answer.body
        assert "REDACTED" in f"{answer.headers} {answer.body!r}"
        assert_absent(f"{answer.headers} {answer.body!r}".encode(), keys, "the answer")
        flow = bulk.flows()[-1]
        assert flow.response is not None
        assert NOT_STORED.fullmatch(flow.response.raw_content or b"") is not None
    assert_nothing_readable(bulk, keys)


@pytest.mark.usefixtures("sent")
def test_a_replay_is_refused_with_a_clear_word(bulk: Gateway, issuer: Issuer) -> None:
    call = told(bulk, "attempted", "SubmitLog")[0]["call"]
    done = replay(bulk, issuer.token("sre-agent"), call)
    assert done.results == ["left out"]
    assert "doesn't hold its body, only `[ddgate: " in done.calls[0]["why"]
