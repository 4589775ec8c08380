"""I1 and I2, and abuse case 38: a call whose needs are not met is not forwarded; when they are met again,
service is back by itself. A stop finishes what was begun."""

from __future__ import annotations

import os
import resource
import signal
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.committers import committer_of
from tests.e2e import forked, raw_client
from tests.e2e.gateway_process import Gateway, accepts, curl, free_port, wait_until
from tests.e2e.open_policy import write_open_policy
from tests.sandbox_processes import Issuer, StandIn, start_issuer

API = "api.datadoghq.com"
URL = f"https://{API}/api/v1/monitor"

type MakeGateway = Callable[..., Gateway]


@pytest.fixture
def opened(make_gateway: MakeGateway, tmp_path: Path) -> MakeGateway:
    """Makes gateways that permit the stand-in's echo, and where nothing but the fault is in the way."""

    def make(**options: Any) -> Gateway:
        config = {"policy": [write_open_policy(tmp_path)], **options.pop("config", {})}
        return make_gateway(config=config, **options)

    return make


@contextmanager
def a_file_for_recordings(gateway: Gateway) -> Iterator[None]:
    recordings, away = gateway.state / "recordings", gateway.state / "away"
    recordings.rename(away)
    recordings.write_text("")
    yield
    recordings.unlink()
    away.rename(recordings)


@contextmanager
def a_locked_log(gateway: Gateway) -> Iterator[None]:
    other = sqlite3.connect(gateway.state / "audit.sqlite3", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    yield
    other.execute("ROLLBACK")
    other.close()


@contextmanager
def another_log(gateway: Gateway) -> Iterator[None]:
    log, away = gateway.state / "audit.sqlite3", gateway.state / "away.sqlite3"
    log.rename(away)
    log.write_text("this is no database")
    yield
    log.unlink()
    away.rename(log)


@contextmanager
def no_log(gateway: Gateway) -> Iterator[None]:
    log, away = gateway.state / "audit.sqlite3", gateway.state / "away.sqlite3"
    log.rename(away)
    yield
    away.rename(log)


@contextmanager
def no_room_for_files(gateway: Gateway) -> Iterator[None]:
    """As on a full disk or over a quota: no file can grow."""
    assert gateway.process is not None
    processes = [gateway.process.pid, committer_of(gateway.process.pid)]
    _, hard = resource.prlimit(gateway.process.pid, resource.RLIMIT_FSIZE)
    for pid in processes:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, hard))
    yield
    for pid in processes:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard, hard))


# Each with what `/readyz` calls it. A process that can't write its status file is told by its silence.
FAULTS = [
    (a_file_for_recordings, {"audit"}),
    (a_locked_log, {"audit"}),
    (another_log, {"audit"}),
    (no_log, {"audit", "blocklist"}),
    (no_room_for_files, {"process"}),
]


def _ready(port: int) -> httpx.Response:
    return httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=10, trust_env=False)


@contextmanager
def control_of(gateway: Gateway, port: int) -> Iterator[None]:
    environment = {
        **os.environ,
        "DDGATE_CONFIG": str(gateway.config_path),
        "DDGATE_STATE": str(gateway.state),
    }
    with (gateway.directory / "control.log").open("ab") as log:
        process = forked.start(["control"], environment, log)
    try:
        wait_until(lambda: accepts(port), 20, "control")
        yield
    finally:
        process.terminate()
        process.wait(10)


@pytest.mark.parametrize(("fault", "told_as"), FAULTS)
def test_i2_what_cannot_be_recorded_is_not_forwarded_and_service_comes_back_by_itself(
    make_gateway: MakeGateway,
    issuer: Issuer,
    fresh: StandIn,
    fault: Callable[[Gateway], Any],
    told_as: set[str],
) -> None:
    port = free_port()
    config = {"control": {"port": port}}
    gateway = make_gateway(config=config).start()
    token = issuer.token("demo-agent")
    with control_of(gateway, port):
        wait_until(lambda: _ready(port).status_code == 200, what="readiness")
        with fault(gateway):
            refused = curl(gateway, URL, token=token)
            assert refused.status == 503
            # Without the log nobody can tell either who is frozen, and its tunnel is refused: curl shows no
            # more of that.
            if refused.body:
                told = {"audit_unavailable"} | ({"identity_unavailable"} if "blocklist" in told_as else set())
                assert refused.json()["ddgate"]["reason"] in told
                assert refused.errors
            assert fresh.requests() == []
            wait_until(
                lambda: set(_ready(port).json()["gateways"][0]["problems"]) == told_as, what="the problem"
            )
            assert _ready(port).status_code == 503
            alive = httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=10, trust_env=False)
            assert alive.status_code == 200
        wait_until(lambda: _ready(port).status_code == 200, 20, "readiness again")
        assert curl(gateway, URL, token=token).status == 200
    assert len(fresh.requests()) == 1
    assert "Traceback" not in gateway.log.read_text()


