"""Runs what is to run as long as its process does."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from addons.store.audit.changes import ChangeRefused
from addons.store.audit.problems import AuditLogUnusable
from addons.store.audit.record import RecordRefused
from addons.store.writing.journal import JournalUnavailable

_AGAIN = 5.0  # seconds
_THOROUGH = 15  # every so many rounds also where nothing seems to be due
_log = logging.getLogger(__name__)


async def kept_alive(name: str, run: Callable[[], Awaitable[None]]) -> None:
    """One task's failure must neither end the others nor stay unseen. `name` is told to the operator."""
    while True:
        try:
            await run()
        except Exception:  # noqa: BLE001 - logged, and begun anew
            _log.exception("The task of %s failed; it starts again in %.0f s.", name, _AGAIN)
        await asyncio.sleep(_AGAIN)


class Look(Protocol):
    """One round of a keeper. `thorough`: look also where nothing seems to be due."""

    async def __call__(self, *, thorough: bool) -> None: ...


async def in_rounds(what: str, look: Look, pace: float) -> None:
    """Look, every `pace` seconds. What can't be done for now is told once, and tried again. `what` is looked
    after, in words for the operator.
    """
    failing = False
    rounds = 0
    while True:
        try:
            await look(thorough=rounds % _THOROUGH == 0)
            failing = False
        except (JournalUnavailable, AuditLogUnusable, ChangeRefused, RecordRefused) as error:
            if not failing:
                _log.warning("%s can't be looked after for now: %s", what, error)
            failing = True
        rounds += 1
        await asyncio.sleep(pace)
