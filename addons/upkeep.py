"""Looks after approvals while the gateway runs, and keeps the lock by which others know that it does."""

from __future__ import annotations

import asyncio

from addons.store.approval_keeper import Keeper
from addons.store.approvals import Approvals
from addons.store.process_lock import ProcessLock


class ApprovalUpkeep:
    def __init__(self, keeper: Keeper, approvals: Approvals, lock: ProcessLock) -> None:
        self._keeper = keeper
        self._approvals = approvals
        self._lock = lock
        self._task: asyncio.Task[None] | None = None

    def running(self) -> None:
        self._task = asyncio.create_task(self._keeper.run())

    def done(self) -> None:
        """After the journal is closed: until then this process may still end a call of its own."""
        if self._task is not None:
            self._task.cancel()
        self._approvals.close()
        self._lock.release()
