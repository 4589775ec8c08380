"""Reading the audit log while gateways write it."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from addons.store.audit.problems import AuditLogUnusable, explain
from addons.store.audit.record import StoredRecord
from addons.store.audit.schema import check_version

_PAGE = 500


def last_index(path: Path) -> int:
    """Return the index of the newest record, 0 while there is no log or none in it.

    Raises `AuditLogUnusable`.
    """
    with _reading(path) as connection:
        if connection is None:
            return 0
        found = connection.execute("SELECT max(idx) FROM records").fetchone()[0]
        return int(found or 0)


def read_after(path: Path, after_idx: int, limit: int = _PAGE) -> list[StoredRecord]:
    """Read at most `limit` records with a larger index, in order; none while there is no log.

    Indices are given in the order of commits, so a record can't appear later before one read already.
    Raises `AuditLogUnusable`.
    """
    with _reading(path) as connection:
        if connection is None:
            return []
        rows = connection.execute(
            "SELECT idx, body FROM records WHERE idx > ? ORDER BY idx LIMIT ?", (after_idx, limit)
        )
        return [StoredRecord(idx, body) for idx, body in rows]


def of_call(path: Path, call: str) -> list[StoredRecord]:
    """Read the records of one call, in order; none while there is no log. Raises `AuditLogUnusable`."""
    with _reading(path) as connection:
        if connection is None:
            return []
        rows = connection.execute("SELECT idx, body FROM records WHERE call = ? ORDER BY idx", (call,))
        return [StoredRecord(idx, body) for idx, body in rows]


def tail(path: Path, after_idx: int, *, follow: bool, poll_seconds: float = 0.2) -> Iterator[StoredRecord]:
    """Yield records with a larger index than `after_idx`, each once.

    With `follow` it goes on for ever, waiting `poll_seconds` whenever there is nothing new, also for a log
    that doesn't exist yet. Raises `AuditLogUnusable`.
    """
    while True:
        page = read_after(path, after_idx)
        for record in page:
            after_idx = record.idx
            yield record
        if len(page) == _PAGE:
            continue
        if not follow:
            return
        time.sleep(poll_seconds)


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection | None]:
    """Open a connection for one short look, so that no reader keeps writers from trimming the WAL."""
    if not path.exists():
        yield None
        return
    try:
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=3.0, isolation_level=None
        )
        with contextlib.closing(connection):
            check_version(path, connection)
            yield connection
    except sqlite3.Error as error:
        if not path.exists():  # gone since we looked
            raise AuditLogUnusable(f"The audit log {path} is gone.", "Put the file back.") from None
        raise explain(path, error) from None
