"""What the subcommands of `ddgate recordings` share: the index, one call's bytes, and what is told beside."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from addons.cli.noted import note_read
from addons.cli.policy.recordings import shown, when
from addons.cli.sealed_recordings import keys_for
from addons.core.model import Json
from addons.core.start_problems import GatewayProblem
from addons.store.recordings.entry import Entry
from addons.store.recordings.flows import StoredFlow
from addons.store.recordings.index import IndexUnusable, RecordingIndex
from addons.store.recordings.proof import Standing, compare_with_log
from addons.store.recordings.segment_reader import SegmentDamaged, read_flow
from addons.store.state_dir import StateDir

_PROBLEMS_TOLD = 20


@contextlib.contextmanager
def opened(state: StateDir, *, anew: bool = False) -> Iterator[RecordingIndex]:
    """Open the index with a progress bar where a person watches, and tell at the end what it left out.

    Raises GatewayProblem.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    try:
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
            task = bar.add_task("reading new recordings", total=None)
            index = RecordingIndex.open(
                state,
                keys=keys_for([state.path] if state.path.is_dir() else []),
                anew=anew,
                progress=lambda done, total: bar.update(task, completed=done, total=total or None),
            )
        with contextlib.closing(index):
            try:
                yield index
            finally:
                tell([*index.notes, *_some([str(each) for each in index.unread()])])
    except IndexUnusable as error:
        raise GatewayProblem(str(error)) from None


def _some(problems: list[str]) -> list[str]:
    more = len(problems) - _PROBLEMS_TOLD
    return problems[:_PROBLEMS_TOLD] + ([f"and {more} more that can't be read"] if more > 0 else [])


def tell(sentences: list[str]) -> None:
    """Say something beside the answer."""
    errors = Console(stderr=True, soft_wrap=True, highlight=False, emoji=False, markup=False)
    for each in sentences:
        errors.print(shown(each), style="yellow")


@contextlib.contextmanager
def until_nobody_reads() -> Iterator[None]:
    """End quietly where whoever read the output has seen enough."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        # Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def make_anew(state: StateDir) -> None:
    with opened(state, anew=True) as index:
        calls, segments = index.counts()
        typer.echo(f"{calls} calls in {segments} segments are indexed at {index.path}.")


def stored_flow(index: RecordingIndex, entry: Entry) -> StoredFlow:
    """Read a call's bytes. Raises `SegmentDamaged` where they changed since they were indexed, OSError."""
    data = read_flow(index.state.recordings, entry.ref, index.keys)
    return StoredFlow(Path(entry.ref.segment), entry.ref.offset, data)


def proven_flow(index: RecordingIndex, entry: Entry) -> StoredFlow:
    """As `stored_flow`, and raises `SegmentDamaged` also where the audit log says that other bytes were
    recorded: what leaves here, or is sent again, is what was recorded.
    """
    stored = stored_flow(index, entry)
    proof = compare_with_log(index.state.audit_log, entry.call, stored.data)
    if proof.standing is Standing.CHANGED:
        raise SegmentDamaged(proof.text)
    return stored


def the_one(index: RecordingIndex, identifier: str) -> Entry:
    """Find the call that is meant. Raises GatewayProblem for none, and for several."""
    found = index.find(identifier)
    calls = dict.fromkeys(entry.call for entry in found)
    if not calls:
        raise GatewayProblem(
            f"no recorded call has the id {shown(identifier)}, or one that begins with it; "
            "`ddgate recordings list` shows them"
        )
    if len(calls) > 1:
        listed = "\n".join(f"  {shown(each.call)}  {when(each.time)}  {line_of(each)}" for each in found)
        raise GatewayProblem(f"several recorded calls begin with {shown(identifier)}:\n{listed}")
    return found[0]


def line_of(entry: Entry) -> str:
    """Method, path and query on one line that a terminal can take."""
    return shown(f"{entry.method} {entry.path}{'?' if entry.query else ''}{entry.query}")


def decided(entry: Entry) -> str:
    """What was decided, in words: `allow rule`, `refused reason rule`."""
    if entry.refused:
        words = ["refused", entry.reason, entry.rule]
    else:
        words = [entry.effect or "no verdict", entry.rule]
    return " ".join(word for word in words if word)


def who_of(entry: Entry) -> str:
    who = entry.subject or "nobody"
    return f"{who} for {entry.on_behalf_of}" if entry.on_behalf_of else who


def entry_json(entry: Entry) -> dict[str, Json]:
    """The entry by the names of its fields, without those that are empty."""
    ref = entry.ref
    facts: dict[str, Json] = {
        name: getattr(entry, name) for name in entry.__dataclass_fields__ if name != "ref"
    }
    known: dict[str, Json] = {name: value for name, value in facts.items() if value is not None}
    known["recording"] = {
        "segment": ref.segment,
        "offset": ref.offset,
        "length": ref.length,
        "sha256": ref.sha256,
    }
    return known


def note(state: StateDir, command: str, asked: Mapping[str, Json], found: int) -> None:
    """Put the look on record, and say where that can't be done."""
    if said := note_read(state, f"recordings {command}", asked, found):
        tell([said])
