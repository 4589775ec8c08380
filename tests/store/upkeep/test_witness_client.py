"""Asking a witness: what it signs is verified, what it says otherwise is told apart."""

from __future__ import annotations

import asyncio
import base64
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from addons.core.transparency import cosignature, signed_note
from addons.core.transparency.cosignature import cosigned
from addons.core.transparency.signed_note import KeyAlgorithm, SignerKey
from addons.store.identity.issuer_http import FetchLimits
from addons.store.upkeep.witness_client import (
    LIMITS,
    KnownWitness,
    WitnessInconsistent,
    WitnessProblem,
    WitnessRefused,
    WitnessStale,
    WitnessUnreachable,
    newest,
    submit,
    witness_client,
)
from tests.witness.small_log import SmallLog
from tests.witness.witness_process import WitnessProcess

KEY = SignerKey("witness.example", b"w" * 32, KeyAlgorithm.COSIGNATURE)
OTHER = SignerKey("witness.example", b"o" * 32, KeyAlgorithm.COSIGNATURE)
SIZE = ("Content-Type", "text/x.tlog.size")


@pytest.fixture(scope="module")
def witness(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WitnessProcess]:
    """It watches one log a test, by these numbers."""
    directory = tmp_path_factory.mktemp("witness") / "w"
    logs = [SmallLog(f"log.example/{number}") for number in range(8)]
    with WitnessProcess.start(directory, [log.vkey for log in logs]) as started:
        yield started


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with witness_client() as opened:
        yield opened


@contextmanager
def answering(
    status: int, body: bytes = b"", *headers: tuple[str, str], path: str = ""
) -> Iterator[KnownWitness]:
    """A witness that always says this."""

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            for name, value in headers:
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = _answer  # noqa: N815 - the names that http.server calls

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield KnownWitness(f"http://127.0.0.1:{server.server_port}{path}", KEY.verifier)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


async def send(
    client: httpx.AsyncClient, witness: KnownWitness, log: SmallLog, limits: FetchLimits = LIMITS
) -> int:
    lines = await submit(client, witness, log.note(), 0, (), limits)
    return len(lines)


async def test_a_log_that_grows_is_cosigned(witness: WitnessProcess, client: httpx.AsyncClient) -> None:
    log = SmallLog("log.example/0", size=3)
    old = 0
    for new in (3, 4, 300):
        log.grow(new)
        (line,) = await submit(client, witness.known, log.note(), old, log.proof(old, new))
        assert cosignature.verify(signed_note.parse(log.note()).text, line, witness.known.key) > 0
        old = new
    seen = await newest(client, witness.known, "log.example/0")
    assert seen is not None
    assert (seen.checkpoint.size, seen.checkpoint.root) == (300, log.root(300))
    seen.note.check_signed_by(log.key)
    assert await newest(client, witness.known, "log.example/7") is None


async def test_a_size_that_is_not_the_last_gets_the_last(
    witness: WitnessProcess, client: httpx.AsyncClient
) -> None:
    log = SmallLog("log.example/1", size=10)
    await submit(client, witness.known, log.note(4), 0, ())
    with pytest.raises(WitnessStale) as stale:
        await submit(client, witness.known, log.note(), 0, ())
    assert stale.value.size == 4


@pytest.mark.parametrize(("number", "size"), [(2, 10), (3, 12)])
async def test_a_changed_past_is_inconsistent(
    witness: WitnessProcess, client: httpx.AsyncClient, number: int, size: int
) -> None:
    log = SmallLog(f"log.example/{number}", size=10)
    await submit(client, witness.known, log.note(), 0, ())
    log.rewrite(3)
    log.grow(size)
    with pytest.raises(WitnessInconsistent, match=r"10 entries"):
        await submit(client, witness.known, log.note(), 10, log.proof(10, size))


@pytest.mark.parametrize(
    ("log", "told"),
    [
        (SmallLog("other.example", size=3), "doesn't watch this log"),
        (SmallLog("log.example/4", b"o" * 32, 3), "doesn't know the key"),
    ],
)
async def test_what_is_set_up_wrongly_is_told(
    witness: WitnessProcess, client: httpx.AsyncClient, log: SmallLog, told: str
) -> None:
    with pytest.raises(WitnessRefused, match=told):
        await send(client, witness.known, log)


async def test_another_key_than_the_one_configured_is_not_believed(
    witness: WitnessProcess, client: httpx.AsyncClient
) -> None:
    log = SmallLog("log.example/5", size=3)
    with pytest.raises(WitnessRefused, match="signs with another key"):
        await send(client, KnownWitness(witness.url, OTHER.verifier), log)
    with pytest.raises(WitnessRefused, match="didn't cosign"):
        await newest(client, KnownWitness(witness.url, OTHER.verifier), "log.example/5")


