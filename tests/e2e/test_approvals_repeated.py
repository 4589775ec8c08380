"""Repeating a call asks nobody twice: a denial stands, an answer is given again as it was. And what can be
read in two ways, or comes while the gateway leaves, never runs more often than somebody said yes.
"""

from __future__ import annotations

import gzip
import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.e2e import raw_client
from tests.e2e.approving import (
    NOW,
    Place,
    agent,
    calling,
    create_monitor,
    kinds,
    running,
    settings,
    writes,
)
from tests.e2e.gateway_process import Curled, Gateway, wait_until
from tests.e2e.raw_upstream import KEYS, Exchange, RawUpstream, ok
from tests.sandbox_processes import Issuer, StandIn

HELD = 8
MONITOR = "/api/v1/monitor"
SECRET = "ghp_" + "a8Kd03mXq7Zr5Lw2Vt9Yb4Nc6Pf1Hs0JgUe3"[:36]


def test_a_denial_stands_and_nobody_is_asked_again(place: Place, issuer: Issuer, datadog: StandIn) -> None:
    gateway, control = place
    call = agent(gateway, issuer)
    with calling(lambda: call(*create_monitor("no"))) as answer:
        (pending,) = control.wait_for("pending")
        assert control.decide(pending["id"], "deny", reason="not on a Friday").status_code == 200
    first = answer.result()
    for again in (call(*NOW, *create_monitor("no")), call(*create_monitor("no"))):
        assert (again.status, again.errors) == (first.status, first.errors)
        assert again.json()["ddgate"]["reason"] == "approval_denied"
        assert again.json()["ddgate"]["approval"] == pending["id"]
    assert "denied by alice@sandbox.example: not on a Friday" in first.errors
    assert not control.listed("pending")
    assert kinds(gateway, pending["id"]).count("approval_requested") == 1
    assert not writes(datadog)


def test_a_denial_after_a_yes_stands_too(place: Place, issuer: Issuer, datadog: StandIn) -> None:
    gateway, control = place
    call = agent(gateway, issuer)
    approval = call(*NOW, *create_monitor("first yes")).json()["ddgate"]["approval"]
    assert control.decide(approval).status_code == 200
    assert control.decide(approval, "deny", "carol", "better not").status_code == 200
    again = call(*NOW, *create_monitor("first yes"))
    assert (again.status, again.json()["ddgate"]["approval"]) == (403, approval)
    assert not control.listed("pending")
    assert not writes(datadog)


COMPRESSED = gzip.compress(json.dumps({"id": 7, "name": "m"}).encode())


def _compressed(exchange: Exchange) -> None:
    exchange.send(ok(COMPRESSED, "Content-Type: application/json", "Content-Encoding: gzip", "X-Kept: yes"))


def test_a_compressed_answer_is_given_again_byte_for_byte(tmp_path: Path, issuer: Issuer) -> None:
    with RawUpstream(tmp_path / "upstream", {MONITOR: _compressed}) as upstream:
        gateway = _before(upstream, tmp_path, issuer)
        call = agent(gateway, issuer)
        with running(gateway, issuer) as control:
            with calling(lambda: call(*create_monitor())) as answer:
                control.decide(control.wait_for("pending")[0]["id"])
            again = call(*NOW, *create_monitor())
        assert gateway.stop() == 0
    first = answer.result()
    assert (first.status, first.body) == (200, COMPRESSED)
    assert (again.status, again.body) == (200, COMPRESSED)
    fields = dict(again.headers)
    assert fields["content-encoding"] == "gzip"
    assert fields["content-length"] == str(len(COMPRESSED))
    assert fields["x-kept"] == "yes"
    assert fields["x-ddgate-answered-again"]
    assert upstream.paths().count(MONITOR) == 1


@pytest.mark.parametrize(
    "fields",
    [
        (("Content-Type", "application/json"), ("Content-Type", "application/json")),
        (("Content-Type", "application/json"), ("content-type", "text/plain")),
        (("Content-Type", "application/json"), ("Idempotency-Key", "a"), ("Idempotency-Key", "b")),
        (("Content-Type", "application/json"), ("Idempotency-Key", "a"), ("idempotency-key", "a")),
    ],
    ids=["same type", "other type", "other key", "same key"],
)
def test_a_field_that_a_yes_is_bound_to_and_that_is_there_twice_is_refused_and_nobody_is_asked(
    place: Place, issuer: Issuer, datadog: StandIn, fields: raw_client.Headers
) -> None:
    gateway, control = place
    asked = gateway.records_of("approval_requested")
    refused = _said(gateway, issuer.token("demo-agent"), *fields)
    assert (refused.status, refused.json()["ddgate"]["reason"]) == (400, "malformed_request")
    assert "there twice" in refused.errors
    assert not control.listed("pending")
    assert gateway.records_of("approval_requested") == asked
    assert not writes(datadog)


