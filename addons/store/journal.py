"""The one way to write audit records and recordings: durable before it answers, and in groups.

One thread per process commits. There is no timer: a commit takes whatever queued while the last one ran, so
a single caller waits for one commit, and many callers share them. A flow's bytes are on the disk before the
transaction of the record that points to them; both are before the caller hears that it is done.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, cast

from addons.store.audit_record import AuditRecord, RecordRefused
from addons.store.changes import Change
from addons.store.committer import (
    Appended,
    Committer,
    Entry,
    JournalLimits,
    JournalUnavailable,
    Opened,
    Outcome,
    Place,
)
from addons.store.committer_process import CommitterProcess
from addons.store.log_check import check_log
from addons.store.log_problems import AuditLogUnusable
from addons.store.sealing import Sealer
from addons.store.segments import RecoveredSegment
from addons.store.state_dir import StateDir

__all__ = ["Appended", "Journal", "JournalLimits", "JournalUnavailable"]

_log = logging.getLogger(__name__)


class _Commits(Protocol):
    """Where groups go: a `Committer`, on the journal's thread, or a `CommitterProcess`."""

    def open(self) -> Opened: ...
    def commit(self, entries: Sequence[Entry]) -> Sequence[Outcome]: ...
    def seconds_to_rotation(self) -> float | None: ...
    def rotate(self) -> None: ...
    def reopen_later(self) -> None: ...
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class _Waiting:
    """Whoever waits for one entry to be durable."""

    entry: Entry
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Appended]