def line_for(log: SmallLog, key: SignerKey = KEY) -> bytes:
    return f"{cosigned(signed_note.parse(log.note()).text, key, 5).line()}\n".encode()


async def test_other_keys_signatures_are_ignored(client: httpx.AsyncClient) -> None:
    log = SmallLog(size=3)
    body = line_for(log, OTHER) + line_for(log)
    with answering(200, body, path="/under/a/path/") as witness:
        (line,) = await submit(client, witness, log.note(), 0, ())
    assert line.key_id == KEY.verifier.key_id


@pytest.mark.parametrize(
    ("status", "body", "headers", "expected"),
    [
        (200, b"", (), WitnessRefused),
        (200, b"hello\n", (), WitnessRefused),
        (200, b"\xff\n", (), WitnessRefused),
        (200, line_for(SmallLog(size=4)), (), WitnessRefused),  # of another checkpoint
        (200, line_for(SmallLog(size=3)) + line_for(SmallLog(size=4)), (), WitnessRefused),
        (200, b"x" * (LIMITS.answer_bytes + 1), (), WitnessUnreachable),
        (200, b"x", (("Content-Encoding", "gzip"),), WitnessUnreachable),
        (204, b"", (), WitnessUnreachable),
        (302, b"", (("Location", "http://127.0.0.1:1/"),), WitnessUnreachable),
        (409, b"7\n", (SIZE,), WitnessStale),
        (409, b"0\n", (SIZE,), WitnessInconsistent),
        (409, b"many\n", (SIZE,), WitnessUnreachable),
        (409, b"", (SIZE,), WitnessUnreachable),
        (409, b"another root\n", (), WitnessInconsistent),
        (422, b"", (), WitnessInconsistent),
        (400, b"", (), WitnessRefused),
        (403, b"", (), WitnessRefused),
        (404, b"", (), WitnessRefused),
        (429, b"", (), WitnessUnreachable),
        (500, b"<html>", (), WitnessUnreachable),
        (599, b"", (), WitnessUnreachable),
    ],
)
async def test_every_answer_is_something(
    client: httpx.AsyncClient,
    status: int,
    body: bytes,
    headers: tuple[tuple[str, str], ...],
    expected: type[WitnessProblem],
) -> None:
    with answering(status, body, *headers) as witness, pytest.raises(expected) as told:
        await send(client, witness, SmallLog(size=3))
    assert type(told.value) is expected
    assert "html" not in str(told.value)


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, b"", WitnessRefused),
        (200, SmallLog(size=3).note().encode(), WitnessRefused),  # not cosigned
        (200, SmallLog(size=3).note().encode() + line_for(SmallLog(size=4)), WitnessRefused),
        (
            200,
            SmallLog("x.example", size=3).note().encode() + line_for(SmallLog("x.example", size=3)),
            WitnessRefused,
        ),
        (500, b"", WitnessUnreachable),
        (200, base64.b64encode(b"x" * LIMITS.answer_bytes), WitnessUnreachable),
    ],
)
async def test_what_it_shows_is_verified(
    client: httpx.AsyncClient, status: int, body: bytes, expected: type[WitnessProblem]
) -> None:
    with answering(status, body) as witness, pytest.raises(expected):
        await newest(client, witness, "log.example/a")


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:{port}", "https://127.0.0.1:{port}", "nonsense", "http://["]
)
async def test_nobody_there_is_unreachable(client: httpx.AsyncClient, url: str) -> None:
    free = socket.create_server(("127.0.0.1", 0))
    port = free.getsockname()[1]
    free.close()
    witness = KnownWitness(url.format(port=port), KEY.verifier)
    with pytest.raises(WitnessUnreachable, match="can't be reached"):
        await send(client, witness, SmallLog(size=3))


async def test_a_witness_that_does_not_answer_is_not_waited_for() -> None:
    """Nor one that sends a byte now and then: the whole is bounded, not each wait."""
    async with witness_client(None, FetchLimits(seconds=60)) as patient:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            witness = KnownWitness(f"http://127.0.0.1:{silent.getsockname()[1]}", KEY.verifier)
            asked = send(patient, witness, SmallLog(size=3), FetchLimits(seconds=0.1))
            with pytest.raises(WitnessUnreachable):
                await asyncio.wait_for(asked, 20)


async def test_no_proxy_of_the_environment_is_used(
    witness: WitnessProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with witness_client() as client:
        assert await send(client, witness.known, SmallLog("log.example/6", size=3)) == 1


def test_a_ca_that_can_not_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="CA file"):
        witness_client(tmp_path / "nothing.pem")
