"""Reading segments: where each flow begins and ends, one flow by its reference, and following live ones.

A flow file is a row of tnetstrings (https://tnetstrings.info): the payload's length in decimal, `:`, the
payload, and one byte for its type, `}` (a dictionary) for every flow. Only this outer frame is read here;
what is inside is for mitmproxy to parse.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from addons.core.seal import TAG
from addons.store.audit.record import SegmentRef
from addons.store.recordings.sealing import NO_KEYS, KeyNotHeld, SealBroken, SealKeys

COMPLETE = ".mitm"
OPEN = ".mitm.open"
SEALED = ".sealed"
SEALED_OPEN = ".sealed.open"
SUFFIXES = (COMPLETE, OPEN, SEALED, SEALED_OPEN)

_OPEN = ".open"
_PLAIN_TAG = b"}"

_LONGEST_PREFIX = 13  # mitmproxy takes twelve digits and the colon


class SegmentDamaged(Exception):  # noqa: N818 - named after what is wrong, as the other refusals are
    """A segment, or the flow that a record points to, is missing or isn't what was written."""


class FlowSealed(SegmentDamaged):
    """A flow is there, and the key that it was sealed with is not."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One whole flow: where it begins and how long it is, in bytes."""

    offset: int
    length: int


def final_name(file_name: str) -> str:
    """Give the name that a segment has once it is complete."""
    return file_name.removesuffix(_OPEN)


def is_open(file_name: str) -> bool:
    return file_name.endswith(_OPEN)


def tag_of(file_name: str) -> bytes:
    """Give the type that the netstrings of that segment have."""
    return TAG if final_name(file_name).endswith(SEALED) else _PLAIN_TAG


def frame_at(descriptor: int, offset: int, tag: bytes = _PLAIN_TAG) -> Frame | None:
    """Find the whole flow that begins at `offset`; None if the file ends before the flow does.

    Raises `SegmentDamaged` where no flow can begin, whatever is written after it.
    """
    prefix = os.pread(descriptor, _LONGEST_PREFIX, offset)
    digits, colon, _ = prefix.partition(b":")
    if not colon and len(prefix) < _LONGEST_PREFIX and (prefix.isdigit() or not prefix):
        return None
    if not colon or not digits.isdigit():
        raise SegmentDamaged(f"no flow begins at byte {offset}")
    length = len(digits) + 1 + int(digits) + 1
    found = os.pread(descriptor, 1, offset + length - 1)
    if not found:
        return None
    if found != tag:
        raise SegmentDamaged(f"what begins at byte {offset} is not a flow")
    return Frame(offset, length)


def frames(descriptor: int, offset: int = 0, tag: bytes = _PLAIN_TAG) -> Iterator[Frame]:
    """Whole flows from `offset` on. Raises `SegmentDamaged` as `frame_at`."""
    while (frame := frame_at(descriptor, offset, tag)) is not None:
        yield frame
        offset += frame.length


def whole_length(descriptor: int, tag: bytes = _PLAIN_TAG) -> int:
    """How many bytes at the beginning of the file are whole flows."""
    end = 0
    try:
        for frame in frames(descriptor, 0, tag):
            end = frame.offset + frame.length
    except SegmentDamaged:
        pass  # the rest is what the caller wants to know about
    return end


def read_frame(descriptor: int, frame: Frame, segment: str, keys: SealKeys) -> bytes:
    """Read a flow's bytes, unsealed where they lie in a sealed segment; `segment` is its final name.

    Raises `FlowSealed` without the key, `SegmentDamaged` where the seal is broken, OSError.
    """
    data = os.pread(descriptor, frame.length, frame.offset)
    return _unsealed(data, frame.offset, segment, keys)


def _unsealed(data: bytes, offset: int, segment: str, keys: SealKeys) -> bytes:
    if not segment.endswith(SEALED):
        return data
    try:
        return keys.unseal(segment, offset, data)
    except KeyNotHeld as error:
        raise FlowSealed(
            f"sealed with key {error.id}, which is not held; the configuration names keys, "
            "recordings.encryption_key and old_encryption_keys"
        ) from None
    except SealBroken as error:
        raise SegmentDamaged(str(error)) from None


def read_flow(directory: Path, ref: SegmentRef, keys: SealKeys = NO_KEYS) -> bytes:
    """Read the bytes that `ref` points to, from the open or the complete segment, checked against its digest.

    Raises `SegmentDamaged` if they are missing or differ, `FlowSealed` without the key, OSError if the disk
    fails.
    """
    data = read_place(directory, ref, keys)
    if hashlib.sha256(data).hexdigest() != ref.sha256:
        raise SegmentDamaged(
            f"segment {ref.segment}, bytes {ref.offset}+{ref.length}, is not what was recorded"
        )
    return data


