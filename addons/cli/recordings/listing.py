"""How `ddgate recordings list` and `search` print what they find."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice

import typer
from rich.console import Console

from addons.cli.policy.recordings import print_rows, when
from addons.cli.recordings.options import Question
from addons.cli.recordings.reading import (
    decided,
    entry_json,
    line_of,
    note,
    opened,
    stored_flow,
    tell,
    until_nobody_reads,
    who_of,
)
from addons.core.model import Json
from addons.store.recordings.entry import Entry
from addons.store.recordings.flows import NOT_A_FLOW
from addons.store.recordings.index import RecordingIndex
from addons.store.recordings.search import Found, find_text
from addons.store.recordings.segment_reader import SegmentDamaged
from addons.store.recordings.selection import Selection
from addons.store.state_dir import StateDir

_HEADINGS = ("call", "when", "who", "operation", "request", "status", "decided")
_LONGEST_LINE = 160


def print_list(state: StateDir, question: Question, *, as_json: bool) -> None:
    """Raises GatewayProblem."""
    with opened(state) as index, until_nobody_reads():
        found, more = _first(index.select(question.selection), question.limit)
        note(state, "list", {**question.asked, "limit": question.limit}, len(found))
        if as_json:
            for entry in found:
                typer.echo(json.dumps(entry_json(entry)))
        else:
            print_rows(_console(), _HEADINGS, [_row(entry) for entry in found])
            _tell_count(len(found), question.limit, more=more)


def print_found(state: StateDir, text: str, question: Question, *, as_json: bool) -> None:
    """Raises GatewayProblem."""
    with opened(state) as index, until_nobody_reads():
        problems: list[str] = []
        hits, more = _first(_hits(index, text, question.selection, problems), question.limit)
        note(state, "search", {**question.asked, "text": text, "limit": question.limit}, len(hits))
        if as_json:
            for entry, found in hits:
                where: dict[str, Json] = {"where": found.where, "excerpt": found.excerpt}
                typer.echo(json.dumps({**entry_json(entry), "found": where}))
        else:
            rows = [(*_row(entry)[:6], f"{found.where}: {found.excerpt}") for entry, found in hits]
            print_rows(_console(), (*_HEADINGS[:6], "found in"), rows)
            _tell_count(len(hits), question.limit, more=more)
        tell(problems)


def _hits(
    index: RecordingIndex, text: str, selection: Selection, problems: list[str]
) -> Iterator[tuple[Entry, Found]]:
    for entry in index.select(selection):
        try:
            found = find_text(stored_flow(index, entry), text)
        except (SegmentDamaged, OSError, *NOT_A_FLOW) as error:
            problems.append(f"call {entry.call} is left out: {_why(error)}")
            continue
        if found is not None:
            yield entry, found


def _why(error: BaseException) -> str:
    return str(error) if isinstance(error, SegmentDamaged | OSError) else "it is no flow that can be read"


def _first[T](found: Iterator[T], limit: int) -> tuple[list[T], bool]:
    """The first of them, and whether there are more."""
    if not limit:
        return list(found), False
    taken = list(islice(found, limit + 1))
    return taken[:limit], len(taken) > limit


def _row(entry: Entry) -> tuple[str, ...]:
    line = line_of(entry)
    return (
        entry.call,
        when(entry.time),
        who_of(entry),
        entry.operation or "-",
        line if len(line) <= _LONGEST_LINE else f"{line[:_LONGEST_LINE]}…",
        "-" if entry.status is None else str(entry.status),
        decided(entry),
    )


def _console() -> Console:
    return Console(highlight=False, emoji=False, markup=False, soft_wrap=True)


def _tell_count(count: int, limit: int, *, more: bool) -> None:
    if not count:
        tell(["No recorded call fits."])
    elif more:
        tell([f"There are more; these are the newest {limit}. See --limit, --since and --until."])
