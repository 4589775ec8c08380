from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from addons.control.changes import ChangeFeed
from tests.control.desk import Desk


@asynccontextmanager
async def _running(desk: Desk) -> AsyncIterator[ChangeFeed]:
    feed = ChangeFeed(desk.control.parts.approvals, pace=0.005)
    task = asyncio.create_task(feed.run())
    yield feed
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_everyone_who_listens_hears_of_what_changes_and_of_nothing_else(desk: Desk) -> None:
    before = await desk.ask("a" * 64)
    async with _running(desk) as feed, feed.listening(None) as one, feed.listening(None) as two:
        assert await one.changed(0.05) == ()
        after = await desk.ask("b" * 64)
        assert await one.changed(10) == (after.id,)
        await desk.decide(before, "approve", desk.issuer.token("alice", "sre"))
        assert await one.changed(10) == (before.id,)
        assert set(await two.changed(10)) == {after.id, before.id}
        assert one.version == two.version == desk.control.parts.approvals.last_version()


async def test_who_comes_back_hears_what_happened_meanwhile(desk: Desk) -> None:
    async with _running(desk) as feed:
        async with feed.listening(None) as first:
            known = first.version
        missed = await desk.ask()
        async with feed.listening(known) as again:
            assert await again.changed(10) == (missed.id,)
        async with feed.listening(10**9) as ahead:  # of a store that was there before
            assert await ahead.changed(0.05) == ()
            new = await desk.ask("c" * 64)
            assert await ahead.changed(10) == (new.id,)


async def test_more_changes_than_one_look_takes_are_all_told(desk: Desk) -> None:
    made = {(await desk.ask(f"{number:064x}")).id for number in range(12)}
    feed = ChangeFeed(desk.control.parts.approvals, pace=0.005, at_once=5)
    async with feed.listening(0) as listener:
        assert set(await listener.changed(10)) == made  # missed: in one go
    async with feed.listening(None) as listener:
        for approval in sorted(made):
            await desk.call("POST", f"approvals/{approval}/deny", desk.issuer.token("alice", "sre"), {})
        task = asyncio.create_task(feed.run())
        told: set[str] = set()
        while told != made:
            told |= set(await listener.changed(10))
        task.cancel()


async def test_the_end_wakes_everybody(desk: Desk) -> None:
    async with _running(desk) as feed, feed.listening(None) as listener:
        waiting = asyncio.create_task(listener.changed(60))
        await asyncio.sleep(0)
        feed.close()
        assert await waiting == ()
        assert feed.is_closed


async def test_a_store_that_cant_be_read_is_asked_again(desk: Desk) -> None:
    log = desk.control.parts.state.audit_log
    async with _running(desk) as feed, feed.listening(None) as listener:
        aside = log.rename(log.with_suffix(".aside"))
        log.write_bytes(b"garbage that is no database" * 100)
        assert await listener.changed(0.1) == ()
        aside.rename(log)
        approval = await desk.ask()
        assert await listener.changed(10) == (approval.id,)
