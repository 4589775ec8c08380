"""I4 for what the gateway reads itself: the key leaves on a verified connection to the host that was meant,
in one request, and shows in no text, whatever goes wrong."""

from __future__ import annotations

import asyncio
import gzip
import logging
import os
import socket
import time
import traceback
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import brotli
import pytest
import zstandard

from addons.sandbox.datadog_tls import server_context
from addons.store.credentials import Credential
from addons.store.dialling import Dialling, Route
from addons.store.targets.datadog_get import DatadogGet, GetFailed, GetLimits
from tests.e2e.raw_upstream import API_KEY, APPLICATION_KEY, Exchange, RawUpstream, ok

API = "api.datadoghq.com"
PATH = "/api/v1/monitor/7"
CREDENTIAL = Credential("default", frozenset(), API_KEY.encode(), APPLICATION_KEY.encode())
LIMITS = GetLimits(seconds=10, answer_bytes=20_000)
BODY = b'{"id": 7}'

type Start = Callable[..., RawUpstream]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts an upstream that does `script` at PATH."""
    running: list[RawUpstream] = []

    def make(
        script: Callable[[Exchange], Any] | None = None, *, speaks_tls: bool = True, accepts: bool = True
    ) -> RawUpstream:
        scripts = {} if script is None else {PATH: script}
        upstream = RawUpstream(tmp_path / f"upstream-{len(running)}", scripts, speaks_tls, accepts)
        running.append(upstream.__enter__())
        return upstream

    yield make
    for upstream in running:
        upstream.__exit__(None, None, None)


def getting(upstream: RawUpstream, limits: GetLimits = LIMITS, ca: Path | None = None) -> DatadogGet:
    route = Route("127.0.0.1", upstream.port, str(ca or upstream.ca))
    return DatadogGet(Dialling({"*": route}), limits)


def answering(body: bytes, *headers: str) -> Callable[[Exchange], None]:
    return lambda exchange: exchange.send(ok(body, *headers))


async def failure(get: DatadogGet, host: str = API, path: str = PATH) -> GetFailed:
    """What `get` raises. No text of it, nor of what led to it, holds a key."""
    with pytest.raises(GetFailed) as caught:
        await get.get(host, path, CREDENTIAL)
    failed = caught.value
    assert failed.__cause__ is None
    assert failed.__context__ is None
    assert_without_key("".join(traceback.format_exception(failed)) + repr(failed) + repr(failed.args))
    return failed


def assert_without_key(text: str) -> None:
    assert API_KEY not in text
    assert APPLICATION_KEY not in text


async def test_a_request_says_what_it_has_to_and_no_more(start: Start) -> None:
    upstream = start(answering(BODY, "Content-Type: application/json"))
    answer = await getting(upstream).get(API, PATH, CREDENTIAL)
    assert (answer.status, answer.content_type, answer.content) == (200, "application/json", BODY)
    assert answer.length == len(BODY)
    (exchange,) = upstream.seen
    first, *lines = exchange.head.decode().split("\r\n")
    assert first == f"GET {PATH} HTTP/1.1"
    assert sorted(line.partition(":")[0].lower() for line in lines if line) == [
        *("accept", "accept-encoding", "connection", "dd-api-key", "dd-application-key", "host"),
        "user-agent",
    ]
    assert exchange.fields("host") == [API]
    assert exchange.fields("accept") == ["application/json"]
    assert exchange.fields("connection") == ["close"]
    assert exchange.fields("dd-api-key") == [API_KEY]
    assert exchange.fields("dd-application-key") == [APPLICATION_KEY]


async def test_a_credential_without_an_application_key_sends_none(start: Start) -> None:
    upstream = start()
    await getting(upstream).get(API, PATH, Credential("d", frozenset(), API_KEY.encode(), None))
    assert upstream.seen[0].fields("dd-application-key") == []


@pytest.mark.parametrize("path", ["/api/v1/x/a%20b%C3%A9", "/api/v1/x/a,b:c@d!$&'()*+=~", "/api/v1/x/"])
async def test_the_path_leaves_as_it_was_decided_on(start: Start, path: str) -> None:
    upstream = start()
    await getting(upstream).get(API, path, CREDENTIAL)
    assert upstream.seen[0].head.split()[1].decode() == path


@pytest.mark.parametrize("status", [204, 301, 302, 307, 401, 404, 429, 500])
async def test_any_status_is_an_answer_and_no_redirect_is_followed(start: Start, status: int) -> None:
    def redirect(exchange: Exchange) -> None:
        head = f"HTTP/1.1 {status} X\r\nLocation: https://{API}/elsewhere\r\nContent-Length: 0\r\n\r\n"
        exchange.send(head.encode())

    upstream = start(redirect)
    assert (await getting(upstream).get(API, PATH, CREDENTIAL)).status == status
    assert upstream.paths() == [PATH]


CODINGS = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstandard.ZstdCompressor().compress,
}


@pytest.mark.parametrize("size", [10, 19_000])
@pytest.mark.parametrize("coding", CODINGS)
async def test_a_coded_answer_is_decoded(start: Start, coding: str, size: int) -> None:
    body = os.urandom(size // 2).hex().encode()
    coded = CODINGS[coding](body)
    upstream = start(answering(coded, f"Content-Encoding: {coding}"))
    answer = await getting(upstream).get(API, PATH, CREDENTIAL)
    assert (answer.content, answer.length) == (body, len(coded))


def _head_that_never_ends(exchange: Exchange) -> None:
    exchange.send(b"HTTP/1.1 200 OK\r\nX:")
    exchange.hold()


def _body_that_drips(exchange: Exchange) -> None:
    exchange.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while not exchange.released.wait(0.02):
        exchange.send(b"1\r\nx\r\n")


def _interim_for_ever(exchange: Exchange) -> None:
    while not exchange.released.wait(0.02):
        exchange.send(b"HTTP/1.1 102 Processing\r\n\r\n")


@pytest.mark.parametrize(
    "script", [Exchange.hold, _head_that_never_ends, _body_that_drips, _interim_for_ever]
)
async def test_an_answer_that_does_not_come_is_given_up(
    start: Start, script: Callable[[Exchange], None]
) -> None:
    began = time.monotonic()
    failed = await failure(getting(start(script), GetLimits(seconds=0.4)))
    assert time.monotonic() - began < 5
    assert failed.why in {"no answer within 0.4 s", "no answer in time"}
    assert failed.sent


@pytest.mark.parametrize("how", ["speaks_tls", "accepts"])
async def test_a_connection_that_does_not_come_about_is_given_up_with_nothing_sent(
    start: Start, how: str
) -> None:
    began = time.monotonic()
    failed = await failure(getting(start(**{how: False}), GetLimits(seconds=0.5)))
    assert time.monotonic() - began < 5
    assert (failed.why, failed.sent) == ("Datadog can't be reached", False)


def _cut_short(exchange: Exchange) -> bool:
    exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
    return False


def _no_http(exchange: Exchange) -> bool:
    exchange.send(b"\0\1\r\n\r\n")
    return False


def _nothing(_exchange: Exchange) -> bool:
    return False


def _echo_in_the_head(exchange: Exchange) -> bool:
    exchange.send(f"HTTP/1.1 2{API_KEY} {APPLICATION_KEY}\r\n\r\n".encode())
    return False


def _long_chunked(exchange: Exchange) -> None:
    exchange.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(30):
        exchange.send(b"400\r\n" + b"x" * 0x400 + b"\r\n")
    exchange.hold()


SPOILED: dict[str, tuple[Callable[[Exchange], Any], str, int | None]] = {
    "cut short": (_cut_short, "broke off", 200),
    "no HTTP": (_no_http, "broke off", None),
    "nothing": (_nothing, "broke off", None),
    "the keys as status": (_echo_in_the_head, "broke off", None),
    "too long": (answering(b"x" * 20_001), "over 20000 bytes", 200),
    "too long and never ending": (_long_chunked, "over 20000 bytes", 200),
    "a bomb": (answering(gzip.compress(bytes(10**7)), "Content-Encoding: gzip"), "over 20000 bytes", 200),
    "not gzip": (answering(BODY, "Content-Encoding: gzip"), "can't be decoded", 200),
    "an unknown coding": (answering(BODY, "Content-Encoding: rot13"), "can't be decoded", 200),
    "too many codings": (answering(BODY, "Content-Encoding: br, br, br, br"), "can't be decoded", 200),
}


@pytest.mark.parametrize("name", SPOILED)
async def test_an_answer_that_can_not_be_used_fails(start: Start, name: str) -> None:
    script, said, status = SPOILED[name]
    failed = await failure(getting(start(script)))
    assert said in failed.why
    assert (failed.sent, failed.status) == (True, status)


async def test_nothing_is_sent_to_a_certificate_of_another_authority(start: Start, tmp_path: Path) -> None:
    upstream = start()
    server_context(_made(tmp_path / "other"))
    failed = await failure(getting(upstream, ca=tmp_path / "other" / "sandbox-ca.pem"))
    assert (failed.why, failed.sent) == ("Datadog's certificate is not valid", False)
    assert upstream.seen == []


async def test_the_public_authorities_count_where_a_route_names_none(start: Start) -> None:
    upstream = start()
    get = DatadogGet(Dialling({"*": Route("127.0.0.1", upstream.port, None)}), LIMITS)
    assert (await failure(get)).why == "Datadog's certificate is not valid"
    assert upstream.seen == []


@pytest.mark.parametrize("host", ["a.b.c.datadoghq.com", "datadoghq.com", "api.example.com"])
async def test_the_certificate_must_name_the_host_though_it_is_dialled_by_address(
    start: Start, host: str
) -> None:
    """The stand-in's certificate names 127.0.0.1 too."""
    upstream = start()
    failed = await failure(getting(upstream), host)
    assert (failed.why, failed.sent) == ("Datadog's certificate is not valid", False)
    assert upstream.seen == []


