from __future__ import annotations

import sqlite3
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from addons.core.approvals.states import State
from addons.store.approvals.reading import Approvals, Changed
from addons.store.approvals.requests import Ask, ExpireDue
from addons.store.approvals.rows import ApprovalUnreadable
from addons.store.approvals.votes import VoteFor
from addons.store.audit.problems import AuditLogUnusable
from addons.store.audit.record import AuditRecord, RecordKind
from addons.store.state_dir import StateDir
from addons.store.writing.audit_log import AuditLog
from tests.store.approval_samples import ALICE, BOB, NEEDS, START, Store, approval, later, requester


def holds_nothing(reader: Approvals) -> None:
    assert reader.get("x") is None
    assert reader.standing("x", 0.0, 60.0) is None
    assert reader.busy_states() == frozenset()
    assert reader.list() == reader.thread("x") == reader.reviews_due() == []
    assert reader.history("x") == []
    assert reader.load_of("x", "y", 1.0).waiting == reader.last_version() == 0
    assert reader.counts() == dict.fromkeys(State, 0)
    assert reader.oldest_pending() is None
    assert reader.states(["x"]) == {}
    assert reader.changed_after(0) == []
    assert reader.answer("x") is None
    assert not reader.has_seen("x", ALICE)


def test_while_there_is_no_file_there_is_nothing(state: StateDir, reader: Approvals) -> None:
    holds_nothing(reader)
    before = reader.data_version()
    store = Store(state.audit_log)
    one = store.ask()
    assert reader.get(one.id) == one
    assert reader.data_version() != before
    store.log.close()


def test_in_a_log_of_a_time_before_approvals_there_is_nothing(state: StateDir, reader: Approvals) -> None:
    AuditLog.open(state.audit_log, busy_seconds=1.0, create=True).close()
    with sqlite3.connect(state.audit_log) as connection:
        for name in ("schema_parts", "approvals", "approval_seen", "approval_answers", "approval_history"):
            connection.execute(f"DROP TABLE {name}")
    connection.close()
    holds_nothing(reader)
    store = Store(state.audit_log)  # it gets them while the reader is open
    one = store.ask()
    assert reader.get(one.id) == one
    store.log.close()


def test_another_file_in_its_place_is_what_is_read(
    state: StateDir, store: Store, reader: Approvals, tmp_path: Path
) -> None:
    one = store.ask()
    assert reader.get(one.id) == one
    version = reader.data_version()
    other = Store(tmp_path / "other.sqlite3")
    new = other.ask("d2")
    other.log.close()
    (tmp_path / "other.sqlite3").rename(state.audit_log)
    for kind in ("-wal", "-shm"):
        state.audit_log.with_name(state.audit_log.name + kind).unlink()
    assert reader.get(one.id) is None
    assert reader.get(new.id) == new
    assert reader.data_version() != version


def test_a_file_that_is_no_log_is_named_each_time(state: StateDir, reader: Approvals) -> None:
    state.audit_log.write_bytes(b"no database, and longer than the head of one that is a hundred long" * 4)
    for _ in range(2):
        with pytest.raises(AuditLogUnusable, match="not a SQLite database"):
            reader.get("x")
    state.audit_log.unlink()
    with sqlite3.connect(state.audit_log) as connection:
        connection.execute("CREATE TABLE records (x)")
    connection.close()
    for _ in range(2):
        with pytest.raises(AuditLogUnusable, match="not an audit log"):
            reader.counts()