class Journal:
    """Open with `Journal.open`, one per process; `append` and `probe` from any event loop."""

    def __init__(
        self, committer: _Commits, limits: JournalLimits, recovered: Sequence[RecoveredSegment]
    ) -> None:
        self.recovered = tuple(recovered)
        self._limits = limits
        self._committer = committer
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._lock = threading.Lock()  # guards the three below
        self._waiting = 0
        self._waiting_bytes = 0
        self._closed = False
        self._failure: JournalUnavailable | None = None
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)

    @staticmethod
    def open(
        state: StateDir,
        limits: JournalLimits | None = None,
        *,
        sealer: Sealer | None = None,
        apart: bool = False,
    ) -> Journal:
        """Complete what gone processes left (see `recovered`), open or make the log, start the writer.

        With a `sealer` flows are written sealed. `apart`: commit in a process of its own, which leaves the
        interpreter to the event loop.

        Blocks. Raises `JournalUnavailable` if records or recordings can't be written, or the log doesn't
        verify (see `check_log`).
        """
        limits = limits or JournalLimits()
        try:
            if state.audit_log.exists():
                check_log(state)
        except AuditLogUnusable as error:
            raise JournalUnavailable(error.what, error.remedy) from None
        place = Place(state.audit_log, state.recordings, limits, sealer)
        committer = CommitterProcess(place) if apart else Committer(place)
        journal = Journal(committer, limits, committer.open().recovered)
        journal._thread.start()
        return journal

    async def append(
        self,
        records: Sequence[AuditRecord],
        flow: bytes | None = None,
        *,
        change: Change[object] | None = None,
    ) -> Appended:
        """Return once all records, `flow` (one serialised mitmproxy flow) and `change` would survive a crash.

        Records without a `recording` get the flow's. Without a flow too, it fails while recordings couldn't
        be written: what is attempted now will want to be recorded.

        Raises `JournalUnavailable`, `RecordRefused` for a record that isn't JSON or whose id is taken,
        or `ChangeRefused` for a change that can't happen; in each case nothing of this append is acknowledged
        (after a failure at the last moment it may be on the disk nevertheless). A caller that is cancelled
        learns nothing; its records are still written, and its change happens.
        """
        if not records and change is None:
            raise RecordRefused("an append without records")
        return await self._submit(tuple(records), flow, change)

    async def change[T](
        self, change: Change[T], records: Sequence[AuditRecord] = (), flow: bytes | None = None
    ) -> T:
        """`append` with a change, and give what that gave."""
        return cast(T, (await self.append(records, flow, change=change)).changed)

    async def probe(self) -> None:
        """Really write and sync a file beside the recordings, and take the log's write lock.

        Raises `JournalUnavailable`.
        """
        await self._submit((), None, None)

    def failure(self) -> JournalUnavailable | None:
        """Say what was wrong at the last commit or probe; None when it went well. Costs nothing."""
        if self._closed:
            return _closed()
        return self._failure

    def healthy(self) -> bool:
        return self.failure() is None

    def close(self) -> None:
        """Write what is queued, complete the segment, close the log. Blocks; further appends are refused."""
        with self._lock:
            already, self._closed = self._closed, True
        if not already:
            self._queue.put(None)
        self._thread.join()

    async def _submit(
        self, records: tuple[AuditRecord, ...], flow: bytes | None, change: Change[object] | None
    ) -> Appended:
        loop = asyncio.get_running_loop()
        waiting = _Waiting(Entry(records, flow, change), loop, loop.create_future())
        size = len(flow) if flow else 0
        with self._lock:
            if self._closed:
                raise _closed()
            if (
                self._waiting >= self._limits.queued_appends
                or self._waiting_bytes + size > self._limits.queued_bytes
            ):
                raise JournalUnavailable(
                    f"Too much waits to be written: {self._waiting} appends, {self._waiting_bytes} bytes.",
                    "The disk of the state directory is too slow for this traffic.",
                )
            self._waiting += 1
            self._waiting_bytes += size
            self._queue.put(waiting)  # within the lock: nothing may queue behind the closing mark
        return await waiting.future

    def _run(self) -> None:
        while True:
            group = self._next_group()
            waiting = [each for each in group if each is not None]
            if waiting:
                self._commit(waiting)
            if len(waiting) < len(group):
                break
        self._committer.close()

    def _next_group(self) -> list[_Waiting | None]:
        """Wait for one, then takes all there are; completes the segment when it is due meanwhile."""
        while True:
            try:
                group = [self._queue.get(timeout=self._committer.seconds_to_rotation())]
                break
            except queue.Empty:
                self._committer.rotate()
        while True:
            try:
                group.append(self._queue.get_nowait())
            except queue.Empty:
                return group

    def _commit(self, group: Sequence[_Waiting]) -> None:
        entries = [each.entry for each in group]
        outcomes: Sequence[Outcome]
        try:
            outcomes = self._committer.commit(entries)
        except Exception:  # noqa: BLE001 - every caller is refused, and the thread lives to refuse or serve the next
            _log.exception("The journal's writer failed unexpectedly.")
            self._committer.reopen_later()
            outcomes = [
                JournalUnavailable("The journal failed unexpectedly.", "See the gateway's log.")
            ] * len(entries)
        failure = next((outcome for outcome in outcomes if isinstance(outcome, JournalUnavailable)), None)
        if failure is not None and self._failure is None:
            _log.error("Audit records can't be written: %s", failure)
        elif failure is None and self._failure is not None:
            _log.warning("Audit records can be written again.")
        self._failure = failure
        with self._lock:
            self._waiting -= len(entries)
            self._waiting_bytes -= sum(len(entry.flow) for entry in entries if entry.flow)
        per_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Appended], Outcome]]] = {}
        for each, outcome in zip(group, outcomes, strict=True):
            per_loop.setdefault(each.loop, []).append((each.future, outcome))
        for loop, answers in per_loop.items():
            try:
                loop.call_soon_threadsafe(_answer, answers)
            except RuntimeError:  # that loop is closed: nobody waits any more
                continue


def _answer(answers: Sequence[tuple[asyncio.Future[Appended], Outcome]]) -> None:
    for future, outcome in answers:
        if future.done():  # cancelled: its caller is gone
            continue
        if isinstance(outcome, Appended):
            future.set_result(outcome)
        elif isinstance(outcome, JournalUnavailable):
            # An exception of its own for each: raising one adds the raiser's frames to it.
            future.set_exception(JournalUnavailable(outcome.what, outcome.remedy))
        else:
            future.set_exception(outcome)


def _closed() -> JournalUnavailable:
    return JournalUnavailable("The journal is closed.", "The gateway is shutting down; try another one.")
