"""How `ddgate approvals` speaks: what ends it, and what agents wrote made fit for a terminal."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.console import Console

from addons.cli.approvals.client import Misused, Refused, Unreachable
from addons.core.approvals.states import State
from addons.core.approvals.visible_text import visible_plain
from addons.core.model import Json
from addons.core.yaml_source import ProblemsError
from addons.sidecar.token_sources import TokenError

REFUSED, MISUSED, UNREACHABLE = 1, 2, 3
"""Exit statuses; 0 is what was asked."""

STATE_STYLES = {
    State.PENDING: "yellow",
    State.APPROVED: "green",
    State.EXECUTING: "cyan",
    State.SUCCEEDED: "green",
    State.FAILED: "red",
    State.UNKNOWN: "bold red",
    State.DENIED: "red",
    State.EXPIRED: "dim",
    State.CANCELLED: "dim",
}

_INTERRUPTED = 130
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


@contextmanager
def told() -> Iterator[None]:
    """Turns what goes wrong into one line on standard error and the exit status that says which."""
    try:
        yield
    except Refused as refused:
        complain(f"{refused} ({refused.reason})")
        status = REFUSED
    except (Misused, TokenError, ProblemsError) as problem:
        complain(str(problem))
        status = MISUSED
    except Unreachable as problem:
        complain(str(problem))
        status = UNREACHABLE
    except BrokenPipeError:
        # Whoever read has seen enough. Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 0
    except OSError as problem:
        complain(f"{problem.filename or 'can not go on'}: {problem.strerror or problem}")
        status = MISUSED
    except KeyboardInterrupt:
        status = _INTERRUPTED
    else:
        return
    raise typer.Exit(status)


def complain(text: str) -> None:
    print(f"ddgate approvals: {visible_plain(text)}", file=sys.stderr, flush=True)  # noqa: T201 - its own answer


def out() -> Console:
    """What is printed on it is text: no markup, no emoji names, no cutting off."""
    return Console(soft_wrap=True, highlight=False, emoji=False, markup=False)


def print_json(content: Json, *, lines: bool = False) -> None:
    """As JSON (with everything that isn't ASCII escaped): indented, or as one line."""
    typer.echo(json.dumps(content, indent=None if lines else 2))


def shown(text: str) -> str:
    """One line of a text that somebody else wrote, with what hides in it made visible."""
    return visible_plain(text.replace("\n", " ").replace("\t", " "))


def span(seconds: float) -> str:
    """About how long, for a person."""
    seconds = max(0.0, seconds)
    if seconds < 2 * _MINUTE:
        return f"{seconds:.0f} s"
    if seconds < 2 * _HOUR:
        return f"{seconds / _MINUTE:.0f} min"
    if seconds < 2 * _DAY:
        return f"{seconds / _HOUR:.0f} h"
    return f"{seconds / _DAY:.0f} d"
