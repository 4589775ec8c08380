"""What happens to approvals by itself: time runs out, and what a gone process left is found.

Every gateway and control do it, so it happens as long as one of them runs; the store sees to it that it
happens once.
"""

from __future__ import annotations

import asyncio
import logging
from time import monotonic

from addons.core.approvals.states import State
from addons.store import moment
from addons.store.approval_requests import ExpireDue
from addons.store.approval_runs import Recover
from addons.store.approvals import Approvals
from addons.store.audit_log import AuditLogUnusable
from addons.store.changes import ChangeRefused
from addons.store.journal import Journal, JournalUnavailable
from addons.store.process_lock import ProcessLock, remove_dead
from addons.store.state_dir import StateDir

logger = logging.getLogger(__name__)

_INTERVAL = 0.5  # seconds
_SWEEP = 30.0  # seconds between two looks for what is left behind: answers that were kept, locks of the dead


class ApprovalUpkeep:
    def __init__(self, journal: Journal, approvals: Approvals, state: StateDir, lock: ProcessLock) -> None:
        self._journal = journal
        self._approvals = approvals
        self._state = state
        self._lock = lock
        self._task: asyncio.Task[None] | None = None
        self._swept_at = -_SWEEP

    def running(self) -> None:
        self._task = asyncio.create_task(self._keep_up())

    def done(self) -> None:
        if self._task is not None:
            self._task.cancel()
        self._approvals.close()
        self._lock.release()

    async def _keep_up(self) -> None:
        while True:
            try:
                await self._once()
            except (JournalUnavailable, AuditLogUnusable, ChangeRefused) as error:
                logger.warning("approvals can't be kept up: %s", error)
            await asyncio.sleep(_INTERVAL)

    async def _once(self) -> None:
        counts = await asyncio.to_thread(self._approvals.counts)
        now = moment.now()
        due = monotonic() - self._swept_at >= _SWEEP
        if counts[State.EXECUTING] or due:
            for approval in await self._journal.change(Recover(self._state, now)):
                logger.warning("nobody can tell whether the call of approval %s ran", approval)
        if due:  # after that, since what they left was told from them
            await asyncio.to_thread(remove_dead, self._state)
        if counts[State.PENDING] or counts[State.APPROVED] or due:
            self._swept_at = monotonic()
            await self._journal.change(ExpireDue(now))
