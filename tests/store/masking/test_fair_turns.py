"""Turns at something scarce: whoever asks a lot waits for itself alone."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.store.masking.fair_turns import FairTurns, NoTurn, TurnLimits


class Users:
    """Tasks that take a turn each and hold it until they are told; `order` is who got one, and when."""

    def __init__(self, limits: TurnLimits) -> None:
        self.turns = FairTurns(limits)
        self.order: list[str] = []
        self._go_on: dict[str, asyncio.Event] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def ask(self, name: str) -> None:
        """A name's first letter is the user."""
        self._go_on[name] = asyncio.Event()
        self.tasks[name] = asyncio.create_task(self._hold(name))
        await asyncio.sleep(0)

    async def end(self, name: str) -> None:
        self._go_on[name].set()
        await self.tasks[name]
        await self.settled()

    async def settled(self) -> None:
        for _ in range(5):
            await asyncio.sleep(0)

    async def _hold(self, name: str) -> None:
        async with self.turns.turn(name[0]):
            self.order.append(name)
            await self._go_on[name].wait()


async def test_a_user_who_asks_a_lot_keeps_no_other_waiting() -> None:
    users = Users(TurnLimits(at_once=2))
    for name in ("a1", "a2", "a3", "b1"):
        await users.ask(name)
    assert users.order == ["a1", "b1"]  # one turn is each one's most, so the other was free
    await users.ask("c1")
    await users.end("a1")
    assert users.order[2:] == ["a2"]
    await users.end("a2")
    assert users.order[3:] == ["c1"]  # a has had its turn, and waits behind the others
    await users.end("b1")
    assert users.order[4:] == ["a3"]
    await users.end("a3")
    await users.end("c1")


async def test_too_many_of_one_user_get_no_turn_and_others_do() -> None:
    users = Users(TurnLimits(at_once=2, queue=1))
    for name in ("a1", "a2", "a3", "b1"):
        await users.ask(name)
    with pytest.raises(NoTurn, match="too many"):
        await users.tasks["a3"]
    assert users.order == ["a1", "b1"]
    for name in ("a1", "a2", "b1"):
        await users.end(name)


async def test_a_turn_that_does_not_come_is_waited_for_only_so_long() -> None:
    users = Users(TurnLimits(at_once=1, seconds=0.05))
    await users.ask("a1")
    with pytest.raises(NoTurn, match=r"0\.05 s"):
        async with users.turns.turn("b"):
            pass
    await users.end("a1")
    async with users.turns.turn("b"):  # and nothing is left of the wait
        pass


@pytest.mark.parametrize("settle_first", [True, False])
async def test_one_who_gives_up_is_passed_over(settle_first: bool) -> None:
    users = Users(TurnLimits(at_once=1))
    for name in ("a1", "b1", "c1"):
        await users.ask(name)
    users.tasks["b1"].cancel()
    if settle_first:
        await users.settled()
    await users.end("a1")
    assert users.order == ["a1", "c1"]
    await users.end("c1")


async def test_one_who_gives_up_as_its_turn_comes_gives_it_on() -> None:
    users = Users(TurnLimits(at_once=1))
    for name in ("a1", "b1", "c1"):
        await users.ask(name)
    users._go_on["a1"].set()
    await asyncio.sleep(0)
    await asyncio.sleep(0)  # a has given its turn on, and b is still to notice
    users.tasks["b1"].cancel()
    await users.settled()
    assert users.order[-1] == "c1"
    await users.end("c1")


@given(st.lists(st.sampled_from("abc"), max_size=20), st.integers(1, 3), st.integers(1, 2))
def test_no_more_are_taken_than_there_are_and_all_get_theirs(
    asking: list[str], at_once: int, each: int
) -> None:
    async def run() -> None:
        turns = FairTurns(TurnLimits(at_once=at_once, each=each))
        now: Counter[str] = Counter()

        async def one(user: str) -> None:
            async with turns.turn(user):
                now[user] += 1
                assert now.total() <= at_once
                assert now[user] <= each
                await asyncio.sleep(0)
                now[user] -= 1

        async with asyncio.timeout(5):
            await asyncio.gather(*(one(user) for user in asking))

    asyncio.run(run())
