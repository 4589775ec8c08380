from __future__ import annotations

import asyncio
import dataclasses
import json
import ssl
import time
from collections.abc import Callable

import pytest

from addons.sidecar.heads import Authority
from addons.sidecar.no_proxy import NoProxy
from addons.sidecar.relay import Stream
from addons.sidecar.token_sources import EnvironmentSource
from addons.sidecar.tokens import Patience
from addons.sidecar.upstreams import UpstreamProxy, Upstreams, parse_gateway
from tests.sidecar.conftest import QUICK, Child, MintingSource, listening
from tests.sidecar.fake_gateway import (
    DATADOG,
    REVOKED,
    VALIDATED,
    Certificates,
    FakeGateway,
    answer,
    make_token,
    read_call,
)

To = Callable[[FakeGateway], Upstreams]


def errors(whole: bytes) -> list[str]:
    head, _, body = whole.partition(b"\r\n\r\n")
    assert b"Content-Type: application/json" in head
    found = json.loads(body)["errors"]
    assert isinstance(found, list)
    assert all(text.startswith("ddgate run: ") for text in found)
    return found


def status(whole: bytes) -> int:
    return int(whole.split(b" ", 2)[1])


async def speak_tls(stream: Stream, certificates: Certificates) -> None:
    await stream.writer.start_tls(
        ssl.create_default_context(cafile=str(certificates.ca)), server_hostname=DATADOG
    )


async def call(stream: Stream, path: str = "/api/v1/validate") -> bytes:
    stream.writer.write(f"GET {path} HTTP/1.1\r\nHost: {DATADOG}\r\n\r\n".encode())
    async with asyncio.timeout(5):
        head = await stream.reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        return head + await stream.reader.readexactly(length)


@pytest.mark.parametrize(
    "login",
    [
        "",
        "Proxy-Authorization: Basic ZGRnYXRlOndyb25n\r\n",
        "Proxy-Authorization: Basic ?\r\n",
        "Proxy-Authorization: Bearer x\r\n",
        "TWICE",
    ],
)
@pytest.mark.parametrize(
    "target", [f"CONNECT {DATADOG}:443", "GET http://127.0.0.1:1/", "CONNECT 127.0.0.1:1"]
)
async def test_nothing_is_dialled_without_the_secret(
    gateway: FakeGateway, to: To, login: str, target: str
) -> None:
    async with listening(to(gateway)) as child:
        login = child.authorization * 2 if login == "TWICE" else login
        whole = await child.send(f"{target} HTTP/1.1\r\n{login}".removesuffix("\r\n"), knows_secret=False)
    assert status(whole) == 407
    assert errors(whole)
    assert b"\r\nProxy-Authenticate: Basic " in whole
    assert gateway.connects == []


async def test_datadog_goes_by_the_gateway_with_a_token_and_never_the_secret(
    gateway: FakeGateway, to: To, certificates: Certificates
) -> None:
    source = MintingSource()
    async with listening(to(gateway), source) as child:
        head, stream = await child.connect(f"{DATADOG}:443")
        assert head == b"HTTP/1.1 200 Connection established\r\n\r\n"
        await speak_tls(stream, certificates)
        assert (await call(stream)).endswith(VALIDATED)
        stream.writer.close()
    (connect,) = gateway.connects
    assert connect.line == f"CONNECT {DATADOG}:443 HTTP/1.1"
    assert connect.fields == {"host": f"{DATADOG}:443", "proxy-authorization": f"Bearer {source.given[-1]}"}


@pytest.mark.parametrize(
    "host",
    [
        "API.DatadogHQ.com",
        "api.datadoghq.com.",
        "unlisted.datadoghq.com",
        "datadoghq.eu",
        "api.datadoghq.com..",
    ],
)
async def test_what_lies_under_datadogs_domains_is_never_dialled_directly(
    gateway: FakeGateway, to: To, host: str
) -> None:
    gateway.refusal = answer(b'{"errors": ["unknown_host"]}', "403 Forbidden")
    async with listening(to(gateway)) as child:
        whole = await child.send(f"CONNECT {host}:443 HTTP/1.1")
    assert whole == gateway.refusal
    assert len(gateway.connects) == 1


async def test_a_refusal_of_the_gateway_arrives_whole(gateway: FakeGateway, to: To) -> None:
    gateway.refusal = answer(
        json.dumps({"errors": ["denied"], "more": "x" * 100_000}).encode(), "403 Forbidden"
    )
    async with listening(to(gateway)) as child:
        assert await child.send(f"CONNECT {DATADOG}:443 HTTP/1.1") == gateway.refusal


