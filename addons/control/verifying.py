"""Verifies the whole audit log while control runs: a start looks at its end alone, so as not to take long."""

from __future__ import annotations

import asyncio
import logging

from addons.store.audit.check import own_trust
from addons.store.audit.problems import AuditLogUnusable
from addons.store.audit.verify import LogInvalid, verify_log
from addons.store.state_dir import StateDir

_EVERY = 6 * 3600.0  # seconds
_log = logging.getLogger(__name__)


class Verifying:
    """Once it runs, and every six hours. A problem stays until the log verifies again."""

    def __init__(self, state: StateDir, every: float = _EVERY) -> None:
        self._state = state
        self._every = every
        self.problem: str | None = None
        """What is wrong with the log, for readiness."""
        self.looks = 0
        """How often it was gone through."""

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            self.problem = await asyncio.to_thread(self._look)
            self.looks += 1
            if self.problem is not None:
                _log.critical("The audit log doesn't verify: %s", self.problem)
            await asyncio.sleep(self._every)

    def _look(self) -> str | None:
        try:
            verify_log(self._state.audit_log, own_trust(self._state))
        except LogInvalid as invalid:
            return f"{invalid}. Keep the file, and run `ddgate audit verify`."
        except AuditLogUnusable as error:
            return str(error)
        return None
