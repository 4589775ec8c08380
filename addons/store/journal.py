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
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

from addons.core.start_problems import StartProblem
from addons.store.audit_log import AuditLog, Wish, Written, WrittenOrNot
from addons.store.audit_record import AuditRecord, RecordRefused, SegmentRef
from addons.store.changes import Change, ChangeRefused
from addons.store.log_check import check_log
from addons.store.log_problems import AuditLogUnusable
from addons.store.sealing import Sealer
from addons.store.segments import RecoveredSegment, SegmentLimits, SegmentWriter, recover_segments
from addons.store.state_dir import StateDir

_log = logging.getLogger(__name__)


class JournalUnavailable(StartProblem):
    """Nothing of this append is acknowledged: `what` is wrong, `remedy` helps. The next append tries anew."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what} {remedy}")
        self.what = what
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class JournalLimits:
    """How much may wait, and how long.

    `queued_appends` and `queued_bytes` (of flows): what may wait before further appends are refused.
    `busy_seconds`: how long to wait for another process's transaction.
    """

    queued_appends: int = 10_000
    queued_bytes: int = 256 * 1024 * 1024
    busy_seconds: float = 3.0
    segments: SegmentLimits = field(default_factory=SegmentLimits)


@dataclass(frozen=True, slots=True)
class Appended:
    """What one append became: an index in the log per record, where the flow lies, if one was given, and what
    the change gave.
    """

    indices: tuple[int, ...]
    recording: SegmentRef | None
    changed: object = None


type _Encoded = list[tuple[AuditRecord, str]] | JournalUnavailable | RecordRefused
type _Outcome = Appended | JournalUnavailable | RecordRefused | ChangeRefused


@dataclass(frozen=True, slots=True)
class _Append:
    """One caller's wish; without records and change it is a probe."""

    records: tuple[AuditRecord, ...]
    flow: bytes | None
    change: Change[object] | None
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Appended]

    @property
    def is_probe(self) -> bool:
        return not self.records and self.change is None


class Journal:
    """Open with `Journal.open`, one per process; `append` and `probe` from any event loop."""

    def __init__(
        self,
        state: StateDir,
        limits: JournalLimits,
        recovered: Sequence[RecoveredSegment],
        sealer: Sealer | None = None,
    ) -> None:
        self.recovered = tuple(recovered)
        self._limits = limits
        self._committer = _Committer(state.audit_log, state.recordings, limits, sealer)
        self._queue: queue.SimpleQueue[_Append | None] = queue.SimpleQueue()
        self._lock = threading.Lock()  # guards the three below
        self._waiting = 0
        self._waiting_bytes = 0
        self._closed = False
        self._failure: JournalUnavailable | None = None
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)

    @staticmethod
    def open(
        state: StateDir, limits: JournalLimits | None = None, *, sealer: Sealer | None = None
    ) -> Journal:
        """Complete what gone processes left (see `recovered`), open or make the log, start the writer.

        With a `sealer` flows are written sealed.

        Blocks. Raises `JournalUnavailable` if records or recordings can't be written, or the log doesn't
        verify (see `check_log`).
        """
        try:
            recovered = recover_segments(state.recordings)
        except OSError as error:
            raise _recordings_unavailable(state.recordings, error) from None
        journal = Journal(state, limits or JournalLimits(), recovered, sealer)
        try:
            if state.audit_log.exists():
                check_log(state)
        except AuditLogUnusable as error:
            raise JournalUnavailable(error.what, error.remedy) from None
        journal._committer.open()
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
        wish = _Append(records, flow, change, loop, loop.create_future())
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
            self._queue.put(wish)  # within the lock: nothing may queue behind the closing mark
        return await wish.future

    def _run(self) -> None:
        while True:
            group = self._next_group()
            wishes = [wish for wish in group if wish is not None]
            if wishes:
                self._commit(wishes)
            if len(wishes) < len(group):
                break
        self._committer.close()

    def _next_group(self) -> list[_Append | None]:
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

    def _commit(self, wishes: list[_Append]) -> None:
        outcomes: Sequence[_Outcome]
        try:
            outcomes = self._committer.commit(wishes)
        except Exception:  # noqa: BLE001 - every caller is refused, and the thread lives to refuse or serve the next
            _log.exception("The journal's writer failed unexpectedly.")
            self._committer.reopen_later()
            outcomes = [
                JournalUnavailable("The journal failed unexpectedly.", "See the gateway's log.")
            ] * len(wishes)
        failure = next((outcome for outcome in outcomes if isinstance(outcome, JournalUnavailable)), None)
        if failure is not None and self._failure is None:
            _log.error("Audit records can't be written: %s", failure)
        elif failure is None and self._failure is not None:
            _log.warning("Audit records can be written again.")
        self._failure = failure
        with self._lock:
            self._waiting -= len(wishes)
            self._waiting_bytes -= sum(len(wish.flow) for wish in wishes if wish.flow)
        per_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Appended], _Outcome]]] = {}
        for wish, outcome in zip(wishes, outcomes, strict=True):
            per_loop.setdefault(wish.loop, []).append((wish.future, outcome))
        for loop, answers in per_loop.items():
            try:
                loop.call_soon_threadsafe(_answer, answers)
            except RuntimeError:  # that loop is closed: nobody waits any more
                continue