@pytest.mark.parametrize("fault", [a_file_for_recordings, a_locked_log, no_room_for_files])
def test_i1_an_outcome_that_cannot_be_recorded_withholds_the_answer(
    opened: MakeGateway, issuer: Issuer, fresh: StandIn, fault: Callable[[Gateway], Any]
) -> None:
    gateway = opened().start()
    tunnel = raw_client.tunnel(
        gateway.port, gateway.ca, headers=[raw_client.basic(issuer.token("demo-agent"))], timeout=20
    )
    tunnel.connection.sendall(raw_client.head("GET /_sandbox/echo?delay=1 HTTP/1.1", [("Host", API)]))
    fresh.wait_for_requests(1)
    with fault(gateway):
        answer = raw_client.read_answer(tunnel.connection)
        assert gateway.records_of("outcome") == []  # it is written once it can be
    assert answer.status == 409
    assert answer.errors.startswith("ddgate: the call ran; its answer is withheld")
    (attempted,) = gateway.records_of("attempted")
    assert answer.json()["ddgate"]["call"] == attempted["call"]
    assert dict(answer.headers)["x-ddgate-call"] == attempted["call"]
    assert curl(gateway, URL, token=issuer.token("demo-agent")).status == 200


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk takes root; prlimit stands in for it")
def test_abuse_38_a_full_disk_refuses_calls_until_there_is_room(
    make_gateway: MakeGateway, issuer: Issuer, fresh: StandIn
) -> None:
    gateway = make_gateway()
    gateway.state.mkdir(mode=0o700)
    mount = ["mount", "-t", "tmpfs", "-o", "size=72m,mode=0700", "tmpfs", str(gateway.state)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("this machine lets nobody mount")
    try:
        gateway.start()
        token = issuer.token("demo-agent")
        assert curl(gateway, URL, token=token).status == 200
        filler = gateway.state / "filler"
        filler.write_bytes(b"\0" * (16 << 20))
        fresh.reset()
        refused = curl(gateway, URL, token=token)
        assert (refused.status, refused.json()["ddgate"]["reason"]) == (503, "audit_unavailable")
        assert fresh.requests() == []
        filler.unlink()
        wait_until(lambda: curl(gateway, URL, token=token).status == 200, what="service")
    finally:
        gateway.stop()
        subprocess.run(["umount", str(gateway.state)], check=True)


def test_i1_an_issuer_that_was_never_reached_is_found_when_it_comes_up(
    make_gateway: MakeGateway, tmp_path: Path, fresh: StandIn
) -> None:
    with start_issuer(tmp_path / "issuer") as early:
        url, token = early.url, early.token("demo-agent")
    port = free_port()
    issuers = [{"issuer": url, "audience": "ddgate"}]
    gateway = make_gateway(config={"issuers": issuers, "control": {"port": port}}).start()
    with control_of(gateway, port):
        refused = raw_client.connect(gateway.port, f"{API}:443", [raw_client.basic(token)]).connected
        assert refused is not None
        assert (refused.status, refused.json()["ddgate"]["reason"]) == (503, "identity_unavailable")
        assert refused.errors
        problem = wait_until(lambda: _ready(port).json()["gateways"][0]["problems"].get("identity"))
        assert url in problem
        assert fresh.requests() == []
        with start_issuer(tmp_path / "issuer") as late:
            assert late.url == url
            wait_until(lambda: curl(gateway, URL, token=token).status == 200, 40, "service")
            wait_until(lambda: _ready(port).status_code == 200, what="readiness")


def test_readyz_says_503_where_no_gateway_runs(make_gateway: MakeGateway) -> None:
    port = free_port()
    with control_of(make_gateway(config={"control": {"port": port}}), port):
        answer = _ready(port)
        found = answer.json()
        assert (answer.status_code, found["ready"], found["gateways"]) == (503, False, [])


def _in_flight(gateway: Gateway, token: str, fresh: StandIn, delay: float) -> raw_client.Tunnel:
    tunnel = raw_client.tunnel(gateway.port, gateway.ca, headers=[raw_client.basic(token)], timeout=20)
    target = f"/_sandbox/echo?delay={delay}"
    tunnel.connection.sendall(raw_client.head(f"GET {target} HTTP/1.1", [("Host", API)]))
    fresh.wait_for_requests(1)
    return tunnel


def test_sigterm_finishes_the_call_in_flight_refuses_new_ones_and_ends_cleanly(
    opened: MakeGateway, issuer: Issuer, fresh: StandIn
) -> None:
    gateway = opened().start()
    assert gateway.process is not None
    token = issuer.token("demo-agent")
    idle = raw_client.tunnel(gateway.port, gateway.ca, headers=[raw_client.basic(token)])
    busy = _in_flight(gateway, token, fresh, 2)
    gateway.process.send_signal(signal.SIGTERM)
    wait_until(lambda: not accepts(gateway.port), 5, "the listener's end")
    refused = idle.request("GET", "/api/v1/monitor", [("Host", API)])
    assert (refused.status, refused.json()["ddgate"]["reason"]) == (503, "draining")
    assert gateway.process.poll() is None
    answer = raw_client.read_answer(busy.connection)
    assert (answer.status, dict(answer.headers)["connection"]) == (200, "close")
    assert gateway.process.wait(10) == 0
    kinds = [record["kind"] for record in gateway.records()]
    assert kinds[-1] == "stopped"
    assert kinds.count("attempted") == kinds.count("outcome") == 1
    assert not list((gateway.state / "gateways").glob("*.json"))
    assert "Traceback" not in gateway.log.read_text()


def test_a_call_that_outlasts_the_drain_time_does_not_hold_the_process(
    opened: MakeGateway, issuer: Issuer, fresh: StandIn
) -> None:
    gateway = opened(config={"drain": "300ms"}).start()
    tunnel = _in_flight(gateway, issuer.token("demo-agent"), fresh, 60)
    assert gateway.stop(seconds=10) == 0
    answer = raw_client.read_answer(tunnel.connection)
    assert answer.status == 0, answer  # no answer at all: nobody knows whether the call ran
    kinds = [record["kind"] for record in gateway.records()]
    assert kinds[-1] == "stopped"
    assert "attempted" in kinds
    assert "drain time is over" in gateway.log.read_text()
