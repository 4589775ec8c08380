"""Does what must happen when nobody asks, while the gateway runs, and keeps the lock by which others know
that it does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from addons.store.approvals.reading import Approvals
from addons.store.writing.kept_alive import kept_alive
from addons.store.writing.process_lock import ProcessLock


class Upkeep:
    """Each of `keepers`, by a name for the operator, runs until it is cancelled."""

    def __init__(
        self,
        keepers: Mapping[str, Callable[[], Awaitable[None]]],
        approvals: Approvals,
        lock: ProcessLock,
    ) -> None:
        self._keepers = keepers
        self._approvals = approvals
        self._lock = lock
        self._tasks: list[asyncio.Task[None]] = []

    def running(self) -> None:
        self._tasks = [asyncio.create_task(kept_alive(name, run)) for name, run in self._keepers.items()]

    def done(self) -> None:
        """After the journal is closed: until then this process may still end a call of its own."""
        for task in self._tasks:
            task.cancel()
        self._approvals.close()
        self._lock.release()
