"""The one way to write audit records and recordings: durable before it answers, and in groups.

One thread, or one process beside this one, commits. There is no timer: a commit takes whatever queued while
the last one ran, so a single caller waits for one commit, and many callers share them. A flow's bytes are on
the disk before the transaction of the record that points to them; both are before the caller hears that it is
done.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol, cast

from addons.store.audit.changes import Change
from addons.store.audit.check import check_log
from addons.store.audit.problems import AuditLogUnusable
from addons.store.audit.record import AuditRecord, RecordRefused
from addons.store.recordings.sealing import Sealer
from addons.store.recordings.segments import RecoveredSegment
from addons.store.state_dir import StateDir
from addons.store.writing.committer import (
    Appended,
    Entry,
    JournalLimits,
    JournalUnavailable,
    Opened,
    Outcome,
    Place,
)
from addons.store.writing.process_lock import ProcessLock
from addons.store.writing.process_writer import ProcessWriter
from addons.store.writing.thread_writer import ThreadWriter
from addons.store.writing.waiting import Done, Waiting, tell

__all__ = ["Appended", "Journal", "JournalLimits", "JournalUnavailable"]

_log = logging.getLogger(__name__)


class _Writer(Protocol):
    """What commits: a `ThreadWriter` or a `ProcessWriter`."""

    def open(self) -> Opened: ...
    def put(self, waiting: Waiting) -> None: ...
    def close(self) -> None: ...


class Journal:
    """Open with `Journal.open`, one per process; `append` and `probe` from any event loop."""

    def __init__(self, place: Place, writer: Callable[[Place, Done], _Writer]) -> None:
        self.recovered: tuple[RecoveredSegment, ...] = ()
        self._limits = place.limits
        self._writer = writer(place, self._settle)
        self._lock = threading.Lock()  # guards the three below
        self._waiting = 0
        self._waiting_bytes = 0
        self._closed = False
        self._failure: JournalUnavailable | None = None

    @staticmethod
    def open(
        state: StateDir,
        limits: JournalLimits | None = None,
        *,
        sealer: Sealer | None = None,
        apart: ProcessLock | None = None,
    ) -> Journal:
        """Complete what gone processes left (see `recovered`), open or make the log, start the writer.

        With a `sealer` flows are written sealed. `apart`: commit in a process of its own, which leaves the
        interpreter to the event loop; then all appends come from one loop. That process holds the lock, too:
        until it has ended this one is not gone, and nobody settles what it may still write.

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
        journal = Journal(
            place,
            ThreadWriter if apart is None else partial(ProcessWriter, inherits=(apart.descriptor,)),
        )
        journal.recovered = journal._writer.open().recovered
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

    def close(self, last: Sequence[AuditRecord] = ()) -> None:
        """Write what is queued and the `last` records, complete the segment, close the log. Blocks; further
        appends are refused. Raises `JournalUnavailable` where the last records could not be written.
        """
        written: concurrent.futures.Future[Appended] = concurrent.futures.Future()
        with self._lock:
            if self._closed:
                return
            self._closed = True
            if last:
                self._waiting += 1
                self._writer.put(Waiting(Entry(tuple(last)), None, written))
        self._writer.close()
        if last:
            written.result()

    async def _submit(
        self, records: tuple[AuditRecord, ...], flow: bytes | None, change: Change[object] | None
    ) -> Appended:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Appended] = loop.create_future()
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
            # Within the lock: nothing may queue behind the end.
            self._writer.put(Waiting(Entry(records, flow, change), loop, future))
            self._waiting += 1
            self._waiting_bytes += size
        return await future

    def _settle(self, group: Sequence[Waiting], outcomes: Sequence[Outcome]) -> None:
        failure = next((outcome for outcome in outcomes if isinstance(outcome, JournalUnavailable)), None)
        if failure is not None and self._failure is None:
            _log.error("Audit records can't be written: %s", failure)
        elif failure is None and self._failure is not None:
            _log.warning("Audit records can be written again.")
        self._failure = failure
        with self._lock:
            self._waiting -= len(group)
            self._waiting_bytes -= sum(len(each.entry.flow) for each in group if each.entry.flow)
        tell(group, outcomes)


def _closed() -> JournalUnavailable:
    return JournalUnavailable("The journal is closed.", "The gateway is shutting down; try another one.")
