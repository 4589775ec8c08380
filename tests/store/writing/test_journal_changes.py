"""Changes of state that commit together with audit records."""

from __future__ import annotations

import asyncio
import multiprocessing
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from addons.store.audit.changes import Applied, ChangeRefused, RefusedBecause
from addons.store.audit.problems import AuditLogUnusable
from addons.store.audit.record import AuditRecord, RecordKind, RecordRefused
from addons.store.state_dir import StateDir
from addons.store.writing.audit_log import AuditLog, Wish, Written
from addons.store.writing.journal import Journal, JournalLimits, JournalUnavailable
from tests.store.approval_samples import Store

type Make = Callable[..., AuditRecord]
type MakeFlow = Callable[[str], bytes]
type Rows = Callable[[Path], list[tuple[int, dict[str, object]]]]


@dataclass(frozen=True)
class Put:
    """Writes a row, and then does what `then` says."""

    value: str
    records: tuple[AuditRecord, ...] = ()
    then: Callable[[sqlite3.Connection], object] | None = None

    def apply(self, connection: sqlite3.Connection) -> Applied[str]:
        connection.execute("INSERT INTO schema_parts VALUES (?, 1)", (self.value,))
        if self.then is not None:
            self.then(connection)
        return Applied(self.value.upper(), self.records)


def refuse(_connection: sqlite3.Connection) -> None:
    raise ChangeRefused(RefusedBecause.NOT_APPROVED, "not so")


def fail(_connection: sqlite3.Connection) -> None:
    raise TypeError("a bug")


def put(state: StateDir) -> list[str]:
    with sqlite3.connect(state.audit_log) as connection:
        found = connection.execute(
            "SELECT part FROM schema_parts WHERE part NOT IN ('approvals', 'blocklist') ORDER BY part"
        )
        parts = [part for (part,) in found]
    connection.close()
    return parts


@pytest.fixture
def journal(state: StateDir) -> Iterator[Journal]:
    opened = Journal.open(state, JournalLimits(busy_seconds=0.1))
    yield opened
    opened.close()


async def test_a_change_and_its_records_are_there_together(
    state: StateDir, journal: Journal, record: Make, make_flow: MakeFlow, rows: Rows
) -> None:
    mine, made = record(), record(RecordKind.APPROVAL_CONSUMED)
    done = await journal.append([mine], make_flow("a"), change=Put("x", (made,)))
    assert (done.indices, done.changed) == ((1,), "X")
    assert done.recording is not None
    (_, first), (_, second) = rows(state.audit_log)
    assert (first["id"], second["id"]) == (mine.id, made.id)
    assert "recording" in first
    assert "recording" not in second
    assert put(state) == ["x"]


async def test_a_change_needs_no_records(state: StateDir, journal: Journal) -> None:
    assert await journal.change(Put("x")) == "X"
    assert put(state) == ["x"]


async def test_of_a_refused_change_nothing_is_stored_and_of_its_group_all_else(
    state: StateDir, journal: Journal, record: Make, rows: Rows
) -> None:
    kept = [record(), record(), record()]
    answers = await asyncio.gather(
        journal.append([kept[0]]),
        journal.append([record()], change=Put("refused", then=refuse)),
        journal.append([kept[1]], change=Put("stays")),
        journal.append([record()], change=Put("failed", then=fail)),
        journal.append([kept[2]]),
        return_exceptions=True,
    )
    refused, failed = answers[1], answers[3]
    assert isinstance(refused, ChangeRefused)
    assert (refused.reason, refused.text) == (RefusedBecause.NOT_APPROVED, "not so")
    assert isinstance(failed, ChangeRefused)
    assert failed.reason is RefusedBecause.FAILED
    assert "bug" not in failed.text
    assert {body["id"] for _, body in rows(state.audit_log)} == {one.id for one in kept}
    assert put(state) == ["stays"]
    assert journal.healthy()


def test_indices_are_those_of_the_callers_records(state: StateDir, record: Make, rows: Rows) -> None:
    store = Store(state.audit_log)
    mine = [record() for _ in range(5)]

    def wish(*records: AuditRecord, change: Put | None = None) -> Wish:
        return Wish([(one, one.encode()) for one in records], change)

    answers = store.log.append_with_changes(
        [
            wish(mine[0]),
            wish(mine[1], mine[2], change=Put("a", (record(), record()))),
            wish(record(), change=Put("b", (record(),), refuse)),
            wish(change=Put("c", (record(),))),
            wish(mine[3], mine[4]),
        ]
    )
    store.log.close()
    stored = {body["id"]: idx for idx, body in rows(state.audit_log)}
    told = [answer.indices for answer in answers if isinstance(answer, Written)]
    assert told == [
        (stored[mine[0].id],),
        (stored[mine[1].id], stored[mine[2].id]),
        (),
        (stored[mine[3].id], stored[mine[4].id]),
    ]
    assert sorted(stored.values()) == list(range(1, 9))


