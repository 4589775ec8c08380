"""Follows an audit log that can't go on by a new one, whose first record names the old."""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
import time
from collections.abc import Mapping
from pathlib import Path

from addons.core.model import Json
from addons.store import newest_checkpoint
from addons.store.audit_log import AuditLog
from addons.store.audit_record import AuditRecord, RecordKind
from addons.store.log_problems import AuditLogUnusable
from addons.store.log_tree import TreeDamaged, read_head
from addons.store.process_lock import living
from addons.store.state_dir import StateDir

_BUSY_SECONDS = 5.0


def begin_new_log(state: StateDir, why: str, by: Mapping[str, Json]) -> Path:
    """Set the log aside, as it is, and begin another. Gives where the old one is now.

    Raises `AuditLogUnusable`: where a process still runs, where there is no log, or where the disk says no.
    """
    log = state.audit_log
    if running := living(state):
        raise AuditLogUnusable(
            f"{running} processes use the audit log {log}.", "Stop every gateway and control first."
        )
    if not log.exists():
        raise AuditLogUnusable(f"There is no audit log at {log}.", "The gateway begins one when it starts.")
    aside = log.with_name(f"audit-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}.sqlite3")
    named = _named(log)
    _check_unused(log)
    try:
        for suffix in ("", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                log.with_name(log.name + suffix).rename(aside.with_name(aside.name + suffix))
        with contextlib.suppress(FileNotFoundError):
            newest_checkpoint.path_of(log).rename(aside.with_suffix(".checkpoint"))
    except OSError as error:
        raise AuditLogUnusable(
            f"The audit log {log} can't be set aside ({error.strerror}).", "See the disk."
        ) from None
    previous: dict[str, Json] = {"file": aside.name, **named}
    record = AuditRecord(
        RecordKind.LOG_BEGUN,
        time.time(),
        message=f"a new log follows {aside.name}: {why}",
        attributes={"previous": previous, "why": why, **by},
    )
    with contextlib.closing(AuditLog.open(log, busy_seconds=_BUSY_SECONDS, create=True)) as fresh:
        fresh.append([[(record, record.encode())]])
    return aside


def _check_unused(log: Path) -> None:
    """Raises `AuditLogUnusable` where another process has the log open: SQLite takes away the write-ahead log
    only from the last one. A file that is no database any more is nobody's.
    """
    try:
        with contextlib.closing(sqlite3.connect(log, isolation_level=None, timeout=1.0)) as connection:
            connection.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorname.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            raise AuditLogUnusable(
                f"Another process uses the audit log {log}.", "Stop every gateway and control first."
            ) from None
    except sqlite3.Error:
        return


def _named(log: Path) -> dict[str, Json]:
    """What the old log was: its head, as far as it can be read, and the digest of its file."""
    named: dict[str, Json] = {}
    try:
        with contextlib.closing(sqlite3.connect(log, isolation_level=None)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # into the file that is hashed
            named["head"] = read_head(connection).note
    except (sqlite3.Error, TreeDamaged) as error:
        named["unreadable"] = str(error)
    try:
        with log.open("rb") as file:
            named["sha256"] = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise AuditLogUnusable(
            f"The audit log {log} can't be read ({error.strerror}).", "See the disk."
        ) from None
    return named
