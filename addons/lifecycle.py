"""Start, readiness, and a stop that loses nothing: SIGTERM closes the door, lets the calls inside finish,
and only then ends the process.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic, time
from weakref import WeakSet

from mitmproxy import ctx, http

from addons import flowstate
from addons.answers import refuse
from addons.core.model import Reason, Refusal
from addons.store.audit.record import AuditRecord, RecordKind
from addons.store.gateway_status import Counted, GatewayStatus, remove_status, write_status
from addons.store.identity.key_sets import KeySets
from addons.store.writing.journal import Journal, JournalUnavailable
from addons.streamed_answer import break_off

logger = logging.getLogger(__name__)

_STATUS_INTERVAL = 1.0
_RETRY_INTERVAL = 0.2
_PROBE_INTERVAL = 15.0
_END_OF_STREAMS = 2.0
_DRAINING = Refusal(
    503, Reason.DRAINING, "the gateway is stopping", "connect again; another process may serve"
)
_NOT_READY = Refusal(
    503,
    Reason.NOT_READY,
    "the gateway can't serve as it was started",
    "tell its operator; `/readyz` says why",
)


class Lifecycle:
    """`checks` name what must hold for the gateway to be ready; each gives None, or what is wrong. `guard` is
    put beside the chain, into mitmproxy's own list, where it outlives the chain. `settle` records how a call
    ended, `retry` writes records that could not be written when they were due, `end_reads` ends what the
    gateway itself is reading. `warnings` are what an operator should know of a gateway that is ready all the
    same.
    """

    def __init__(  # noqa: PLR0913 - the parts of one process
        self,
        *,
        guard: object,
        settle: Callable[[http.HTTPFlow], Awaitable[None]],
        retry: Callable[[], Awaitable[None]],
        end_reads: Callable[[], Awaitable[None]],
        journal: Journal,
        key_sets: KeySets,
        state_dir: Path,
        checks: Mapping[str, Callable[[], str | None]],
        warnings: Callable[[], Mapping[str, Sequence[str]]],
        policy_revision: Callable[[], str],
        counted: Callable[[], Counted],
        holding: Callable[[], int],
        listen: str,
    ) -> None:
        self._guard = guard
        self._settle = settle
        self._retry = retry
        self._end_reads = end_reads
        self._journal = journal
        self._key_sets = key_sets
        self._state_dir = state_dir
        self._checks = checks
        self._warnings = warnings
        self._policy_revision = policy_revision
        self._counted = counted
        self._holding = holding
        self._listen = listen
        self._flows: WeakSet[http.HTTPFlow] = WeakSet()
        self._tasks: list[asyncio.Task[None]] = []
        self.is_draining = False

    @property
    def calls_in_flight(self) -> int:
        return sum(1 for flow in self._flows if flow.live)

    def http_connect(self, flow: http.HTTPFlow) -> None:
        self._refuse_unless_serving(flow)

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        self._flows.add(flow)
        self._refuse_unless_serving(flow)

    def response(self, flow: http.HTTPFlow) -> None:
        if self.is_draining:
            for response in (flowstate.call_of(flow).answer, flow.response):
                if response is not None:
                    response.headers["Connection"] = "close"

    def running(self) -> None:
        # Not a coroutine, and neither is `done`: mitmproxy calls both so when it reloads a script.
        if not any(type(addon) is type(self._guard) for addon in ctx.master.addons.chain):
            ctx.master.addons.add(self._guard)
        self._tasks = [
            asyncio.create_task(self._key_sets.run()),
            asyncio.create_task(self._keep_probing()),
            asyncio.create_task(self._tell_status()),
            asyncio.create_task(self._tell_start()),
        ]

    def done(self) -> None:
        for task in self._tasks:
            task.cancel()
        try:
            self._journal.close([_record(RecordKind.STOPPED, "stopped")])
        except JournalUnavailable as error:
            logger.error("that the gateway stopped is not on record: %s", error)  # noqa: TRY400 - no traceback
        self._key_sets.close()
        remove_status(self._state_dir, os.getpid())

    async def drain(self, seconds: float) -> None:
        """Accepts nothing new, and returns once no call is under way, or after `seconds`."""
        self.is_draining = True
        if (proxy := ctx.master.addons.get("proxyserver")) is not None:
            await proxy.servers.update([])
        deadline = monotonic() + seconds
        while self.calls_in_flight and monotonic() < deadline:  # noqa: ASYNC110 - flows end silently
            await asyncio.sleep(0.02)
        if self.calls_in_flight:
            logger.warning("stopping with %d calls under way: drain time is over", self.calls_in_flight)
        await self._end_streams()
        left = [flow for flow in self._flows if flow.live]
        for flow in left:
            call = flowstate.call_of(flow)
            if call.refusal is None and not call.attempted:
                refuse(flow, call, _DRAINING)  # whatever stage it waits in, it goes no further
        await asyncio.gather(*(self._settle(flow) for flow in left))
        await self._end_reads()
        await self._retry()

    async def _end_streams(self) -> None:
        """Cuts the answers that are still passed on, so that what passed of each is recorded."""
        streams = [flow for flow in self._flows if flow.live and flowstate.call_of(flow).stream is not None]
        for flow in streams:
            refuse(flow, flowstate.call_of(flow), _DRAINING)
            break_off(flow, "the gateway is stopping")
        deadline = monotonic() + _END_OF_STREAMS
        while any(flow.live for flow in streams) and monotonic() < deadline:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.02)

    def problems(self) -> dict[str, str]:
        found = {name: check() for name, check in self._checks.items()}
        return {name: problem for name, problem in found.items() if problem is not None}

    def _refuse_unless_serving(self, flow: http.HTTPFlow) -> None:
        call = flowstate.call_of(flow)
        if self.is_draining:
            refuse(flow, call, _DRAINING)
        elif self._checks["options"]() is not None:
            refuse(flow, call, _NOT_READY)

    async def _keep_probing(self) -> None:
        """Finds out on an idle gateway, too, that records can't be written, or can be again.

        On its own: a probe may wait for seconds, and the status must be told meanwhile.
        """
        probed_at = -_PROBE_INTERVAL
        while True:
            if not self._journal.healthy() or monotonic() - probed_at >= _PROBE_INTERVAL:
                probed_at = monotonic()
                with suppress(JournalUnavailable):
                    await self._journal.probe()
            if self._journal.healthy():
                await self._retry()
            await asyncio.sleep(_RETRY_INTERVAL)

    async def _tell_status(self) -> None:
        while True:
            problems = await asyncio.to_thread(self.problems)
            status = GatewayStatus(
                pid=os.getpid(),
                time=time(),
                listen=self._listen,
                state="draining" if self.is_draining else "serving",
                calls_in_flight=self.calls_in_flight,
                policy_revision=self._policy_revision(),
                problems=problems,
                warnings=self._warnings(),
                counted=self._counted(),
                holding=self._holding(),
            )
            try:
                await asyncio.to_thread(write_status, self._state_dir, status)
            except OSError as error:
                logger.warning("the status file can't be written: %s", error.strerror)
            await asyncio.sleep(_STATUS_INTERVAL if not problems else _RETRY_INTERVAL)

    async def _tell_start(self) -> None:
        try:
            await self._journal.append([_record(RecordKind.STARTED, f"listening on {self._listen}")])
        except JournalUnavailable as error:
            logger.error("that the gateway started is not on record: %s", error)  # noqa: TRY400 - no traceback


def _record(kind: RecordKind, message: str) -> AuditRecord:
    return AuditRecord(kind, time(), message=message, attributes={"pid": os.getpid()})
