"""The newest checkpoint, in a file beside the audit log: what an auditor or another machine takes along, and
what tells a log that was put back to an older state from one that only ever grew.

It is written after the commit: it may be older than the log, and is never newer.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from addons.core.transparency import signed_note
from addons.core.transparency.signed_note import NoteInvalid

_NAME = "checkpoint"
_LONGEST = 64 * 1024


def path_of(log: Path) -> Path:
    """`audit-checkpoint` beside `audit.sqlite3`, and `audit-X-checkpoint` beside `audit-X.sqlite3`."""
    return log.with_name(f"{log.stem}-{_NAME}")


def put(log: Path, note: str) -> None:
    """Replace the file. Where it can't be written the log goes on: it is a copy."""
    with contextlib.suppress(OSError):
        descriptor, unfinished = tempfile.mkstemp(prefix=f".{_NAME}.", dir=log.parent)  # mode 0600
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(note)
                file.flush()
                os.fdatasync(file.fileno())  # or a power cut may leave the name without the content
            Path(unfinished).rename(path_of(log))
        except BaseException:
            Path(unfinished).unlink(missing_ok=True)
            raise


def is_one(content: bytes) -> bool:
    """Whether this is a note at all; who signed it is another question."""
    try:
        signed_note.parse(content)
    except NoteInvalid:
        return False
    return True


def read(log: Path) -> bytes | None:
    """Give the note; None where there is none that can be read."""
    try:
        with path_of(log).open("rb") as file:
            return file.read(_LONGEST) or None
    except OSError:
        return None
