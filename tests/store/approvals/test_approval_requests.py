from __future__ import annotations

import json
import multiprocessing
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from addons.core.approvals.approval import End
from addons.core.approvals.states import State
from addons.core.approvals.voting import VoteReason, VoteRefused
from addons.store.approvals.answers import KeptAnswer
from addons.store.approvals.reading import Approvals
from addons.store.approvals.requests import (
    Ask,
    CancelAsPerson,
    CancelAsRequester,
    ExpireDue,
    SeenBy,
    SetHolders,
    Withdraw,
)
from addons.store.approvals.runs import Ran
from addons.store.audit.changes import ChangeRefused, RefusedBecause
from addons.store.moment import Moment
from tests.store.approval_samples import (
    ALICE,
    BOB,
    NEEDS,
    START,
    Store,
    approval,
    later,
    person,
    requester,
)

SOON = later(10)


def test_what_is_asked_is_kept_whole(store: Store, reader: Approvals) -> None:
    wished = approval()
    asked = store.do(Ask(wished, START, 20))
    expected = replace(wished, requested_at=START.wall, pending_until=START.wall + NEEDS.pending)
    assert asked.approval == expected
    assert not asked.joined
    assert reader.get(wished.id) == expected
    assert store.events() == ["requested"]
    record = store.last()
    assert record["kind"] == "approval_requested"
    assert record["actor"] == {"issuer": "https://agents", "subject": "agent-1"}
    assert record["approval"] == wished.id
    assert record["call"] == wished.asked.call
    assert record["decision"] == {"rule": "monitors", "policy_revision": "r1"}
    assert record["attributes"]["needs"] == {"sre": 1}
    assert record["attributes"]["digest"] == "d1"


def test_whoever_asks_cant_bring_a_state_with_it(store: Store, reader: Approvals) -> None:
    forged = replace(approval(), state=State.APPROVED, granted_at=0.0, grant_until=1e12, seen_by=("x",))
    asked = store.do(Ask(forged, START, 20)).approval
    assert (asked.state, asked.grant_until, asked.seen_by) == (State.PENDING, None, ())
    assert reader.get(forged.id) == asked


def test_the_same_call_joins_while_it_lives(store: Store) -> None:
    first = store.ask()
    for advance in (
        lambda: None,
        lambda: store.vote(first),
    ):
        advance()
        again = store.do(Ask(approval(), SOON, 20))
        assert again.joined
        assert again.approval.id == first.id
        assert again.approval.preview == first.preview
    assert store.kinds() == ["approval_requested", "approval_approved"]


def test_the_same_call_asks_anew_once_that_is_over(store: Store) -> None:
    first = store.ask()
    store.do(Withdraw(first.id, "enough", SOON))
    second = store.do(Ask(approval(), SOON, 20))
    assert not second.joined
    assert second.approval.id != first.id


@pytest.mark.parametrize("granted", [False, True])
def test_one_that_is_overdue_expires_and_is_not_joined(
    store: Store, reader: Approvals, granted: bool
) -> None:
    first = store.approved() if granted else store.ask()
    second = store.do(Ask(approval(), later(NEEDS.grant if granted else NEEDS.pending), 20))
    assert not second.joined
    old = reader.get(first.id)
    assert old is not None
    assert old.state is State.EXPIRED
    assert store.kinds()[-2:] == ["approval_expired", "approval_requested"]


def test_a_principal_has_so_many_that_wait_and_no_more(store: Store, reader: Approvals) -> None:
    for number in range(3):
        store.do(Ask(approval(f"d{number}", thread=f"t{number}"), START, 3))
    more = approval("more", thread="more")
    with pytest.raises(ChangeRefused) as refused:
        store.do(Ask(more, SOON, 3))
    assert refused.value.reason is RefusedBecause.TOO_MANY
    assert reader.get(more.id) is None
    assert reader.load_of("https://agents", "agent-1", SOON.wall).waiting == 3
    assert store.do(Ask(approval("d1"), SOON, 3)).joined  # joining is no more
    store.do(Ask(approval("theirs", thread="theirs", by=requester("agent-2")), SOON, 3))
    # What is over makes room, also if nobody has looked yet.
    store.do(Ask(more, later(NEEDS.pending), 3))


