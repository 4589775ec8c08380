"""What the subcommands that read the trail share: how it is opened, what ends it, and its own record."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import typer

from addons.cli.audit.lines import plain
from addons.cli.noted import note_read
from addons.core.model import Json
from addons.store.audit.problems import AuditLogUnusable
from addons.store.state_dir import StateDir
from addons.store.trail.query import AuditTrail, open_trail

_MOST_COMPLAINTS = 20


@dataclass(slots=True)
class Look:
    """Somebody's look at the trail: `asked` and `found` go on record when it is over.

    `note` puts it on record before that, for a look that has no end.
    """

    trail: AuditTrail
    state: StateDir
    command: str
    asked: dict[str, Json]
    found: int = 0
    noted: bool = field(default=False)

    def note(self) -> None:
        if self.noted:
            return
        self.noted = True
        if self.trail.is_torn:
            complain("This look is not on record: nothing is written to a damaged log.")
        elif said := note_read(self.state, self.command, self.asked, self.found):
            complain(said)


@contextmanager
def looking(state: Path, command: str, asked: Mapping[str, Json]) -> Iterator[Look]:
    """Open the trail for one look. Whatever is damaged is told, and then the exit status is 1.

    Raises typer.Exit.
    """
    where = StateDir(state)
    told = 0

    def tell(sentence: str) -> None:
        nonlocal told
        told += 1
        if told <= _MOST_COMPLAINTS:
            complain(sentence)

    try:
        with open_trail(where.audit_log, tell) as trail:
            look = Look(trail, where, command, dict(asked))
            try:
                yield look
                sys.stdout.flush()
            finally:
                look.note()
    except AuditLogUnusable as error:
        refuse(error.what, error.remedy)
    except BrokenPipeError:
        nobody_reads()
    if told > _MOST_COMPLAINTS:
        complain(f"and {told - _MOST_COMPLAINTS} more of these")
    if told:
        raise typer.Exit(1)


def complain(sentence: str) -> None:
    sys.stderr.write(plain(sentence) + "\n")


def refuse(what: str, remedy: str) -> NoReturn:
    sys.stderr.write(f"{plain(what)}\n{plain(remedy)}\n")
    raise typer.Exit(1)


def nobody_reads() -> None:
    """Whoever read has seen enough. Python would complain once more when it flushes at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
