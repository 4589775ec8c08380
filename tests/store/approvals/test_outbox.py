from __future__ import annotations

import multiprocessing
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from addons.core.approvals.states import State
from addons.store.approvals.outbox import Delivery, Outbox, OutboxFigures, Target
from addons.store.approvals.votes import BreakTheGlass, VoteFor
from addons.store.audit.changes import ChangeRefused
from addons.store.audit.problems import AuditLogUnusable
from addons.store.state_dir import StateDir
from tests.store.approval_samples import ALICE, CAROL, START, Store, later

AT = START.wall + 100
ALL = Target("all")
LEASE = 30.0


@pytest.fixture
def outbox(store: Store) -> Iterator[Outbox]:
    opened = Outbox.open(store.path)
    yield opened
    opened.close()


def claim(outbox: Outbox, target: str = "all", at: float = AT) -> list[Delivery]:
    return outbox.claim(target, at, LEASE, 10)


def test_a_message_is_what_it_was_when_it_happened(store: Store, outbox: Outbox) -> None:
    one = store.ask()
    store.vote(one)
    assert outbox.plan([ALL], AT) == 2
    assert outbox.plan([ALL], AT) == 0
    (requested,) = claim(outbox)
    assert (requested.event, requested.at, requested.attempts) == ("requested", START.wall, 1)
    assert requested.approval == one  # as it was, with its preview
    outbox.sent(requested, AT)
    (approved,) = claim(outbox)
    assert approved.event == "approved"
    assert approved.approval.state is State.APPROVED
    assert approved.message != requested.message
    outbox.sent(approved, AT)
    assert claim(outbox) == []
    assert outbox.figures() == OutboxFigures(0, 0, None)


def test_a_change_that_did_not_happen_is_told_to_nobody(store: Store, outbox: Outbox) -> None:
    with pytest.raises(ChangeRefused):
        store.do(VoteFor("none", ALICE, True, "", None, START))
    assert outbox.plan([ALL], AT) == 0


def test_messages_of_one_approval_go_in_order_and_others_dont_wait(store: Store, outbox: Outbox) -> None:
    first = store.ask("d1", thread="t1")
    second = store.ask("d2", thread="t2")
    store.vote(first)
    outbox.plan([ALL], AT)
    claimed = claim(outbox)
    assert [(one.approval.id, one.event) for one in claimed] == [
        (first.id, "requested"),
        (second.id, "requested"),
    ]
    assert claim(outbox) == []
    outbox.failed(claimed[0], "HTTP 500", AT + 5)
    assert claim(outbox) == []
    (again,) = claim(outbox, at=AT + 5)
    assert (again.message, again.attempts) == (claimed[0].message, 2)
    outbox.failed(again, "HTTP 410", None)  # dead: what comes after it goes on
    (approved,) = claim(outbox, at=AT + 5)
    assert approved.event == "approved"


def test_each_receiver_gets_what_it_wants_and_broken_glass(store: Store, outbox: Outbox) -> None:
    one = store.ask()
    store.do(BreakTheGlass(one.id, CAROL, "fire", START))
    targets = [ALL, Target("some", frozenset({"requested"})), Target("none", frozenset())]
    outbox.plan(targets, AT)
    heard: dict[str, list[str]] = {}
    for target in targets:
        while deliveries := claim(outbox, target.name):
            for delivery in deliveries:
                heard.setdefault(target.name, []).append(delivery.event)
                outbox.sent(delivery, AT)
    assert heard == {
        "all": ["requested", "glass_broken"],
        "some": ["requested", "glass_broken"],
        "none": ["glass_broken"],
    }


def test_what_a_dead_sender_claimed_is_sent_by_another_under_the_same_id(
    store: Store, outbox: Outbox
) -> None:
    store.ask()
    outbox.plan([ALL], AT)
    other = Outbox.open(store.path)
    (mine,) = claim(outbox)
    assert claim(other, at=AT + LEASE - 1) == []
    (theirs,) = claim(other, at=AT + LEASE)
    assert (theirs.message, theirs.attempts) == (mine.message, 2)
    outbox.failed(mine, "too late to say so", None)  # it is another's now
    assert outbox.dead() == []
    other.sent(theirs, AT)
    outbox.failed(mine, "later still", AT)
    assert claim(outbox, at=AT + 1e6) == []
    other.close()


def test_what_was_sent_after_all_counts_as_sent(store: Store, outbox: Outbox) -> None:
    store.ask()
    outbox.plan([ALL], AT)
    (mine,) = claim(outbox)
    (theirs,) = claim(outbox, at=AT + LEASE)
    outbox.sent(mine, AT)
    outbox.failed(theirs, "HTTP 500", AT)
    assert claim(outbox, at=AT + 1e6) == []


def test_a_claim_of_a_clock_that_was_put_back_doesnt_last(store: Store, outbox: Outbox) -> None:
    store.ask()
    outbox.plan([ALL], AT)
    (ahead,) = claim(outbox, at=AT + 1e7)
    assert [one.message for one in claim(outbox)] == [ahead.message]


