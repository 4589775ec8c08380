"""What commits: flows to the disk first, then records and changes in one transaction of the audit log.

A `Committer` belongs to one thread, of the process whose journal it is (see `journal`) or of one beside it
(see `process_writer`).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import time

from addons.core.start_problems import StartProblem
from addons.store.audit.changes import Change, ChangeRefused
from addons.store.audit.problems import AuditLogUnusable
from addons.store.audit.record import AuditRecord, RecordKind, RecordRefused, SegmentRef
from addons.store.recordings.sealing import Sealer
from addons.store.recordings.segments import RecoveredSegment, SegmentLimits, SegmentWriter, recover_segments
from addons.store.writing.audit_log import AuditLog, Wish, Written, WrittenOrNot

_log = logging.getLogger(__name__)


class JournalUnavailable(StartProblem):
    """Nothing of this append is acknowledged: `what` is wrong, `remedy` helps. The next append tries anew."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what} {remedy}")
        self.what = what
        self.remedy = remedy

    def __reduce__(self) -> tuple[type[JournalUnavailable], tuple[str, str]]:
        return JournalUnavailable, (self.what, self.remedy)


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


@dataclass(frozen=True, slots=True)
class Entry:
    """What one caller wants written, `flow` a serialised one; without records and change it is a probe."""

    records: tuple[AuditRecord, ...]
    flow: bytes | None = None
    change: Change[object] | None = None

    @property
    def is_probe(self) -> bool:
        return not self.records and self.change is None


type Outcome = Appended | JournalUnavailable | RecordRefused | ChangeRefused
type _Encoded = list[tuple[AuditRecord, str]] | JournalUnavailable | RecordRefused


@dataclass(frozen=True, slots=True)
class Place:
    """Where a journal writes: the log's file, the directory of the recordings, and how."""

    database: Path
    recordings: Path
    limits: JournalLimits
    sealer: Sealer | None = None


@dataclass(frozen=True, slots=True)
class Opened:
    """The log's device and inode, and the segments that were completed for processes that are gone."""

    file: tuple[int, int]
    recovered: tuple[RecoveredSegment, ...]


class Committer:
    """Everything here blocks and belongs to one thread alone."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._recordings = place.recordings
        self._log: AuditLog | None = None
        self._file: tuple[int, int] | None = None  # the log's, from the first time it was opened
        self._segments = SegmentWriter(place.recordings, place.limits.segments, place.sealer)

    def open(self, file: tuple[int, int] | None = None) -> Opened:
        """Complete the segments of processes that are gone, and make the log where there is none; with the
        `file` (device and inode) of a log that was in use, it must be that one.

        What was cut off a segment is on record afterwards. Raises `JournalUnavailable`.
        """
        try:
            recovered = tuple(recover_segments(self._recordings))
            self._log = self._opened_log(file)
            self._file = self._log.file
            self._segments.check(thorough=True)
            if cut := [_record_of(each) for each in recovered if each.torn or each.problem]:
                self._log.append([[(record, record.encode())] for record in cut])
        except AuditLogUnusable as error:
            self.close()
            raise JournalUnavailable(error.what, error.remedy) from None
        except OSError as error:
            self.close()
            raise _recordings_unavailable(self._recordings, error) from None
        return Opened(self._file, recovered)

    def commit(self, entries: Sequence[Entry]) -> list[Outcome]:
        """Give one outcome per entry.

        A flow that can't be written fails its own append; a recording directory or a log that can't be used
        fails all.
        """
        refs: list[SegmentRef | JournalUnavailable | None] = []
        try:
            self._segments.check(thorough=any(entry.is_probe for entry in entries))
            refs = [self._write(entry.flow) for entry in entries]
            if any(isinstance(ref, SegmentRef) for ref in refs):
                self._segments.sync()
        except OSError as error:
            return [_recordings_unavailable(self._recordings, error)] * len(entries)
        prepared = [self._encode(entry, ref) for entry, ref in zip(entries, refs, strict=True)]
        try:
            results = iter(self._append(entries, prepared))
        except AuditLogUnusable as error:
            self.reopen_later()
            return [JournalUnavailable(error.what, error.remedy)] * len(entries)
        outcomes: list[Outcome] = []
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
        self, entries: Sequence[Entry], prepared: Sequence[_Encoded]
    ) -> Sequence[tuple[int, ...] | WrittenOrNot]:
        """Write what could be encoded. Without any change it costs no statement more than the records."""
        log = self._open_log()
        if all(entry.change is None for entry in entries):
            return log.append([group for group in prepared if isinstance(group, list)])
        return log.append_with_changes(
            [
                Wish(group, entry.change)
                for entry, group in zip(entries, prepared, strict=True)
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
            self._log = self._opened_log(self._file)
        return self._log

    def _opened_log(self, file: tuple[int, int] | None) -> AuditLog:
        busy = self._place.limits.busy_seconds
        return AuditLog.open(self._place.database, busy_seconds=busy, create=file is None, same_as=file)

    def _write(self, flow: bytes | None) -> SegmentRef | JournalUnavailable | None:
        try:
            return None if flow is None else self._segments.append(flow)
        except OSError as error:
            return _recordings_unavailable(self._recordings, error)

    def _encode(self, entry: Entry, ref: SegmentRef | JournalUnavailable | None) -> _Encoded:
        if isinstance(ref, JournalUnavailable):
            return ref
        records = entry.records
        if ref is not None:
            records = tuple(
                replace(record, recording=ref) if record.recording is None else record for record in records
            )
        try:
            return [(record, record.encode()) for record in records]
        except RecordRefused as error:
            return error


def _record_of(segment: RecoveredSegment) -> AuditRecord:
    cut = f"{segment.torn} bytes after its last whole flow were set aside"
    return AuditRecord(
        RecordKind.RECORDING_RECOVERED,
        time(),
        message=f"{segment.segment}: {segment.problem or cut}",
        attributes={"segment": segment.segment, "kept": segment.kept, "torn": segment.torn},
    )


def _recordings_unavailable(directory: Path, error: OSError) -> JournalUnavailable:
    return JournalUnavailable(
        f"Recordings in {directory} can't be written ({error.strerror}).",
        "Make the directory writable, and free space on its disk.",
    )