def test_pages_go_from_the_newest_to_the_oldest(store: Store, reader: Approvals) -> None:
    asked = [store.ask(f"d{number}", thread=f"t{number % 2}") for number in range(7)]
    for one in asked[:3]:
        store.vote(one, yes=False)
    newest = [one.id for one in reversed(asked)]
    assert [one.id for one in reader.list()] == newest
    assert [one.id for one in reader.list(limit=3)] == newest[:3]
    assert [one.id for one in reader.list(limit=3, before=newest[2])] == newest[3:6]
    assert [one.id for one in reader.list({State.DENIED})] == newest[4:]
    assert [one.id for one in reader.list({State.DENIED}, before=newest[4])] == newest[5:]
    assert [one.id for one in reader.list({State.DENIED, State.PENDING}, limit=5)] == newest[:5]
    assert reader.list(frozenset()) == []
    assert [one.id for one in reader.thread("t0")] == newest[::2]
    assert [one.preview for one in reader.list()] == [None] * 7
    assert reader.list(previews=True)[0].preview == approval().preview
    assert reader.thread("t0", previews=True)[0].preview == approval().preview
    assert reader.counts()[State.DENIED] == 3
    assert reader.counts()[State.PENDING] == 4
    assert reader.counts()[State.FAILED] == 0


def test_what_changed_since_is_told_in_order_and_once(store: Store, reader: Approvals) -> None:
    first, second = store.ask("d1"), store.ask("d2")
    start = reader.last_version()
    assert reader.changed_after(start) == []
    store.vote(second)
    store.vote(first, yes=False)
    changed = reader.changed_after(start)
    assert [(one.id, one.state) for one in changed] == [
        (second.id, State.APPROVED),
        (first.id, State.DENIED),
    ]
    assert reader.changed_after(start, limit=1) == changed[:1]
    assert reader.changed_after(changed[0].version) == [
        Changed(first.id, State.DENIED, reader.last_version())
    ]
    states = reader.states([first.id, second.id, "none", "no\ud800"])
    assert states == {one.id: (one.state, one.version) for one in changed}


def test_states_of_very_many_are_told(store: Store, reader: Approvals) -> None:
    one = store.ask()
    assert reader.states([*(f"none-{n}" for n in range(40_000)), one.id]) == {
        one.id: (State.PENDING, reader.last_version())
    }


def test_the_data_version_tells_of_every_commit(store: Store, reader: Approvals) -> None:
    seen = [reader.data_version(), reader.data_version()]
    assert len(set(seen)) == 1
    one = store.ask()
    seen.append(reader.data_version())
    store.vote(one)
    seen.append(reader.data_version())
    assert len(set(seen)) == 3


def test_the_one_that_waits_the_longest_is_known(store: Store, reader: Approvals) -> None:
    assert reader.oldest_pending() is None
    store.approved("d0")
    store.ask("d1", later(5))
    store.ask("d2", later(9))
    assert reader.oldest_pending() == START.wall + 5


def test_the_live_one_of_a_digest_is_whole(store: Store, reader: Approvals) -> None:
    one = store.ask("d1")
    assert reader.standing("d1", START.wall, 60.0) == one
    assert reader.standing("d2", START.wall, 60.0) is None


def test_a_denial_stands_until_a_moment_after_the_request_would_have_expired(
    store: Store, reader: Approvals
) -> None:
    """Who repeats the call hears of it, and asks nobody again."""
    one = store.ask("d1")
    store.vote(one, yes=False)
    assert store.ask("d1").id == one.id
    found = reader.standing("d1", one.pending_until - 1, 0.0)
    assert found is not None
    assert (found.id, found.state) == (one.id, State.DENIED)
    assert reader.standing("d1", one.pending_until + 59, 60.0) == found
    assert reader.standing("d1", one.pending_until + 60, 60.0) is None
    assert reader.standing("d1", one.requested_at - 301, 60.0) is None  # a clock that was put back


def test_a_denial_after_a_late_yes_stands_as_long_as_the_grant_would_have(
    store: Store, reader: Approvals
) -> None:
    one = store.ask("d1")
    late = one.pending_until - 1
    store.vote(one, at=later(NEEDS.pending - 1))
    store.vote(one, BOB, yes=False, at=later(NEEDS.pending + 1))
    for at in (late + 3, late + NEEDS.grant - 1, late + NEEDS.grant + 59):
        found = reader.standing("d1", at, 60.0)
        assert found is not None
        assert (found.id, found.state) == (one.id, State.DENIED)
    assert reader.standing("d1", late + NEEDS.grant + 60, 60.0) is None


