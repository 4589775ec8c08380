"""How a command ends when something is wrong: one text for a person, and no traceback."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from addons.core.yaml_source import ProblemsError
from addons.gateway_problem import GatewayProblem
from addons.store.audit_log import AuditLogUnusable
from addons.store.certificates import CertificateProblem
from addons.store.credentials import CredentialProblem
from addons.store.journal import JournalUnavailable
from addons.store.state_dir import StateDirUnusable

_FOR_A_PERSON = (
    ProblemsError,
    CertificateProblem,
    CredentialProblem,
    StateDirUnusable,
    AuditLogUnusable,
    JournalUnavailable,
    GatewayProblem,
)


@contextmanager
def told_plainly() -> Iterator[None]:
    """Turns what an operator can mend into its text and exit status 1."""
    try:
        yield
    except _FOR_A_PERSON as problem:
        print(f"ddgate: {problem}", file=sys.stderr)  # noqa: T201 - the command's own answer
        raise typer.Exit(1) from None
    except OSError as problem:
        where = f"{problem.filename}: " if problem.filename else ""
        print(f"ddgate: {where}{problem.strerror or problem}", file=sys.stderr)  # noqa: T201 - as above
        raise typer.Exit(1) from None
