"""The stream of changes, over a real socket."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from addons.control import changes
from addons.control.api import events
from tests.control.people_issuer import PeopleIssuer
from tests.control.served import Served, served


@pytest.fixture
def control(tmp_path: Path, issuer: PeopleIssuer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setattr(events, "HEARTBEAT", 0.1)
    with served(tmp_path, issuer) as running:
        yield running


def _client(control: Served, **headers: str) -> httpx.Client:
    return httpx.Client(base_url=control.url, headers=headers, timeout=10, trust_env=False)


def _bearer(control: Served) -> dict[str, str]:
    return {"Authorization": f"Bearer {control.desk.issuer.token('alice', 'sre')}"}


def _event(lines: Iterator[str]) -> tuple[str, dict[str, object]]:
    """The next event's id and data."""
    number = next(line for line in lines if line.startswith("id: "))
    assert next(lines) == "event: approvals"
    return number.removeprefix("id: "), json.loads(next(lines).removeprefix("data: "))


def test_what_changes_is_told_at_once_and_after_a_break(control: Served) -> None:
    with _client(control, **_bearer(control)) as client:
        with client.stream("GET", "/api/v1/events") as stream:
            assert stream.headers["content-type"].startswith("text/event-stream")
            lines = stream.iter_lines()
            assert next(lines) == ": listening"
            asked = control.do(control.desk.ask())
            number, told = _event(lines)
            assert told == {"changed": [asked.id], "version": int(number)}
        token = control.desk.issuer.token("bob", "sre")
        control.do(control.desk.decide(asked, "approve", token))
        for headers, query in (({"Last-Event-ID": number}, ""), ({}, f"?after={number}")):
            with client.stream("GET", f"/api/v1/events{query}", headers=headers) as stream:
                assert _event(stream.iter_lines())[1]["changed"] == [asked.id]


def test_a_stream_ends_with_the_login_that_it_began_with(control: Served) -> None:
    desk = control.desk

    async def log_in() -> dict[str, str]:
        browser = desk.browser()
        await desk.log_in(browser, "alice", "sre")
        return dict(browser.cookies)

    cookies = control.do(log_in())
    cookie = "; ".join(f"{name}={value}" for name, value in cookies.items())
    with _client(control, Cookie=cookie) as client, client.stream("GET", "/api/v1/events") as stream:
        lines = stream.iter_lines()
        assert next(lines) == ": listening"
        desk.control.parts.sessions.end(cookies["ddgate-session"])
        assert not any(line.startswith("data:") for line in lines)  # and no TimeoutError: it ends


def test_a_stream_ends_with_its_token(control: Served) -> None:
    with _client(control, **_bearer(control)) as client, client.stream("GET", "/api/v1/events") as stream:
        lines = stream.iter_lines()
        assert next(lines) == ": listening"
        control.desk.clock.offset += 301
        assert not any(line.startswith("data:") for line in lines)


def test_nobody_else_hears_anything(control: Served) -> None:
    with _client(control) as client:
        assert client.get("/api/v1/events").status_code == 401
        cross = {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}
        assert client.get("/api/v1/events", headers=cross).status_code == 401
        for bad in ("after=-1", "after=x", f"after={2**63}", "who=alice"):
            assert client.get(f"/api/v1/events?{bad}", headers=_bearer(control)).status_code == 422, bad


def test_streams_are_bounded(control: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "MOST_LISTENERS", 1)
    with _client(control, **_bearer(control)) as client, client.stream("GET", "/api/v1/events") as stream:
        lines = stream.iter_lines()  # kept: its end would be the stream's
        assert next(lines) == ": listening"
        refused = client.get("/api/v1/events")
        assert (refused.status_code, refused.json()["reason"]) == (503, "too_many_listeners")
