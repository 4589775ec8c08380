"""Tells whoever listens which approvals have changed, whoever changed them: this process or another.

One task looks at the database's change counter while anybody listens, which costs microseconds; only when
something was committed does it ask which approvals that were.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from addons.store.approvals.reading import Approvals
from addons.store.audit.problems import AuditLogUnusable

PACE = 0.1
"""Seconds between two looks."""
MOST_LISTENERS = 256
_AT_ONCE = 1000

_log = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class Listener:
    """`version` is the newest change that was told."""

    version: int
    _ids: dict[str, None] = field(default_factory=dict)
    _event: asyncio.Event = field(default_factory=asyncio.Event)
    _newest: int = 0

    async def changed(self, seconds: float) -> tuple[str, ...]:
        """Ids of what has changed since this was asked last; () where nothing has for so long, or at the end
        of it all.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._event.wait()
        self._event.clear()
        ids = tuple(self._ids)
        self._ids.clear()
        self.version = max(self.version, self._newest)
        return ids

    def tell(self, ids: tuple[str, ...], version: int) -> None:
        self._ids.update(dict.fromkeys(ids))
        self._newest = max(self._newest, version)
        self._event.set()


class ChangeFeed:
    """Belongs to one event loop."""

    def __init__(self, approvals: Approvals, pace: float = PACE, at_once: int = _AT_ONCE) -> None:
        self._approvals = approvals
        self._pace = pace
        self._at_once = at_once
        self._listeners: set[Listener] = set()
        self._counter: int | None = None
        self._version = 0
        self.is_closed = False

    @property
    def is_full(self) -> bool:
        return len(self._listeners) >= MOST_LISTENERS

    @asynccontextmanager
    async def listening(self, after: int | None) -> AsyncIterator[Listener]:
        """`after` is the version that the listener knows; None for what is there now.

        Raises AuditLogUnusable.
        """
        newest = await asyncio.to_thread(self._approvals.last_version)
        known = newest if after is None else min(after, newest)
        if not self._listeners:
            self._version, self._counter = newest, None
        listener = Listener(known)
        self._listeners.add(listener)
        try:
            missed = await asyncio.to_thread(self._approvals.changed_after, known) if known < newest else []
            if missed:
                listener.tell(tuple(each.id for each in missed), missed[-1].version)
            yield listener
        finally:
            self._listeners.discard(listener)

    async def run(self) -> None:
        """Looks until cancelled."""
        while True:
            if self._listeners:
                try:
                    await self._look()
                except AuditLogUnusable as error:
                    _log.warning("Changes of approvals can't be told for now: %s", error)
                    self._counter = None
            await asyncio.sleep(self._pace)

    def close(self) -> None:
        """Ends every listener: the process is about to stop."""
        self.is_closed = True
        for listener in self._listeners:
            listener.tell((), 0)

    async def _look(self) -> None:
        counter = await asyncio.to_thread(self._approvals.data_version)
        if counter == self._counter:
            return
        changed = await asyncio.to_thread(self._approvals.changed_after, self._version, self._at_once)
        if len(changed) < self._at_once:  # else there is more: look again
            self._counter = counter
        if not changed:
            return
        self._version = changed[-1].version
        ids = tuple(each.id for each in changed)
        for listener in self._listeners:
            listener.tell(ids, self._version)
