"""What must happen to approvals when nobody asks: time runs out, and calls of dead processes become unknown.

Every gateway and every control process does it, so that it depends on none; doing it twice changes nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from addons.core.approvals.states import WAITING, State
from addons.store.approvals.reading import Approvals
from addons.store.approvals.requests import ExpireDue
from addons.store.approvals.runs import Recover
from addons.store.moment import Moment
from addons.store.state_dir import StateDir
from addons.store.writing.journal import Journal
from addons.store.writing.kept_alive import in_rounds
from addons.store.writing.process_lock import remove_dead

_PACE = 1.0  # seconds
_log = logging.getLogger(__name__)


class Keeper:
    """`now` is the clock by which time runs out."""

    def __init__(
        self,
        state: StateDir,
        journal: Journal,
        approvals: Approvals,
        now: Callable[[], Moment],
        pace: float = _PACE,
    ) -> None:
        self._state = state
        self._journal = journal
        self._approvals = approvals
        self._now = now
        self._pace = pace

    async def run(self) -> None:
        """Until cancelled."""
        await in_rounds("Approvals", self.look, self._pace)

    async def look(self, *, thorough: bool) -> None:
        """Raises JournalUnavailable, AuditLogUnusable, ChangeRefused."""
        busy = await asyncio.to_thread(self._approvals.busy_states)
        if thorough or busy & WAITING:
            await self._journal.change(ExpireDue(self._now()))
        if thorough or State.EXECUTING in busy:
            for approval in await self._journal.change(Recover(self._state, self._now())):
                _log.warning("nobody can tell whether the call of the approval %s ran", approval)
        if thorough:
            await asyncio.to_thread(remove_dead, self._state)
            await self._journal.probe()  # so that /readyz knows when nothing can be written
