"""I2: every call that ends has one end on record, and one only, whatever went wrong on the way."""

from __future__ import annotations

import signal
import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import raw_client
from tests.e2e.gateway_process import ROOT, Gateway, wait_until
from tests.e2e.open_policy import write_open_policy
from tests.e2e.raw_upstream import KEYS, Exchange, RawUpstream, gateway_before, ok, records_of_call
from tests.sandbox_processes import Issuer

API = "api.datadoghq.com"
HOST = ("Host", API)
LISTEN = ("--listen-host", "127.0.0.1", "--listen-port", "PORT")
ENDS = ("outcome", "refused", "tunnel_refused")
HELD = "/api/v1/held"
BREAKS = "/api/v1/breaks"
HOOKS = ["http_connect", "requestheaders", "request", "server_connect", "responseheaders", "response"]


def _held(exchange: Exchange) -> None:
    exchange.hold()
    exchange.send(ok(b"{}"))


def _breaks(exchange: Exchange) -> bool:
    return False


@pytest.fixture
def upstream(tmp_path: Path) -> Iterator[RawUpstream]:
    with RawUpstream(tmp_path / "upstream", {HELD: _held, BREAKS: _breaks}) as upstream:
        yield upstream


@pytest.fixture
def gateway(tmp_path: Path, issuer: Issuer, upstream: RawUpstream) -> Iterator[Gateway]:
    made = gateway_before(tmp_path, issuer.url, upstream, drain="500ms").start()
    yield made
    if made.process is not None and made.process.poll() is None:
        made.stop()
    assert "Traceback" not in made.log.read_text()


def _tunnel(gateway: Gateway, issuer: Issuer) -> raw_client.Tunnel:
    token = raw_client.basic(issuer.token("demo-agent"))
    return raw_client.tunnel(gateway.port, gateway.ca, headers=[token], timeout=20)


def _in_flight(
    gateway: Gateway, issuer: Issuer, upstream: RawUpstream, count: int = 1
) -> list[raw_client.Tunnel]:
    tunnels = [_tunnel(gateway, issuer) for _ in range(count)]
    for one in tunnels:
        one.connection.sendall(raw_client.head(f"POST {HELD} HTTP/1.1", [HOST]))
    wait_until(lambda: len(upstream.seen) == count, what="the calls upstream")
    return tunnels


def _ends_of(gateway: Gateway) -> dict[str, list[dict[str, Any]]]:
    ends: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for record in gateway.records():
        if record["kind"] in ENDS:
            ends[record["call"]].append(record)
    return ends


def assert_every_attempt_ended_once(gateway: Gateway) -> None:
    ends = _ends_of(gateway)
    attempted = [record["call"] for record in gateway.records_of("attempted")]
    assert len(set(attempted)) == len(attempted)
    for call in attempted:
        assert [end["kind"] for end in ends[call]] == ["outcome"], (call, ends[call])
    assert all(len(records) == 1 for records in ends.values()), ends


@pytest.fixture
def faulty(tmp_path: Path, issuer: Issuer, upstream: RawUpstream) -> Iterator[tuple[Gateway, Path]]:
    fault = tmp_path / "fault"
    fault.write_text("")
    made = Gateway(
        tmp_path / "gateway",
        issuer.url,
        upstream.port,
        upstream.ca,
        KEYS,
        config={"policy": [write_open_policy(tmp_path)]},
        mitmdump=(*LISTEN, "-s", str(ROOT / "tests/e2e/faulty_chain.py")),
        environment={"FAULT_FILE": str(fault)},
    ).start()
    yield made, fault
    made.stop()


@pytest.mark.parametrize(
    ("hook", "path"), [*((hook, "/api/v1/x") for hook in HOOKS), ("request", BREAKS), ("error", BREAKS)]
)
def test_i2_a_stage_that_raises_in_any_position_leaves_exactly_one_end_on_record(
    faulty: tuple[Gateway, Path], issuer: Issuer, hook: str, path: str
) -> None:
    gateway, fault = faulty
    count = int(Path(f"{fault}.count").read_text())
    token = raw_client.basic(issuer.token("demo-agent"))
    for position in range(count):
        fault.write_text(f"{position} {hook}")
        asked = raw_client.tunnel(gateway.port, gateway.ca, headers=[token], timeout=10)
        assert asked.connected is not None
        answer = asked.connected if asked.connected.status != 200 else asked.request("GET", path, [HOST])
        assert answer.status in {409, 502, 503}, (position, answer)
        call = answer.json()["ddgate"]["call"]
        ends = [kind for kind, _ in records_of_call(gateway, call) if kind in ENDS]
        assert len(ends) == 1, (position, records_of_call(gateway, call))
        asked.close()
    fault.write_text("")
    assert_every_attempt_ended_once(gateway)
    assert len(_ends_of(gateway)) == count


