"""How a command ends when something is wrong: one text for a person, and no traceback."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from addons.core.start_problems import StartProblem


@contextmanager
def told_plainly() -> Iterator[None]:
    """Turns what an operator can mend into its text and exit status 1."""
    try:
        yield
    except StartProblem as problem:
        print(f"ddgate: {problem}", file=sys.stderr)  # noqa: T201 - the command's own answer
        raise typer.Exit(1) from None
    except OSError as problem:
        where = f"{problem.filename}: " if problem.filename else ""
        print(f"ddgate: {where}{problem.strerror or problem}", file=sys.stderr)  # noqa: T201 - as above
        raise typer.Exit(1) from None
