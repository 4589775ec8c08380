"""The newest checkpoint, in a file beside the audit log: what an auditor or another machine takes along, and
what tells a log that was put back to an older state from one that only ever grew.

It is written after the commit and is not synced: it may be older than the log, and is never newer.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

_NAME = "audit-checkpoint"
_LONGEST = 64 * 1024


def path_of(log: Path) -> Path:
    return log.with_name(_NAME)


def put(log: Path, note: str) -> None:
    """Replace the file. Where it can't be written the log goes on: it is a copy."""
    with contextlib.suppress(OSError):
        descriptor, unfinished = tempfile.mkstemp(prefix=f".{_NAME}.", dir=log.parent)  # mode 0600
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(note)
            Path(unfinished).rename(path_of(log))
        except BaseException:
            Path(unfinished).unlink(missing_ok=True)
            raise


def read(log: Path) -> bytes | None:
    """Give the note; None where there is none that can be read."""
    try:
        with path_of(log).open("rb") as file:
            return file.read(_LONGEST) or None
    except OSError:
        return None