def test_dead_letters_are_listed_and_tried_anew_on_demand(store: Store, outbox: Outbox) -> None:
    one = store.ask()
    outbox.plan([ALL], AT)
    (delivery,) = claim(outbox)
    outbox.failed(delivery, "HTTP 400", None)
    (letter,) = outbox.dead()
    assert (letter.message, letter.target, letter.event) == (delivery.message, "all", "requested")
    assert (letter.approval, letter.at, letter.attempts, letter.error) == (one.id, START.wall, 1, "HTTP 400")
    assert outbox.figures() == OutboxFigures(0, 1, None)
    assert claim(outbox, at=AT + 1e6) == []
    assert not outbox.retry(letter.id + 1, AT)
    assert outbox.retry(letter.id, AT)
    assert not outbox.retry(letter.id, AT)
    (again,) = claim(outbox)
    assert (again.message, again.attempts) == (delivery.message, 1)


def test_figures_count_what_nobody_has_planned_too(store: Store, outbox: Outbox) -> None:
    store.ask("d1", at=later(7))
    assert outbox.figures() == OutboxFigures(1, 0, START.wall + 7)
    outbox.plan([ALL, Target("b")], AT)
    assert outbox.figures() == OutboxFigures(2, 0, START.wall + 7)


def test_what_was_sent_is_forgotten_in_time_and_nothing_else(store: Store, outbox: Outbox) -> None:
    for number in range(4):
        store.ask(f"d{number}", thread=f"t{number}", at=later(number))
    outbox.plan([ALL], AT)
    sent, dead, gone, _ = claim(outbox)
    outbox.sent(sent, AT)
    outbox.failed(dead, "HTTP 400", None)
    outbox.failed(gone, "nobody is there", AT + 1)
    store.ask("unplanned", at=START)
    assert outbox.prune(START.wall) == 0
    assert outbox.prune(AT + 10) == 1
    assert [one.error for one in outbox.dead()] == ["no receiver of this name is configured", "HTTP 400"]
    assert outbox.figures().queued == 2  # the claimed one, and the unplanned
    assert store.sql("SELECT count(*) FROM deliveries") == [(3,)]


@pytest.mark.parametrize("damage", ["body = '{'", "approval = 'x', body = '[]'", "body = x'ff'"])
def test_a_damaged_message_is_a_dead_letter_and_in_nobodys_way(
    store: Store, outbox: Outbox, damage: str
) -> None:
    store.ask("d1", thread="t1")
    other = store.ask("d2", thread="t2")
    store.sql(f"UPDATE outbox SET {damage} WHERE number = 1")  # noqa: S608 - from above
    outbox.plan([ALL], AT)
    assert [one.approval.id for one in claim(outbox)] == [other.id]
    (letter,) = outbox.dead()
    assert "damaged" in letter.error


def send_in_process(path: Path, start: object, answers: object) -> None:
    outbox = Outbox.open(path)
    start.wait()  # type: ignore[attr-defined]
    sent: list[str] = []
    while True:
        outbox.plan([ALL], AT)
        deliveries = outbox.claim("all", AT, LEASE, 3)
        if not deliveries:
            break
        for delivery in deliveries:
            sent.append(delivery.message)
            outbox.sent(delivery, AT)
    answers.put(sent)  # type: ignore[attr-defined]
    outbox.close()


def test_of_processes_that_send_one_sends_each_message(store: Store) -> None:
    for number in range(30):
        store.ask(f"d{number}", thread=f"t{number}", by=None)
        if number % 15 == 14:
            store.sql("UPDATE approvals SET state = 'denied'")
    context = multiprocessing.get_context("spawn")
    start, answers = context.Barrier(3), context.Queue()
    processes = [context.Process(target=send_in_process, args=(store.path, start, answers)) for _ in range(3)]
    for process in processes:
        process.start()
    sent = [one for _ in processes for one in answers.get(timeout=60)]
    for process in processes:
        process.join(60)
    assert len(sent) == len(set(sent)) == 30


def test_a_file_that_is_gone_locked_or_replaced_is_named(store: Store, state: StateDir) -> None:
    with pytest.raises(AuditLogUnusable, match="can't be reached"):
        Outbox.open(state.path / "none")
    outbox = Outbox.open(store.path)
    outbox._connection.execute("PRAGMA busy_timeout = 50")
    store.ask()
    locked = sqlite3.connect(store.path, isolation_level=None)
    locked.execute("BEGIN IMMEDIATE")
    with pytest.raises(AuditLogUnusable, match="locked by another process"):
        outbox.plan([ALL], AT)
    locked.execute("ROLLBACK")
    locked.close()
    assert outbox.plan([ALL], AT) == 1
    store.path.rename(state.path / "moved")
    with pytest.raises(AuditLogUnusable):
        outbox.figures()
    (state.path / "moved").rename(store.path)
    assert outbox.figures().queued == 1
    outbox.close()