def test_an_end_by_time_is_told_for_a_moment(store: Store, reader: Approvals) -> None:
    one = store.ask("d1")
    store.do(ExpireDue(later(NEEDS.pending + 1)))
    over = one.pending_until
    found = reader.standing("d1", over + 59, 60.0)
    assert found is not None
    assert found.state is State.EXPIRED
    assert reader.standing("d1", over + 60, 60.0) is None


@pytest.mark.parametrize(
    "damage",
    [
        "state = 'gone'",
        "fixed = ''",
        "fixed = '{}'",
        "fixed = '[' || fixed || ']'",
        "fixed = replace(fixed, '[[\"sre\",1]]', '[]')",
        "fixed = replace(fixed, '[[\"sre\",1]]', '[[\"sre\",true]]')",
        "fixed = replace(fixed, '[[\"sre\",1]]', '[[\"sre\",-1]]')",
        "fixed = replace(fixed, '600.0', 'NaN')",
        "fixed = replace(fixed, '600.0', '1' || printf('%0400d', 0))",
        "told = 'null'",
        "told = replace(told, '[]', '[{}]')",
        "told = printf('%.*c', 100000, '[')",
        "pending_until = 'soon'",
        "requested_at = x'00'",
        "pending_boot_id = x'00'",
        "granted_at = 1, grant_until = 'x'",
        "digest = x'ff'",
    ],
)
def test_a_damaged_one_is_reported_and_the_others_are_read(
    store: Store, reader: Approvals, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    one, other = store.ask("d1"), store.ask("d2")
    store.sql(f"UPDATE approvals SET {damage} WHERE id = ?", one.id)  # noqa: S608 - from above
    with pytest.raises(ApprovalUnreadable, match=f"The approval {one.id} is damaged") as error:
        reader.get(one.id)
    assert error.value.approval == one.id
    assert [each.id for each in reader.list()] == [other.id]
    assert one.id in caplog.text
    assert reader.get(other.id) == other


def test_a_damaged_preview_is_reported_where_it_is_read(store: Store, reader: Approvals) -> None:
    one = store.ask()
    store.sql("UPDATE approvals SET preview = '{'")
    with pytest.raises(ApprovalUnreadable):
        reader.get(one.id)
    assert [each.id for each in reader.list()] == [one.id]
    assert reader.list(previews=True) == []


def test_threads_read_at_once(store: Store, reader: Approvals) -> None:
    ones = [store.ask(f"d{number}", thread=f"t{number}") for number in range(5)]
    wrong: list[object] = []

    def read() -> None:
        for number in range(100):
            one = ones[number % 5]
            if reader.get(one.id) != one or reader.last_version() != 5:
                wrong.append(one)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_reader_that_is_closed_reads_again(store: Store, reader: Approvals) -> None:
    one = store.ask()
    before = reader.data_version()
    reader.close()
    assert reader.get(one.id) == one
    assert reader.data_version() != before


def test_history_is_the_approvals_own(store: Store, reader: Approvals) -> None:
    one = store.ask("d1")
    store.ask("d2")
    store.do(VoteFor(one.id, ALICE, True, "", "d1", START), AuditRecord(RecordKind.READ, 1.0))
    kinds = [record.to_json()["kind"] for record in reader.history(one.id)]
    assert kinds == ["approval_requested", "approval_approved"]


def test_everything_about_it_comes_back_as_it_was(store: Store, reader: Approvals) -> None:
    asked = replace(
        approval(by=requester("agent-1", "bob"), needs=replace(NEEDS, break_glass=None)),
        preview={"deep": [[[]], {"n": 1.0, "big": 2**200, "text": "\ud800 \x00 \u202e"}]},
    )
    asked = replace(asked, asked=replace(asked.asked, operation=None, version=None, intent=None))
    stored = store.do(Ask(asked, START, 20)).approval
    assert reader.get(asked.id) == stored
