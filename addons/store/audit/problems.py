"""What a person hears when the audit log can't be used."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from addons.core.start_problems import StartProblem

_EXPLANATIONS = {
    "SQLITE_BUSY": (
        "is locked by another process for too long",
        "End the program that holds it open for writing.",
    ),
    "SQLITE_FULL": (
        "can't grow: the disk is full",
        "Free space on the disk of the state directory.",
    ),
    "SQLITE_READONLY": (
        "is read-only",
        "Make the file and its directory writable for ddgate.",
    ),
    "SQLITE_CANTOPEN": (
        "can't be opened",
        "Check that the state directory is there and belongs to ddgate's user.",
    ),
    "SQLITE_NOTADB": (
        "is not an audit log: not a SQLite database",
        "Move the file away, or name another state directory.",
    ),
    "SQLITE_CORRUPT": (
        "is damaged",
        "Stop ddgate, keep the file, and restore it from a backup.",
    ),
    "SQLITE_IOERR": (
        "can't be written or read",
        "Check the disk of the state directory: full, failing or over quota.",
    ),
}


class AuditLogUnusable(StartProblem):
    """The file can't be used as an audit log: `what` is wrong, `remedy` helps."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what} {remedy}")
        self.what = what
        self.remedy = remedy


def explain(path: Path, error: OSError | sqlite3.Error) -> AuditLogUnusable:
    """Say what a person should hear about `error`."""
    if isinstance(error, OSError):
        return AuditLogUnusable(
            f"The audit log {path} can't be reached ({error.strerror}).",
            "Check the state directory and its disk.",
        )
    code = getattr(error, "sqlite_errorname", "") or ""
    for prefix, (what, remedy) in _EXPLANATIONS.items():
        if code.startswith(prefix):
            return AuditLogUnusable(f"The audit log {path} {what}.", remedy)
    return AuditLogUnusable(
        f"The audit log {path} can't be used ({code or error}).", "Check the file and its disk."
    )


@contextlib.contextmanager
def as_damage() -> Iterator[None]:
    """SQLite quotes what it found in a damaged schema, and Python fails over its letters: here that is a
    sqlite3.DatabaseError.
    """
    try:
        yield
    except UnicodeDecodeError:
        damage = sqlite3.DatabaseError("what is said of its tables is no text")
        damage.sqlite_errorname = "SQLITE_CORRUPT"
        raise damage from None
