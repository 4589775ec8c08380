"""How `ddgate recordings export` writes calls to a file."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from addons.cli.policy.recordings import shown
from addons.cli.recordings import curl as recordings_curl
from addons.cli.recordings import har as recordings_har
from addons.cli.recordings.curl import NoCommand, curl_command
from addons.cli.recordings.har import har_entry
from addons.cli.recordings.options import Format, Question
from addons.cli.recordings.reading import note, opened, proven_flow, tell, the_one, until_nobody_reads
from addons.core.start_problems import GatewayProblem
from addons.store.recordings.entry import Entry
from addons.store.recordings.flows import NOT_A_FLOW, StoredFlow
from addons.store.recordings.index import RecordingIndex
from addons.store.recordings.segment_reader import SegmentDamaged
from addons.store.state_dir import StateDir

_STANDARD_OUTPUT = Path("-")


@dataclass(frozen=True, slots=True)
class Target:
    """Where to write; with `force` also where something is."""

    path: Path
    force: bool

    @contextlib.contextmanager
    def opened(self) -> Iterator[BinaryIO]:
        """Give a file of mode 0600 that is there whole, or not at all. Raises GatewayProblem, OSError."""
        if self.path == _STANDARD_OUTPUT:
            yield sys.stdout.buffer
            sys.stdout.buffer.flush()
            return
        if self.path.is_dir():
            raise GatewayProblem(f"{self.path} is a directory; name a file")
        if not self.force and (self.path.exists() or self.path.is_symlink()):
            raise self._is_there()
        descriptor, name = tempfile.mkstemp(prefix=f".{self.path.name}.", dir=self.path.parent)  # mode 0600
        aside = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                yield file
            if self.force:
                aside.replace(self.path)
            else:
                os.link(aside, self.path)  # unlike a rename, never replaces
        except FileExistsError:
            raise self._is_there() from None
        finally:
            aside.unlink(missing_ok=True)

    def _is_there(self) -> GatewayProblem:
        return GatewayProblem(f"{self.path} is there already; name another file, or add --force")


@dataclass(frozen=True, slots=True)
class _Form:
    head: bytes
    between: bytes
    tail: bytes
    write: Callable[[Entry, StoredFlow], bytes]


def export_calls(state: StateDir, wanted: str | Question, form: Format, target: Target) -> bool:
    """Write one call, or all that are meant, the oldest first; whether there were any, and all are written.

    Raises GatewayProblem, OSError.
    """
    whole = False
    with opened(state) as index, until_nobody_reads():
        entries = _entries(index, wanted)
        first = next(entries, None)
        asked = {"id": wanted} if isinstance(wanted, str) else {**wanted.asked, "limit": wanted.limit}
        asked |= {"format": str(form), "output": str(target.path)}
        if first is None:
            note(state, "export", asked, 0)
            tell(["No recorded call fits; nothing was written."])
            return whole
        problems: list[str] = []
        with target.opened() as file:
            count = _write(file, _FORMS[form], index, _with(first, entries), problems)
        note(state, "export", asked, count)
        tell(problems)
        calls = "1 call was" if count == 1 else f"{count} calls were"
        where = "the standard output" if target.path == _STANDARD_OUTPUT else target.path
        tell([f"{calls} written to {where}."])
        whole = not problems
    return whole  # noqa: RET504 - nobody may have read up to there


def _entries(index: RecordingIndex, wanted: str | Question) -> Iterator[Entry]:
    if isinstance(wanted, str):
        yield the_one(index, wanted)
    elif wanted.limit:  # the newest of them, and nevertheless in their order
        yield from reversed(list(islice(index.select(wanted.selection), wanted.limit)))
    else:
        yield from index.select(wanted.selection, oldest_first=True)


def _with(first: Entry, rest: Iterable[Entry]) -> Iterator[Entry]:
    yield first
    yield from rest


def _write(
    file: BinaryIO, form: _Form, index: RecordingIndex, entries: Iterable[Entry], problems: list[str]
) -> int:
    file.write(form.head)
    count = 0
    for entry in entries:
        try:
            written = form.write(entry, proven_flow(index, entry))
        except (SegmentDamaged, OSError, NoCommand) as error:
            problems.append(f"call {shown(entry.call)} is left out: {shown(str(error))}")
            continue
        except NOT_A_FLOW:
            problems.append(f"call {shown(entry.call)} is left out: it is no flow that can be read")
            continue
        file.write(form.between + written if count else written)
        count += 1
    file.write(form.tail)
    return count


def _har(_entry: Entry, stored: StoredFlow) -> bytes:
    flow = stored.whole()
    if flow is None:
        raise SegmentDamaged("it is not HTTP")
    return har_entry(flow).encode()


def _curl(entry: Entry, stored: StoredFlow) -> bytes:
    flow = stored.whole()
    if flow is None:
        raise SegmentDamaged("it is not HTTP")
    return curl_command(entry, flow).encode("utf-8", "replace")


_FORMS = {
    Format.MITM: _Form(b"", b"", b"", lambda _entry, stored: stored.data),
    Format.HAR: _Form(
        recordings_har.HEAD.encode(), recordings_har.BETWEEN.encode(), recordings_har.TAIL.encode(), _har
    ),
    Format.CURL: _Form(recordings_curl.HEAD.encode(), b"", b"", _curl),
}