def test_an_intent_that_is_no_utf8_shows_and_breaks_nothing(
    place: Place, issuer: Issuer, datadog: StandIn
) -> None:
    gateway, control = place
    intent = b"caf\xe9 \xff\xfe for bob".decode("utf-8", "surrogateescape")
    said = _said(
        *(gateway, issuer.token("demo-agent"), ("Content-Type", "application/json")),
        *(("Prefer", "wait=0"), ("X-DDGate-Intent", intent)),
    )
    assert (said.status, said.json()["ddgate"]["reason"]) == (429, "approval_pending")
    approval = said.json()["ddgate"]["approval"]
    shown = json.dumps(control.show(approval), ensure_ascii=False)
    assert r"caf\\xe9 \\xff\\xfe for bob" in shown
    assert [one["id"] for one in control.listed("pending")] == [approval]
    page, listed = _pages(place, issuer, f"/approvals/{approval}", "/approvals")
    assert r"caf\xe9 \xff\xfe for bob" in page
    assert approval in listed
    assert control.decide(approval).status_code == 200
    assert agent(gateway, issuer)(*NOW, *create_monitor()).status == 200
    assert len(writes(datadog)) == 1


def test_i5_a_secret_in_a_votes_reason_is_masked_in_the_api_the_answer_and_the_trail(
    place: Place, issuer: Issuer
) -> None:
    gateway, control = place
    call = agent(gateway, issuer)
    approval = call(*NOW, *create_monitor("with a secret")).json()["ddgate"]["approval"]
    assert control.decide(approval, "deny", reason=f"use {SECRET} instead").status_code == 200
    refused = call(*NOW, *create_monitor("with a secret"))
    (record,) = [one for one in gateway.records_of("approval_denied") if one["approval"] == approval]
    for told in (json.dumps(control.show(approval)), refused.errors, json.dumps(record)):
        assert "[REDACTED:" in told
        assert SECRET not in told
    for path, content in gateway.files():
        assert SECRET.encode() not in content, path


def test_i7_a_drain_and_grants_at_the_same_moment_make_at_most_one_call_each(
    tmp_path: Path, issuer: Issuer
) -> None:
    """Some calls are under way when the gateway is told to stop, some are about to be, some wait."""
    names = [f"m{number}" for number in range(HELD)]
    with RawUpstream(tmp_path / "upstream", {MONITOR: _when_released}) as upstream:
        gateway = _before(upstream, tmp_path, issuer)
        call = agent(gateway, issuer)
        with running(gateway, issuer) as control, ThreadPoolExecutor(2 * HELD + 1) as threads:
            answers = [threads.submit(call, *create_monitor(name)) for name in names]
            ids = [one["id"] for one in control.wait_for("pending", HELD)]
            wait_until(lambda: gateway.status()["holding"] == HELD, what="the holds")
            token = control.token("alice")
            votes = [threads.submit(_approve, control.port, token, one) for one in ids[: HELD // 2]]
            wait_until(lambda: upstream.paths().count(MONITOR), what="a call that is under way")
            stopped = threads.submit(gateway.stop)
            votes += [threads.submit(_approve, control.port, token, one) for one in ids[HELD // 2 :]]
            upstream.released.set()
            assert [vote.result() for vote in votes] == [200] * HELD
            assert stopped.result() == 0
            states = {one: str(control.show(one)["state"]) for one in ids}
            done = [answer.result() for answer in answers]
    made = Counter(exchange.body for exchange in upstream.seen if exchange.path == MONITOR)
    assert set(made.values()) == {1}
    assert len(made) == Counter(states.values())["succeeded"]
    assert set(states.values()) <= {"succeeded", "approved"}
    assert {answer.status for answer in done} <= {200, 429, 503}
    assert sum(answer.status == 200 for answer in done) == len(made)
    attempted = Counter(record["call"] for record in gateway.records_of("attempted"))
    outcomes = Counter(record["call"] for record in gateway.records_of("outcome"))
    assert attempted == outcomes
    assert set(outcomes.values()) <= {1}


def _approve(port: int, token: str, approval: str) -> int:
    """With a client of its own: several vote at once."""
    url = f"http://127.0.0.1:{port}/api/v1/approvals/{approval}/approve"
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.post(url, headers=headers, json={"reason": ""}, trust_env=False, timeout=15).status_code


def _when_released(exchange: Exchange) -> None:
    exchange.hold()
    exchange.send(ok(b"{}", "Content-Type: application/json"))


def _before(upstream: RawUpstream, directory: Path, issuer: Issuer) -> Gateway:
    """Started, on an upstream whose every byte the test says."""
    config = settings(directory, issuer)
    gateway = Gateway(directory / "gateway", issuer.url, upstream.port, upstream.ca, KEYS, config=config)
    return gateway.start()


def _said(gateway: Gateway, token: str, *fields: tuple[str, str]) -> Curled:
    """`create_monitor` with exactly these header fields."""
    body = create_monitor()[-2].encode()
    tunnel = raw_client.tunnel(gateway.port, gateway.ca, headers=[raw_client.basic(token)])
    try:
        return tunnel.request("POST", MONITOR, [("Host", "api.datadoghq.com"), *fields], body)
    finally:
        tunnel.close()


def _pages(place: Place, issuer: Issuer, *paths: str) -> list[str]:
    """As alice's browser gets them."""
    _, control = place
    with httpx.Client(base_url=f"http://127.0.0.1:{control.port}", trust_env=False, timeout=15) as client:
        back = issuer.login("alice", client.get("/login/start").headers["location"])
        client.get(f"/login/callback?{urlsplit(back).query}")
        pages = [client.get(path) for path in paths]
    assert [page.status_code for page in pages] == [200] * len(paths)
    return [page.text for page in pages]