class _Committer:
    """What the writer's thread does: everything here blocks and belongs to that thread alone."""

    def __init__(
        self, database: Path, recordings: Path, limits: JournalLimits, sealer: Sealer | None = None
    ) -> None:
        self._database = database
        self._recordings = recordings
        self._limits = limits
        self._log: AuditLog | None = None
        self._file: tuple[int, int] | None = None  # the log's, from the first time it was opened
        self._segments = SegmentWriter(recordings, limits.segments, sealer)

    def open(self) -> None:
        try:
            self._log = AuditLog.open(self._database, busy_seconds=self._limits.busy_seconds, create=True)
            self._file = self._log.file
            self._segments.check(thorough=True)
        except AuditLogUnusable as error:
            raise JournalUnavailable(error.what, error.remedy) from None
        except OSError as error:
            self.close()
            raise _recordings_unavailable(self._recordings, error) from None

    def commit(self, wishes: Sequence[_Append]) -> list[_Outcome]:
        """Give one outcome per wish.

        A flow that can't be written fails its own append; a recording directory or a log that can't be used
        fails all.
        """
        refs: list[SegmentRef | JournalUnavailable | None] = []
        try:
            self._segments.check(thorough=any(wish.is_probe for wish in wishes))
            refs = [self._write(wish.flow) for wish in wishes]
            if any(isinstance(ref, SegmentRef) for ref in refs):
                self._segments.sync()
        except OSError as error:
            return [_recordings_unavailable(self._recordings, error)] * len(wishes)
        prepared = [self._encode(wish, ref) for wish, ref in zip(wishes, refs, strict=True)]
        try:
            results = iter(self._append(wishes, prepared))
        except AuditLogUnusable as error:
            self.reopen_later()
            return [JournalUnavailable(error.what, error.remedy)] * len(wishes)
        outcomes: list[_Outcome] = []
        for group, ref in zip(prepared, refs, strict=True):
            result = next(results) if isinstance(group, list) else group
            where = ref if isinstance(ref, SegmentRef) else None
            if isinstance(result, tuple):
                outcomes.append(Appended(result, where))
            elif isinstance(result, Written):
                outcomes.append(Appended(result.indices, where, result.changed))
            else:
                outcomes.append(result)
        return outcomes

    def _append(
        self, wishes: Sequence[_Append], prepared: Sequence[_Encoded]
    ) -> Sequence[tuple[int, ...] | WrittenOrNot]:
        """Write what could be encoded. Without any change it costs no statement more than the records."""
        log = self._open_log()
        if all(wish.change is None for wish in wishes):
            return log.append([group for group in prepared if isinstance(group, list)])
        return log.append_with_changes(
            [
                Wish(group, wish.change)
                for wish, group in zip(wishes, prepared, strict=True)
                if isinstance(group, list)
            ]
        )

    def seconds_to_rotation(self) -> float | None:
        return self._segments.seconds_to_rotation()

    def rotate(self) -> None:
        try:
            self._segments.rotate()
        except OSError as error:  # what is in it is durable; the next start completes it
            _log.warning("A segment in %s could not be completed: %s", self._recordings, error.strerror)

    def reopen_later(self) -> None:
        log, self._log = self._log, None
        if log is not None:
            log.close()

    def close(self) -> None:
        self.rotate()
        self.reopen_later()

    def _open_log(self) -> AuditLog:
        if self._log is None:
            self._log = AuditLog.open(
                self._database, busy_seconds=self._limits.busy_seconds, create=False, same_as=self._file
            )
        return self._log

    def _write(self, flow: bytes | None) -> SegmentRef | JournalUnavailable | None:
        try:
            return None if flow is None else self._segments.append(flow)
        except OSError as error:
            return _recordings_unavailable(self._recordings, error)

    def _encode(self, wish: _Append, ref: SegmentRef | JournalUnavailable | None) -> _Encoded:
        if isinstance(ref, JournalUnavailable):
            return ref
        records = wish.records
        if ref is not None:
            records = tuple(
                replace(record, recording=ref) if record.recording is None else record for record in records
            )
        try:
            return [(record, record.encode()) for record in records]
        except RecordRefused as error:
            return error


def _answer(answers: Sequence[tuple[asyncio.Future[Appended], _Outcome]]) -> None:
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


def _recordings_unavailable(directory: Path, error: OSError) -> JournalUnavailable:
    return JournalUnavailable(
        f"Recordings in {directory} can't be written ({error.strerror}).",
        "Make the directory writable, and free space on its disk.",
    )
