"""What must happen to approvals when nobody asks: time runs out, calls of dead processes become unknown, and
what has been over for long enough goes.

Every gateway and every control process does it, so that it depends on none; doing it twice changes nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from addons.core.approvals.states import WAITING, State
from addons.store.approvals.reading import Approvals
from addons.store.approvals.removing import RemoveOld
from addons.store.approvals.requests import ExpireDue
from addons.store.approvals.runs import Recover
from addons.store.moment import Moment
from addons.store.state_dir import StateDir
from addons.store.writing.journal import Journal
from addons.store.writing.kept_alive import in_rounds
from addons.store.writing.process_lock import remove_dead

_PACE = 1.0  # seconds
_RETENTION_EVERY = 600.0  # seconds
_BREATH = 0.1  # seconds for others to write in, between two steps
_log = logging.getLogger(__name__)


class Keeper:
    """`now` is the clock by which time runs out. `retention`: how many seconds those that are over stay; None
    for ever.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - what it looks at, and how often
        self,
        state: StateDir,
        journal: Journal,
        approvals: Approvals,
        now: Callable[[], Moment],
        pace: float = _PACE,
        retention: float | None = None,
    ) -> None:
        self._state = state
        self._journal = journal
        self._approvals = approvals
        self._now = now
        self._pace = pace
        self._retention = retention
        self._retained_at = 0.0

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
            await self._retain()
            await self._journal.probe()  # so that /readyz knows when nothing can be written

    async def _retain(self) -> None:
        now = self._now().wall
        if self._retention is None or abs(now - self._retained_at) < _RETENTION_EVERY:
            return
        self._retained_at = now
        while await self._journal.change(RemoveOld(now - self._retention, now)):  # noqa: ASYNC110 - waits for nothing
            await asyncio.sleep(_BREATH)