async def test_a_ca_file_that_is_not_there_sends_nothing(start: Start, tmp_path: Path) -> None:
    upstream = start()
    failed = await failure(getting(upstream, ca=tmp_path / "none.pem"))
    assert not failed.sent
    assert upstream.connections == 0


async def test_the_environments_proxies_are_not_used(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    assert (await getting(start()).get(API, PATH, CREDENTIAL)).status == 200


async def test_no_cookie_is_kept(start: Start) -> None:
    upstream = start(answering(BODY, "Set-Cookie: a=b; Domain=datadoghq.com", "Set-Cookie: c=d"))
    get = getting(upstream)
    for _ in range(2):
        await get.get(API, PATH, CREDENTIAL)
    assert [exchange.fields("cookie") for exchange in upstream.seen] == [[], []]


async def test_hosts_that_share_an_address_share_no_connection(start: Start) -> None:
    upstream = start()
    get = getting(upstream)
    await get.get(API, PATH, CREDENTIAL)
    await get.get("app.datadoghq.com", PATH, CREDENTIAL)
    assert upstream.connections == 2
    assert [exchange.fields("host") for exchange in upstream.seen] == [[API], ["app.datadoghq.com"]]


def resolving_to(monkeypatch: pytest.MonkeyPatch, *ends: tuple[str, int]) -> None:
    """Stands in for the system's resolver."""

    async def getaddrinfo(*_: object, **__: int) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", end) for end in ends]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "::ffff:127.0.0.1"])
async def test_abuse_14_an_address_that_is_not_public_is_not_dialled(
    start: Start, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    upstream = start()
    resolving_to(monkeypatch, (address, upstream.port))
    failed = await failure(DatadogGet(Dialling({}), LIMITS))
    assert (failed.why, failed.sent) == ("Datadog can't be reached", False)
    assert upstream.connections == 0


async def test_abuse_14_the_name_is_resolved_once(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was checked is what is dialled: a second answer is never asked for."""
    upstream = start()
    answers = [("127.0.0.1", upstream.port)]

    async def getaddrinfo(*_: object, **__: int) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", answers.pop())]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    assert (await getting(upstream).get(API, PATH, CREDENTIAL)).status == 200
    assert answers == []


async def test_an_address_that_does_not_answer_gives_way_to_the_next(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    upstream, silent = start(), start(accepts=False)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        refusing = ("127.0.0.1", closed.getsockname()[1])
        resolving_to(monkeypatch, refusing, ("127.0.0.1", silent.port), ("127.0.0.1", upstream.port))
        answer = await getting(upstream, GetLimits(seconds=3)).get(API, PATH, CREDENTIAL)
    assert answer.status == 200


async def test_a_request_that_has_left_is_not_sent_to_another_address(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = start(_nothing), start()
    resolving_to(monkeypatch, ("127.0.0.1", first.port), ("127.0.0.1", second.port))
    assert (await failure(getting(first))).sent
    assert (len(first.seen), second.seen) == (1, [])


def _with_loudest_log(caplog: pytest.LogCaptureFixture) -> None:
    for logger in ("", "httpx", "httpcore", "asyncio"):
        caplog.set_level(logging.DEBUG, logger)


async def test_i3_the_loudest_log_of_a_read_holds_no_key(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    _with_loudest_log(caplog)
    await getting(start()).get(API, PATH, CREDENTIAL)
    assert "httpcore" in caplog.text
    assert_without_key(caplog.text)


# httpcore's own debug log quotes a status line; `addons.logs` holds it at warnings for such things.
@pytest.mark.parametrize("name", sorted(SPOILED.keys() - {"the keys as status"}))
async def test_i3_the_loudest_log_of_a_read_that_failed_holds_no_key(
    start: Start, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    _with_loudest_log(caplog)
    await failure(getting(start(SPOILED[name][0])))
    assert_without_key(caplog.text)


def _made(directory: Path) -> Path:
    directory.mkdir()
    return directory