def read_place(directory: Path, ref: SegmentRef, keys: SealKeys = NO_KEYS) -> bytes:
    """Read what lies where `ref` points to, whatever it is: fewer bytes where the segment ends before.

    Raises `SegmentDamaged` if there is no such segment, or a seal is broken, `FlowSealed` without its key,
    OSError if the disk fails.
    """
    if Path(ref.segment).name != ref.segment or not ref.segment.endswith((COMPLETE, SEALED)):
        raise SegmentDamaged(f"{ref.segment!r} is not the name of a segment")
    descriptor = open_segment(directory, ref.segment)
    if descriptor is None:
        raise SegmentDamaged(f"segment {ref.segment} is not in {directory}")
    try:
        data = os.pread(descriptor, min(ref.length, os.fstat(descriptor).st_size), ref.offset)
    finally:
        os.close(descriptor)
    try:
        return _unsealed(data, ref.offset, ref.segment, keys)
    except SegmentDamaged as error:
        raise type(error)(f"segment {ref.segment}, byte {ref.offset}: {error}") from None


@dataclass(slots=True)
class _Followed:
    offset: int = 0
    finished: bool = False
    problem: str = ""


@dataclass(slots=True)
class SegmentFollower:
    """Hands out the flows of every segment in `directory`, each once and in the order of its segment.

    Segments of living writers are read too. `problems` gathers what was damaged; a damaged segment is read
    up to there.

    With `newest`, following begins so far back that about that many flows are handed out at first. A flow
    of more than `largest` bytes isn't read, nor what follows it.
    """

    directory: Path
    newest: int | None = None
    largest: int = 256 * 1024 * 1024
    keys: SealKeys = NO_KEYS
    problems: list[str] = field(default_factory=list)
    _segments: dict[str, _Followed] = field(default_factory=dict)
    _started: bool = False

    def poll(self, limit: int) -> list[bytes]:
        """At most `limit` flows that were not handed out yet; an empty list when there is nothing new.

        A directory that isn't there yet is an empty one. Raises OSError if it can't be listed.
        """
        present = self._present()
        if not self._started:
            self._skip_old(present)
            self._started = True
        for name in self._segments.keys() - present.keys():
            del self._segments[name]
        flows: list[bytes] = []
        for name in sorted(present):
            followed = self._segments.setdefault(name, _Followed())
            if not followed.finished and len(flows) < limit:
                self._read(name, followed, flows, limit, complete=present[name])
        return flows

    def _present(self) -> dict[str, bool]:
        """Final name -> whether it is complete."""
        try:
            names = [path.name for path in self.directory.iterdir()]
        except FileNotFoundError:
            return {}
        segments = [name for name in names if name.endswith(SUFFIXES)]
        present = {final_name(name): False for name in segments if is_open(name)}
        return present | {name: True for name in segments if not is_open(name)}

    def _skip_old(self, present: dict[str, bool]) -> None:
        if self.newest is None:
            return
        missing = self.newest
        for name in sorted(present, reverse=True):
            if missing <= 0:
                if present[name]:
                    self._segments[name] = _Followed(finished=True)
                continue  # an open one may still grow; it is read whole rather than missed
            missing -= self._count(name)

    def _count(self, name: str) -> int:
        try:
            descriptor = open_segment(self.directory, name)
            if descriptor is None:
                return 0
            try:
                return sum(1 for _ in frames(descriptor, 0, tag_of(name)))
            finally:
                os.close(descriptor)
        except (OSError, SegmentDamaged):
            return 0  # reported when it is read

    def _read(
        self, name: str, followed: _Followed, flows: list[bytes], limit: int, *, complete: bool
    ) -> None:
        try:
            descriptor = open_segment(self.directory, name)
            if descriptor is None:
                return
            try:
                self._read_frames(descriptor, name, followed, flows, limit)
                if complete and len(flows) < limit:
                    followed.finished = True
                    if os.fstat(descriptor).st_size > followed.offset:
                        raise SegmentDamaged("it ends in the middle of a flow")
            finally:
                os.close(descriptor)
        except OSError as error:  # may pass: tried again, reported once
            self._report(name, followed, error.strerror or "unreadable")
        except SegmentDamaged as error:
            followed.finished = True
            self._report(name, followed, str(error))

    def _read_frames(
        self, descriptor: int, name: str, followed: _Followed, flows: list[bytes], limit: int
    ) -> None:
        for frame in frames(descriptor, followed.offset, tag_of(name)):
            if len(flows) >= limit:
                return
            if frame.length > self.largest:
                raise SegmentDamaged(f"the flow at byte {frame.offset} has {frame.length} bytes")
            flows.append(read_frame(descriptor, frame, name, self.keys))
            followed.offset = frame.offset + frame.length

    def _report(self, name: str, followed: _Followed, problem: str) -> None:
        if followed.problem != problem:
            followed.problem = problem
            self.problems.append(f"segment {name}: {problem}")


def open_segment(directory: Path, name: str) -> int | None:
    """Open a segment by its final name; None where there is none. Raises OSError."""
    # Open first: a writer renames from open to complete, so looking in this order can't miss it.
    for suffix in (_OPEN, ""):
        try:
            return os.open(
                directory / f"{name}{suffix}", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            )
        except FileNotFoundError:
            continue
    return None
