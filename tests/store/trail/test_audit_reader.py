from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable

import pytest

from addons.store.audit.problems import AuditLogUnusable
from addons.store.audit.record import AuditRecord
from addons.store.state_dir import StateDir
from addons.store.trail.reader import _reading, last_index, read_after, tail
from addons.store.writing.audit_log import AuditLog

type Make = Callable[..., AuditRecord]


def write(log: AuditLog, *records: AuditRecord) -> None:
    log.append([[(record, record.encode()) for record in records]])


def opened(state: StateDir) -> AuditLog:
    return AuditLog.open(state.audit_log, busy_seconds=5, create=True)


def test_without_a_log_there_is_nothing_and_none_is_made(state: StateDir) -> None:
    assert last_index(state.audit_log) == 0
    assert list(tail(state.audit_log, 0, follow=False)) == []
    assert not state.audit_log.exists()


def test_records_come_in_order_and_after_the_given_index(state: StateDir, record: Make) -> None:
    log = opened(state)
    made = [record() for _ in range(1200)]  # more than one page
    write(log, *made)
    found = list(tail(state.audit_log, 10, follow=False))
    assert [one.to_json()["id"] for one in found] == [one.id for one in made[10:]]
    assert last_index(state.audit_log) == 1200
    log.close()


def test_following_begins_before_the_log_exists_and_sees_what_is_written(
    state: StateDir, record: Make
) -> None:
    seen: list[str] = []

    def follow() -> None:
        for found in tail(state.audit_log, 0, follow=True, poll_seconds=0.01):
            seen.append(str(found.to_json()["id"]))
            if len(seen) == 100:
                return

    reader = threading.Thread(target=follow, daemon=True)
    reader.start()
    log = opened(state)
    made = [record() for _ in range(100)]
    for one in made:
        write(log, one)
    reader.join(20)
    assert seen == [one.id for one in made]
    log.close()


def test_reading_doesnt_hold_up_a_writer_with_a_transaction_open(state: StateDir, record: Make) -> None:
    log = opened(state)
    write(log, record())
    writer = sqlite3.connect(state.audit_log, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    began = time.monotonic()
    assert len(read_after(state.audit_log, 0)) == 1
    assert time.monotonic() - began < 1
    writer.execute("ROLLBACK")
    writer.close()
    log.close()


def test_a_reader_cant_write(state: StateDir, record: Make) -> None:
    log = opened(state)
    write(log, record())
    log.close()
    with _reading(state.audit_log) as connection:
        assert connection is not None
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            connection.execute("DELETE FROM records")
    assert len(read_after(state.audit_log, 0)) == 1


def test_a_file_that_is_no_log_is_named(state: StateDir) -> None:
    state.audit_log.write_bytes(b"x" * 4096)
    with pytest.raises(AuditLogUnusable, match="not a SQLite database"):
        read_after(state.audit_log, 0)
