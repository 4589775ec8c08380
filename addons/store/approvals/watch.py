"""Tells those who wait that an approval has changed, whichever process changed it.

One task looks at the database's change counter, which costs microseconds, every twentieth of a second while
anybody waits; only when something was committed does it look at the approvals that are waited for.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from addons.store.audit.problems import AuditLogUnusable

_log = logging.getLogger(__name__)

INTERVAL = 0.05
"""Seconds between two looks: a decision reaches a held call within this, and the time of one commit."""

type Version = tuple[object, int]


@dataclass(eq=False, slots=True)
class Watched:
    """One waiter. `changed` returns once the approval is another than it was when this was made, or when
    `changed` last returned.
    """

    event: asyncio.Event = field(default_factory=asyncio.Event)

    async def changed(self, seconds: float) -> bool:
        """False where nothing changed for so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(max(seconds, 0)):
                await self.event.wait()
                self.event.clear()
                return True
        return False


class ApprovalWatch:
    """`counter` changes whenever anybody has committed; `states` gives what tells two states of an approval
    apart. Both block, and are called in a thread.
    """

    def __init__(
        self,
        counter: Callable[[], int],
        states: Callable[[Collection[str]], Mapping[str, Version]],
        interval: float = INTERVAL,
    ) -> None:
        self._counter = counter
        self._states = states
        self._interval = interval
        self._watched: dict[str, set[Watched]] = {}
        self._known: dict[str, Version | None] = {}
        self._seen: int | None = None
        self._generation = 0  # grows with each approval that comes to be waited for
        self._task: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        return sum(map(len, self._watched.values()))

    @asynccontextmanager
    async def watching(self, approval: str) -> AsyncIterator[Watched]:
        watched = Watched()
        if approval not in self._watched:
            self._known[approval] = None
            self._seen = None  # look at it soon: it may change before the first look
            self._generation += 1
        self._watched.setdefault(approval, set()).add(watched)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._look())
        try:
            yield watched
        finally:
            mine = self._watched[approval]
            mine.discard(watched)
            if not mine:
                del self._watched[approval], self._known[approval]

    def touch(self, approval: str) -> None:
        """Wake those who wait for it, though nothing of it was stored."""
        for watched in self._watched.get(approval, ()):
            watched.event.set()

    async def _look(self) -> None:
        while self._watched:
            try:
                known = self._generation
                counter, found = await asyncio.to_thread(self._compare, tuple(self._watched), self._seen)
            except (AuditLogUnusable, sqlite3.Error, OSError) as error:
                _log.warning("held calls can't hear of decisions for now: %s", error)
                self._seen = None
            else:
                self._wake(found)
                if known == self._generation:  # else somebody came meanwhile, who was not looked at
                    self._seen = counter
            await asyncio.sleep(self._interval)

    def _compare(self, approvals: tuple[str, ...], seen: int | None) -> tuple[int, Mapping[str, Version]]:
        """In a thread: how these are now, nothing where nobody has committed since the last look."""
        counter = self._counter()
        return counter, {} if counter == seen else self._states(approvals)

    def _wake(self, found: Mapping[str, Version]) -> None:
        for approval, version in found.items():
            if approval in self._known and self._known[approval] != version:
                self._known[approval] = version
                self.touch(approval)
