from __future__ import annotations

import asyncio
import base64
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from addons.sidecar.token_sources import CommandSource, EnvironmentSource, FileSource, TokenError
from addons.sidecar.tokens import Patience, TokenKeeper, read_token
from tests.sidecar.conftest import MintingSource
from tests.sidecar.fake_gateway import make_token

QUICK = Patience(0.02, 0.1)


@dataclass
class FailingSource:
    """Fails while `is_broken`."""

    inner: MintingSource
    is_broken: bool = False
    asked: int = 0
    told: list[str] = field(default_factory=list)

    async def fetch(self) -> str:
        self.asked += 1
        if self.is_broken:
            raise TokenError("the issuer is down")
        return await self.inner.fetch()


async def until(condition: Callable[[], bool], seconds: float = 5) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


def jwt(claims: object) -> str:
    return f"e30.{base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip('=')}.c2ln"


@pytest.mark.parametrize(
    "unverified",
    [
        "",
        "abc",
        "a.b",
        "a b.c.d",
        "a.b.c\r\nX-Injected: 1",
        "e30.!!!.c2ln",
        "e30.e30.c2ln",
        "e30.W10.c2ln",
        "e30." + "A" * 20_000 + ".c2ln",
        jwt({"exp": "soon"}),
        jwt({"exp": True}),
        jwt({"exp": float("inf")}),
        jwt({"exp": float("nan")}),
        jwt({"exp": 10**400}),
        jwt({"exp": -1}),
    ],
)
def test_what_is_no_token_is_refused_without_repeating_it(unverified: str) -> None:
    with pytest.raises(TokenError) as caught:
        read_token(unverified, 1000.0)
    assert not unverified or unverified not in str(caught.value)


@pytest.mark.parametrize(("life", "margin"), [(600.0, 30.0), (60.0, 15.0), (4.0, 1.0)])
def test_a_token_is_renewed_with_a_third_left_and_retired_later(life: float, margin: float) -> None:
    token = read_token(jwt({"iat": 1000.0, "exp": 1000.0 + life}), 1000.0)
    assert token.renew_at == pytest.approx(1000 + life * 2 / 3)
    assert token.retire_at == pytest.approx(1000 + life - margin)
    assert token.renew_at < token.retire_at < token.expires


def test_without_iat_the_life_begins_now() -> None:
    assert read_token(jwt({"exp": 1600}), 1000.0).life == 600


def test_a_token_is_not_in_its_repr() -> None:
    value = make_token(60)
    assert value not in repr(read_token(value, 0.0))
    assert value not in repr(EnvironmentSource("NAME", value))


async def test_a_keeper_holds_a_living_token_over_many_lives() -> None:
    source = MintingSource(life=0.3)
    keeper = TokenKeeper(source, lambda _: None, patience=QUICK)
    await keeper.start()
    seen = set()
    deadline = time.monotonic() + 2
    while time.monotonic() < deadline:
        token = await keeper.current()
        assert token.expires > time.time()
        seen.add(token.value)
        await asyncio.sleep(0.01)
    await keeper.close()
    assert 5 <= len(seen) <= 14


async def test_an_outage_is_told_once_and_its_end_too_and_never_a_token() -> None:
    source = FailingSource(MintingSource(life=0.5))
    told: list[str] = []
    keeper = TokenKeeper(source, told.append, patience=QUICK)
    await keeper.start()
    source.is_broken = True
    await until(lambda: any("fail until" in text for text in told))
    with pytest.raises(TokenError, match="the issuer is down"):
        await keeper.current()
    before = source.asked
    source.is_broken = False
    await until(lambda: "there is a new token again" in told)
    assert (await keeper.current()).expires > time.time()
    await keeper.close()
    assert before > 3
    assert [text.split(";")[0] for text in told[:2]] == ["no new token: the issuer is down"] * 2
    assert len(told) <= 5
    assert not any(token in text for token in source.inner.given for text in told)


async def test_a_failing_source_is_asked_ever_more_rarely() -> None:
    source = FailingSource(MintingSource(), is_broken=True)
    keeper = TokenKeeper(source, lambda _: None, patience=Patience(0.02, 10, start_attempts=2))
    with pytest.raises(TokenError, match="the issuer is down"):
        await keeper.start()
    asked = source.asked
    for _ in range(200):
        with pytest.raises(TokenError):
            await keeper.current()
    assert asked <= 2
    assert source.asked - asked <= 2


async def test_at_the_same_time_one_token_is_fetched() -> None:
    source = MintingSource()
    keeper = TokenKeeper(source, lambda _: None, patience=QUICK)
    await asyncio.gather(*(keeper.current() for _ in range(50)))
    assert len(source.given) == 1


async def test_a_token_file_is_read_again_when_it_changed(tmp_path: Path) -> None:
    path, told = tmp_path / "token", list[str]()
    first, second = make_token(600), make_token(600, subject="other")
    path.write_text(first + "\n")
    keeper = TokenKeeper(FileSource(path), told.append)
    assert (await keeper.start()).value == first
    replacement = tmp_path / "new"
    replacement.write_text(second)
    replacement.replace(path)
    assert (await keeper.current()).value == second
    path.unlink()
    assert (await keeper.current()).value == second
    await keeper.close()
    assert told == []


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "can't be read: No such file"),
        (b"", "is empty"),
        (b"\xff\xfe", "isn't a token"),
        (b"x" * 70_000, "longer"),
    ],
)
async def test_a_bad_token_file_is_named(tmp_path: Path, content: bytes | None, expected: str) -> None:
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(TokenError, match=expected) as caught:
        await FileSource(path).fetch()
    assert str(path) in str(caught.value)


async def test_a_token_file_may_be_the_pipe_of_a_shell() -> None:
    token = make_token(600)
    reading, writing = os.pipe()
    source = FileSource(Path(f"/dev/fd/{reading}"))
    fetched = asyncio.create_task(source.fetch())
    await asyncio.sleep(0)  # it looks before there is anything
    os.write(writing, token.encode())
    os.close(writing)
    assert await fetched == token
    assert not source.has_changed()
    os.close(reading)


async def test_a_pipe_that_nobody_writes_into_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(TokenError, match="is empty"):
        await FileSource(tmp_path / "pipe").fetch()


async def test_a_token_command_gives_what_it_prints() -> None:
    assert await CommandSource("echo ' a.b.c '").fetch() == "a.b.c"


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("echo SECRET; exit 3", "status 3"),
        ("true", "is empty"),
        ("sleep 60 & wait", "longer than"),
        ("yes SECRET", "longer than 65536 bytes"),
    ],
)
async def test_a_failing_token_command_says_how_and_nothing_it_printed(command: str, expected: str) -> None:
    with pytest.raises(TokenError, match=expected) as caught:
        await CommandSource(command, timeout=0.3).fetch()
    assert "SECRET" not in str(caught.value)


async def test_a_token_command_that_hangs_leaves_no_process(tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    with pytest.raises(TokenError):
        await CommandSource(f"sleep 60 & echo $! > {mark}; wait", timeout=0.5).fetch()
    pid = int(mark.read_text())
    await until(lambda: not is_alive(pid))


def is_alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
