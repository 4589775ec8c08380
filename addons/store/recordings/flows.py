"""Walks over recordings, from ddgate and from stock mitmproxy, one flow at a time and whatever is wrong with
them: what can't be read is reported with its place, and the rest is read.
"""

from __future__ import annotations

import io
import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mitmproxy import exceptions, http, version
from mitmproxy import io as flow_io
from mitmproxy.io import tnetstring

from addons.store.recordings.sealing import NO_KEYS, SealKeys
from addons.store.recordings.segment_reader import (
    COMPLETE,
    SUFFIXES,
    FlowSealed,
    SegmentDamaged,
    final_name,
    frames,
    is_open,
    read_frame,
    tag_of,
)

# What the recorder writes in place of a body that may not be stored.
NOT_STORED = re.compile(rb"\[ddgate: ([0-9]{1,15}) bytes, [a-z0-9-]*:?[0-9a-f]*; not stored\]")
_FOLDER = "recordings"
LARGEST = 256 * 1024 * 1024

# What mitmproxy raises on a flow whose frame is whole and whose content isn't a flow's.
NOT_A_FLOW = (
    exceptions.FlowReadException,
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)


class NoRecordings(Exception):  # noqa: N818 - named after what is wrong, as the other refusals are
    """There is nothing to read; the text says where, and what to name instead."""


@dataclass(frozen=True, slots=True)
class Damage:
    """What couldn't be read, and where: `offset` is in bytes, None for the file as a whole."""

    path: Path
    offset: int | None
    what: str

    def __str__(self) -> str:
        place = "" if self.offset is None else f", byte {self.offset}"
        return f"{self.path}{place}: {self.what}"


@dataclass(frozen=True, slots=True)
class RecordedFlow:
    """What of a flow is asked for; `request` is None where it isn't HTTP. To make all of it into mitmproxy's
    own object would cost several times as much.

    `answered` is when the answer was complete, in seconds since the epoch; `answer_size` the bytes of its
    body as they travelled.
    """

    id: str
    request: http.Request | None
    status: int | None
    metadata: dict[str, object]
    answered: float | None = None
    answer_size: int = 0


@dataclass(frozen=True, slots=True)
class StoredFlow:
    """The bytes of one flow, and where they lie."""

    path: Path
    offset: int
    data: bytes

    def read(self) -> RecordedFlow:
        """Raises one of `NOT_A_FLOW`."""
        parts = dict(_parts(memoryview(self.data)))
        if _value(parts["version"]) != version.FLOW_FORMAT_VERSION:
            return self._migrated()
        if _value(parts["type"]) != "http":
            return RecordedFlow(str(_value(parts["id"])), None, None, {})
        response = dict(_parts(parts["response"])) if bytes(parts["response"][-1:]) == b"}" else None
        return RecordedFlow(
            id=str(_value(parts["id"])),
            request=http.Request.from_state(_value(parts["request"])),
            status=int(_value(response["status_code"])) if response is not None else None,
            metadata=_mapping(_value(parts["metadata"])),
            answered=_value(response["timestamp_end"]) if response is not None else None,
            answer_size=body_size(_value(response["content"])) if response is not None else 0,
        )

    def whole(self) -> http.HTTPFlow | None:
        """Make it into mitmproxy's own object; None where it isn't HTTP. Raises one of `NOT_A_FLOW`."""
        found = next(iter(flow_io.FlowReader(io.BytesIO(self.data)).stream()))
        return found if isinstance(found, http.HTTPFlow) else None

    def _migrated(self) -> RecordedFlow:
        """Read what another version of mitmproxy wrote."""
        found = next(iter(flow_io.FlowReader(io.BytesIO(self.data)).stream()))
        if not isinstance(found, http.HTTPFlow):
            return RecordedFlow(found.id, None, None, {})
        answer = found.response
        return RecordedFlow(
            id=found.id,
            request=found.request,
            status=answer.status_code if answer else None,
            metadata=found.metadata,
            answered=answer.timestamp_end if answer else None,
            answer_size=body_size(answer.raw_content) if answer else 0,
        )


def body_size(content: object) -> int:
    """Say how many bytes a recorded body had, also where the recording only tells so. Raises TypeError."""
    if content is None:
        return 0
    if not isinstance(content, bytes):
        raise TypeError("no bytes")
    cut = NOT_STORED.fullmatch(content)
    return int(cut[1]) if cut is not None else len(content)