async def test_a_token_that_the_gateway_rejects_is_replaced(gateway: FakeGateway, to: To) -> None:
    gateway.refusal = answer(b'{"errors": ["bad_token"]}', "407 Proxy Authentication Required")
    source = MintingSource()
    async with listening(to(gateway), source) as child:
        deadline = time.monotonic() + 5
        while len({connect.fields["proxy-authorization"] for connect in gateway.connects}) < 2:
            assert time.monotonic() < deadline
            assert status(await child.send(f"CONNECT {DATADOG}:443 HTTP/1.1")) == 407


@dataclasses.dataclass
class Given:
    """Tokens in this order; the last again and again."""

    tokens: list[str]
    asked: int = 0

    async def fetch(self) -> str:
        self.asked += 1
        return self.tokens[min(self.asked, len(self.tokens)) - 1]


AT_ONCE = Patience(first=0.0)


@pytest.mark.parametrize("revoked", [1, 2])
async def test_where_a_token_is_revoked_another_is_tried_once(
    gateway: FakeGateway, to: To, certificates: Certificates, revoked: int
) -> None:
    source = Given([make_token(600, subject=f"agent-{number}") for number in range(3)])
    gateway.revoked = set(source.tokens[:revoked])
    async with listening(to(gateway), source, patience=AT_ONCE) as child:
        head, stream = await child.connect(f"{DATADOG}:443")
        assert status(head) == (200 if revoked == 1 else 407)
        if revoked == 1:
            await speak_tls(stream, certificates)
            assert (await call(stream)).endswith(VALIDATED)
        stream.writer.close()
        assert len(gateway.connects) == 2
        assert status((await child.connect(f"{DATADOG}:443"))[0]) == 200  # nothing is left of the refusals


async def test_a_revoked_token_of_which_there_is_no_other_is_shown_once(gateway: FakeGateway, to: To) -> None:
    source = Given([make_token(600)])
    gateway.revoked = set(source.tokens)
    async with listening(to(gateway), source, patience=AT_ONCE) as child:
        assert await child.send(f"CONNECT {DATADOG}:443 HTTP/1.1") == REVOKED
    assert (len(gateway.connects), source.asked) == (1, 2)


async def test_after_a_refused_login_of_a_whole_url_the_next_call_has_another_token(
    gateway: FakeGateway, to: To
) -> None:
    source = Given([make_token(600, subject=f"agent-{number}") for number in range(2)])
    gateway.revoked = {source.tokens[0]}
    async with listening(to(gateway), source, patience=AT_ONCE) as child:
        request = f"GET https://{DATADOG}/api/v1/validate HTTP/1.1\r\nHost: {DATADOG}"
        assert await child.send(request) == REVOKED
        assert (await child.send(request)).endswith(VALIDATED)


