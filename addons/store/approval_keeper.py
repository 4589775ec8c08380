"""What must happen to approvals when nobody asks: time runs out, and calls of dead processes become unknown.

Every gateway and every control process does it, so that it depends on none; doing it twice changes nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from addons.core.approvals.states import WAITING, State
from addons.store.approval_requests import ExpireDue
from addons.store.approval_runs import Recover
from addons.store.approvals import Approvals
from addons.store.audit_record import RecordRefused
from addons.store.changes import ChangeRefused
from addons.store.journal import Journal, JournalUnavailable
from addons.store.log_problems import AuditLogUnusable
from addons.store.moment import Moment
from addons.store.process_lock import remove_dead
from addons.store.state_dir import StateDir

_PACE = 1.0  # seconds
_THOROUGH = 15  # every so many rounds also where nothing seems to be due: old answers, locks of the dead
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
        self._failing = False

    async def run(self) -> None:
        """Every second, until cancelled."""
        rounds = 0
        while True:
            try:
                await self.look(thorough=rounds % _THOROUGH == 0)
                self._failing = False
            except (JournalUnavailable, AuditLogUnusable, ChangeRefused, RecordRefused) as error:
                if not self._failing:
                    _log.warning("Approvals can't be looked after for now: %s", error)
                self._failing = True
            rounds += 1
            await asyncio.sleep(self._pace)

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