def test_what_a_principal_asked_for_and_took_back_counts_for_an_hour(store: Store, reader: Approvals) -> None:
    for number in range(3):
        asked = store.do(Ask(approval(f"d{number}"), START, 20, most_an_hour=3)).approval
        store.do(CancelAsRequester(asked.id, asked.requester, "not needed", START))
    more = approval("more")
    with pytest.raises(ChangeRefused) as refused:
        store.do(Ask(more, SOON, 20, most_an_hour=3))
    assert refused.value.reason is RefusedBecause.TOO_MANY
    load = reader.load_of("https://agents", "agent-1", SOON.wall)
    assert (load.waiting, load.lately) == (0, 3)
    store.do(Ask(approval("theirs", by=requester("agent-2")), SOON, 20, most_an_hour=3))
    store.do(Ask(more, later(3600.1), 20, most_an_hour=3))


def test_the_newer_of_a_thread_supersedes_the_older(store: Store, reader: Approvals) -> None:
    first, second = store.ask("d1"), store.ask("d2")
    third = store.do(Ask(approval("d3"), SOON, 3, supersede=True)).approval
    assert third.supersedes == second.id
    for old in (first, second):
        found = reader.get(old.id)
        assert found is not None
        assert (found.state, found.superseded_by) == (State.CANCELLED, third.id)
        assert found.end == End(
            "the gateway", "the same agent run asks for something else on the same target", SOON.wall
        )
    assert store.kinds()[2:] == ["approval_cancelled", "approval_cancelled", "approval_requested"]
    # Two that don't supersede each other are two; of what takes their place people hear as of a change.
    assert store.events() == ["requested", "requested", "updated"]


def test_superseding_makes_room(store: Store) -> None:
    store.do(Ask(approval("d1"), START, 1))
    assert not store.do(Ask(approval("d2"), SOON, 1, supersede=True)).joined


def test_one_that_somebody_still_waits_for_isnt_superseded(store: Store, reader: Approvals) -> None:
    held = store.do(Ask(approval("d1"), START, 20, process="p1")).approval
    newer = store.do(Ask(approval("d2"), SOON, 20, supersede=True, process="p1")).approval
    assert newer.supersedes is None
    found = reader.get(held.id)
    assert found is not None
    assert found.state is State.PENDING
    store.do(SetHolders(held.id, "p1", 2))
    store.do(SetHolders(held.id, "p1", 0))
    third = store.do(Ask(approval("d3"), SOON, 20, supersede=True)).approval
    assert third.supersedes == held.id


def test_what_was_approved_or_is_of_another_thread_isnt_superseded(store: Store) -> None:
    store.approved("d1")
    store.ask("d2", thread="t2")
    assert store.do(Ask(approval("d3"), SOON, 20, supersede=True)).approval.supersedes is None
    assert "approval_cancelled" not in store.kinds()


def test_a_thread_is_told_of_anew_after_nothing_waits_in_it(store: Store) -> None:
    store.vote(store.ask("d1"), yes=False)
    store.ask("d2")
    assert store.events() == ["requested", "denied", "requested"]


def test_the_database_itself_holds_that_one_lives(store: Store) -> None:
    first, second = store.ask("d1"), store.ask("d2")
    with pytest.raises(sqlite3.IntegrityError):
        store.sql("UPDATE approvals SET digest = 'd1' WHERE id = ?", second.id)
    store.vote(first, yes=False)
    store.sql("UPDATE approvals SET digest = 'd1' WHERE id = ?", second.id)


def ask_in_process(path: Path, start: object, answers: object) -> None:
    store = Store(path)
    start.wait()  # type: ignore[attr-defined]
    asked = store.do(Ask(approval("same"), START, 20))
    answers.put((asked.approval.id, asked.joined))  # type: ignore[attr-defined]
    store.log.close()