async def test_a_gateway_that_speaks_tls_is_verified(
    certificates: Certificates, to: To, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with FakeGateway(certificates, tls=True).running() as gateway:
        async with listening(to(gateway)) as child:
            head, stream = await child.connect(f"{DATADOG}:443")
            assert status(head) == 200
            stream.writer.write(b"hello")
            assert await stream.reader.read() == b"echo:hello"
        stranger = Upstreams(dataclasses.replace(to(gateway).gateway, tls=ssl.create_default_context()))
        async with listening(stranger) as child:
            whole = await child.send(f"CONNECT {DATADOG}:443 HTTP/1.1")
    assert status(whole) == 502
    assert "isn't trusted" in errors(whole)[0]
    assert len(gateway.connects) == 1


async def test_a_child_that_left_is_noticed_behind_tls_too(certificates: Certificates) -> None:
    """TLS has no half-closing, so nothing tells the gateway."""
    ended = asyncio.Event()

    async def holds(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_call(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await reader.read()
        ended.set()
        writer.close()

    server = await asyncio.start_server(holds, "127.0.0.1", 0, ssl=certificates.server())
    port = server.sockets[0].getsockname()[1]
    upstreams = Upstreams(parse_gateway(f"https://127.0.0.1:{port}", certificates.ca))
    async with server, listening(upstreams) as child:
        _, stream = await child.connect(f"{DATADOG}:443")
        stream.writer.close()
        async with asyncio.timeout(3):
            await ended.wait()


async def test_a_gateway_that_is_not_there_is_named(nowhere: Upstreams) -> None:
    async with listening(nowhere) as child:
        whole = await child.send(f"CONNECT {DATADOG}:443 HTTP/1.1")
    assert status(whole) == 502
    assert str(nowhere.gateway) in errors(whole)[0]


async def test_a_used_tunnel_closes_before_its_token_ends_and_a_pool_never_meets_a_refusal(
    gateway: FakeGateway, to: To, certificates: Certificates
) -> None:
    source = MintingSource(life=1.6)
    began, calls = time.monotonic(), 0
    async with listening(to(gateway), source) as child:
        stream: Stream | None = None
        while time.monotonic() - began < 6:  # several lives
            if stream is None or stream.reader.at_eof():
                _, stream = await child.connect(f"{DATADOG}:443")
                await speak_tls(stream, certificates)
            assert (await call(stream)).endswith(VALIDATED)
            calls += 1
            # As a pool does: look whether the connection ended before using it again.
            try:
                async with asyncio.timeout(0.5):
                    await stream.reader.read(1)
            except TimeoutError:
                continue
    assert gateway.expired == 0
    assert calls >= 8
    tunnels = [made.tunnel for made in gateway.calls]
    assert 3 <= len(set(tunnels)) < calls  # renewed, and reused in between


async def test_a_tunnel_that_waits_for_an_answer_is_not_closed(certificates: Certificates) -> None:
    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_call(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await reader.read(64)
        await asyncio.sleep(1.5)  # the subject: longer than the token lives
        writer.write(b"late")
        await reader.read()
        writer.close()

    server = await asyncio.start_server(slow, "127.0.0.1", 0)
    upstreams = upstreams_at(server)
    async with server, listening(upstreams, MintingSource(life=1.0)) as child:
        _, stream = await child.connect(f"{DATADOG}:443")
        stream.writer.write(b"question")
        assert await stream.reader.readexactly(4) == b"late"
        async with asyncio.timeout(2):
            assert await stream.reader.read() == b""  # and then it is


def upstreams_at(server: asyncio.Server) -> Upstreams:
    return Upstreams(parse_gateway(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", None))


async def echo_then_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    data = await reader.read()  # until the sender's end
    writer.write(b"got %d" % len(data))
    writer.close()


async def test_other_hosts_are_dialled_directly_and_half_closing_works(nowhere: Upstreams) -> None:
    server = await asyncio.start_server(echo_then_end, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, listening(nowhere) as child:
        for host in ("127.0.0.1", "localhost"):
            head, stream = await child.connect(f"{host}:{port}")
            assert status(head) == 200
            stream.writer.write(b"x" * 3_000_000)
            stream.writer.write_eof()
            async with asyncio.timeout(5):
                assert await stream.reader.read() == b"got 3000000"


async def test_a_receiver_that_does_not_read_stops_the_sender(nowhere: Upstreams) -> None:
    release = asyncio.Event()

    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await release.wait()
        writer.close()

    server = await asyncio.start_server(deaf, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, listening(nowhere) as child:
        _, stream = await child.connect(f"127.0.0.1:{port}")
        assert await megabytes_taken(stream, at_most=100) < 50
        release.set()


async def megabytes_taken(stream: Stream, at_most: int) -> int:
    """How many are sent before the other side takes no more for half a second."""
    for sent in range(at_most):
        stream.writer.write(b"x" * 1_000_000)
        try:
            async with asyncio.timeout(0.5):
                await stream.writer.drain()
        except TimeoutError:
            return sent
    return at_most


async def test_strict_refuses_every_other_host(
    gateway: FakeGateway, to: To, certificates: Certificates
) -> None:
    reached: list[bytes] = []

    async def other(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reached.append(await reader.read(10))
        writer.close()

    server = await asyncio.start_server(other, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, listening(to(gateway), strict=True) as child:
        for request in (f"CONNECT 127.0.0.1:{port}", f"GET http://127.0.0.1:{port}/"):
            whole = await child.send(f"{request} HTTP/1.1")
            assert status(whole) == 403
            assert "--strict" in errors(whole)[0]
        head, _ = await child.connect(f"{DATADOG}:443")
        assert status(head) == 200
    assert reached == []


async def test_the_callers_own_proxy_is_used_for_other_hosts_alone(gateway: FakeGateway, to: To) -> None:
    seen: list[str] = []

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await read_call(reader)
        seen.append(f"{asked.line}|{asked.fields.get('proxy-authorization')}")
        is_tunnel = asked.line.startswith("CONNECT")
        writer.write(b"HTTP/1.1 200 fine\r\n\r\nhello" if is_tunnel else answer(b"plain"))
        writer.close()

    server = await asyncio.start_server(proxy, "127.0.0.1", 0)
    own = UpstreamProxy(Authority("127.0.0.1", server.sockets[0].getsockname()[1]), "Basic b3du")
    upstreams = dataclasses.replace(
        to(gateway), https_proxy=own, http_proxy=own, no_proxy=NoProxy(("127.0.0.1",))
    )
    async with server, listening(upstreams) as child:
        _, stream = await child.connect("other.example:443")
        assert await stream.reader.read() == b"hello"
        assert (await child.send("GET http://other.example/a HTTP/1.1\r\nHost: other.example")).endswith(
            b"plain"
        )
        await child.connect(f"{DATADOG}:443")
        assert (
            status(await child.send("CONNECT 127.0.0.1:1 HTTP/1.1")) == 502
        )  # exempt: dialled, nobody there
    assert seen == [
        "CONNECT other.example:443 HTTP/1.1|Basic b3du",
        "GET http://other.example/a HTTP/1.1|Basic b3du",
    ]
    assert len(gateway.connects) == 1


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "0.0.0.0", "[::ffff:127.0.0.1]"])
async def test_the_proxy_does_not_lead_to_itself(nowhere: Upstreams, name: str) -> None:
    async with listening(nowhere) as child:
        whole = await child.send(f"CONNECT {name}:{child.listener.port} HTTP/1.1")
    assert "this proxy itself" in errors(whole)[0]
    assert status(whole) == 403


@pytest.mark.parametrize(
    ("request_text", "expected"),
    [
        ("GET / HTTP/1.1\r\nHost: x", 400),
        ("CONNECT api.datadoghq.com HTTP/1.1", 400),
        ("CONNECT api.datadoghq.com:99999 HTTP/1.1", 400),
        ("CONNECT api%2edatadoghq.com:443 HTTP/1.1", 400),
        ("CONNECT api\u00b7datadoghq.com:443 HTTP/1.1", 400),
        ("GET http://user:pass@127.0.0.1:1/ HTTP/1.1", 400),
        ("GET http://127.0.0.1:1/ HTTP/1.1\r\nFolded: a\r\n b", 400),
        ("GET http://127.0.0.1:1/ HTTP/1.1\r\nNo colon", 400),
        ("GET http://127.0.0.1:1/ HTTP/2", 400),
        ("GET http://127.0.0.1:1/ HTTP/1.1\r\nLong: " + "x" * 70_000, 431),
        ("GET https://127.0.0.1:1/ HTTP/1.1", 501),
    ],
)
async def test_a_request_that_can_be_read_in_two_ways_is_refused(
    nowhere: Upstreams, request_text: str, expected: int
) -> None:
    async with listening(nowhere) as child:
        whole = await child.send(request_text)
    assert status(whole) == expected
    assert errors(whole)


async def test_a_slow_head_is_not_waited_for(nowhere: Upstreams) -> None:
    async with listening(nowhere) as child:
        stream = await child.open()
        stream.writer.write(b"CONNECT ")
        async with asyncio.timeout(3):
            assert status(await stream.reader.read()) == 408


async def test_connections_are_bounded(nowhere: Upstreams) -> None:
    async with listening(nowhere, limits=dataclasses.replace(QUICK, connections=3, head_time=5)) as child:
        open_ones = [await child.open() for _ in range(3)]
        whole = await child.send("CONNECT 127.0.0.1:1 HTTP/1.1")
        assert status(whole) == 503
        open_ones[0].writer.close()
        await until_served(child)


async def until_served(child: Child) -> None:
    deadline = time.monotonic() + 3
    while status(await child.send("CONNECT 127.0.0.1:1 HTTP/1.1")) == 503:
        assert time.monotonic() < deadline


async def test_without_a_token_the_agent_is_told_why(nowhere: Upstreams) -> None:
    fixed = EnvironmentSource("MY_TOKEN", make_token(0.4))
    async with listening(nowhere, fixed) as child:
        deadline = time.monotonic() + 5
        while status(whole := await child.send(f"CONNECT {DATADOG}:443 HTTP/1.1")) != 503:
            assert time.monotonic() < deadline
    assert "no token for the gateway: the token has ended" in errors(whole)[0]
