"""Brings an index up to date with the segments: what is new in each, once, and what can't be read."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from addons.store.audit.record import SegmentRef
from addons.store.recordings.entry import Entry, entry_of
from addons.store.recordings.flows import LARGEST, NOT_A_FLOW, StoredFlow
from addons.store.recordings.index_file import IndexUntrusted
from addons.store.recordings.sealing import SealKeys
from addons.store.recordings.segment_reader import (
    SUFFIXES,
    FlowSealed,
    Frame,
    SegmentDamaged,
    final_name,
    frames,
    is_open,
    open_segment,
    read_frame,
    tag_of,
)

_FLOWS_PER_COMMIT = 1000
_BYTES_PER_COMMIT = 64 * 1024 * 1024
_COLUMNS = (
    *("call", "flow", "time", "duration", "issuer", "subject", "on_behalf_of", "session", "operation"),
    *("rule", "effect", "reason", "refused", "approval", "method", "host", "path", "query", "status"),
    *("findings", "request_size", "answer_size"),
)
_INSERT = (
    f"INSERT INTO calls ({', '.join(_COLUMNS)}, segment, offset, length, sha256) "  # noqa: S608 - constants
    f"VALUES ({', '.join('?' * (len(_COLUMNS) + 4))})"
)

type Progress = Callable[[int, int], None]
"""Hears how many bytes of how many are read."""


@dataclass(frozen=True, slots=True)
class Unread:
    """What of a segment is left out, and from which byte; None for the segment as a whole."""

    segment: str
    offset: int | None
    what: str

    def __str__(self) -> str:
        place = "" if self.offset is None else f", byte {self.offset}"
        return f"segment {self.segment}{place}: {self.what}"


@dataclass(slots=True)
class _Segment:
    """What the index knows of a segment: as it was when it was last looked at, and how far it is read."""

    name: str
    complete: bool
    size: int = 0
    changed: int = 0
    read: int = 0
    problem: str | None = None
    unread: int = 0
    unread_at: int | None = None


class Sync:
    """`run` once; nobody else may write to the connection's file meanwhile."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        directory: Path,
        keys: SealKeys,
        progress: Progress | None = None,
    ) -> None:
        self._connection = connection
        self._keys = keys
        self._directory = directory
        self._progress = progress
        self._total = 0
        self._done = 0

    def run(self) -> None:
        """Raises sqlite3.Error, and OSError where the directory can't be listed."""
        present = _present(self._directory)
        known = {segment.name: segment for segment in self._known()}
        for name in known.keys() - present.keys():
            if not self._is_there(name):
                self._forget(name)
        due = []
        for name in sorted(present):
            found, (complete, now) = known.get(name), present[name]
            if found is None or _differs(found, complete=complete, now=now):
                if found is not None:
                    self._forget(name)
                found = _Segment(name, complete)
            elif _is_as_it_was(found, complete=complete, now=now):
                continue
            found.complete = complete
            self._total += max(0, now.st_size - found.read)
            due.append(found)
        for segment in due:
            self._read(segment)

    def _known(self) -> Iterable[_Segment]:
        rows = self._connection.execute(
            "SELECT name, complete, size, changed, read, problem, unread, unread_at FROM segments"
        )
        for row in rows.fetchall():
            name, complete, size, changed, read, problem, count, first = row
            if not all(isinstance(each, int) for each in (size, changed, read, count)):
                raise IndexUntrusted  # a damaged page gives what its column's type forbids
            yield _Segment(str(name), bool(complete), size, changed, read, problem, count, first)

    def _is_there(self, name: str) -> bool:
        """It may have been completed, and so renamed, while the directory was listed."""
        plain = self._directory / name
        return plain.exists() or plain.with_name(f"{name}.open").exists()

    def _forget(self, name: str) -> None:
        with self._transaction():
            self._connection.execute("DELETE FROM calls WHERE segment = ?", (name,))
            self._connection.execute("DELETE FROM segments WHERE name = ?", (name,))

    def _read(self, segment: _Segment) -> None:
        segment.problem = None
        try:
            descriptor = open_segment(self._directory, segment.name)
        except OSError as error:
            segment.problem = error.strerror or "can't be read"
            self._keep(segment, [])
            return
        if descriptor is None:  # gone since it was listed
            return
        try:
            self._read_all(descriptor, segment)
        finally:
            os.close(descriptor)

    def _read_all(self, descriptor: int, segment: _Segment) -> None:
        more = True
        while more:
            entries: list[Entry] = []
            try:
                found = os.fstat(descriptor)
                segment.size, segment.changed = found.st_size, found.st_mtime_ns
                if not stat.S_ISREG(found.st_mode):
                    segment.problem = "not a plain file"
                    more = False
                else:
                    more = self._read_some(descriptor, segment, entries)
            except FlowSealed as error:  # the key may be there the next time
                segment.problem, segment.changed = str(error), 0
                more = False
            except SegmentDamaged:
                segment.problem = "no flow begins here; the rest of it is left out"
                more = False
            except OSError as error:  # may pass: read anew the next time
                segment.problem, segment.changed = error.strerror or "can't be read", 0
                more = False
            self._keep(segment, entries)

    def _read_some(self, descriptor: int, segment: _Segment, entries: list[Entry]) -> bool:
        """Read what one commit takes; whether there may be more. Raises SegmentDamaged and OSError."""
        begin = segment.read
        for number, frame in enumerate(frames(descriptor, segment.read, tag_of(segment.name)), 1):
            if entry := _entry(descriptor, frame, segment, self._keys):
                entries.append(entry)
            segment.read = frame.offset + frame.length
            if number >= _FLOWS_PER_COMMIT or segment.read - begin >= _BYTES_PER_COMMIT:
                self._tell(segment.read - begin)
                return True
        self._tell(segment.read - begin)
        # the last flow of a segment that is being written may be on its way
        if segment.complete and segment.size > segment.read:
            segment.problem = "it ends in the middle of a flow; it is read up to here"
        return False

    def _tell(self, count: int) -> None:
        self._done += count
        if self._progress is not None:
            self._progress(self._done, self._total)

    def _keep(self, segment: _Segment, entries: list[Entry]) -> None:
        with self._transaction():
            self._connection.executemany(_INSERT, [_values(entry) for entry in entries])
            self._connection.execute(
                "INSERT OR REPLACE INTO segments VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    segment.name,
                    segment.complete,
                    segment.size,
                    segment.changed,
                    segment.read,
                    segment.problem,
                    segment.unread,
                    segment.unread_at,
                ),
            )

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
            raise