@pytest.mark.parametrize("whose", ["the caller's", "the change's"])
async def test_a_record_that_cant_be_stored_undoes_the_change(
    state: StateDir, journal: Journal, record: Make, whose: str
) -> None:
    taken = record()
    await journal.append([taken])
    for bad in (taken, record(attributes={"x": float("nan")})):
        records, made = ([bad], ()) if whose == "the caller's" else ([], (bad,))
        with pytest.raises(RecordRefused):
            await journal.append(records, change=Put("x", made))
    assert put(state) == []
    assert journal.healthy()


async def test_what_breaks_a_rule_of_the_database_breaks_for_itself_alone(
    state: StateDir, journal: Journal
) -> None:
    await journal.change(Put("x"))
    answers = await asyncio.gather(journal.change(Put("x")), journal.change(Put("y")), return_exceptions=True)
    assert isinstance(answers[0], ChangeRefused)
    assert answers[1] == "Y"


async def test_a_locked_log_fails_the_change_and_the_next_succeeds(
    state: StateDir, journal: Journal, record: Make
) -> None:
    other = sqlite3.connect(state.audit_log, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(JournalUnavailable, match="locked by another process"):
        await journal.append([record()], change=Put("x"))
    other.execute("ROLLBACK")
    other.close()
    assert put(state) == []
    assert await journal.change(Put("x")) == "X"


async def test_a_database_that_fails_in_the_middle_fails_the_whole_group(
    state: StateDir, journal: Journal, record: Make, rows: Rows
) -> None:
    def fill(connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA max_page_count = 1")
        connection.execute("INSERT INTO schema_parts VALUES (zeroblob(100000), 1)")

    answers = await asyncio.gather(
        journal.append([record()]),
        journal.append([record()], change=Put("x", then=fill)),
        return_exceptions=True,
    )
    full = [answer for answer in answers if isinstance(answer, JournalUnavailable)]
    assert full
    assert all("disk is full" in str(one) for one in full)
    assert put(state) == []
    assert len(rows(state.audit_log)) == 2 - len(full)
    assert await journal.change(Put("y")) == "Y"


def test_appends_without_changes_cost_no_statement_more(state: StateDir, record: Make) -> None:
    log = AuditLog.open(state.audit_log, busy_seconds=1.0, create=True)
    log.append([[(one, one.encode())] for one in (record(),)])
    statements: list[str] = []
    log._connection.set_trace_callback(statements.append)
    log.append([[(one, one.encode())] for one in (record(), record(), record(), record())])
    log.close()
    told = [statement.split()[0] for statement in statements]
    assert told in (
        ["BEGIN", "INSERT", "SELECT", "UPDATE", "COMMIT"],  # the records, and the head of the tree
        ["BEGIN", "INSERT", "SELECT", "UPDATE", "INSERT", "COMMIT"],  # which is also kept when it is due
    )


TABLES_BEFORE_APPROVALS = {
    *("records", "sqlite_sequence"),
    *("log_head", "log_nodes", "log_checkpoints", "log_cosignatures"),
}


def of_a_time_before_approvals(path: Path) -> None:
    Store(path).log.close()
    with sqlite3.connect(path, isolation_level=None) as connection:
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (name,) in names:
            if name not in TABLES_BEFORE_APPROVALS:
                connection.execute(f"DROP TABLE {name}")
    connection.close()


def ask_in_process(path: Path, start: object, number: int) -> None:
    from tests.store.approval_samples import Store  # noqa: PLC0415 - in the child

    start.wait()  # type: ignore[attr-defined]
    store = Store(path)
    store.ask(f"digest-{number}")
    store.log.close()


def test_an_older_log_gets_the_tables_once_whoever_opens_it(state: StateDir, record: Make) -> None:
    of_a_time_before_approvals(state.audit_log)
    before = AuditLog.open(state.audit_log, busy_seconds=1.0, create=False)
    one = record()
    before.append([[(one, one.encode())]])
    before.close()
    of_a_time_before_approvals(state.audit_log)
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(4)
    processes = [
        context.Process(target=ask_in_process, args=(state.audit_log, start, number)) for number in range(4)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0, 0]
    store = Store(state.audit_log)
    assert store.sql("SELECT count(*) FROM approvals") == [(4,)]
    assert store.sql("SELECT count(*) FROM records") == [(5,)]
    store.log.close()


def test_approvals_of_a_newer_version_are_named(state: StateDir) -> None:
    store = Store(state.audit_log)
    store.sql("UPDATE schema_parts SET version = 99")
    store.log.close()
    with pytest.raises(AuditLogUnusable, match="approvals of version 99"):
        Store(state.audit_log)


def test_text_that_is_no_utf8_stops_no_other_change(state: StateDir) -> None:
    store = Store(state.audit_log)
    damaged = store.ask("d1")
    store.sql("UPDATE approvals SET told = CAST(x'ff80' AS TEXT) WHERE id = ?", damaged.id)
    with pytest.raises(ChangeRefused) as refused:
        store.ask("d1")
    assert refused.value.reason is RefusedBecause.UNREADABLE
    assert store.ask("d2").digest == "d2"
    store.log.close()
