"""What is over goes; what somebody may still need stays."""

from __future__ import annotations

from addons.core.approvals.states import State
from addons.store.approvals.reading import Approvals
from addons.store.approvals.removing import RemoveOld
from addons.store.approvals.requests import Ask, ExpireDue, Withdraw
from addons.store.approvals.runs import Lost
from addons.store.approvals.votes import BreakTheGlass
from tests.store.approval_samples import CAROL, START, Store, approval, later

LONG_AFTER = later(30 * 86400)
TABLES = ("approvals", "approval_holders", "approval_seen", "approval_history", "deliveries", "outbox")


def remove(store: Store, *, before: float = LONG_AFTER.wall) -> int:
    return store.do(RemoveOld(before, LONG_AFTER.wall))


def newest(store: Store) -> str:
    """One that stays, for its version is the newest."""
    return store.ask("newest", LONG_AFTER).id


def test_what_is_over_goes_with_all_that_belongs_to_it(store: Store, reader: Approvals) -> None:
    denied = store.vote(store.ask("d1"), yes=False)
    last = newest(store)
    records = len(store.kinds())
    assert remove(store) == 1
    assert [each.id for each in reader.list()] == [last]
    for table in TABLES:
        column = "id" if table == "approvals" else "approval"
        assert store.sql(f"SELECT 1 FROM {table} WHERE {column} = ?", denied.id) == []  # noqa: S608 - above
    assert store.kinds()[records:] == ["approvals_removed"]
    assert store.last()["attributes"]["approvals"] == [denied.id]
    assert remove(store) == 0
    assert store.kinds()[records:] == ["approvals_removed"]


def test_what_lives_or_waits_for_a_person_stays(store: Store, reader: Approvals) -> None:
    lost = store.executing("d1")
    store.do(Lost(lost.id, "c1", START))
    glass = store.ask("d2")
    store.do(BreakTheGlass(glass.id, CAROL, "it burns", START, "d2"))
    store.do(ExpireDue(later(86400)))
    over = reader.get(glass.id)
    assert over is not None
    assert over.state is State.EXPIRED
    pending = store.ask("d3", LONG_AFTER)
    newest(store)
    assert remove(store) == 0
    assert {each.id for each in reader.list()} >= {lost.id, glass.id, pending.id}


def test_what_ended_after_the_bound_stays(store: Store) -> None:
    one = store.ask("d1")
    store.do(Withdraw(one.id, "it has changed", START))
    newest(store)
    assert remove(store, before=one.pending_until) == 0
    assert remove(store, before=one.pending_until + 1) == 1


def test_a_grant_that_outlived_the_request_counts(store: Store) -> None:
    one = store.vote(store.ask("d1"), at=later(590))
    assert one.grant_until is not None
    store.do(ExpireDue(later(86400)))
    newest(store)
    assert remove(store, before=one.pending_until + 1) == 0
    assert remove(store, before=one.grant_until + 1) == 1


def test_what_has_a_message_under_way_stays(store: Store) -> None:
    one = store.vote(store.ask("d1"), yes=False)
    newest(store)
    columns = "message, approval, target, state, next_at"
    row = f"INSERT INTO deliveries ({columns}) VALUES (1, ?, 'chat', 'queued', 0)"  # noqa: S608 - from above
    store.sql(row, one.id)
    assert remove(store) == 0
    store.sql("UPDATE deliveries SET state = 'sent'")
    assert remove(store) == 1


def test_who_watches_misses_nothing_after_a_removal(store: Store) -> None:
    for number in range(3):
        store.do(Withdraw(store.ask(f"d{number}").id, "it has changed", START))
    ((before,),) = store.sql("SELECT max(version) FROM approvals")
    assert remove(store) == 2
    fresh = store.ask("fresh", LONG_AFTER)
    ((after,),) = store.sql("SELECT version FROM approvals WHERE id = ?", fresh.id)
    assert int(str(after)) > int(str(before))


def test_many_go_in_steps(store: Store) -> None:
    for number in range(120):
        store.do(Ask(approval(f"d{number}"), START, 999))
    store.do(ExpireDue(later(86400)))
    newest(store)
    assert [remove(store) for _ in range(3)] == [100, 20, 0]
