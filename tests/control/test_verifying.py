"""Control goes through the whole audit log, of which a start looks at the end alone."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from pathlib import Path

from addons.control.verifying import Verifying
from addons.store.audit.record import AuditRecord, RecordKind
from addons.store.state_dir import StateDir
from addons.store.writing.audit_log import AuditLog


async def looked_at(state: StateDir) -> str | None:
    verifying = Verifying(state)
    task = asyncio.create_task(verifying.run())
    seen = verifying.looks
    while verifying.looks == seen:  # noqa: ASYNC110 - it tells nobody
        await asyncio.sleep(0.01)
    task.cancel()
    return verifying.problem


async def test_i12_a_record_that_was_changed_turns_control_red(tmp_path: Path) -> None:
    state = StateDir.open(tmp_path / "state")
    log = AuditLog.open(state.audit_log, busy_seconds=5, create=True)
    one = AuditRecord(RecordKind.ATTEMPTED, 1.0)
    log.append([[(one, one.encode())]])
    log.close()
    assert await looked_at(state) is None
    with contextlib.closing(sqlite3.connect(state.audit_log, isolation_level=None)) as connection:
        connection.execute("UPDATE records SET body = replace(body, 'attempted', 'outcome')")
    problem = await looked_at(state)
    assert problem is not None
    assert "record 1: its text is not what was hashed" in problem
