"""A look into the audit log, for reading alone."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from addons.store.audit.problems import AuditLogUnusable, as_damage, explain
from addons.store.audit.schema import check_version
from addons.store.sqlite_text import lenient_text

_BUSY_SECONDS = 10.0


@contextlib.contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that sees the log as of one moment. Keep it short: while it is open, writers can't trim
    the write-ahead log.

    Raises `AuditLogUnusable` where there is no log, none of this version, or what SQLite can't read, also for
    what is read within.
    """
    if not path.exists():
        raise AuditLogUnusable(f"There is no audit log at {path}.", "Name its state directory with --state.")
    uri = f"{path.absolute().as_uri()}?mode=ro"
    try:
        with (
            as_damage(),
            contextlib.closing(
                sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS, isolation_level=None)
            ) as connection,
        ):
            connection.text_factory = lenient_text
            check_version(path, connection)
            connection.execute("BEGIN")
            yield connection
    except sqlite3.Error as error:
        raise explain(path, error) from None
