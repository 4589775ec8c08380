"""Control as real processes, one and two: people log in, decide and watch; who may not, can't."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from addons.control.login import csrf
from addons.core.approvals.approval import Approval
from addons.store import moment
from addons.store.approvals.requests import Ask
from addons.store.state_dir import StateDir
from addons.store.writing.journal import Journal
from tests.e2e import forked
from tests.e2e.approving import AUDIENCE, Control, running, settings
from tests.e2e.conftest import MakeGateway
from tests.e2e.gateway_process import Gateway, free_port, wait_until
from tests.sandbox_processes import Issuer, start_issuer
from tests.store import approval_samples
from tests.store.approval_samples import NEEDS

SRE = replace(NEEDS, groups=(("sre-leads", 1),))
TWO = replace(NEEDS, groups=(("sre-leads", 1), ("secops", 1)))


@pytest.fixture
def gateway(make_gateway: MakeGateway, issuer: Issuer, tmp_path: Path) -> Gateway:
    """Its configuration and state; the process itself isn't needed here."""
    return make_gateway(config=settings(tmp_path, issuer))


@pytest.fixture
def control(gateway: Gateway, issuer: Issuer) -> Iterator[Control]:
    with running(gateway, issuer) as process:
        yield process
    assert "Traceback" not in process.log.read_text()


def ask(gateway: Gateway, digest: str = "d" * 64, **asked: Any) -> Approval:
    """As a gateway does it."""
    wanted = replace(approval_samples.approval(digest, needs=SRE), **asked)

    async def put() -> Approval:
        journal = Journal.open(StateDir.open(gateway.state))
        try:
            return (await journal.change(Ask(wanted, moment.now(), 100))).approval
        finally:
            await asyncio.to_thread(journal.close)

    return asyncio.run(put())


def browser(control: Control, **cookies: str) -> httpx.Client:
    url = f"http://127.0.0.1:{control.port}"
    return httpx.Client(base_url=url, trust_env=False, timeout=15, cookies=cookies)


@contextmanager
def log_in(control: Control, person: str) -> Iterator[httpx.Client]:
    """A browser that has been at the sandbox's issuer."""
    with browser(control) as client:
        _through_the_issuer(control, client, person)
        yield client


def _through_the_issuer(control: Control, client: httpx.Client, person: str) -> None:
    started = client.get("/login/start")
    assert started.status_code == 303, started.text
    back = control.issuer.login(person, started.headers["location"])
    assert back.startswith(f"http://127.0.0.1:{control.port}/login/callback?")
    done = client.get(f"/login/callback?{urlsplit(back).query}")
    assert (done.status_code, done.headers["location"]) == (303, "/approvals"), done.text


def own_headers(client: httpx.Client) -> dict[str, str]:
    """As a script of our own page sends them."""
    token = csrf.token_for(client.cookies["ddgate-session"])
    return {"Origin": str(client.base_url).rstrip("/"), "Sec-Fetch-Site": "same-origin", csrf.HEADER: token}


def state_of(gateway: Gateway, approval: Approval) -> str:
    with sqlite3.connect(f"file:{gateway.state / 'audit.sqlite3'}?mode=ro", uri=True) as connection:
        (found,) = connection.execute("SELECT state FROM approvals WHERE id = ?", (approval.id,)).fetchone()
    return str(found)


def test_a_person_logs_in_with_a_browser_reads_and_approves(gateway: Gateway, control: Control) -> None:
    approval = ask(gateway)
    with log_in(control, "alice") as client:
        me = client.get("/api/v1/me").json()
        assert (me["display"], me["groups"]) == ("alice@sandbox.example", ["sre-leads"])
        shown = client.get(f"/api/v1/approvals/{approval.id}").json()
        assert shown["may"]["approve"]["allowed"]
        word = {"reason": "looks right", "digest": shown["digest"]}
        answer = client.post(
            f"/api/v1/approvals/{approval.id}/approve", json=word, headers=own_headers(client)
        )
        assert (answer.status_code, answer.json()["state"]) == (200, "approved")
    (record,) = gateway.records_of("approval_approved")
    assert (record["actor"]["subject"], record["attributes"]["reason"]) == ("alice", "looks right")
    assert [one["actor"]["subject"] for one in gateway.records_of("approval_seen")] == ["alice"]


def test_two_control_processes_are_one(gateway: Gateway, control: Control, issuer: Issuer) -> None:
    approval = ask(gateway, needs=TWO)
    with running(gateway, issuer, port=free_port()) as other, log_in(control, "alice") as alice:
        cookies = dict(alice.cookies)
        with browser(other, **cookies) as same:
            assert same.get("/api/v1/me").json()["subject"] == "alice"
            headers = {"Authorization": f"Bearer {other.token('bob')}"}
            with other.client.stream("GET", "/api/v1/events", headers=headers) as stream:
                lines = stream.iter_lines()
                assert next(lines) == ": listening"
                path = f"/api/v1/approvals/{approval.id}/approve"
                assert alice.post(path, json={}, headers=own_headers(alice)).is_success
                data = next(line for line in lines if line.startswith("data: "))
                assert json.loads(data.removeprefix("data: "))["changed"] == [approval.id]
            twice = same.post(path, json={}, headers=own_headers(same))
            assert (twice.status_code, twice.json()["reason"]) == (409, "already_voted")
            assert alice.post("/logout", headers=own_headers(alice)).status_code == 303
            assert same.get("/api/v1/me").status_code == 401
        assert other.decide(approval.id, person="bob").json()["state"] == "approved"
    assert "Traceback" not in other.log.read_text()


