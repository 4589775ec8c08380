"""What must happen to the audit log when nobody asks: heads become checkpoints also when no record follows,
calls of dead processes get their outcome, and what has been there for long enough goes.

Every gateway and every control process does it, so that it depends on none; doing it twice changes nothing.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from time import time

from addons.core.model import Json
from addons.store.audit.keeping import KeepHead, Prune
from addons.store.audit.reading import reading
from addons.store.audit.record import AuditRecord, RecordKind
from addons.store.audit.tree import KEPT_EVERY_SECONDS
from addons.store.recordings.retention import old_segments, remove
from addons.store.state_dir import StateDir
from addons.store.upkeep.orphans import SettleOrphans, open_calls
from addons.store.writing.journal import Journal
from addons.store.writing.kept_alive import in_rounds

_PACE = KEPT_EVERY_SECONDS
_RETENTION_EVERY = 600.0  # seconds
_BREATH = 0.1  # seconds for others to write in, between two steps


@dataclass(frozen=True, slots=True)
class Retention:
    """How many seconds texts of records and recordings stay; None for ever."""

    texts: float | None = None
    recordings: float | None = None


_log = logging.getLogger(__name__)


class LogKeeper:
    def __init__(
        self, state: StateDir, journal: Journal, retention: Retention | None = None, pace: float = _PACE
    ) -> None:
        self._state = state
        self._journal = journal
        self._retention = retention or Retention()
        self._retained_at = 0.0
        self._pace = pace
        self._after = 0  # calls attempted up to here are settled

    async def run(self) -> None:
        """Until cancelled."""
        await in_rounds("The audit log", self.look, self._pace)

    async def look(self, *, thorough: bool) -> None:
        """Raises JournalUnavailable, AuditLogUnusable, ChangeRefused."""
        if thorough:
            found = await asyncio.to_thread(open_calls, self._state, self._after)
            if found.orphans:
                settled = await self._journal.change(SettleOrphans(found.orphans, time()))
                if settled:
                    _log.warning("%d calls of a gateway that ended are on record as unknown", settled)
            self._after = found.after
        if await asyncio.to_thread(self._is_head_unkept):
            await self._journal.change(KeepHead(time()))
        if abs(time() - self._retained_at) >= _RETENTION_EVERY:
            self._retained_at = time()
            await self.retain()

    async def retain(self) -> None:
        """Let go of what has been there for long enough. Raises as `look`."""
        now = time()
        if self._retention.texts is not None:
            by: dict[str, Json] = {"by": "audit.retention"}
            step = Prune(now - self._retention.texts, now, by)
            while await self._journal.change(step) is not None:  # noqa: ASYNC110 - it waits for nothing
                await asyncio.sleep(_BREATH)
        if self._retention.recordings is not None:
            try:
                await self._remove_recordings(now, now - self._retention.recordings)
            except OSError as error:
                _log.warning("Old recordings can't be removed: %s", error.strerror)

    async def _remove_recordings(self, now: float, before: float) -> None:
        directory = self._state.recordings
        names = await asyncio.to_thread(old_segments, directory, before)
        if not names:
            return
        segments: list[Json] = [*names]
        attributes: dict[str, Json] = {"segments": segments, "before": before, "by": "recordings.retention"}
        message = f"{len(names)} files of recordings are removed"
        await self._journal.append(  # first: what is removed is on record, whatever happens in between
            [AuditRecord(RecordKind.RECORDINGS_REMOVED, now, message=message, attributes=attributes)]
        )
        await asyncio.to_thread(remove, directory, names)

    def _is_head_unkept(self) -> bool:
        with reading(self._state.audit_log) as connection:
            rows = connection.execute("SELECT size, kept_size, kept_at FROM log_head").fetchall()
        return any(size != kept and not 0 <= time() - at < KEPT_EVERY_SECONDS for size, kept, at in rows)
