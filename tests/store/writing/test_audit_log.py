from __future__ import annotations

import multiprocessing
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from addons.store.audit.problems import AuditLogUnusable
from addons.store.audit.record import AuditRecord, RecordKind, RecordRefused
from addons.store.state_dir import StateDir
from addons.store.writing.audit_log import AuditLog

type Make = Callable[..., AuditRecord]
type Rows = Callable[[Path], list[tuple[int, dict[str, object]]]]


def opened(path: Path, *, create: bool = True, busy_seconds: float = 5.0) -> AuditLog:
    return AuditLog.open(path, busy_seconds=busy_seconds, create=create)


def group(*records: AuditRecord) -> list[tuple[AuditRecord, str]]:
    return [(record, record.encode()) for record in records]


def test_its_files_are_the_owners_alone(state: StateDir, record: Make) -> None:
    log = opened(state.audit_log)
    log.append([group(record())])
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in state.path.glob("audit*")} == {
        "audit-checkpoint": 0o600,
        "audit.sqlite3": 0o600,
        "audit.sqlite3-wal": 0o600,
        "audit.sqlite3-shm": 0o600,
    }
    log.close()


def test_wal_and_full_synchronisation_are_on(state: StateDir) -> None:
    log = opened(state.audit_log)
    assert log._connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert log._connection.execute("PRAGMA synchronous").fetchone() == (2,)
    log.close()


@pytest.mark.parametrize("count", [1, 3, 4, 5, 17, 100, 150])
def test_indices_are_those_of_the_records(state: StateDir, record: Make, rows: Rows, count: int) -> None:
    log = opened(state.audit_log)
    log.append([group(record())])
    groups = [group(*(record() for _ in range(1 + n % 3))) for n in range(count)]
    answers = log.append(groups)
    log.close()
    stored = {body["id"]: idx for idx, body in rows(state.audit_log)}
    for wanted, answer in zip(groups, answers, strict=True):
        assert answer == tuple(stored[one.id] for one, _ in wanted)


def test_a_taken_id_costs_its_own_group_only(state: StateDir, record: Make, rows: Rows) -> None:
    log = opened(state.audit_log)
    first = record()
    log.append([group(first)])
    before, inside, after = record(), record(), record()
    answers = log.append([group(before), group(inside, first), group(after)])
    log.close()
    assert isinstance(answers[1], RecordRefused)
    stored = {body["id"]: idx for idx, body in rows(state.audit_log)}
    assert answers[0] == (stored[before.id],)
    assert answers[2] == (stored[after.id],)
    assert inside.id not in stored


def append_in_process(path: Path, start: object, count: int) -> None:
    start.wait()  # type: ignore[attr-defined]
    log = opened(path, busy_seconds=30)
    for _ in range(count):
        log.append([group(AuditRecord(RecordKind.ATTEMPTED, 1.0), AuditRecord(RecordKind.ATTEMPTED, 1.0))])
    log.close()


def test_processes_that_create_and_append_at_once_lose_nothing(state: StateDir, rows: Rows) -> None:
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(4)
    processes = [
        context.Process(target=append_in_process, args=(state.audit_log, start, 50)) for _ in range(4)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0, 0]
    assert [idx for idx, _ in rows(state.audit_log)] == list(range(1, 401))


def test_a_file_that_is_no_database_is_named_and_kept(state: StateDir) -> None:
    state.audit_log.write_bytes(b"not a database at all, and longer than a header of one hundred bytes" * 4)
    content = state.audit_log.read_bytes()
    with pytest.raises(AuditLogUnusable, match="not a SQLite database"):
        opened(state.audit_log)
    assert state.audit_log.read_bytes() == content


def test_a_log_of_another_version_is_named(state: StateDir) -> None:
    opened(state.audit_log).close()
    with sqlite3.connect(state.audit_log) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(AuditLogUnusable, match="schema version 99"):
        opened(state.audit_log)


def test_another_programs_database_is_left_alone(state: StateDir) -> None:
    with sqlite3.connect(state.audit_log) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    with pytest.raises(AuditLogUnusable, match="not an audit log"):
        opened(state.audit_log)
    with sqlite3.connect(state.audit_log) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("theirs",)]
    connection.close()


def test_a_log_that_vanished_is_not_followed_by_an_empty_one(state: StateDir) -> None:
    with pytest.raises(AuditLogUnusable, match="is gone"):
        opened(state.audit_log, create=False)
    assert not state.audit_log.exists()


@pytest.mark.parametrize("name", ["audit.sqlite3", "audit.sqlite3-wal"])
def test_a_commit_into_a_removed_file_is_not_acknowledged(state: StateDir, record: Make, name: str) -> None:
    log = opened(state.audit_log)
    log.append([group(record())])
    (state.path / name).unlink()
    with pytest.raises(AuditLogUnusable):
        log.append([group(record())])
    log.close()


def test_a_log_that_another_holds_locked_is_named_after_the_time_out(state: StateDir, record: Make) -> None:
    log = opened(state.audit_log, busy_seconds=0.05)
    other = sqlite3.connect(state.audit_log, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(AuditLogUnusable, match="locked"):
        log.append([group(record())])
    other.execute("ROLLBACK")
    assert log.append([group(record())]) == [(1,)]
    other.close()
    log.close()


def test_text_that_isnt_unicode_is_stored_nevertheless(state: StateDir, record: Make, rows: Rows) -> None:
    log = opened(state.audit_log)
    odd = record(call="\ud800")
    log.append([group(odd)])
    log.close()
    assert rows(state.audit_log)[0][1]["call"] == "\ud800"