def test_of_many_votes_at_once_in_two_processes_each_person_has_one(
    gateway: Gateway, control: Control, issuer: Issuer
) -> None:
    groups = (("sre-leads", 3),)
    approval = ask(gateway, needs=replace(NEEDS, groups=groups))
    with running(gateway, issuer, port=free_port()) as other, ThreadPoolExecutor(8) as threads:

        def vote(number: int) -> int:
            place, person = (control, other)[number % 2], f"person-{number // 4}"
            return place.decide(approval.id, person=person, groups=["sre-leads"]).status_code

        answers = list(threads.map(vote, range(8)))
    assert sorted(answers) == [200, 200, *[409] * 6]
    shown = [one["actor"]["subject"] for one in gateway.records_of("approval_voted")]
    assert sorted(shown) == ["person-0", "person-1"]
    assert len(gateway.records_of("approval_vote_refused")) == 6
    assert state_of(gateway, approval) == "pending"


def test_abuse_33_who_may_not_approve_doesnt(gateway: Gateway, control: Control, issuer: Issuer) -> None:
    approval = ask(gateway)
    good: dict[str, Any] = {"sub": "alice", "groups": ["sre-leads"], "aud": AUDIENCE}
    refused = {
        "an agent's token": issuer.token("demo-agent"),
        "a person's token for agents": issuer.token("alice"),
        "expired": issuer.mint(**good, ttl=-1),
        "delegated": issuer.mint(**good, act={"sub": "demo-agent", "groups": ["sre-leads"]}),
        "for several": issuer.mint(**{**good, "aud": [AUDIENCE, "ddgate"]}),
        "another issuer": issuer.mint(**good, iss="https://evil.example"),
        "no token": "alice",
    }
    for kind, token in refused.items():
        answer = control.ask("POST", f"approvals/{approval.id}/approve", token, {"reason": ""})
        assert answer.status_code == 401, kind
        assert answer.headers["content-type"] == "application/problem+json"
        assert token not in answer.text or kind == "no token"
    assert control.decide(approval.id, person="bob").status_code == 403
    for named in ({"approver": "alice"}, {"person": {"subject": "alice"}}):
        answer = control.ask("POST", f"approvals/{approval.id}/approve", control.token("bob"), named)
        assert answer.status_code == 422
    kinds = [record["kind"] for record in gateway.records()]
    assert kinds == ["approval_requested", "approval_vote_refused"]
    assert state_of(gateway, approval) == "pending"
    written = control.log.read_bytes() + b"".join(
        path.read_bytes() for path in gateway.state.rglob("*") if path.is_file()
    )
    for kind, token in refused.items():
        assert kind == "no token" or token.encode() not in written, kind


def test_abuse_33_a_cross_site_request_decides_nothing(gateway: Gateway, control: Control) -> None:
    approval = ask(gateway)
    with log_in(control, "alice") as client:
        good = own_headers(client)
        spoiled: list[dict[str, str]] = [
            {},
            {**good, "Origin": "null"},
            {**good, "Origin": "https://evil.example"},
            {**good, "Sec-Fetch-Site": "cross-site"},
            {**good, "Sec-Fetch-Site": "same-site"},
            {name: value for name, value in good.items() if name != csrf.HEADER},
        ]
        for headers in spoiled:
            for what in ("approve", "deny"):
                by_script = client.post(f"/api/v1/approvals/{approval.id}/{what}", json={}, headers=headers)
                by_form = client.post(
                    f"/approvals/{approval.id}/{what}", data={"reason": "x"}, headers=headers
                )
                assert (by_script.status_code, by_form.status_code) == (403, 403), headers
        forgotten = control.client.post(f"/api/v1/approvals/{approval.id}/approve", json={}, headers=good)
        assert forgotten.status_code == 401  # without the cookie
    assert gateway.records_of("approval_vote_refused") == gateway.records_of("approval_approved") == []
    assert state_of(gateway, approval) == "pending"