def test_processes_that_ask_at_once_share_one(store: Store) -> None:
    context = multiprocessing.get_context("spawn")
    start, answers = context.Barrier(4), context.Queue()
    processes = [context.Process(target=ask_in_process, args=(store.path, start, answers)) for _ in range(4)]
    for process in processes:
        process.start()
    told = [answers.get(timeout=60) for _ in processes]
    for process in processes:
        process.join(60)
    assert len({one for one, _ in told}) == 1
    assert sorted(joined for _, joined in told) == [False, True, True, True]


@pytest.mark.parametrize("granted", [False, True])
def test_the_gateway_withdraws_what_waits(store: Store, granted: bool) -> None:
    one = store.approved() if granted else store.ask()
    withdrawn = store.do(Withdraw(one.id, "the monitor has changed", SOON))
    assert withdrawn.state is State.CANCELLED
    assert withdrawn.end == End("the gateway", "the monitor has changed", SOON.wall)
    assert store.last()["attributes"]["why"] == "withdrawn"
    with pytest.raises(ChangeRefused) as refused:
        store.do(Withdraw(one.id, "again", SOON))
    assert refused.value.reason is RefusedBecause.NOT_WAITING


def test_an_agent_takes_back_its_own_request_only(store: Store) -> None:
    one = store.ask(by=requester("agent-1", "bob"))
    for other in (requester("agent-2", "bob"), requester("agent-1"), requester("agent-1", "carol")):
        refused = store.do(CancelAsRequester(one.id, other, "", SOON))
        assert isinstance(refused, VoteRefused)
        assert refused.reason is VoteReason.NOT_REQUESTER
    cancelled = store.do(CancelAsRequester(one.id, requester("agent-1", "bob"), "changed my mind", SOON))
    assert not isinstance(cancelled, VoteRefused)
    assert cancelled.state is State.CANCELLED
    assert store.kinds() == [
        "approval_requested",
        *["approval_vote_refused"] * 3,
        "approval_cancelled",
    ]
    assert store.last()["attributes"]["reason"] == "changed my mind"
    again = store.do(CancelAsRequester(one.id, requester("agent-1", "bob"), "", SOON))
    assert isinstance(again, VoteRefused)
    assert again.reason is VoteReason.NOT_PENDING


def test_a_person_takes_back_what_runs_on_their_behalf_only(store: Store) -> None:
    one = store.ask(by=requester("agent-1", "bob"))
    refused = store.do(CancelAsPerson(one.id, ALICE, "", SOON))
    assert isinstance(refused, VoteRefused)
    assert refused.reason is VoteReason.NOT_REQUESTER
    cancelled = store.do(CancelAsPerson(one.id, BOB, "no", SOON))
    assert not isinstance(cancelled, VoteRefused)
    assert cancelled.end == End("bob@example.com", "no", SOON.wall)
    late = store.ask("d2", by=requester("agent-1", "bob"))
    refused = store.do(CancelAsPerson(late.id, BOB, "", later(NEEDS.pending)))
    assert isinstance(refused, VoteRefused)
    assert refused.reason is VoteReason.TOO_LATE
    assert store.kinds()[-2:] == ["approval_expired", "approval_vote_refused"]


def test_that_somebody_has_seen_it_is_on_record_once_a_person(store: Store, reader: Approvals) -> None:
    one = store.ask()
    dave = person("dave")
    assert not reader.has_seen(one.id, ALICE)
    assert [store.do(SeenBy(one.id, each, SOON)) for each in (ALICE, dave, ALICE)] == [True, True, False]
    assert reader.has_seen(one.id, ALICE)
    found = reader.get(one.id)
    assert found is not None
    assert found.seen_by == ("alice@example.com", "dave@example.com")
    assert store.kinds() == ["approval_requested", "approval_seen", "approval_seen"]
    # Two people of one name are two.
    assert store.do(SeenBy(one.id, replace(ALICE, subject="alice-2"), SOON))


