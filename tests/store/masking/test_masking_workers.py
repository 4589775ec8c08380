"""Masking in other processes: the same as in this one, bounded, and the body's fault only where it is."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from addons.core.redact.masking.asked import Masks
from addons.core.redact.masking.findings import TooComplex
from addons.core.redact.masking.json_masks import NotMaskable
from addons.core.redact.masking.mask import Masker
from addons.core.redact.message_masks import MessageMasks
from addons.core.redact.scrubber import Scrubbed
from addons.store.masking import workers as masking_workers
from addons.store.masking.bodies import Masking
from addons.store.masking.fair_turns import TurnLimits
from addons.store.masking.frames import Outcome, answer, is_ready, masked, read_answer
from addons.store.masking.workers import MaskingUnavailable, MaskingWorkers, WorkerLimits
from tests.store.policy.test_decision_worker import gone

KEY = b"planted-masking-key"
HERE = MessageMasks(Masker(KEY))
SECRETS = Masks(detect=frozenset(("secrets",)))
JSON = "application/json"
DIRTY = json.dumps([{"user": "u", "password": f"Tr0ub4dor&Zebra{n}"} for n in range(50)]).encode()

type MakeWorkers = Callable[..., MaskingWorkers]


@pytest.fixture
async def make_workers() -> AsyncIterator[MakeWorkers]:
    made: list[MaskingWorkers] = []

    def make(at_once: int = 2, **limits: Any) -> MaskingWorkers:
        made.append(MaskingWorkers(HERE, WorkerLimits(turns=TurnLimits(at_once=at_once), **limits)))
        return made[-1]

    yield make
    for workers in made:
        workers.close()


async def stopped(workers: MaskingWorkers) -> int:
    """The id of the one worker, which answers nothing any more."""
    await workers.apply(SECRETS, DIRTY, JSON, "a")
    (pid,) = workers.processes()
    os.kill(pid, signal.SIGSTOP)
    return pid


async def test_a_body_is_masked_as_it_would_be_here(make_workers: MakeWorkers) -> None:
    workers = make_workers()
    clean = json.dumps(["x" * 1000] * 100).encode()
    by_path = Masks(detect=frozenset(("secrets", "email")), json=frozenset(("$[*].user",)))
    for masks, body, content_type in (
        (SECRETS, DIRTY, JSON),
        (by_path, DIRTY, JSON),
        (SECRETS, DIRTY, None),
        (SECRETS, b"data: " + DIRTY, "text/event-stream"),
        (SECRETS, clean, "\udcff"),
    ):
        there = await workers.apply(masks, body, content_type, "a")
        here = HERE.apply(masks, body, content_type)
        assert (there.data, dict(there.findings), there.changed) == (
            here.data,
            dict(here.findings),
            here.changed,
        )
    same = await workers.apply(SECRETS, clean, JSON, "a")
    assert same.data is clean
    assert len(workers.processes()) == 1


async def test_what_can_not_be_masked_is_told_and_the_worker_lives(make_workers: MakeWorkers) -> None:
    workers = make_workers()
    with pytest.raises(TooComplex, match="too deep"):
        await workers.apply(Masks(json=frozenset(("$.a",))), b"[" * 1000 + b"]" * 1000, JSON, "a")
    with pytest.raises(NotMaskable, match="no JSON"):
        await workers.apply(Masks(json=frozenset(("$.a",))), b"not JSON", JSON, "a")
    (pid,) = workers.processes()
    assert (await workers.apply(SECRETS, DIRTY, JSON, "a")).changed
    assert workers.processes() == (pid,)


async def test_a_body_that_takes_too_long_is_too_complex_and_its_worker_is_killed(
    make_workers: MakeWorkers,
) -> None:
    workers = make_workers(seconds=0.5)
    pid = await stopped(workers)
    with pytest.raises(TooComplex, match=r"took over 0\.5 s"):
        await workers.apply(SECRETS, DIRTY, JSON, "a")
    gone(pid)
    assert workers.processes() == ()


async def test_a_body_that_takes_too_much_work_is_too_complex(make_workers: MakeWorkers) -> None:
    workers = make_workers(work=0.05)
    dense = json.dumps([{"password": f"Tr0ub4dor&Zebra{n}"} for n in range(5000)]).encode()
    with pytest.raises(TooComplex, match="ended"):
        await workers.apply(SECRETS, dense, JSON, "a")
    assert (await make_workers().apply(SECRETS, dense[:20_000], None, "a")).changed


async def test_a_body_whose_worker_dies_is_too_complex_and_the_next_gets_another(
    make_workers: MakeWorkers,
) -> None:
    workers = make_workers()
    pid = await stopped(workers)
    call = asyncio.create_task(workers.apply(SECRETS, DIRTY, JSON, "a"))
    await asyncio.sleep(0)
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(TooComplex, match="ended"):
        await call
    assert (await workers.apply(SECRETS, DIRTY, JSON, "a")).changed
    assert pid not in workers.processes()


async def test_a_worker_that_ended_between_two_bodies_is_replaced(make_workers: MakeWorkers) -> None:
    workers = make_workers()
    await workers.apply(SECRETS, DIRTY, JSON, "a")
    (pid,) = workers.processes()
    os.kill(pid, signal.SIGKILL)
    gone(pid)
    assert (await workers.apply(SECRETS, DIRTY, JSON, "a")).changed


async def test_a_body_that_is_given_up_leaves_its_answer_to_nobody(make_workers: MakeWorkers) -> None:
    workers = make_workers(at_once=1)
    pid = await stopped(workers)
    call = asyncio.create_task(workers.apply(SECRETS, b'["password=Other&Secret9"]', JSON, "a"))
    await asyncio.sleep(0)
    call.cancel()
    done = await workers.apply(SECRETS, DIRTY, JSON, "a")
    assert done.findings == HERE.apply(SECRETS, DIRTY, JSON).findings
    gone(pid)


async def test_one_agent_can_not_take_all_workers(make_workers: MakeWorkers) -> None:
    """The first one's body takes for ever, and more of its bodies wait."""
    workers = make_workers()
    await stopped(workers)
    mine = [asyncio.create_task(workers.apply(SECRETS, DIRTY, JSON, "greedy")) for _ in range(20)]
    await asyncio.sleep(0)
    async with asyncio.timeout(20):
        assert (await workers.apply(SECRETS, DIRTY, JSON, "other")).changed
    assert not any(call.done() for call in mine)
    for call in mine:
        call.cancel()
    await asyncio.gather(*mine, return_exceptions=True)


