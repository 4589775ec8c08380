"""What the subcommands that read recordings share: opening them, progress, and what can't be read."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from addons.cli.sealed_recordings import keys_for
from addons.core.catalogue import Catalogue
from addons.core.model import Json, Principal
from addons.core.start_problems import GatewayProblem
from addons.store.recordings.flows import NoRecordings, Recordings, find_recordings
from addons.store.recordings.requests import RecordedCall, RecordedCalls

_TOLD_EVERY = 100
_DAMAGES_TOLD = 20


def open_calls(
    flows: Sequence[Path] | None, state: Path, catalogue: Catalogue, nameless_groups: Sequence[str] | None
) -> RecordedCalls:
    """Find the recordings that are meant; the state directory's where none are named.

    Raises:
        GatewayProblem: there are none.
        ProblemsError, CredentialProblem: they are sealed, and the keys can't be read.

    """
    try:
        files = find_recordings(flows or [state])
    except NoRecordings as problem:
        raise GatewayProblem(str(problem)) from None
    nameless = None
    if nameless_groups:
        nameless = Principal("", "nobody-by-name", frozenset(nameless_groups), expires=float("inf"))
    return RecordedCalls(Recordings(files, keys=keys_for(files)), catalogue, nameless)


def followed(calls: RecordedCalls, what: str, *, holding: str = "") -> Iterator[RecordedCall]:
    """Hand out the calls, with a progress bar where a person watches."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=calls.recordings.total or None)
        for number, call in enumerate(calls.read(holding)):
            if number % _TOLD_EVERY == 0:
                bar.update(task, completed=calls.recordings.done)
            yield call


def tell_unread(calls: RecordedCalls) -> None:
    """Say what could not be read, and what was passed over."""
    errors = Console(stderr=True, soft_wrap=True, highlight=False, emoji=False, markup=False)
    damage = calls.damage
    for each in damage[:_DAMAGES_TOLD]:
        errors.print(shown(str(each)), style="yellow")
    if len(damage) > _DAMAGES_TOLD:
        errors.print(f"and {len(damage) - _DAMAGES_TOLD} more that can't be read", style="yellow")
    if calls.skipped:
        passed = ", ".join(f"{count} {what}" for what, count in sorted(calls.skipped.items()))
        errors.print(f"passed over: {passed}", style="dim")


def unread_json(calls: RecordedCalls) -> dict[str, Json]:
    return {
        "skipped": dict[str, Json](calls.skipped),
        "damage": [
            {"file": str(each.path), "offset": each.offset, "what": each.what} for each in calls.damage
        ],
    }


def when(at: float) -> str:
    """Write a time in UTC, to the second."""
    try:
        return f"{dt.datetime.fromtimestamp(at, dt.UTC):%Y-%m-%d %H:%M:%S}Z"
    except (ValueError, OverflowError, OSError):
        return "?"


def shown(text: str) -> str:
    """Make a text that came out of a recording fit for a terminal: one line without control characters."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def print_rows(console: Console, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table on a terminal, and rows with tabs between elsewhere."""
    listed = [[shown(cell) for cell in row] for row in rows]
    if not listed:
        return
    if console.is_terminal:
        table = Table(*headings, box=None, pad_edge=False, header_style="bold")
        for row in listed:
            table.add_row(*row)
        console.print(table)
    else:
        for row in [list(headings), *listed]:
            typer.echo("\t".join(row))  # rich would make spaces of tabs