def test_i2_an_outcome_that_could_not_be_written_is_written_once_when_it_can(
    gateway: Gateway, issuer: Issuer, upstream: RawUpstream
) -> None:
    tunnels = _in_flight(gateway, issuer, upstream, 5)
    recordings, away = gateway.state / "recordings", gateway.state / "away"
    recordings.rename(away)
    recordings.write_text("")
    upstream.released.set()
    calls = []
    for tunnel in tunnels:
        answer = raw_client.read_answer(tunnel.connection)
        assert answer.status == 409
        calls.append(answer.json()["ddgate"]["call"])
    refused = tunnels[0].request("GET", "/api/v1/x", [HOST])
    assert (refused.status, refused.json()["ddgate"]["reason"]) == (503, "audit_unavailable")
    calls.append(refused.json()["ddgate"]["call"])
    assert gateway.records_of("outcome") == gateway.records_of("refused") == []
    recordings.unlink()
    away.rename(recordings)
    wait_until(lambda: set(_ends_of(gateway)) >= set(calls), what="what was not written")
    for call in calls[:-1]:
        assert records_of_call(gateway, call) == [("attempted", None), ("outcome", "answer withheld")]
    assert records_of_call(gateway, calls[-1]) == [("refused", None)]
    assert tunnels[0].request("GET", "/api/v1/x", [HOST]).status == 200
    gateway.stop()
    assert_every_attempt_ended_once(gateway)


def test_i2_calls_that_outlast_the_drain_end_as_unknown_and_unfinished_requests_as_refused(
    gateway: Gateway, issuer: Issuer, upstream: RawUpstream
) -> None:
    sent = _in_flight(gateway, issuer, upstream, 3)
    half = _tunnel(gateway, issuer)
    half.connection.sendall(raw_client.head("POST /half HTTP/1.1", [HOST, ("Content-Length", "9")]) + b"12")
    wait_until(lambda: gateway.status().get("calls_in_flight") == 4, what="the half-sent request")
    assert gateway.stop() == 0
    assert [raw_client.read_answer(one.connection).status for one in sent] == [0] * 3
    assert [record["attributes"]["outcome"] for record in gateway.records_of("outcome")] == ["unknown"] * 3
    (refused,) = gateway.records_of("refused")
    assert refused["decision"]["reason"] == "draining"
    assert_every_attempt_ended_once(gateway)


def test_i2_an_answer_that_comes_while_a_stop_settles_its_call_makes_no_second_outcome(
    gateway: Gateway, issuer: Issuer, upstream: RawUpstream
) -> None:
    (tunnel,) = _in_flight(gateway, issuer, upstream)
    assert gateway.process is not None
    other = sqlite3.connect(gateway.state / "audit.sqlite3", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")  # what the stop writes has to wait
    gateway.process.send_signal(signal.SIGTERM)
    wait_until(lambda: "drain time is over" in gateway.log.read_text(), what="the end of the drain time")
    upstream.released.set()
    answer = raw_client.read_answer(tunnel.connection)
    other.execute("ROLLBACK")
    other.close()
    assert gateway.process.wait(20) == 0
    assert answer.status in {0, 409}
    assert_every_attempt_ended_once(gateway)


def test_i2_a_call_that_a_stop_settles_before_it_was_forwarded_is_not_forwarded(
    gateway: Gateway, issuer: Issuer, upstream: RawUpstream
) -> None:
    tunnel = _tunnel(gateway, issuer)
    assert gateway.process is not None
    other = sqlite3.connect(gateway.state / "audit.sqlite3", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")  # the call waits to be put on record
    tunnel.connection.sendall(raw_client.head("POST /api/v1/x HTTP/1.1", [HOST]))
    wait_until(lambda: gateway.status().get("calls_in_flight") == 1, what="the call")
    gateway.process.send_signal(signal.SIGTERM)
    wait_until(lambda: "drain time is over" in gateway.log.read_text(), what="the end of the drain time")
    other.execute("ROLLBACK")
    other.close()
    assert gateway.process.wait(20) == 0
    assert upstream.seen == []
    ((end,),) = _ends_of(gateway).values()
    assert end["kind"] == "refused" or end["attributes"]["outcome"] == "not sent"
    assert_every_attempt_ended_once(gateway)