async def test_more_bodies_than_may_wait_are_not_masked_now() -> None:
    workers = MaskingWorkers(HERE, WorkerLimits(turns=TurnLimits(at_once=1, queue=1)))
    try:
        await stopped(workers)
        calls = [asyncio.create_task(workers.apply(SECRETS, DIRTY, JSON, "a")) for _ in range(3)]
        done, waiting = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
        with pytest.raises(MaskingUnavailable, match="busy"):
            await done.pop()
        for call in waiting:
            call.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    finally:
        workers.close()


async def test_a_worker_that_can_not_start_is_not_the_bodys_fault(
    make_workers: MakeWorkers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(masking_workers, "_MODULE", "addons.store.no_such_module")
    with pytest.raises(MaskingUnavailable, match="could not start"):
        await make_workers().apply(SECRETS, DIRTY, JSON, "a")


async def test_close_ends_every_worker(make_workers: MakeWorkers) -> None:
    workers = make_workers()
    pid = await stopped(workers)
    call = asyncio.create_task(workers.apply(SECRETS, DIRTY, JSON, "a"))
    await asyncio.sleep(0)
    workers.close()
    gone(pid)
    with pytest.raises(TooComplex):
        await call
    with pytest.raises(MaskingUnavailable, match="stopping"):
        await workers.apply(SECRETS, DIRTY, JSON, "a")


async def test_the_key_travels_neither_as_an_argument_nor_in_the_environment(
    make_workers: MakeWorkers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DD_API_KEY", "planted")
    workers = make_workers()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.set_inheritable(True)
        await workers.apply(SECRETS, DIRTY, JSON, "a")
    process = Path(f"/proc/{workers.processes()[0]}")
    assert b"planted" not in (process / "environ").read_bytes() + (process / "cmdline").read_bytes()
    opened = {str(each.readlink()).partition(":")[0]: each for each in (process / "fd").iterdir()}
    assert opened.keys() == {"socket", "/dev/null"}


@pytest.mark.parametrize(
    ("masks", "body", "elsewhere"),
    [
        (SECRETS, b'["password=Tr0ub4dor&Zebra"]', False),
        (SECRETS, DIRTY, True),
        (SECRETS, json.dumps(["x" * 100] * 100).encode(), False),
        (SECRETS, json.dumps(["x" * 100] * 10_000).encode(), False),
        (Masks(json=frozenset(("$[0]",))), json.dumps(["x" * 100] * 100).encode(), True),
        (Masks(), DIRTY, False),
    ],
)
async def test_only_what_has_to_be_taken_apart_goes_to_a_worker(
    masks: Masks, body: bytes, elsewhere: bool
) -> None:
    masking = Masking(HERE)
    try:
        done = await masking.apply(masks, body, JSON, "a")
        here = HERE.apply(masks, body, JSON)
        assert (done.data, dict(done.findings)) == (here.data, dict(here.findings))
        assert bool(masking.processes()) is elsewhere
    finally:
        masking.close()


def frame(*parts: bytes) -> bytes:
    return b"".join(parts)


def test_an_answer_is_read_as_data_alone() -> None:
    body = b"body"
    assert is_ready(frame(*answer(Outcome.READY)))
    done = read_answer(frame(*masked(Scrubbed(b"mask", {"email": 1}, changed=True))), body)
    assert (done.data, done.findings, done.changed) == (b"mask", {"email": 1}, True)
    assert read_answer(frame(*masked(Scrubbed(body, {}, changed=False))), body).data is body
    for bad in (
        b"",
        b"\x00\x00",
        b"\xff\xff\xff\xff{}",
        b"\x00\x00\x00\x02{}",
        b"\x00\x00\x00\x02[]",
        b"\x00\x00\x00\x02\x80\x05",
        frame(*answer(Outcome.READY)),
        frame(*answer(Outcome.MASKED)),
        frame(*masked(Scrubbed(b"", {"email": "many"}, changed=True))),  # type: ignore[dict-item] # the worker's
    ):
        with pytest.raises(ValueError):  # noqa: PT011 - JSON's, or its own
            read_answer(bad, body)