@pytest.mark.parametrize("granted", [False, True])
@pytest.mark.parametrize("clock", ["wall", "boot", "put back"])
def test_time_runs_out_by_either_clock(store: Store, reader: Approvals, granted: bool, clock: str) -> None:
    one = store.approved() if granted else store.ask()
    lasts = NEEDS.grant if granted else NEEDS.pending
    in_time = later(lasts - 1)
    over = {
        "wall": replace(START, wall=START.wall + lasts),
        "boot": replace(START, boot=START.boot + lasts, wall=START.wall - 1),
        "put back": replace(START, wall=START.wall - 301),
    }[clock]
    assert store.do(ExpireDue(in_time)) == ()
    assert store.do(ExpireDue(over)) == (one.id,)
    assert store.do(ExpireDue(over)) == ()
    expired = reader.get(one.id)
    assert expired is not None
    assert expired.state is State.EXPIRED
    assert expired.end is not None
    assert expired.end.reason == ("it was not used in time" if granted else "nobody decided in time")
    assert store.last()["kind"] == "approval_expired"
    assert store.last()["attributes"]["was"] == ("approved" if granted else "pending")
    assert store.events()[-1] == "expired"


def test_after_a_restart_of_the_machine_the_wall_clock_counts(store: Store) -> None:
    one = store.ask()
    assert store.do(ExpireDue(Moment(START.wall + NEEDS.pending - 1, 1e9, "boot-2"))) == ()
    assert store.do(ExpireDue(Moment(START.wall + NEEDS.pending, 1.0, "boot-2"))) == (one.id,)


def test_kept_answers_go_when_their_time_is_over(store: Store, reader: Approvals) -> None:
    one = store.executing()
    answer = KeptAnswer(200, b"OK", ((b"Content-Type", b"text/\xe9"),), b"\x00\xff", START.wall + 60)
    store.do(Ran(one.id, "c1", 200, answer, START))
    assert reader.answer(one.id) == answer
    assert reader.answer(one.id, START.wall + 59) == answer
    assert reader.answer(one.id, START.wall + 60) is None
    store.do(ExpireDue(later(59)))
    assert reader.answer(one.id) == answer
    store.do(ExpireDue(later(60)))
    assert reader.answer(one.id) is None


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE approvals SET fixed = '{'",
        "UPDATE approvals SET told = '[]'",
        "UPDATE approvals SET pending_until = 'soon'",
    ],
)
def test_what_cant_be_read_ends_and_is_in_nobodys_way(store: Store, reader: Approvals, damage: str) -> None:
    one = store.ask()
    store.sql(damage)
    assert store.do(ExpireDue(later(NEEDS.pending))) == (one.id,)
    record = store.last()
    assert record["kind"] == "approval_expired"
    assert record["approval"] == one.id
    assert "damaged" in json.dumps(record)
    assert not store.do(Ask(approval(), later(NEEDS.pending), 20)).joined
    assert reader.counts()[State.EXPIRED] == 1


def test_of_what_isnt_there_every_change_says_so(store: Store) -> None:
    for change in (
        Withdraw("no\ud800", "", SOON),
        CancelAsPerson("none", ALICE, "", SOON),
        SeenBy("none", ALICE, SOON),
    ):
        with pytest.raises(ChangeRefused) as refused:
            store.do(change)
        assert refused.value.reason is RefusedBecause.NO_SUCH_APPROVAL


def test_names_that_are_no_unicode_are_kept_as_they_are(store: Store, reader: Approvals) -> None:
    odd = requester("agent\ud800")
    asked = store.do(Ask(approval(by=odd), START, 20)).approval
    assert asked.requester == odd
    found = reader.get(asked.id)
    assert found is not None
    assert found.requester == odd
    assert reader.load_of("https://agents", "agent\ud800", SOON.wall).waiting == 1
