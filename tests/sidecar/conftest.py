from __future__ import annotations

import asyncio
import base64
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from addons.sidecar.limits import Limits
from addons.sidecar.listener import Listener
from addons.sidecar.relay import Stream
from addons.sidecar.token_sources import TokenSource
from addons.sidecar.tokens import Patience, TokenKeeper
from addons.sidecar.upstreams import Upstreams, parse_gateway
from tests.sidecar.fake_gateway import Certificates, FakeGateway, make_certificates, make_token

QUICK = Limits(
    head_time=0.4,
    dial_time=2,
    connect_answer_time=2,
    refusal_time=2,
    half_closed_time=1,
    half_closed_tls_time=0.3,
)

IMPATIENT = Patience(0.05, 0.2)


@dataclass
class MintingSource:
    """Every token is new and lives `life` seconds."""

    life: float = 600.0
    given: list[str] = field(default_factory=list)

    async def fetch(self) -> str:
        await asyncio.sleep(0)  # as a real source does, it lets others run meanwhile
        self.given.append(make_token(self.life))
        return self.given[-1]


@dataclass
class Child:
    """What a client in the child does, by hand."""

    listener: Listener

    @property
    def authorization(self) -> str:
        parts = urlsplit(self.listener.proxy_url)
        login = f"{parts.username}:{parts.password}"
        return f"Proxy-Authorization: Basic {base64.b64encode(login.encode()).decode()}\r\n"

    async def open(self) -> Stream:
        return Stream(*await asyncio.open_connection("127.0.0.1", self.listener.port))

    async def send(self, request: str, body: bytes = b"", *, knows_secret: bool = True) -> bytes:
        """The whole answer to a request line and fields, until the listener closes."""
        stream = await self.open()
        head = f"{request}\r\n{self.authorization if knows_secret else ''}\r\n"
        stream.writer.write(head.encode("latin-1") + body)
        async with asyncio.timeout(5):
            whole = await stream.reader.read()
        stream.writer.close()
        return whole

    async def connect(self, target: str) -> tuple[bytes, Stream]:
        """The head of the answer to CONNECT, and the stream."""
        stream = await self.open()
        stream.writer.write(
            f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{self.authorization}\r\n".encode()
        )
        async with asyncio.timeout(5):
            return await stream.reader.readuntil(b"\r\n\r\n"), stream


@asynccontextmanager
async def listening(
    upstreams: Upstreams,
    source: TokenSource | None = None,
    *,
    strict: bool = False,
    limits: Limits = QUICK,
    patience: Patience = IMPATIENT,
) -> AsyncIterator[Child]:
    keeper = TokenKeeper(source or MintingSource(), lambda _: None, patience=patience)
    listener = Listener(upstreams, keeper, strict=strict, limits=limits)
    await keeper.start()
    await listener.start()
    try:
        yield Child(listener)
    finally:
        await listener.close()
        await keeper.close()


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def gateway(certificates: Certificates) -> Iterator[FakeGateway]:
    with FakeGateway(certificates).running() as running:
        yield running


@pytest.fixture
def to(certificates: Certificates) -> Callable[[FakeGateway], Upstreams]:
    def upstreams(fake: FakeGateway) -> Upstreams:
        return Upstreams(parse_gateway(fake.url, certificates.ca if fake.tls else None))

    return upstreams


@pytest.fixture
def nowhere_port() -> int:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return int(unused.getsockname()[1])


@pytest.fixture
def nowhere(nowhere_port: int) -> Upstreams:
    """A gateway that isn't there."""
    return Upstreams(parse_gateway(f"http://127.0.0.1:{nowhere_port}", None))


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text(make_token(600))
    return path
