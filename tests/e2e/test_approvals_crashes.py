"""I7 under races and `kill -9`: never two forwards, no lost decision, `unknown` where nobody can know."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.approving import Control, create_monitor, kinds, running, settings
from tests.e2e.gateway_process import Curled, Gateway, curl, wait_until
from tests.e2e.raw_upstream import KEYS, Exchange, RawUpstream
from tests.sandbox_processes import Issuer

NOW = ("-H", "Prefer: wait=0")
CLIENTS = 16


def _hold(exchange: Exchange) -> None:
    exchange.hold()


def gateway_of(directory: Path, issuer: Issuer, upstream: RawUpstream, **approvals: Any) -> Gateway:
    directory.mkdir(exist_ok=True)
    config = settings(directory, issuer, **approvals)
    return Gateway(directory, issuer.url, upstream.port, upstream.ca, KEYS, config=config)


def twin_of(gateway: Gateway) -> Gateway:
    """Another gateway process on the same state, with a port and a CA of its own."""
    directory = gateway.directory / "twin"
    twin = Gateway(
        directory, gateway.issuer, gateway.upstream_port, gateway.upstream_ca, gateway.keys, gateway.config
    )
    twin.state = gateway.state
    return twin


@contextmanager
def pair(directory: Path, issuer: Issuer, upstream: RawUpstream) -> Iterator[list[Gateway]]:
    """Two gateway processes on one state."""
    gateway = gateway_of(directory, issuer, upstream)
    gateways = [gateway, twin_of(gateway)]
    try:
        yield [each.start() for each in gateways]
        for each in gateways:
            assert each.stop() == 0
    finally:
        for each in gateways:
            if each.process is not None:
                each.stop(signal.SIGKILL)


def monitors(upstream: RawUpstream) -> int:
    return upstream.paths().count("/api/v1/monitor")


@pytest.fixture
def held(tmp_path: Path, issuer: Issuer) -> Iterator[tuple[Gateway, Control, RawUpstream]]:
    """An upstream that never answers a created monitor."""
    with RawUpstream(tmp_path / "upstream", {"/api/v1/monitor": _hold}) as upstream:
        gateway = gateway_of(tmp_path / "gateway", issuer, upstream).start()
        with running(gateway, issuer) as control:
            yield gateway, control, upstream
        gateway.stop(signal.SIGKILL)


def _approved(gateway: Gateway, control: Control, token: str) -> str:
    approval = str(curl(gateway, *NOW, *create_monitor(), token=token).json()["ddgate"]["approval"])
    assert control.decide(approval).status_code == 200
    return approval


def test_i7_sixteen_clients_in_two_processes_race_with_one_grant_and_one_call_leaves(
    tmp_path: Path, issuer: Issuer
) -> None:
    with (
        RawUpstream(tmp_path / "upstream") as upstream,
        pair(tmp_path / "gateway", issuer, upstream) as gateways,
    ):
        gateway, token = gateways[0], issuer.token("demo-agent")
        with running(gateway, issuer) as control:
            approval = _approved(gateway, control, token)

            def call(number: int) -> Curled:
                return curl(gateways[number % 2], *NOW, *create_monitor(), token=token)

            with ThreadPoolExecutor(CLIENTS) as threads:
                answers = list(threads.map(call, range(CLIENTS)))
            assert control.show(approval)["state"] == "succeeded"
    assert monitors(upstream) == 1
    statuses = sorted(answer.status for answer in answers)
    assert statuses[0] == 200
    assert set(statuses) <= {200, 409, 429}
    fresh = [a for a in answers if a.status == 200 and "x-ddgate-answered-again" not in dict(a.headers)]
    assert len(fresh) == 1
    assert kinds(gateway, approval).count("approval_consumed") == 1


def test_i7_sixteen_held_clients_in_two_processes_make_one_call(tmp_path: Path, issuer: Issuer) -> None:
    with (
        RawUpstream(tmp_path / "upstream") as upstream,
        pair(tmp_path / "gateway", issuer, upstream) as gateways,
    ):
        gateway, token = gateways[0], issuer.token("demo-agent")

        def call(number: int) -> Curled:
            return curl(gateways[number % 2], *create_monitor(), token=token)

        with running(gateway, issuer) as control, ThreadPoolExecutor(CLIENTS) as threads:
            answers = [threads.submit(call, number) for number in range(CLIENTS)]
            wait_until(
                lambda: sum(status["holding"] for status in _statuses(gateway)) == CLIENTS, what="the holds"
            )
            (pending,) = control.listed("pending")
            assert control.decide(pending["id"]).status_code == 200
            done = [answer.result() for answer in answers]
    assert monitors(upstream) == 1
    assert {answer.status for answer in done} <= {200, 409}
    assert any(answer.status == 200 for answer in done)


def _statuses(gateway: Gateway) -> list[dict[str, int]]:
    return [json.loads(path.read_text()) for path in (gateway.state / "gateways").glob("*.json")]


def test_abuse_34_killed_while_held_a_decision_is_not_lost(
    held: tuple[Gateway, Control, RawUpstream], issuer: Issuer
) -> None:
    gateway, control, upstream = held
    token = issuer.token("demo-agent")
    with ThreadPoolExecutor(1) as threads:
        answer = threads.submit(lambda: curl(gateway, *create_monitor(), token=token))
        (pending,) = control.wait_for("pending")
        gateway.stop(signal.SIGKILL)
        assert answer.result().exit_code != 0
    assert control.decide(pending["id"]).status_code == 200
    gateway.start()
    assert control.show(pending["id"])["state"] == "approved"
    assert not monitors(upstream)
    upstream.released.set()
    curl(gateway, *NOW, *create_monitor(), token=token, timeout=5)
    assert monitors(upstream) == 1


def test_abuse_34_killed_between_use_and_forward_nobody_can_know(tmp_path: Path, issuer: Issuer) -> None:
    """The upstream takes connections and says nothing, so that the call has not left when the kill comes."""
    with RawUpstream(tmp_path / "upstream", speaks_tls=False) as upstream:
        gateway = gateway_of(tmp_path / "gateway", issuer, upstream).start()
        token = issuer.token("demo-agent")
        with running(gateway, issuer) as control:
            approval = _approved(gateway, control, token)
            _killed_while_executing(gateway, control, approval, token)
            gateway.start()
            _is_unknown(gateway, control, approval, token)
        gateway.stop(signal.SIGKILL)
    assert not upstream.seen


def test_abuse_34_killed_while_executing_nobody_can_know_and_it_never_runs_again(
    held: tuple[Gateway, Control, RawUpstream], issuer: Issuer
) -> None:
    gateway, control, upstream = held
    token = issuer.token("demo-agent")
    approval = _approved(gateway, control, token)
    _killed_while_executing(gateway, control, approval, token, wait_for_upstream=upstream)
    gateway.start()
    _is_unknown(gateway, control, approval, token)
    assert monitors(upstream) == 1
    assert control.decide(approval).json()["reason"] == "not_pending"
    settled = control.ask(
        "POST", f"approvals/{approval}/resolve", control.token("alice"), {"ran": False, "reason": "looked"}
    )
    assert settled.status_code == 200, settled.text
    asked = curl(gateway, *NOW, *create_monitor(), token=token).json()["ddgate"]
    assert asked["state"] == "pending"
    assert asked["approval"] != approval
    assert "approval_resolved" in kinds(gateway, approval)


def _killed_while_executing(
    gateway: Gateway,
    control: Control,
    approval: str,
    token: str,
    wait_for_upstream: RawUpstream | None = None,
) -> None:
    with ThreadPoolExecutor(1) as threads:
        running_call = threads.submit(lambda: curl(gateway, *NOW, *create_monitor(), token=token))
        wait_until(lambda: control.show(approval)["state"] == "executing", what="the run")
        if wait_for_upstream is not None:
            wait_until(lambda: monitors(wait_for_upstream), what="the request")
        else:
            repeated = curl(gateway, *NOW, *create_monitor(), token=token)
            assert (repeated.status, repeated.json()["ddgate"]["reason"]) == (409, "approval_running")
        gateway.stop(signal.SIGKILL)
        running_call.result()


def _is_unknown(gateway: Gateway, control: Control, approval: str, token: str) -> None:
    wait_until(lambda: control.show(approval)["state"] == "unknown", what="the call to be given up")
    repeated = curl(gateway, *NOW, *create_monitor(), token=token)
    assert (repeated.status, repeated.json()["ddgate"]["reason"]) == (409, "approval_unknown")
    trail = kinds(gateway, approval)
    assert "approval_unknown" in trail
    outcomes = [record["attributes"]["outcome"] for record in gateway.records_of("outcome")]
    assert outcomes.count("unknown") == 1


def test_abuse_34_a_restart_touches_no_call_of_a_process_that_lives(
    held: tuple[Gateway, Control, RawUpstream], issuer: Issuer
) -> None:
    gateway, control, upstream = held
    token = issuer.token("demo-agent")
    approval = _approved(gateway, control, token)
    with ThreadPoolExecutor(1) as threads:
        answer = threads.submit(lambda: curl(gateway, *NOW, *create_monitor(), token=token))
        wait_until(lambda: monitors(upstream), what="the request")
        twin = twin_of(gateway).start()
        wait_until(lambda: len(_statuses(gateway)) > 1, what="the twin")
        twin.stop()
        assert control.show(approval)["state"] == "executing"
        upstream.seen[-1].send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        assert answer.result().status == 200
    assert control.show(approval)["state"] == "succeeded"


def test_a_call_whose_head_never_left_gives_its_grant_back(tmp_path: Path, issuer: Issuer) -> None:
    with RawUpstream(tmp_path / "upstream") as upstream:
        gateway = gateway_of(tmp_path / "gateway", issuer, upstream)
        text = gateway.config_path.read_text()
        gateway.config_path.write_text(text.replace(f'"port": {upstream.port}', '"port": 1'))
        gateway.start()
        token = issuer.token("demo-agent")
        with running(gateway, issuer) as control:
            approval = _approved(gateway, control, token)
            assert curl(gateway, *NOW, *create_monitor(), token=token).status == 502
            wait_until(lambda: control.show(approval)["state"] == "approved", what="the grant")
            assert "approval_not_sent" in kinds(gateway, approval)
        gateway.stop()


def test_draining_answers_held_calls_and_their_repetition_joins(
    held: tuple[Gateway, Control, RawUpstream], issuer: Issuer
) -> None:
    gateway, control, upstream = held
    token = issuer.token("demo-agent")
    with ThreadPoolExecutor(1) as threads:
        answer = threads.submit(lambda: curl(gateway, *create_monitor(), token=token))
        (pending,) = control.wait_for("pending")
        assert gateway.stop() == 0
        assert (answer.result().status, answer.result().json()["ddgate"]["approval"]) == (429, pending["id"])
    gateway.start()
    repeated = curl(gateway, *NOW, *create_monitor(), token=token)
    assert repeated.json()["ddgate"]["approval"] == pending["id"]
    assert not monitors(upstream)
