"""What an approved update replaces is looked at again when it runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.e2e.approving import Control, running, settings
from tests.e2e.gateway_process import Curled, Gateway, curl
from tests.e2e.raw_upstream import KEYS, Exchange, RawUpstream, ok
from tests.sandbox_processes import Issuer

PATH = "/api/v1/monitor/7"
URL = f"https://api.datadoghq.com{PATH}"
GONE = b'HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nContent-Length: 13\r\n\r\n{"errors":[]}'
BROKEN = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"


@dataclass
class Monitor:
    """Monitor 7 as Datadog has it; `answer` is what a GET gets."""

    answer: bytes = b""
    updates: list[bytes] = field(default_factory=list)

    def __call__(self, exchange: Exchange) -> None:
        if exchange.head.startswith(b"GET"):
            exchange.send(self.answer)
            return
        self.updates.append(exchange.body)
        exchange.send(ok(exchange.body, "Content-Type: application/json"))

    def is_now(self, **content: object) -> None:
        self.answer = ok(json.dumps(content).encode(), "Content-Type: application/json")


@dataclass
class Place:
    gateway: Gateway
    control: Control
    monitor: Monitor
    token: str

    def update(self) -> Curled:
        body = json.dumps({"name": "new", "options": {"thresholds": {"critical": 900}}})
        arguments = ("-H", "Prefer: wait=0", "-X", "PUT", "-H", "Content-Type: application/json", "-d", body)
        return curl(self.gateway, *arguments, URL, token=self.token)

    def approved(self) -> str:
        approval = str(self.update().json()["ddgate"]["approval"])
        assert self.control.decide(approval).status_code == 200
        return approval


@pytest.fixture
def place(tmp_path: Path, issuer: Issuer) -> Iterator[Place]:
    monitor = Monitor()
    monitor.is_now(name="old", options={"thresholds": {"critical": 500}}, overall_state="OK")
    with RawUpstream(tmp_path / "upstream", {PATH: monitor}) as upstream:
        (tmp_path / "gateway").mkdir()
        config = settings(tmp_path / "gateway", issuer)
        gateway = Gateway(
            tmp_path / "gateway", issuer.url, upstream.port, upstream.ca, KEYS, config=config
        ).start()
        with running(gateway, issuer) as control:
            yield Place(gateway, control, monitor, issuer.token("demo-agent"))
        gateway.stop()


def test_a_person_sees_what_would_change_against_what_is_there(place: Place) -> None:
    approval = str(place.update().json()["ddgate"]["approval"])
    shown = place.control.show(approval)
    changes = {change["path"]: change for change in shown["preview"]["changes"]}
    assert changes["options.thresholds.critical"]["before"] == "500"
    assert changes["options.thresholds.critical"]["after"] == "900"


def test_what_nobody_decided_about_may_change_meanwhile(place: Place) -> None:
    place.approved()
    place.monitor.is_now(name="old", options={"thresholds": {"critical": 500}}, overall_state="Alert")
    assert place.update().status == 200
    assert len(place.monitor.updates) == 1


def test_what_the_call_replaces_has_changed_so_it_is_asked_anew(place: Place) -> None:
    first = place.approved()
    place.monitor.is_now(name="old", options={"thresholds": {"critical": 700}}, overall_state="OK")
    again = place.update()
    assert (again.status, again.json()["ddgate"]["state"]) == (429, "pending")
    assert again.json()["ddgate"]["approval"] != first
    assert not place.monitor.updates


def test_what_is_gone_meanwhile_is_asked_anew(place: Place) -> None:
    first = place.approved()
    place.monitor.answer = GONE
    again = place.update()
    assert (again.status, again.json()["ddgate"]["approval"] != first) == (429, True)
    assert not place.monitor.updates


def test_what_can_not_be_read_for_a_moment_costs_the_call_no_approval(place: Place) -> None:
    approval = place.approved()
    before = place.monitor.answer
    place.monitor.answer = BROKEN
    refused = place.update()
    assert (refused.status, refused.json()["ddgate"]["reason"]) == (429, "target_unreadable")
    assert dict(refused.headers)["retry-after"]
    assert place.control.show(approval)["state"] == "approved"
    place.monitor.answer = before
    assert place.update().status == 200
    assert len(place.monitor.updates) == 1
