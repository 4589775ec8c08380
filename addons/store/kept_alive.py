"""Runs what is to run as long as its process does."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

_AGAIN = 5.0  # seconds
_log = logging.getLogger(__name__)


async def kept_alive(name: str, run: Callable[[], Awaitable[None]]) -> None:
    """One task's failure must neither end the others nor stay unseen. `name` is told to the operator."""
    while True:
        try:
            await run()
        except Exception:  # noqa: BLE001 - logged, and begun anew
            _log.exception("The task of %s failed; it starts again in %.0f s.", name, _AGAIN)
        await asyncio.sleep(_AGAIN)
