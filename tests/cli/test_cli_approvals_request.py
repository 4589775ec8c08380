"""`ddgate approvals request`: the agent's side, against a gateway that answers as a test says."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from addons.cli.approvals.command import app
from tests.cli.approvals_desk import Ran
from tests.sidecar.fake_gateway import Call, Certificates, FakeGateway, answer, make_certificates, read_call

ID = "0193a1b2c3d400112233445566778899"
TOKEN = "aaaa.bbbb.cccc"


def told(state: str, **more: object) -> bytes:
    said = {"id": ID, "state": state, "operation": "UpdateMonitor", "places_left": {"sre-leads": 1}, **more}
    return answer(json.dumps({"approval": said, "next": "repeat the same request"}).encode())


@dataclass
class Answering(FakeGateway):
    """`script` is what it says inside the tunnel, one after the other; the last one stays."""

    script: list[bytes] = field(default_factory=list)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, token: str) -> None:
        while True:
            call = await read_call(reader)
            self.calls.append(Call(call.line, call.fields, call.raw, call.body, token))
            writer.write(self.script.pop(0) if len(self.script) > 1 else self.script[0])
            await writer.drain()


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return make_certificates(tmp_path)


@pytest.fixture
def gateway(certificates: Certificates) -> Iterator[Answering]:
    with Answering(certificates).running() as running:
        assert isinstance(running, Answering)
        yield running


def run(*arguments: str, **environment: str) -> Ran:
    steering = {
        name: None for name in os.environ if name.startswith("DDGATE_") or name.lower().endswith("_proxy")
    }
    done = CliRunner().invoke(app, ["request", *arguments], env={**steering, **environment})
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exc_info
    return Ran(done.exit_code, done.stdout, done.stderr)


def ask(gateway: Answering, *arguments: str) -> Ran:
    options = ("--gateway", gateway.url, "--ca", str(gateway.certificates.ca))
    return run(*arguments, *options, DDGATE_TOKEN=TOKEN)


@pytest.mark.parametrize(
    ("state", "status"),
    [
        ("approved", 0),
        ("executing", 0),
        ("succeeded", 0),
        ("failed", 0),
        ("denied", 4),
        ("expired", 5),
        ("cancelled", 5),
        ("unknown", 7),
    ],
)
def test_the_status_of_wait_says_what_became_of_it(gateway: Answering, state: str, status: int) -> None:
    gateway.script = [told("pending"), told(state, decided_by="alice", reason="not\x1b[2J now")]
    ran = ask(gateway, ID, "wait")
    assert (ran.status, ran.err) == (status, "")
    assert ran.out.startswith(f"{state}  UpdateMonitor  {ID}")
    assert "by alice: not" in ran.out
    assert "\x1b" not in ran.out
    assert [call.line for call in gateway.calls] == [
        f"GET /.ddgate/approvals/{ID}?wait=25 HTTP/1.1" for _ in range(2)
    ]
    assert {call.tunnel for call in gateway.calls} == {TOKEN}


def test_wait_ends_when_its_time_is_over(gateway: Answering) -> None:
    gateway.script = [told("pending", pending_until="2026-01-01T00:00:00Z")]
    ran = ask(gateway, ID, "wait", "--timeout", "0.2")
    assert ran.status == 6
    assert "waits for 1 of sre-leads, until 2026-01-01T00:00:00Z" in ran.out
    assert "next: repeat the same request" in ran.out


def test_status_is_0_whatever_the_state_and_json_is_the_gateways_own(gateway: Answering) -> None:
    gateway.script = [told("denied", status=None)]
    ran = ask(gateway, ID, "--json")
    assert ran.status == 0
    assert ran.json()["approval"]["state"] == "denied"
    assert ran.json()["next"] == "repeat the same request"


def test_cancel_takes_it_back(gateway: Answering) -> None:
    gateway.script = [told("cancelled")]
    ran = ask(gateway, ID, "cancel")
    assert (ran.status, ran.out.split()[0]) == (0, "cancelled")
    assert [call.line for call in gateway.calls] == [f"DELETE /.ddgate/approvals/{ID} HTTP/1.1"]


def test_under_ddgate_run_its_own_proxy_and_ca_are_used(gateway: Answering) -> None:
    gateway.script = [told("approved")]
    proxy = gateway.url.replace("http://", "http://agent:secret@")
    inside = {
        "DDGATE_RUN_PROXY": proxy,
        "DDGATE_RUN_CA": str(gateway.certificates.ca),
        "DDGATE_TOKEN_FILE": "/nonexistent",
        "DDGATE_GATEWAY": "http://127.0.0.1:9",
    }
    ran = run(ID, **inside)
    assert ran.status == 0, ran.err
    assert gateway.connects[0].fields["proxy-authorization"] == "Basic YWdlbnQ6c2VjcmV0"


def test_elsewhere_https_proxy_with_its_login_is_used(gateway: Answering) -> None:
    gateway.script = [told("approved")]
    outside = {"HTTPS_PROXY": gateway.url.replace("http://", f"http://agent:{TOKEN}@")}
    ran = run(ID, "--ca", str(gateway.certificates.ca), **outside)
    assert ran.status == 0, ran.err
    assert "no_proxy" not in ran.err


@pytest.mark.parametrize(
    ("body", "line", "status"),
    [
        ({"errors": ["ddgate: you have no approval of this id"]}, "404 Not Found", 1),
        ({"errors": ["ddgate: no"], "ddgate": {"reason": "no_identity"}}, "401 Unauthorized", 1),
        ({"errors": ["ddgate: try again"], "ddgate": {"reason": "x"}}, "503 Service Unavailable", 3),
        ({"errors": ["Forbidden"]}, "403 Forbidden", 3),
        ({"approval": {"id": ID}}, "200 OK", 2),
        ({"approval": {"id": ID, "state": "sleeping"}}, "200 OK", 2),
        ({"approval": 3}, "200 OK", 2),
        ([], "200 OK", 3),
    ],
)
def test_an_answer_that_tells_no_state_ends_in_a_line(
    gateway: Answering, body: Any, line: str, status: int
) -> None:
    gateway.script = [answer(json.dumps(body).encode(), line)]
    for action in ("status", "wait", "cancel"):
        ran = ask(gateway, ID, action)
        assert (ran.status, ran.out) == (status, ""), ran.err
        assert ran.err.count("\n") == 1
        assert TOKEN not in ran.err


def test_a_gateway_that_opens_no_tunnel_says_why(gateway: Answering) -> None:
    gateway.refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
    ran = ask(gateway, ID)
    assert (ran.status, "407" in ran.err, TOKEN in ran.err) == (1, True, False)


def test_what_can_not_be_meant_is_misuse(gateway: Answering, tmp_path: Path) -> None:
    ca = ("--ca", str(gateway.certificates.ca))
    for arguments, more in (
        (("../../etc", *ca), {"DDGATE_TOKEN": TOKEN}),
        ((ID, "sleep", *ca), {"DDGATE_TOKEN": TOKEN}),
        ((ID, "--ca", str(tmp_path / "none.pem"), "--gateway", gateway.url), {"DDGATE_TOKEN": TOKEN}),
        ((ID, *ca, "--gateway", "http://gateway.example.com:8080"), {"DDGATE_TOKEN": TOKEN}),
        ((ID, *ca, "--gateway", "nonsense"), {"DDGATE_TOKEN": TOKEN}),
        ((ID, *ca, "--state", str(tmp_path)), {}),
        ((ID, *ca), {"HTTPS_PROXY": "nonsense"}),
    ):
        ran = run(*arguments, **more)
        assert (ran.status, ran.out) == (2, ""), (arguments, ran.err)
    assert gateway.calls == []


def test_a_gateway_that_is_not_there_or_not_trusted_is_status_3(gateway: Answering, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    stranger = make_certificates(other).ca
    ran = run(ID, "--gateway", gateway.url, "--ca", str(stranger), DDGATE_TOKEN=TOKEN)
    assert (ran.status, "certificate isn't trusted" in ran.err) == (3, True)
    dead = run(ID, "--gateway", "http://127.0.0.1:9", "--ca", str(stranger), DDGATE_TOKEN=TOKEN)
    assert (dead.status, dead.err.count("\n")) == (3, 1)
