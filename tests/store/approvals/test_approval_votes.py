from __future__ import annotations

from dataclasses import replace

import pytest

from addons.core.approvals.approval import Approval, End
from addons.core.approvals.needs import Needs
from addons.core.approvals.states import State
from addons.core.approvals.voting import VoteReason, VoteRefused
from addons.store.approvals.reading import Approvals
from addons.store.approvals.requests import ExpireDue
from addons.store.approvals.runs import Consume, Lost
from addons.store.approvals.votes import BreakTheGlass, Resolve, ReviewGlass, VoteFor
from addons.store.audit.changes import Change, ChangeRefused, RefusedBecause
from tests.store.approval_samples import (
    ALICE,
    BOB,
    CAROL,
    NEEDS,
    START,
    Store,
    later,
    person,
    requester,
)

SOON = later(10)
TWO = replace(NEEDS, groups=(("sre", 1), ("secops", 1)))
DAVE = person("dave", "secops")


def accepted(answer: Approval | VoteRefused) -> Approval:
    assert isinstance(answer, Approval), answer
    return answer


def refused(store: Store, change: Change[Approval | VoteRefused]) -> VoteReason:
    """The reason; it is on record as well, and nothing else happened."""
    before = len(store.kinds())
    answer = store.do(change)
    assert isinstance(answer, VoteRefused)
    assert store.kinds()[before:] == ["approval_vote_refused"]
    assert store.last()["attributes"]["refused"] == answer.reason
    return answer.reason


def test_a_yes_grants_it_for_a_while(store: Store, reader: Approvals) -> None:
    one = store.ask()
    approved = accepted(store.do(VoteFor(one.id, ALICE, True, "looks right", "d1", SOON)))
    assert approved.state is State.APPROVED
    assert (approved.granted_at, approved.grant_until) == (SOON.wall, SOON.wall + NEEDS.grant)
    (vote,) = approved.votes
    assert (vote.approves, vote.reason, vote.at) == (True, "looks right", SOON.wall)
    assert vote.person == replace(ALICE, groups=frozenset({"sre"}))  # not what else she is in
    found = reader.get(one.id)
    assert found == replace(approved, preview=one.preview)
    record = store.last()
    assert record["kind"] == "approval_approved"
    assert record["actor"]["subject"] == "alice"
    assert record["attributes"]["reason"] == "looks right"
    assert record["attributes"]["who"] == "alice@example.com"
    assert record["attributes"]["for"] == "agent-1"
    assert store.events() == ["requested", "approved"]


def test_so_many_people_are_needed_as_places(store: Store) -> None:
    one = store.ask(needs=TWO)
    first = accepted(store.do(VoteFor(one.id, BOB, True, "", "d1", SOON)))  # he could fill either
    assert (first.state, first.grant_until) == (State.PENDING, None)
    assert store.last()["kind"] == "approval_voted"
    assert refused(store, VoteFor(one.id, BOB, True, "", "d1", SOON)) is VoteReason.ALREADY_VOTED
    second = accepted(store.do(VoteFor(one.id, DAVE, True, "", "d1", SOON)))
    assert second.state is State.APPROVED
    assert [vote.person.subject for vote in second.yes_votes] == ["bob", "dave"]
    assert store.events() == ["requested", "approved"]


@pytest.mark.parametrize("granted", [False, True])
def test_one_no_ends_it_until_it_runs(store: Store, granted: bool) -> None:
    one = store.approved() if granted else store.ask()
    denied = accepted(store.do(VoteFor(one.id, BOB, False, "not on a Friday", None, SOON)))
    assert denied.state is State.DENIED
    assert denied.end == End("bob@example.com", "not on a Friday", SOON.wall)
    assert not denied.votes[-1].approves
    assert store.events()[-1] == "denied"
    assert refused(store, VoteFor(one.id, ALICE, True, "", "d1", SOON)) is VoteReason.NOT_PENDING
    with pytest.raises(ChangeRefused) as late:
        store.do(Consume(one.id, "d1", "p1", "c1", SOON))
    assert late.value.reason is RefusedBecause.NOT_APPROVED


@pytest.mark.parametrize("approves", [True, False])
def test_a_word_about_something_else_than_what_was_shown_doesnt_count(store: Store, approves: bool) -> None:
    one = store.ask()
    assert refused(store, VoteFor(one.id, ALICE, approves, "", "d2", SOON)) is VoteReason.CHANGED
    assert refused(store, BreakTheGlass(one.id, CAROL, "fire", SOON, "d2")) is VoteReason.CHANGED


@pytest.mark.parametrize("approves", [True, False])
def test_a_word_that_comes_too_late_finds_it_expired(store: Store, reader: Approvals, approves: bool) -> None:
    one = store.ask()
    late = later(NEEDS.pending)
    answer = store.do(VoteFor(one.id, ALICE, approves, "", "d1", late))
    assert isinstance(answer, VoteRefused)
    assert answer.reason is VoteReason.TOO_LATE
    assert store.kinds()[1:] == ["approval_expired", "approval_vote_refused"]
    found = reader.get(one.id)
    assert found is not None
    assert found.state is State.EXPIRED


