from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from addons.sidecar.upstreams import Upstreams
from tests.sidecar.conftest import listening
from tests.sidecar.fake_gateway import DATADOG, VALIDATED, FakeGateway, answer, read_call

To = Callable[[FakeGateway], Upstreams]


@dataclass
class Origin:
    """A plain HTTP server that keeps what it got, and keeps its connections open."""

    port: int = 0
    heads: list[bytes] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    reply: bytes = answer(b"hello")

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                call = await read_call(reader)
                self.heads.append(call.raw)
                self.bodies.append(call.body)
                writer.write(self.reply)
                await writer.drain()
                if b"connection: close" in call.raw.lower():
                    break
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def origin() -> AsyncIterator[Origin]:
    made = Origin()
    server = await asyncio.start_server(made.accept, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    async with server:
        yield made


async def test_plain_http_goes_in_origin_form_without_anything_for_the_proxy(nowhere: Upstreams) -> None:
    async with origin() as other, listening(nowhere) as child:
        at = f"127.0.0.1:{other.port}"
        hop = "Connection: x-hop, content-length\r\nX-Hop: 1\r\nProxy-Connection: y"
        fields = f"Host: elsewhere\r\nX-Mine: 1\r\n{hop}"
        request = f"POST http://{at}/p?q=1 HTTP/1.1\r\n{fields}\r\nContent-Length: 3\r\nUpgrade: h2c"
        whole = await child.send(request, b"abc")
    assert whole.endswith(b"hello")
    head = (
        f"POST /p?q=1 HTTP/1.1\r\nHost: {at}\r\nX-Mine: 1\r\nContent-Length: 3\r\nConnection: close\r\n\r\n"
    )
    assert other.heads == [head.encode()]
    assert other.bodies == [b"abc"]


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_absolute_form_for_datadog_goes_to_the_gateway_with_the_token(
    gateway: FakeGateway, to: To, scheme: str
) -> None:
    async with listening(to(gateway)) as child:
        whole = await child.send(f"GET {scheme}://{DATADOG}/api/v1/validate HTTP/1.1\r\nHost: {DATADOG}")
        secret = child.listener.proxy_url.split(":")[2].split("@")[0]
    assert whole.endswith(VALIDATED)
    (call,) = gateway.calls
    assert call.line == f"GET {scheme}://{DATADOG}/api/v1/validate HTTP/1.1"
    assert call.fields["proxy-authorization"].startswith("Bearer eyJ")
    assert call.raw.lower().count(b"proxy-authorization") == 1
    assert secret.encode() not in call.raw


async def test_a_second_request_on_a_connection_never_passes_unread(nowhere: Upstreams) -> None:
    """It would carry the run's secret, and its own target would not be looked at."""
    rest: list[bytes] = []

    async def reads_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_call(reader)
        writer.write(answer(b"hello"))
        rest.append(await reader.read())
        writer.close()

    server = await asyncio.start_server(reads_on, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, listening(nowhere) as child:
        second = f"GET {url}/2 HTTP/1.1\r\nHost: x\r\n{child.authorization}\r\n"
        await child.send(f"GET {url}/1 HTTP/1.1\r\nHost: x", second.encode())
    assert rest == [b""]


@pytest.mark.parametrize(
    "framing",
    [
        "Content-Length: 3\r\nContent-Length: 3",
        "Content-Length: 3\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Content-Length: +3",
        "Content-Length: 0x3",
    ],
)
async def test_a_body_with_two_ends_is_refused(nowhere: Upstreams, framing: str) -> None:
    async with origin() as other, listening(nowhere) as child:
        url = f"http://127.0.0.1:{other.port}/"
        whole = await child.send(f"POST {url} HTTP/1.1\r\nHost: x\r\n{framing}", b"abc")
    assert whole.startswith(b"HTTP/1.1 400 ")
    assert other.heads == []


async def test_a_chunked_body_arrives_as_it_was(nowhere: Upstreams) -> None:
    body = b"5;x=y\r\nhello\r\nA\r\n0123456789\r\n0\r\n\r\n"
    async with origin() as other, listening(nowhere) as child:
        request = f"POST http://127.0.0.1:{other.port}/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked"
        assert (await child.send(request, body)).endswith(b"hello")
    assert other.bodies == [body]


@pytest.mark.parametrize("body", [b"zz\r\nhello", b"5\r\nhelloXX0\r\n\r\n", b"-1\r\n", b"5"])
async def test_a_malformed_chunk_ends_the_call(nowhere: Upstreams, body: bytes) -> None:
    async with origin() as other, listening(nowhere) as child:
        url = f"http://127.0.0.1:{other.port}/"
        stream = await child.open()
        head = f"POST {url} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n{child.authorization}\r\n"
        stream.writer.write(head.encode() + body)
        stream.writer.write_eof()
        async with asyncio.timeout(5):
            assert await stream.reader.read() == b""
    assert other.heads == []


async def test_an_answer_streams(nowhere: Upstreams) -> None:
    seen = asyncio.Event()

    async def slowly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_call(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nfirst")
        await writer.drain()
        await seen.wait()
        writer.write(b"second")
        writer.close()

    server = await asyncio.start_server(slowly, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, listening(nowhere) as child, asyncio.timeout(5):
        stream = await child.open()
        stream.writer.write(
            f"GET http://127.0.0.1:{port}/ HTTP/1.1\r\nHost: x\r\n{child.authorization}\r\n".encode()
        )
        await stream.reader.readuntil(b"first")
        seen.set()
        assert await stream.reader.read() == b"second"
