"""Recordings on disk: segments, which are mitmproxy flow files that any stock mitmproxy reads.

A segment that is being written is called `<name>.mitm.open` and is locked (flock) by its writer; a complete
one is called `<name>.mitm`. Where recordings are sealed (`addons.core.seal`) it is `.sealed` in place of
`.mitm`. Whole flows are only ever appended, never taken back, so a reader may follow an open segment; only
what follows the last whole flow may vanish again.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import time
from dataclasses import dataclass
from pathlib import Path

from addons.store.audit.record import SegmentRef
from addons.store.recordings.sealing import Sealer
from addons.store.recordings.segment_reader import (
    COMPLETE,
    OPEN,
    SEALED,
    SEALED_OPEN,
    final_name,
    tag_of,
    whole_length,
)
from addons.store.state_dir import sync_directory

_PROBE_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class SegmentLimits:
    """When to begin another segment, and how full the disk may be.

    `max_bytes` and `max_seconds`: when a segment is completed and the next begun. `min_free_bytes`: a disk
    with less room than this takes no new calls, so that those that are under way still find some.
    """

    max_bytes: int = 64 * 1024 * 1024
    max_seconds: float = 300.0
    min_free_bytes: int = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class RecoveredSegment:
    """What became of a segment whose writer is gone.

    Bytes kept, bytes set aside in `<segment>.torn`, or the `problem` that kept it from being completed (it
    is left as it was then).
    """

    segment: str
    kept: int
    torn: int
    problem: str | None = None


class SegmentWriter:
    """The one segment that this process writes.

    Everything raises OSError when the disk says no; then nothing but whole flows is left behind. Not for
    use by two threads at once.
    """

    def __init__(self, directory: Path, limits: SegmentLimits, sealer: Sealer | None = None) -> None:
        self._directory = directory
        self._limits = limits
        self._sealer = sealer
        self._current: _OpenSegment | None = None
        self._counter = 0
        self._damaged = False  # the current segment: complete it and begin another
        self._suspect = False  # the disk: write something before believing it again

    def append(self, flow: bytes) -> SegmentRef:
        """Write one serialised flow; durable only after `sync`. The digest is of the flow, sealed or not."""
        segment = self._ready()
        offset = segment.length
        written = flow if self._sealer is None else self._sealer.seal(segment.name, offset, flow)
        try:
            segment.write(written)
        except OSError:
            self._damaged = self._suspect = True
            raise
        return SegmentRef(segment.name, offset, len(written), hashlib.sha256(flow).hexdigest())

    def sync(self) -> None:
        """Make what was appended durable.

        After a failure the kernel may have dropped the data, and would say so only once: the segment is
        closed and the next append begins another.
        """
        if self._current is None:
            return
        try:
            self._current.sync()
        except OSError:
            self._damaged = self._suspect = True
            raise

    def check(self, *, thorough: bool = False) -> None:
        """Raise OSError unless a flow could be written now: the segment is in its place and there is room.

        Cheap, for every group of records. `thorough`, and after any failure, a file is really written,
        synced and removed.
        """
        self._ready()
        free = os.statvfs(self._directory)
        if free.f_bavail * free.f_frsize < self._limits.min_free_bytes:
            raise OSError(errno.ENOSPC, f"less than {self._limits.min_free_bytes // 1024} KiB free")
        if thorough or self._suspect:
            self._write_probe()
            self._suspect = False

    def seconds_to_rotation(self) -> float | None:
        """Until the current segment is due by age; None while there is nothing in it."""
        if self._current is None or not self._current.length:
            return None
        return max(0.0, self._current.started + self._limits.max_seconds - time.monotonic())

    def rotate(self) -> None:
        """Complete the current segment, if any."""
        current, self._current = self._current, None
        if current is not None:
            current.complete()

    def _ready(self) -> _OpenSegment:
        current = self._current
        if current is not None and (
            self._damaged or current.length >= self._limits.max_bytes or self.seconds_to_rotation() == 0.0
        ):
            self.rotate()
        self._damaged = False
        if self._current is not None and not self._current.in_place():
            self._current.abandon()
            self._current = None
        if self._current is None:
            self._counter += 1
            suffix = COMPLETE if self._sealer is None else SEALED
            self._current = _OpenSegment.create(self._directory, self._counter, suffix)
        return self._current

    def _write_probe(self) -> None:
        path = self._directory / f".probe-{os.getpid()}"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            _write_all(descriptor, b"\0" * _PROBE_BYTES)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
            with contextlib.suppress(OSError):
                path.unlink()


class _OpenSegment:
    def __init__(self, path: Path, name: str, descriptor: int) -> None:
        self.path = path
        self.name = name
        self.length = 0
        self.started = time.monotonic()
        self._descriptor = descriptor
        self._inode = os.fstat(descriptor).st_ino

    @staticmethod
    def create(directory: Path, counter: int, suffix: str) -> _OpenSegment:
        stem = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{os.getpid()}-"
        while True:
            name = f"{stem}{counter}{suffix}"
            path = directory / f"{name}.open"
            counter += 1
            try:
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            except FileExistsError:  # a container's processes may share a pid
                continue
            try:
                # The other name is looked at after the first was taken: no other process can complete a
                # segment of this name from here on.
                if (directory / name).exists():
                    path.unlink()
                else:
                    fcntl.flock(descriptor, fcntl.LOCK_EX)
                    segment = _OpenSegment(path, name, descriptor)
                    if segment.in_place():  # or a starting process took it for an orphan before the lock
                        sync_directory(directory)
                        return segment
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)

    def in_place(self) -> bool:
        try:
            return self.path.stat().st_ino == self._inode
        except (FileNotFoundError, NotADirectoryError):
            return False

    def write(self, flow: bytes) -> None:
        try:
            _write_all(self._descriptor, flow)
        except OSError:
            os.ftruncate(self._descriptor, self.length)
            os.lseek(self._descriptor, self.length, os.SEEK_SET)
            raise
        self.length += len(flow)

    def sync(self) -> None:
        os.fdatasync(self._descriptor)
        if not self.in_place():
            raise FileNotFoundError(errno.ENOENT, "the segment was removed while it was written")

    def complete(self) -> None:
        """Rename, or remove if nothing is in it. The lock goes last."""
        try:
            if not self.in_place():
                return
            if self.length:
                os.ftruncate(self._descriptor, self.length)  # a failed write may have left something
                os.fsync(self._descriptor)
                self.path.rename(self.path.with_name(self.name))
            else:
                self.path.unlink()
            sync_directory(self.path.parent)
        finally:
            os.close(self._descriptor)

    def abandon(self) -> None:
        os.close(self._descriptor)


def recover_segments(directory: Path) -> list[RecoveredSegment]:
    """Complete the segments whose writers are gone; those of the living are locked and left alone.

    A torn end is cut off after it was copied to `<segment>.torn`. Raises OSError only if the directory can't
    be read; what can't be recovered is reported, untouched.
    """
    recovered: list[RecoveredSegment] = []
    for path in sorted(each for each in directory.iterdir() if each.name.endswith((OPEN, SEALED_OPEN))):
        name = final_name(path.name)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:  # its writer completed it, or another process recovered it just now
            continue
        except OSError as error:
            recovered.append(RecoveredSegment(name, 0, 0, error.strerror))
            continue
        try:
            found = _recover(path, name, descriptor)
        except OSError as error:
            found = RecoveredSegment(name, 0, 0, error.strerror)
        finally:
            os.close(descriptor)
        if found is not None:
            recovered.append(found)
    return recovered


def _recover(path: Path, name: str, descriptor: int) -> RecoveredSegment | None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return None
    with contextlib.suppress(FileNotFoundError):
        if path.stat().st_ino == os.fstat(descriptor).st_ino:
            return _complete_orphan(path, name, descriptor)
    return None


def _complete_orphan(path: Path, name: str, descriptor: int) -> RecoveredSegment:
    final = path.with_name(name)
    if final.exists():
        return RecoveredSegment(name, 0, 0, f"{final} exists already")
    size = os.fstat(descriptor).st_size
    kept = whole_length(descriptor, tag_of(name))
    if kept < size:
        _set_aside(descriptor, kept, path.with_name(f"{name}.torn"))
        os.ftruncate(descriptor, kept)
        os.fsync(descriptor)
    if kept:
        path.rename(final)
    else:
        path.unlink()
    sync_directory(path.parent)
    return RecoveredSegment(name, kept, size - kept)


def _set_aside(descriptor: int, offset: int, path: Path) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    aside = os.open(path, flags, 0o600)
    try:
        while chunk := os.pread(descriptor, 1024 * 1024, offset):
            _write_all(aside, chunk)
            offset += len(chunk)
        os.fsync(aside)
    finally:
        os.close(aside)


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
