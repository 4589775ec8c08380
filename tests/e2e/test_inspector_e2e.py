"""Abuse case 2: what the inspector serves beside a working gateway holds no key and no token, at any time."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

from addons.core.redact.detectors.vendors import fill
from addons.store.state_dir import StateDir
from tests.e2e import forked
from tests.e2e.gateway_process import ROOT, Curled, Gateway, curl, free_port, wait_until
from tests.e2e.test_abuse_credential import assert_absent
from tests.sandbox_processes import Issuer, StandIn

ECHO = "https://api.datadoghq.com/_sandbox/echo"
SECRET = "sk_live_" + fill(24)
type MakeGateway = Callable[..., Gateway]


class Inspector:
    """`ddgate inspector` on a gateway's state, and all that it ever said."""

    def __init__(self, gateway: Gateway, log: Path) -> None:
        self.port = free_port()
        self.log = log
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "DDGATE_CONFIG": str(gateway.config_path),
            "DDGATE_STATE": str(gateway.state),
            "DDGATE__INSPECTOR__PORT": str(self.port),
        }
        with log.open("wb") as file:
            self.process = forked.start(["inspector"], environment, file)
        self.served: list[tuple[str, bytes]] = []
        self.password = ""
        self.headers: dict[str, str] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str) -> httpx.Response:
        answer = httpx.get(self.url + path, headers=self.headers, trust_env=False)
        self.served.append((path, str(answer.headers).encode() + answer.content))
        return answer

    def flows(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.get("/flows").json()
        return found

    def is_up(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        try:
            return self.get("/").status_code in {200, 403}
        except httpx.TransportError:
            return False


@pytest.fixture
def echoing(make_gateway: MakeGateway, tmp_path: Path) -> Gateway:
    policy = tmp_path / "echo.yaml"
    who, op = {"groups": ["agents"]}, {"risk": ["read", "write", "ingest", "unknown"]}
    rule = {"id": "all-for-agents", "effect": "allow", "who": who, "op": op}
    policy.write_text(json.dumps({"version": 1, "rules": [rule]}))
    return make_gateway(config={"policy": [str(policy)]}).start()


@pytest.fixture
def inspector(echoing: Gateway, tmp_path: Path) -> Iterator[Inspector]:
    started = Inspector(echoing, tmp_path / "inspector.log")
    try:
        wait_until(started.is_up, 20, "the inspector")
        started.password = StateDir.open(echoing.state).inspector_password()
        started.headers = {"Authorization": f"Bearer {started.password}"}
        yield started
    finally:
        if started.process.poll() is None:
            started.process.terminate()
            started.process.wait(10)


def read_all(inspector: Inspector, flow_id: str) -> None:
    for message in ("request", "response"):
        for what in ("content.data", "content/auto.json", "content/raw.json", "content/hex.json"):
            inspector.get(f"/flows/{flow_id}/{message}/{what}")


async def test_abuse_2_nothing_that_it_serves_holds_a_key_or_a_token(
    echoing: Gateway, inspector: Inspector, issuer: Issuer, fresh: StandIn
) -> None:
    token = issuer.token("demo-agent")
    request = HTTPRequest(inspector.url.replace("http", "ws") + "/updates", headers=inspector.headers)
    channel = await websocket_connect(request)
    said: list[Curled] = []

    def call() -> None:
        agents_own = ["-H", "DD-API-KEY: " + token, "-H", f"Cookie: session={SECRET}"]
        body = ["-d", json.dumps({"password": SECRET}), "-H", "Content-Type: application/json"]
        said.append(curl(echoing, f"{ECHO}?delay=1.5&api_key={SECRET}", *agents_own, *body, token=token))

    for form in ("json", "base64", "percent", "header", "location", "error"):
        curl(echoing, f"{ECHO}?form={form}&encoding=gzip", token=token)
    in_flight = threading.Thread(target=call)
    in_flight.start()
    fresh.wait_for_requests(7)
    polled = 0
    while in_flight.is_alive():
        for path in ("/", "/flows", "/events", "/state"):
            inspector.get(path)
        for flow in inspector.flows():
            read_all(inspector, flow["id"])
        polled += 1
    in_flight.join()
    assert polled
    assert said[0].status == 200

    listed = wait_until(lambda: len(found := inspector.flows()) == 7 and found, 10, "seven flows")
    assert isinstance(listed, list)
    for flow in listed:
        read_all(inspector, flow["id"])
    for path in ("/", "/events", "/options", "/commands", "/flows/dump", "/filter-help", "/state"):
        inspector.get(path)
    pushed: list[str] = []
    while sum('"flows/add"' in each for each in pushed) < len(listed):
        message = await channel.read_message()
        assert isinstance(message, str)
        pushed.append(message)
    channel.close()

    # It did show the calls, their bodies and the masks: an empty page would hold no key either.
    shown = b"".join(data for _, data in inspector.served)
    assert sum("/_sandbox/echo" in each for each in pushed) == len(listed)
    assert all("demo-agent" in flow["comment"] for flow in listed)
    assert b"REDACTED" in shown
    assert re.search(rb'"password":\s*"\[REDACTED:', shown)
    everything = [*inspector.served, *(("/updates", each.encode()) for each in pushed)]
    everything.append(("its log", inspector.log.read_bytes()))
    secrets = [token, SECRET, *fresh.keys.values()]
    for where, data in everything:
        assert_absent(data, secrets, where)
        assert_absent(data, [inspector.password], where)


def test_it_can_be_restarted_at_any_time_and_shows_the_same(
    echoing: Gateway, inspector: Inspector, issuer: Issuer, tmp_path: Path
) -> None:
    assert curl(echoing, ECHO, token=issuer.token("demo-agent")).status == 200
    first = wait_until(inspector.flows, 10, "the flow")
    inspector.process.kill()
    inspector.process.wait()
    assert curl(echoing, ECHO, token=issuer.token("demo-agent")).status == 200  # the gateway goes on
    again = Inspector(echoing, tmp_path / "again.log")
    try:
        again.headers = inspector.headers
        wait_until(again.is_up, 20, "the inspector")
        found = wait_until(lambda: len(found := again.flows()) == 2 and found, 10, "both flows")
        assert isinstance(found, list)
        assert isinstance(first, list)
        assert first[0]["id"] == found[0]["id"]
    finally:
        again.process.terminate()
        again.process.wait(10)
    assert "Traceback" not in again.log.read_text()


def test_a_port_that_is_taken_is_told_without_a_traceback(
    echoing: Gateway, inspector: Inspector, tmp_path: Path
) -> None:
    environment = {
        **os.environ,
        "DDGATE_CONFIG": str(echoing.config_path),
        "DDGATE_STATE": str(echoing.state),
        "DDGATE__INSPECTOR__PORT": str(inspector.port),
    }
    done = subprocess.run(
        [sys.executable, "-m", "addons.cli.main", "inspector"],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1
    assert str(inspector.port) in done.stderr
    assert "Traceback" not in done.stderr
