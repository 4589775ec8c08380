"""Sends what waits in the outbox: at least once, each approval's messages to a receiver in order.

Every control process runs this. A delivery is claimed before it is sent, for as long as sending may take, so
that one process sends it; if that one dies in the middle, another sends it again under the same id. Each
receiver has a task of its own: a slow one holds up nobody else.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx

from addons.control.messages.post import Posted, post
from addons.control.messages.receivers import Address, Receiver, Unsendable, make_receiver
from addons.control.parts import ControlParts
from addons.core.approvals.messages.events import MessageEvent
from addons.core.approvals.messages.told import tell
from addons.store.approvals.outbox import Delivery, Outbox, Target
from addons.store.audit.problems import AuditLogUnusable
from addons.store.identity.issuer_http import FetchFailed, FetchLimits, issuer_client

_log = logging.getLogger(__name__)

_KEPT = 7 * 86400.0
"""Seconds for which messages that were sent are kept, to answer what was told to whom."""
_PRUNE_EVERY = 3600.0


@dataclass(frozen=True, slots=True)
class SenderLimits:
    """In seconds: `post` for one attempt, `lease` for how long a claim lasts, `pause` between two looks at
    the outbox. `at_once` messages are sent to one receiver at a time.
    """

    post: float = 20.0
    lease: float = 60.0
    pause: float = 0.5
    at_once: int = 8


class Sender:
    """`link` makes the address of an approval's page; `clock` gives seconds since the epoch."""

    def __init__(
        self,
        database: Path,
        receivers: Sequence[Receiver],
        link: Callable[[str], str],
        clock: Callable[[], float] = time.time,
        limits: SenderLimits | None = None,
    ) -> None:
        self._receivers = tuple(receivers)
        self._link = link
        self._clock = clock
        self._limits = limits or SenderLimits()
        self._database = database
        self._outbox: Outbox | None = None
        self._opening = threading.Lock()
        self._complained = False
        # Threads of its own: a command that tells a secret may take seconds, which pages must not wait for.
        self._threads = ThreadPoolExecutor(len(self._receivers) + 1, "messages")
        self._random = secrets.SystemRandom()

    @staticmethod
    def of(parts: ControlParts) -> Sender:
        receivers = [
            make_receiver(notify, parts.base_dir, parts.environment) for notify in parts.config.control.notify
        ]
        return Sender(
            parts.state.audit_log,
            receivers,
            lambda approval: f"{parts.public.origin}/approvals/{approval}",
            lambda: parts.now().wall,
        )

    async def run(self) -> None:
        """Until it is cancelled."""
        for name in ("httpx", "httpcore"):  # they log the addresses they call, and these may be secrets
            logger = logging.getLogger(name)
            logger.setLevel(max(logger.level, logging.WARNING))
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._plan(), name="messages: plan")
                for receiver in self._receivers:
                    tasks.create_task(self._serve(receiver), name=f"messages: {receiver.name}")
        finally:
            self._threads.shutdown(wait=False)  # what they have begun, as noting what was sent, they end
            self._close()

    async def _plan(self) -> None:
        """Makes a delivery of each new message for each receiver that wants it, and clears old ones away."""
        targets = [Target(receiver.name, receiver.events) for receiver in self._receivers]
        pruned: float | None = None
        while True:
            await self._ask(lambda outbox: outbox.plan(targets, self._clock()))
            now = self._clock()
            if pruned is None or abs(now - pruned) > _PRUNE_EVERY:
                await self._ask(lambda outbox: outbox.prune(self._clock() - _KEPT))
                pruned = now
            await asyncio.sleep(self._limits.pause)

    async def _serve(self, receiver: Receiver) -> None:
        limits = self._limits
        while True:
            deliveries = await self._ask(
                lambda outbox: outbox.claim(receiver.name, self._clock(), limits.lease, limits.at_once)
            )
            if deliveries:
                await self._deliver(receiver, deliveries)
            else:
                await asyncio.sleep(limits.pause)

    async def _deliver(self, receiver: Receiver, deliveries: Sequence[Delivery]) -> None:
        loop = asyncio.get_running_loop()
        try:
            address = await loop.run_in_executor(self._threads, receiver.address)
            client = await loop.run_in_executor(self._threads, self._client, receiver)
        except (Unsendable, FetchFailed) as problem:
            for delivery in deliveries:
                await self._settle(receiver, delivery, Posted(str(problem)))
            return
        async with client, asyncio.TaskGroup() as tasks:
            for delivery in deliveries:
                tasks.create_task(self._attempt(client, receiver, address, delivery))

    async def _attempt(
        self, client: httpx.AsyncClient, receiver: Receiver, address: Address, delivery: Delivery
    ) -> None:
        approval = delivery.approval
        try:
            told = tell(approval, MessageEvent(delivery.event), delivery.at)
            letter = address.letter(delivery.message, told, self._link(approval.id), self._clock())
        except (Unsendable, ValueError) as problem:  # ValueError: an event of a later version
            posted = Posted(str(problem), is_final=True)
        else:
            posted = await post(client, letter, self._limits.post)
        await self._settle(receiver, delivery, posted)

    async def _settle(self, receiver: Receiver, delivery: Delivery, posted: Posted) -> None:
        now, error = self._clock(), posted.error
        if error is None:
            await self._ask(lambda outbox: outbox.sent(delivery, now))
            return
        next_at = self._next(receiver, delivery.attempts, posted, now)
        ending = "see `ddgate approvals messages`" if next_at is None else "it will be tried again"
        _log.warning(
            "Receiver %s did not take message %s (attempt %d): %s; %s",
            *(receiver.name, delivery.message, delivery.attempts, error, ending),
        )
        await self._ask(lambda outbox: outbox.failed(delivery, error, next_at))

    def _next(self, receiver: Receiver, attempts: int, posted: Posted, now: float) -> float | None:
        """When to try again; None for not at all."""
        if posted.is_final or attempts > len(receiver.retries):
            return None
        pause = receiver.retries[attempts - 1] * self._random.uniform(1.0, 1.2)
        return now + max(pause, posted.retry_after)

    def _client(self, receiver: Receiver) -> httpx.AsyncClient:
        return issuer_client(receiver.ca, FetchLimits(seconds=self._limits.post))

    async def _ask[T](self, use: Callable[[Outbox], T]) -> T:
        """Goes on trying while the outbox can't be used, as when the disk is full: nothing may be lost."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                answer = await loop.run_in_executor(self._threads, self._use, use)
            except AuditLogUnusable as error:
                if not self._complained:
                    _log.error("Messages about approvals can't be sent: %s", error)
                self._complained = True
                await asyncio.sleep(self._limits.pause)
            else:
                self._complained = False
                return answer

    def _use[T](self, use: Callable[[Outbox], T]) -> T:
        with self._opening:
            if self._outbox is None:
                self._outbox = Outbox.open(self._database)
            outbox = self._outbox
        try:
            return use(outbox)
        except AuditLogUnusable:
            self._close()
            raise

    def _close(self) -> None:
        with self._opening:
            outbox, self._outbox = self._outbox, None
        if outbox is not None:
            outbox.close()
