"""Turns at something scarce, dealt out among those who ask: whoever asks a lot waits for itself alone."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass


class NoTurn(Exception):  # noqa: N818 - named for what the caller is told
    """There was none in time, or too many of the same one's wait."""


@dataclass(frozen=True, slots=True)
class TurnLimits:
    """`at_once` turns are taken at a time, `each` by one user; `queue` of one may wait, for `seconds`."""

    at_once: int
    each: int = 1
    queue: int = 128
    seconds: float = 30.0


class FairTurns:
    """Users who wait take turns, one each, in the order in which they began to wait. For one event loop."""

    def __init__(self, limits: TurnLimits) -> None:
        self._limits = limits
        self._taken: Counter[Hashable] = Counter()
        self._queues: dict[Hashable, deque[asyncio.Future[None]]] = {}

    @asynccontextmanager
    async def turn(self, user: Hashable) -> AsyncIterator[None]:
        """Raises NoTurn."""
        await self._take(user)
        try:
            yield
        finally:
            self._give_back(user)

    async def _take(self, user: Hashable) -> None:
        if self._may_take(user):  # this overtakes nobody: a turn is given on as soon as there is one
            self._taken[user] += 1
            return
        queue = self._queues.setdefault(user, deque())
        if len(queue) >= self._limits.queue:
            raise NoTurn("too many of the same user wait")
        mine = asyncio.get_running_loop().create_future()
        queue.append(mine)
        try:
            async with asyncio.timeout(self._limits.seconds):
                await mine
        except BaseException as error:
            if mine.done() and not mine.cancelled():
                self._give_back(user)
            else:
                self._leave(user, mine)
            if isinstance(error, TimeoutError):
                raise NoTurn(f"there was none in {self._limits.seconds:g} s") from None
            raise

    def _may_take(self, user: Hashable) -> bool:
        return self._taken.total() < self._limits.at_once and self._taken[user] < self._limits.each

    def _leave(self, user: Hashable, mine: asyncio.Future[None]) -> None:
        queue = self._queues.get(user)
        if queue is not None and mine in queue:
            queue.remove(mine)
            if not queue:
                del self._queues[user]

    def _give_back(self, user: Hashable) -> None:
        self._taken[user] -= 1
        if not self._taken[user]:
            del self._taken[user]
        while (following := next(filter(self._may_take, self._queues), None)) is not None:
            queue = self._queues.pop(following)
            first = queue.popleft()
            if not first.done():  # or its caller was cancelled, and is about to find out
                first.set_result(None)
                self._taken[following] += 1
            if queue:
                self._queues[following] = queue  # behind the others
