from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from addons.store.approvals.watch import ApprovalWatch, Version
from addons.store.audit.problems import AuditLogUnusable


@dataclass
class Store:
    """What `ApprovalWatch` looks at."""

    counter: int = 0
    states: dict[str, Version] = field(default_factory=dict)
    looks: int = 0
    broken: bool = False

    def commit(self, approval: str, state: str, version: int) -> None:
        self.states[approval] = (state, version)
        self.counter += 1

    def count(self) -> int:
        if self.broken:
            raise AuditLogUnusable("broken", "mend it")
        return self.counter

    def look(self, approvals: Collection[str]) -> Mapping[str, Version]:
        self.looks += 1
        return {each: self.states[each] for each in approvals if each in self.states}


def watch_of(store: Store) -> ApprovalWatch:
    return ApprovalWatch(store.count, store.look, interval=0.001)


async def test_a_change_wakes_those_who_wait_for_it_and_nobody_else() -> None:
    store = Store()
    store.commit("a", "pending", 1)
    store.commit("b", "pending", 2)
    watch = watch_of(store)
    async with watch.watching("a") as first, watch.watching("a") as second, watch.watching("b") as other:
        for one in (first, other):
            await one.changed(5)  # the first look
        second.event.clear()
        store.commit("a", "approved", 3)
        assert await first.changed(5)
        assert await second.changed(5)
        assert not await other.changed(0.05)
        assert watch.waiting == 3
    assert watch.waiting == 0


async def test_what_changed_before_the_first_look_is_not_missed() -> None:
    store = Store()
    watch = watch_of(store)
    async with watch.watching("a") as one:
        store.commit("a", "approved", 1)
        assert await one.changed(5)
        async with watch.watching("b") as late:
            store.commit("b", "approved", 2)
            assert await late.changed(5)


async def test_nothing_is_looked_at_while_nobody_commits() -> None:
    store = Store()
    store.commit("a", "pending", 1)
    watch = watch_of(store)
    async with watch.watching("a") as one:
        await one.changed(5)
        looks = store.looks
        assert not await one.changed(0.05)
        assert store.looks == looks


async def test_a_store_that_fails_for_a_while_ends_no_watch() -> None:
    store = Store()
    store.commit("a", "pending", 1)
    watch = watch_of(store)
    async with watch.watching("a") as one:
        await one.changed(5)
        store.broken = True
        assert not await one.changed(0.05)
        store.commit("a", "approved", 2)
        store.broken = False
        assert await one.changed(5)


async def test_one_who_waits_can_be_woken_without_a_commit() -> None:
    watch = watch_of(Store())
    async with watch.watching("a") as one:
        waiting = asyncio.create_task(one.changed(5))
        await asyncio.sleep(0)
        watch.touch("a")
        watch.touch("nobody waits for this")
        assert await waiting
