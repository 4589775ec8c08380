"""The witness as it is run: its HTTP, its durability, and what it says of itself."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import uvicorn

from addons.core.transparency import checkpoint, cosignature, signed_note
from addons.core.transparency.add_checkpoint import MAX_REQUEST, log_id
from addons.core.transparency.signed_note import NoteSignature, VerifierKey
from addons.witness.server import HurriedProtocol
from tests.witness.small_log import SmallLog
from tests.witness.witness_process import WitnessProcess, ran


@pytest.fixture
def log() -> SmallLog:
    return SmallLog(size=10)


@pytest.fixture
def witness(tmp_path: Path, log: SmallLog) -> Iterator[WitnessProcess]:
    with WitnessProcess.start(tmp_path / "w", [log.vkey]) as started:
        yield started


def post(witness: WitnessProcess, body: bytes) -> httpx.Response:
    return httpx.post(f"{witness.url}/add-checkpoint", content=body, trust_env=False)


def test_a_log_is_followed_over_http(witness: WitnessProcess, log: SmallLog) -> None:
    key = httpx.get(f"{witness.url}/key", trust_env=False).text
    verifier = VerifierKey.parse(key.removesuffix("\n"))
    answer = post(witness, log.request(0))
    assert answer.status_code == 200
    note = signed_note.parse(log.note())
    line = NoteSignature.parse(answer.text.removesuffix("\n"))
    assert cosignature.verify(note.text, line, verifier) > 1_700_000_000
    log.grow(30)
    stale = post(witness, log.request(4))
    assert (stale.status_code, stale.headers["Content-Type"], stale.text) == (409, "text/x.tlog.size", "10\n")
    assert post(witness, log.request(10)).status_code == 200
    newest = httpx.get(f"{witness.url}/checkpoint/{log_id(log.key.name)}", trust_env=False)
    assert checkpoint.verified(newest.content, log.key).size == 30


def test_what_was_cosigned_survives_a_crash(tmp_path: Path, log: SmallLog) -> None:
    first = WitnessProcess.start(tmp_path / "w", [log.vkey])
    for old, new in ((0, 3), (3, 10)):
        assert post(first, log.request(old, new)).status_code == 200
    first.kill()
    with WitnessProcess.start(tmp_path / "w", [log.vkey]) as second:
        assert second.vkey == first.vkey
        assert post(second, log.request(0)).text == "10\n"
        log.rewrite(2)
        assert post(second, log.request(10)).status_code == 409
        log.grow(12)
        assert post(second, log.request(10)).status_code == 422


def test_evidence_is_told_of_loudly_and_can_be_read(
    tmp_path: Path, witness: WitnessProcess, log: SmallLog
) -> None:
    assert post(witness, log.request(0)).status_code == 200
    assert ran("evidence", "--dir", str(tmp_path / "w")).returncode == 0
    log.rewrite(2)
    post(witness, log.request(10))
    assert "critical INCONSISTENT: the log log.example/a signed two" in witness.log.read_text()
    shown = ran("evidence", "--dir", str(tmp_path / "w"))
    assert shown.returncode == 1
    (found,) = map(json.loads, shown.stdout.splitlines())
    assert found["kind"] == "two_heads"
    for note in (found["held"], found["submitted"]):
        checkpoint.verified(note, log.key)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/add-checkpoint", 405),
        ("POST", "/key", 405),
        ("GET", "/", 404),
        ("GET", "/checkpoint/x", 404),
    ],
)
def test_nothing_else_is_there(witness: WitnessProcess, method: str, path: str, status: int) -> None:
    assert httpx.request(method, witness.url + path, trust_env=False).status_code == status


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_is_too_large_is_not_read(witness: WitnessProcess, *, chunked: bool) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(MAX_REQUEST // 1024 + 64):
            yield b"x" * 1024

    content = chunks() if chunked else b"x" * (MAX_REQUEST + 1)
    answer = httpx.post(f"{witness.url}/add-checkpoint", content=content, trust_env=False)
    assert answer.status_code == 413
    assert answer.headers["Connection"] == "close"


def test_no_tracebacks(tmp_path: Path, witness: WitnessProcess, log: SmallLog) -> None:
    """Not where its memory is gone, either: and then it cosigns nothing."""
    for body in (b"", b"\xff" * 100, log.request(0)[:-20]):
        assert post(witness, body).status_code == 400
    (tmp_path / "w" / "witness.sqlite3").unlink()
    answer = post(witness, log.request(0))
    assert answer.status_code == 503
    assert "—" not in answer.text
    assert witness.stop() == 0
    assert "Traceback" not in witness.log.read_text()
    assert "Nothing is cosigned" in witness.log.read_text()


async def test_a_head_that_does_not_end_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HurriedProtocol, "head_seconds", 0.1)
    async with _serving() as port:
        for sent in (b"", b"GET / HTTP/1.1\r\nHost: a"):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(sent)
            assert await asyncio.wait_for(reader.read(), 10) == b""
            writer.close()


async def test_nor_is_a_second_one_on_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HurriedProtocol, "head_seconds", 0.1)
    async with _serving() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await reader.readuntil(b"hello")).startswith(b"HTTP/1.1 200")
        writer.write(b"GET / HTTP/1.1\r\n")
        assert await asyncio.wait_for(reader.read(), 10) == b""
        writer.close()


class _serving:  # noqa: N801 - read as a verb
    """The protocol before an application that says hello."""

    def __init__(self) -> None:
        async def hello(scope: object, receive: object, send: object) -> None:
            assert callable(send)
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
            await send({"type": "http.response.body", "body": b"hello"})

        config = uvicorn.Config(hello, http=HurriedProtocol, log_config=None, lifespan="off", ws="none")
        self._server = uvicorn.Server(config)
        self._listener = socket.create_server(("127.0.0.1", 0))

    async def __aenter__(self) -> int:
        self._task = asyncio.create_task(self._server._serve([self._listener]))
        return int(self._listener.getsockname()[1])

    async def __aexit__(self, *_: object) -> None:
        self._server.should_exit = True
        await self._task
        self._listener.close()


def test_keys_of_logs_may_stand_in_a_file(tmp_path: Path, log: SmallLog) -> None:
    keys = tmp_path / "logs"
    keys.write_text(f"# ours\n{log.vkey}  # production\n\n")
    taken = socket.create_server(("127.0.0.1", 0))
    place = f"127.0.0.1:{taken.getsockname()[1]}"
    told = ran("serve", "--dir", str(tmp_path / "w"), "--logs", str(keys), "--listen", place)
    taken.close()
    assert told.returncode == 1
    assert f"can't listen on {place}" in told.stderr  # so the keys were fine


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ([], "a witness needs a log to watch: --log VKEY"),
        (["--log", "nonsense"], "'nonsense' is not the key of a log"),
        (["--log", "{cosigner}"], "is the key of a witness"),
        (["--logs", "/does/not/exist"], "/does/not/exist can't be read"),
        (["--log", "{log}", "--listen", "8989"], "--listen '8989' is not HOST:PORT"),
        (["--log", "{log}", "--listen", "127.0.0.1:99999"], "is not HOST:PORT"),
        (["--log", "{log}", "--name", "a b"], "can't be a witness's name"),
    ],
)
def test_what_is_wrong_at_a_start_is_told_in_a_line(
    tmp_path: Path, log: SmallLog, options: list[str], told: str
) -> None:
    cosigner = ran("key", "--dir", str(tmp_path / "other")).stdout.strip()
    given = [one.format(log=log.vkey, cosigner=cosigner) for one in options]
    ended = ran("serve", "--dir", str(tmp_path / "w"), *given)
    assert ended.returncode == 1
    assert told in ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_key_is_printed_before_it_serves_and_stays(tmp_path: Path, log: SmallLog) -> None:
    printed = ran("key", "--dir", str(tmp_path / "w"), "--name", "example.com/w")
    assert printed.returncode == 0
    assert printed.stdout.startswith("example.com/w+")
    with WitnessProcess.start(tmp_path / "w", [log.vkey]) as started:
        assert started.vkey == printed.stdout.strip()
        assert ran("key", "--dir", str(tmp_path / "w")).stdout == printed.stdout