def test_a_clock_put_back_makes_no_word_count(store: Store) -> None:
    one = store.ask()
    back = replace(later(NEEDS.pending), wall=START.wall)
    answer = store.do(VoteFor(one.id, ALICE, True, "", "d1", back))
    assert isinstance(answer, VoteRefused)
    assert answer.reason is VoteReason.TOO_LATE


def test_who_may_not_decide_is_on_record(store: Store) -> None:
    one = store.ask(by=requester("agent-1", "bob"))
    assert refused(store, VoteFor(one.id, BOB, True, "", "d1", SOON)) is VoteReason.OWN_REQUEST
    assert refused(store, VoteFor(one.id, CAROL, True, "", "d1", SOON)) is VoteReason.NOT_IN_GROUP
    record = store.last()
    assert record["actor"]["subject"] == "carol"
    assert record["attributes"]["tried"] == "approve"


def test_breaking_the_glass_lets_it_pass_alone_and_asks_for_a_review(store: Store, reader: Approvals) -> None:
    one = store.ask(needs=TWO)
    assert refused(store, BreakTheGlass(one.id, ALICE, "fire", SOON)) is VoteReason.NOT_IN_GROUP
    assert refused(store, BreakTheGlass(one.id, CAROL, " ", SOON)) is VoteReason.REASON_MISSING
    broken = accepted(store.do(BreakTheGlass(one.id, CAROL, "fire", SOON)))
    assert broken.state is State.APPROVED
    assert broken.grant_until == SOON.wall + NEEDS.grant
    assert broken.broken_glass is not None
    assert broken.broken_glass.review_due == SOON.wall + 3600
    assert store.events()[-1] == "glass_broken"
    assert [due.id for due in reader.reviews_due()] == [one.id]
    assert store.do(Consume(one.id, "d1", "p1", "c1", SOON)).state is State.EXECUTING

    assert refused(store, ReviewGlass(one.id, CAROL, "fine", SOON)) is VoteReason.OWN_GLASS
    assert refused(store, ReviewGlass(one.id, ALICE, "", SOON)) is VoteReason.REASON_MISSING
    assert refused(store, ReviewGlass(one.id, person("x"), "hm", SOON)) is VoteReason.NOT_IN_GROUP
    reviewed = accepted(store.do(ReviewGlass(one.id, ALICE, "it was needed", later(4000))))
    assert reviewed.state is State.EXECUTING
    assert reviewed.broken_glass is not None
    assert reviewed.broken_glass.review is not None
    assert reviewed.broken_glass.review.person.subject == "alice"
    assert store.last()["attributes"]["in_time"] is False
    assert store.events()[-1] == "reviewed"
    assert reader.reviews_due() == []
    again = ReviewGlass(one.id, BOB, "me too", later(4001))
    assert refused(store, again) is VoteReason.NO_REVIEW_DUE


def test_glass_that_the_policy_doesnt_have_cant_be_broken(store: Store) -> None:
    one = store.ask(needs=replace(NEEDS, break_glass=None))
    assert refused(store, BreakTheGlass(one.id, CAROL, "fire", SOON)) is VoteReason.NO_BREAK_GLASS


@pytest.mark.parametrize("ran", [True, False])
def test_a_person_says_what_became_of_a_lost_call(store: Store, reader: Approvals, ran: bool) -> None:
    one = store.executing()
    assert refused(store, Resolve(one.id, ALICE, ran, "I looked", SOON)) is VoteReason.NOT_UNKNOWN
    store.do(Lost(one.id, "c1", SOON))
    assert refused(store, Resolve(one.id, ALICE, ran, "", SOON)) is VoteReason.REASON_MISSING
    resolved = accepted(store.do(Resolve(one.id, ALICE, ran, "I looked", SOON)))
    assert resolved.state is (State.SUCCEEDED if ran else State.FAILED)
    assert resolved.end == End("alice@example.com", "I looked", SOON.wall)
    assert store.last()["attributes"]["ran"] is ran
    assert store.events()[-1] == "resolved"
    # Nobody has its answer, so it is given to nobody.
    assert reader.standing("d1", SOON.wall, 60.0) is None
    assert store.ask("d1").id != one.id


def test_needs_are_those_of_the_time_when_it_was_asked(store: Store) -> None:
    needs = Needs((("sre", 2),), True, 60.0, 30.0, 5.0)
    one = store.ask(needs=needs)
    assert refused(store, VoteFor(one.id, ALICE, True, "", "d1", SOON)) is VoteReason.REASON_MISSING
    store.vote(one, ALICE)
    assert store.vote(one, BOB).grant_until == START.wall + 30
    assert store.do(ExpireDue(later(30))) == (one.id,)


def test_a_vote_for_what_isnt_there_or_is_damaged_says_so(store: Store) -> None:
    with pytest.raises(ChangeRefused) as missing:
        store.do(VoteFor("none", ALICE, True, "", None, SOON))
    assert missing.value.reason is RefusedBecause.NO_SUCH_APPROVAL
    one = store.ask()
    store.sql("UPDATE approvals SET fixed = 'null'")
    with pytest.raises(ChangeRefused) as damaged:
        store.do(VoteFor(one.id, ALICE, True, "", None, SOON))
    assert damaged.value.reason is RefusedBecause.UNREADABLE