def unread(rows: Iterable[tuple[object, ...]]) -> list[Unread]:
    """Make sentences of rows (name, read, problem, unread, unread_at) of the table of segments."""
    told = []
    for name, read, problem, count, first in rows:
        if count and isinstance(first, int):
            more = f", and {count - 1} more" if isinstance(count, int) and count > 1 else ""
            told.append(Unread(str(name), first, f"this is no flow of HTTP; it is left out{more}"))
        if problem is not None and isinstance(read, int):
            told.append(Unread(str(name), read, str(problem)))
    return told


def _present(directory: Path) -> dict[str, tuple[bool, os.stat_result]]:
    """Final name -> whether it is complete, and what the file system says of it now."""
    present: dict[str, tuple[bool, os.stat_result]] = {}
    with os.scandir(directory) as listed:
        for each in listed:
            if each.name.endswith(SUFFIXES):
                with contextlib.suppress(FileNotFoundError):  # completed, or removed, just now
                    complete, name = not is_open(each.name), final_name(each.name)
                    if complete or name not in present:
                        present[name] = complete, each.stat(follow_symlinks=False)
    return present


def _is_as_it_was(known: _Segment, *, complete: bool, now: os.stat_result) -> bool:
    """Whether there is nothing to read that wasn't read; `changed` is 0 where reading may do better now."""
    if (known.complete, known.size, known.changed) != (complete, now.st_size, now.st_mtime_ns):
        return False
    return known.problem is not None or known.read >= known.size


def _differs(known: _Segment, *, complete: bool, now: os.stat_result) -> bool:
    """Whether it isn't the file that was read, which only ever grew and then stayed as it was."""
    if now.st_size < known.read or (known.complete and not complete):
        return True
    return known.complete and (now.st_size, now.st_mtime_ns) != (known.size, known.changed)


def _entry(descriptor: int, frame: Frame, segment: _Segment, keys: SealKeys) -> Entry | None:
    """Make the entry, or count the flow as unread. Raises FlowSealed."""
    entry = None
    if frame.length <= LARGEST:
        try:
            data = read_frame(descriptor, frame, segment.name, keys)
            ref = SegmentRef(segment.name, frame.offset, frame.length, hashlib.sha256(data).hexdigest())
            entry = entry_of(StoredFlow(Path(segment.name), frame.offset, data), ref)
        except FlowSealed:
            raise
        except (SegmentDamaged, *NOT_A_FLOW):
            entry = None
    if entry is None:
        segment.unread += 1
        if segment.unread_at is None:
            segment.unread_at = frame.offset
    return entry


def _values(entry: Entry) -> tuple[object, ...]:
    ref = entry.ref
    return (
        *(getattr(entry, name) for name in _COLUMNS),
        ref.segment,
        ref.offset,
        ref.length,
        ref.sha256,
    )