def test_abuse_33_a_stored_script_runs_nowhere(gateway: Gateway, control: Control) -> None:
    script = "<script>alert(document.cookie)</script>"
    asked = replace(approval_samples.approval().asked, summary=script, intent=script, target=script)
    approval = ask(gateway, asked=asked, preview={"summary": script, "request": {"body": script}})
    with log_in(control, "alice") as client:
        for path in ("/approvals", f"/approvals/{approval.id}", f"/api/v1/approvals/{approval.id}"):
            answer = client.get(path)
            is_page = answer.headers["content-type"].startswith("text/html")
            assert not is_page or script not in answer.text, path
            assert "script-src 'self'" in answer.headers["content-security-policy"]
            assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_foreign_host_gets_nothing(control: Control) -> None:
    for path in ("/approvals", "/api/v1/approvals", "/login", "/readyz"):
        answer = control.client.get(path, headers={"Host": f"rebound.evil.example:{control.port}"})
        assert answer.status_code == 421, path


def test_requests_expire_where_no_gateway_runs(gateway: Gateway, control: Control) -> None:
    approval = ask(gateway, needs=replace(SRE, pending=0.5))
    wait_until(lambda: state_of(gateway, approval) == "expired", 15, "the expiry")
    assert [record["approval"] for record in gateway.records_of("approval_expired")] == [approval.id]


def test_a_login_outlives_control_and_streams_dont_hold_it_up(gateway: Gateway, control: Control) -> None:
    assert control.process is not None
    with log_in(control, "alice") as client, client.stream("GET", "/api/v1/events") as stream:
        lines = stream.iter_lines()
        assert next(lines) == ": listening"
        control.process.terminate()
        assert control.process.wait(15) == 0
        assert not any(line.startswith("data:") for line in lines)
        cookies = dict(client.cookies)
    control.start()
    with browser(control, **cookies) as client:
        assert client.get("/api/v1/me").json()["subject"] == "alice"
        control.process.send_signal(signal.SIGKILL)
        control.process.wait(15)
        control.start()
        assert client.get("/api/v1/me").json()["subject"] == "alice"


def test_half_a_request_holds_nobody_up(gateway: Gateway, control: Control) -> None:
    approval = ask(gateway)
    sockets = [socket.create_connection(("127.0.0.1", control.port)) for _ in range(50)]
    head = f"POST /api/v1/approvals/{approval.id}/approve HTTP/1.1\r\nHost: 127.0.0.1:{control.port}\r\n"
    for number, each in enumerate(sockets):
        each.sendall((head if number % 2 else head + "Content-Length: 10\r\n\r\n{").encode())
    assert control.decide(approval.id).json()["state"] == "approved"
    for each in sockets:
        each.close()


def test_an_issuer_that_is_down_at_the_start_is_waited_for(make_gateway: MakeGateway, tmp_path: Path) -> None:
    with start_issuer(tmp_path / "issuer") as issuer:
        issuer.outage("error")
        gateway = make_gateway(config=settings(tmp_path, issuer))
        with running(gateway, issuer) as control:
            answer = control.ask("GET", "me", control.token("alice"))
            assert (answer.status_code, answer.json()["reason"]) == (503, "issuer_unavailable")
            warned = control.client.get("/readyz").json()["control"]["warnings"]
            assert "nobody can log in" in warned["login"][0]
            issuer.outage("ok")
            wait_until(lambda: control.ask("GET", "me", control.token("alice")).status_code == 200, 30)


@pytest.mark.parametrize(
    ("control_section", "told"),
    [
        ({"audience": "ddgate"}, "an agent could pass for a person"),
        ({"ca": "missing.pem"}, "missing.pem"),
        ({"client_secret": {"env": "DDGATE_TEST_NOT_SET"}}, "DDGATE_TEST_NOT_SET is not set"),
    ],
)
def test_a_login_that_is_wrong_stops_the_start_with_a_sentence(
    make_gateway: MakeGateway, issuer: Issuer, tmp_path: Path, control_section: dict[str, object], told: str
) -> None:
    config = settings(tmp_path, issuer)
    config["control"]["login"].update(control_section)
    gateway = make_gateway(config=config)
    done = _start_once(gateway)
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    assert told in done.stderr


def test_a_port_that_is_taken_stops_the_start_with_a_sentence(gateway: Gateway, control: Control) -> None:
    done = _start_once(gateway)
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    assert f"can't listen on 127.0.0.1:{control.port}" in done.stderr


def _start_once(gateway: Gateway) -> subprocess.CompletedProcess[str]:
    command = ["control", "--config", str(gateway.config_path), "--state", str(gateway.state)]
    return forked.run(command, timeout=60)


def test_a_decision_is_told_to_who_watches_in_a_moment(gateway: Gateway, control: Control) -> None:
    """Not a figure to hold: that it comes at all without anybody asking."""
    approval = ask(gateway)
    headers = {"Authorization": f"Bearer {control.token('alice')}"}
    with control.client.stream("GET", "/api/v1/events", headers=headers) as stream:
        lines = stream.iter_lines()
        assert next(lines) == ": listening"
        began = time.monotonic()
        assert control.decide(approval.id).is_success
        assert any(approval.id in line for line in lines if line.startswith("data:"))
        print(f"told after {time.monotonic() - began:.3f} s")  # noqa: T201 - a figure, asserted by nothing
