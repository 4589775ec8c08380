"""Follows an audit log that can't go on by a new one, whose first record names the old.

Who was frozen, or had tokens revoked, stays so. Where that can't be read any more everyone is frozen, until a
person has seen to it.
"""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from addons.core.blocklist import Block, BlockKind, Named
from addons.core.model import Json
from addons.store import moment
from addons.store.audit import newest_checkpoint
from addons.store.audit.keys import LogKeys
from addons.store.audit.problems import AuditLogUnusable, as_damage
from addons.store.audit.record import AuditRecord, RecordKind, new_id
from addons.store.audit.tree import TreeDamaged, read_head
from addons.store.blocking.blocks import Blocks, PutBlock, PutBlocksBack, StoredBlock
from addons.store.state_dir import StateDir, create_private_file
from addons.store.writing.audit_log import AuditLog, Wish, Written
from addons.store.writing.process_lock import living

_BUSY_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Begun:
    """`aside` is where the old log is now; None where it is gone, and only its checkpoint is left. `froze`
    says that everyone is frozen now.
    """

    aside: Path | None
    froze: bool


def begin_new_log(state: StateDir, why: str, by: Mapping[str, Json]) -> Begun:
    """Set the log aside and begin another, whose first record names the old one, its head, and the digest of
    its file.

    If it breaks off half-way, no gateway starts, and it can be done again. Raises `AuditLogUnusable`: where a
    process still runs, where there was no log, or where the disk says no.
    """
    log = state.audit_log
    if running := living(state):
        raise AuditLogUnusable(
            f"{running} processes use the audit log {log}.", "Stop every gateway and control first."
        )
    kept = newest_checkpoint.read(log)
    if not log.exists() and kept is None and not LogKeys(state).is_any():
        raise AuditLogUnusable(f"There is no audit log at {log}.", "The gateway begins one when it starts.")
    earlier: list[Json] = [path.name for path in sorted(log.parent.glob("audit-*.sqlite3"))]
    try:
        aside, previous = _set_aside(log, kept) if log.exists() else (None, {})
    except OSError as error:
        raise AuditLogUnusable(
            f"The audit log {log} can't be set aside ({error.strerror}).", "See the disk."
        ) from None
    if kept is not None:
        previous["checkpoint"] = kept.decode(errors="replace")
    record = AuditRecord(
        RecordKind.LOG_BEGUN,
        time.time(),
        message=f"a new log follows {aside.name if aside else 'one that is gone'}: {why}",
        attributes={"previous": previous, "set_aside_before": earlier, "why": why, **by},
    )
    blocks = _blocks_of(aside)
    change = PutBlocksBack(blocks) if blocks is not None else PutBlock(_freeze_of_everyone(), {})
    fresh = AuditLog.open(log, busy_seconds=_BUSY_SECONDS, create=True, succeeds=True)
    with contextlib.closing(fresh):
        (begun,) = fresh.append_with_changes([Wish([(record, record.encode())], change)])
    if not isinstance(begun, Written):
        raise AuditLogUnusable(f"The new audit log {log} can't be begun: {begun}.", "Do it again.")
    return Begun(aside, froze=blocks is None)


def _blocks_of(aside: Path | None) -> Sequence[StoredBlock] | None:
    """The freezes and revocations of the old log; None where they can't be read."""
    if aside is None:
        return None
    blocks = Blocks(aside)
    try:
        return blocks.all(before_there_were=())
    except AuditLogUnusable:
        return None
    finally:
        blocks.close()


def _freeze_of_everyone() -> StoredBlock:
    begun = moment.now()
    why = "the freezes and revocations of the log before can't be read"
    block = Block(new_id(), BlockKind.FREEZE, Named.EVERYONE, "", None, why, "ddgate", begun.wall)
    return StoredBlock(block, begun, None)


def _set_aside(log: Path, kept: bytes | None) -> tuple[Path, dict[str, Json]]:
    """Raises OSError, `AuditLogUnusable`."""
    stem = f"audit-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
    aside = log.with_name(f"{stem}.sqlite3")
    while aside.exists():
        stem += "-again"
        aside = log.with_name(f"{stem}.sqlite3")
    _fold(log)
    previous: dict[str, Json] = {"file": aside.name, **_head(log)}
    for suffix in ("", "-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            log.with_name(log.name + suffix).rename(aside.with_name(aside.name + suffix))
    with aside.open("rb") as file:
        previous["sha256"] = hashlib.file_digest(file, "sha256").hexdigest()
    if kept is not None:
        create_private_file(newest_checkpoint.path_of(aside), kept)
    return aside, previous


def _fold(log: Path) -> None:
    """Take the write-ahead log into the file. SQLite does so only for whoever is alone with it, which tells
    whether another process has the log open. A file that is no database any more is nobody's.

    Raises `AuditLogUnusable`.
    """
    try:
        with contextlib.closing(sqlite3.connect(log, isolation_level=None, timeout=1.0)) as connection:
            connection.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorname.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            raise AuditLogUnusable(
                f"Another process uses the audit log {log}.", "Stop every gateway and control first."
            ) from None
    except (sqlite3.Error, UnicodeDecodeError):
        return


def _head(log: Path) -> dict[str, Json]:
    """The old log's head, as far as it can be read."""
    try:
        with as_damage(), contextlib.closing(sqlite3.connect(log, isolation_level=None)) as connection:
            return {"head": read_head(connection).note}
    except (sqlite3.Error, TreeDamaged) as error:
        return {"unreadable": str(error)}
