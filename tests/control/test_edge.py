"""What every request and every answer passes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from starlette.types import Message, Receive, Scope, Send

from addons.control import edge
from addons.control.edge import MAX_BODY, Edge
from addons.control.public_url import PublicUrl
from tests.control.desk import ORIGIN, Desk
from tests.control.people_issuer import PeopleIssuer

PATHS = ["/", "/approvals", "/login", "/api/v1/me", "/openapi.json", "/healthz", "/metrics", "/nothing-here"]


@pytest.mark.parametrize("path", PATHS)
async def test_every_answer_is_hardened(desk: Desk, path: str) -> None:
    answer = await desk.client.get(path)
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert policy["form-action"] == "'self'"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "same-origin"
    assert answer.headers["cross-origin-opener-policy"] == "same-origin"
    assert answer.headers["cache-control"] == "no-store"
    assert "server" not in answer.headers
    assert "strict-transport-security" not in answer.headers


async def test_over_https_it_stays_https(tmp_path: Path, issuer: PeopleIssuer) -> None:
    desk = Desk.open(tmp_path, issuer, url="https://approvals.example.com")
    answer = await desk.client.get("/healthz")
    assert answer.headers["strict-transport-security"].startswith("max-age=")
    await desk.close()


@pytest.mark.parametrize(
    ("host", "path", "status"),
    [
        ("127.0.0.1:8081", "/approvals", 200),
        ("rebound.evil.example", "/approvals", 421),
        ("rebound.evil.example:8081", "/api/v1/me", 421),
        ("rebound.evil.example:8081", "/readyz", 421),
        ("127.0.0.1.evil.example", "/metrics", 421),
        ("localhost.evil.example", "/api/v1/me", 421),
        ("localhost:8081", "/approvals", 307),  # cookies and the way back from the issuer are for one name
        ("127.0.0.1", "/approvals", 307),
        ("", "/approvals", 421),
        ("localhost:8081", "/api/v1/me", 401),
        ("127.0.0.1:9999", "/api/v1/me", 401),
        ("[::1]:8081", "/api/v1/me", 401),
        ("192.0.2.7:8081", "/api/v1/me", 421),
        ("192.0.2.7:8081", "/healthz", 200),  # a probe comes by address
        ("[2001:db8::1]:8081", "/healthz", 200),
        ("control:8081", "/metrics", 200),
    ],
)
async def test_a_foreign_host_is_refused_so_that_no_name_can_be_made_to_point_here(
    desk: Desk, host: str, path: str, status: int
) -> None:
    browser = desk.browser()
    await desk.log_in(browser, "alice", "sre")
    cookies = {"Cookie": "; ".join(f"{name}={value}" for name, value in browser.cookies.items())}
    sent = cookies if path == "/approvals" else {}
    answer = await desk.client.get(path, headers={"Host": host, **sent})
    assert answer.status_code == status, answer.text
    if status == 421:
        assert answer.json()["reason"] == "other_host"
    await browser.aclose()


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("https://approvals.example.com", ("approvals.example.com", "approvals.example.com:443")),
        ("https://Approvals.Example.com:443", ("approvals.example.com", "approvals.example.com:443")),
        ("https://approvals.example.com:8443", ("approvals.example.com:8443",)),
        ("http://[::1]:8081", ("[::1]:8081",)),
        ("http://[::1]", ("[::1]", "[::1]:80")),
    ],
)
def test_the_public_url_in_the_host_header(url: str, hosts: tuple[str, ...]) -> None:
    assert PublicUrl.of(url).hosts == hosts


async def test_this_machine_by_another_name_leads_to_the_one_that_counts(desk: Desk) -> None:
    for path in ("/approvals?state=denied&a=%0d%0a", "//evil.example/%2e%2e", "/"):
        answer = await desk.client.get(f"{ORIGIN}{path}", headers={"Host": "localhost:8081"})
        assert (answer.status_code, answer.headers["location"]) == (307, f"{ORIGIN}{path}")
    posted = await desk.client.post("/approvals", headers={"Host": "localhost:8081"})
    assert posted.status_code == 421


async def test_half_a_body_is_read_by_nobody() -> None:
    parts: list[Message] = [
        {"type": "http.request", "body": b"csrf_token=x&rea", "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def app(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise AssertionError("it was let in")

    async def receive() -> Message:
        return parts.pop(0)

    async def send(message: Message) -> None:
        raise AssertionError(message)

    scope = {"type": "http", "method": "POST", "path": "/", "headers": [(b"host", b"127.0.0.1:8081")]}
    await Edge(app, PublicUrl(ORIGIN))(scope, receive, send)


async def test_two_host_headers_are_refused(desk: Desk) -> None:
    twice = [("Host", "127.0.0.1:8081"), ("Host", "127.0.0.1:8081")]
    assert (await desk.client.get("/healthz", headers=twice)).status_code == 421


@pytest.mark.parametrize("path", ["/api/v1/me", "/logout", "/approvals", "/healthz"])
async def test_a_large_body_is_refused_before_anything_reads_it(desk: Desk, path: str) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 1024

    declared = await desk.client.post(path, content=b"x" * (MAX_BODY + 1))
    chunked = await desk.client.post(path, content=endless())
    for answer in (declared, chunked):
        assert (answer.status_code, answer.json()["reason"]) == (413, "too_large")
    for length in (b"-1", b"x", "\xb2".encode()):
        assert (await desk.client.post(path, headers={b"Content-Length": length})).status_code == 413


def _client(app: Edge) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:8081")


async def test_an_unexpected_error_says_nothing_of_itself(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a secret: hunter2")

    monkeypatch.setattr("addons.control.api.views.me", broken)
    answer = await desk.call("GET", "me", desk.issuer.token("alice"))
    assert (answer.status_code, answer.json()["reason"]) == (500, "internal_error")
    assert answer.headers["content-type"] == "application/problem+json"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "hunter2" not in answer.text + caplog.text
    assert "RuntimeError at " in caplog.text


async def test_an_error_of_what_answers_errors_is_answered_too(caplog: pytest.LogCaptureFixture) -> None:
    async def broken(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise ValueError("hunter2")

    async with _client(Edge(broken, PublicUrl(ORIGIN))) as client:
        answer = await client.get("/")
    assert (answer.status_code, answer.json()["reason"]) == (500, "internal_error")
    assert "hunter2" not in caplog.text


async def test_a_body_that_never_ends_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge, "BODY_SECONDS", 0.05)
    sent: list[Message] = []
    parts: list[Message] = [{"type": "http.request", "body": b"x", "more_body": True}]

    async def app(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise AssertionError("it was let in")

    async def receive() -> Message:
        if parts:
            return parts.pop()
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/", "headers": [(b"host", b"127.0.0.1:8081")]}
    await Edge(app, PublicUrl(ORIGIN))(scope, receive, send)
    assert sent[0]["status"] == 408
