"""Masks each body where that holds up nobody else: small ones here, clean ones no further than a thread, and
what has to be taken apart in another process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from addons.core.redact.masking.asked import Masks
from addons.core.redact.message_masks import MessageMasks
from addons.core.redact.scrubber import Scrubbed
from addons.store.masking.fair_turns import FairTurns, NoTurn, TurnLimits
from addons.store.masking.workers import MaskingUnavailable, MaskingWorkers, WorkerLimits

_HERE = 1024
"""Bytes of a body that is masked while every other call waits: one that holds nothing but secrets, each in an
encoding of its own, takes a few milliseconds.
"""
_LOOKED_AT_HERE = 16 * 1024
"""Bytes of a body that is looked at here, for whether it is clean; that goes at the gate's speed."""
# Of its own, and few: bodies that take long must not keep every call's small work (decoding, counting, the
# trail) waiting for a thread.
_THREADS = 2


class Masking:
    """For one event loop; see `MaskingWorkers` for which thread that must be. `user` is whoever sent the
    body, or gets it: users share threads and workers evenly. Keeps no message.
    """

    def __init__(self, masks: MessageMasks, limits: WorkerLimits | None = None) -> None:
        self._masks = masks
        self._workers = MaskingWorkers(masks, limits)
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="redaction")
        turns = limits.turns if limits is not None else TurnLimits(at_once=_THREADS)
        self._turns = FairTurns(replace(turns, at_once=_THREADS))

    def prepare(self, detect_sets: Iterable[frozenset[str]]) -> None:
        self._masks.prepare(detect_sets)

    async def apply(self, masks: Masks, body: bytes, content_type: str | None, user: Hashable) -> Scrubbed:
        """As `MessageMasks.apply`.

        Raises:
            TooComplex: it can't be read, or not in time.
            NotMaskable: as there.
            MaskingUnavailable: it could not be masked now, whatever is in it.

        """
        if not body or not masks:
            return Scrubbed(body, {}, changed=False)
        if not self._masks.is_prepared(masks):
            await self.in_thread(user, lambda: self._masks.prepare((masks.detect,)))
        if len(body) <= _HERE:
            return self._masks.apply(masks, body, content_type)
        if len(body) <= _LOOKED_AT_HERE:
            is_clean = self._masks.is_clean(masks, body, content_type)
        else:
            is_clean = await self.in_thread(user, lambda: self._masks.is_clean(masks, body, content_type))
        if is_clean:
            return Scrubbed(body, {}, changed=False)
        return await self._workers.apply(masks, body, content_type, user)

    async def in_thread[T](self, user: Hashable, work: Callable[[], T]) -> T:
        """Do what is too much for the event loop, when it is the user's turn. Raises MaskingUnavailable."""
        try:
            async with self._turns.turn(user):
                return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except NoTurn as error:
            raise MaskingUnavailable(f"too many messages wait to be looked at: {error}") from None

    def processes(self) -> tuple[int, ...]:
        """Ids of the workers that run."""
        return self._workers.processes()

    def close(self) -> None:
        self._workers.close()
        self._threads.shutdown(wait=False, cancel_futures=True)