def _parts(data: memoryview) -> Iterator[tuple[str, memoryview]]:
    """Take a dictionary apart, each value still as a whole netstring. Raises ValueError or IndexError."""
    length, rest = tnetstring.split(data, b":")
    if bytes(rest[length : length + 1]) != b"}":
        raise ValueError("not a dictionary")
    rest = rest[:length]
    while rest:
        key, rest = tnetstring.pop(rest)
        length, after = tnetstring.split(rest, b":")
        end = len(rest) - len(after) + length + 1
        if end > len(rest):
            raise ValueError("a value is cut")
        yield str(key), rest[:end]
        rest = rest[end:]


def _value(data: memoryview) -> Any:
    return tnetstring.pop(data)[0]


def _mapping(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise TypeError("not a mapping")
    return value


def find_recordings(places: Sequence[Path]) -> list[Path]:
    """List the flow files that are meant: files as they are, of a directory its segments (or those of its
    folder `recordings`, so that a state directory will do), each file once.

    Raises:
        NoRecordings: a place that isn't there, or a directory without segments.
        OSError: a directory that can't be listed.

    """
    found: dict[Path, None] = {}
    for place in places:
        if place.is_dir():
            folder = place / _FOLDER if (place / _FOLDER).is_dir() else place
            segments = sorted(path for path in folder.iterdir() if path.name.endswith(SUFFIXES))
            if not segments:
                raise NoRecordings(
                    f"{folder} holds no recordings (*{COMPLETE}); name files, or another place"
                )
            found |= dict.fromkeys(segments)
        elif place.exists():
            found[place] = None
        else:
            raise NoRecordings(f"{place}: no such file; name recordings (*{COMPLETE}) or a directory of them")
    return list(found)


@dataclass(slots=True)
class Recordings:
    """Flow files, read one flow after the other.

    `total` and `done` are in bytes, for a progress bar; `damage` grows while reading. A flow of more than
    `largest` bytes is reported and skipped, so that no more than one of that size is held at a time.
    """

    files: Sequence[Path]
    largest: int = LARGEST
    keys: SealKeys = NO_KEYS
    damage: list[Damage] = field(default_factory=list)
    total: int = 0
    done: int = 0
    _seen: set[tuple[int, int]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.total = sum(_size(path) for path in self.files)

    def flows(self, holding: bytes = b"") -> Iterator[StoredFlow]:
        """Hand out the flows whose bytes hold `holding`."""
        self.done = 0
        self._seen.clear()
        self.damage.clear()
        for path in self.files:
            yield from self._flows_of(path, holding)

    def _flows_of(self, path: Path, holding: bytes) -> Iterator[StoredFlow]:
        before = self.done
        try:
            descriptor = _opened(path)
        except OSError as error:
            self.damage.append(Damage(path, None, error.strerror or "can't be read"))
            return
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                self.damage.append(Damage(path, None, "not a plain file"))
                return
            if (found.st_dev, found.st_ino) in self._seen:  # renamed from open to complete, or named twice
                return
            self._seen.add((found.st_dev, found.st_ino))
            yield from self._read(path, descriptor, holding)
            self.done = before + found.st_size
        finally:
            os.close(descriptor)

    def _read(self, path: Path, descriptor: int, holding: bytes) -> Iterator[StoredFlow]:
        offset, before = 0, self.done
        try:
            for frame in frames(descriptor, 0, tag_of(path.name)):
                offset = frame.offset + frame.length
                self.done = before + offset
                if frame.length > self.largest:
                    what = f"a flow of {frame.length} bytes, which is too large; it is left out"
                    self.damage.append(Damage(path, frame.offset, what))
                    continue
                try:
                    data = read_frame(descriptor, frame, final_name(path.name), self.keys)
                except FlowSealed as error:  # as the others of this file will be
                    self.damage.append(Damage(path, frame.offset, str(error)))
                    return
                except SegmentDamaged as error:
                    self.damage.append(Damage(path, frame.offset, str(error)))
                    continue
                if holding in data:
                    yield StoredFlow(path, frame.offset, data)
        except SegmentDamaged:
            what = "no flow begins here; the rest of the file is left out"
            self.damage.append(Damage(path, offset, what))
        except OSError as error:
            self.damage.append(Damage(path, offset, error.strerror or "can't be read"))
        else:
            # the last flow of a segment that is being written may be on its way
            if os.fstat(descriptor).st_size > offset and not is_open(path.name):
                what = "the file ends in the middle of a flow; it is read up to here"
                self.damage.append(Damage(path, offset, what))


def _opened(path: Path) -> int:
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        return os.open(path, flags)
    except FileNotFoundError:
        if not is_open(path.name):
            raise
        return os.open(path.with_name(final_name(path.name)), flags)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0  # reported when it is read
