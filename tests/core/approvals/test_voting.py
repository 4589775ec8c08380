"""I8: nobody decides on their own request or one made on their behalf, and everybody decides once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from addons.core.approvals.approval import Approval, BrokenGlass, CallAsked, Person, Vote
from addons.core.approvals.needs import BreakGlass, Needs
from addons.core.approvals.states import TRANSITIONS, Event, NoSuchTransition, State, after
from addons.core.approvals.voting import (
    VoteReason,
    VoteRefused,
    is_on_behalf_of,
    person_of,
    places_after,
    requester_of,
    why_not_approve,
    why_not_break_glass,
    why_not_deny,
    why_not_resolve,
    why_not_review,
)
from addons.core.model import Actor, Json, Principal

NOW = 1000.0
NEEDS = Needs(
    (("leads", 1), ("secops", 1)),
    reason_required=False,
    pending=600,
    grant=60,
    hold=60,
    break_glass=BreakGlass(("incident",), 60),
)
AGENT = Principal("https://issuer", "agent", frozenset({"agents"}), 2e9, on_behalf_of="Bob@Example.com")
ASKED = CallAsked(
    *("call", "UpdateMonitor", "v1", "write", "PUT", "api.datadoghq.com", "/api/v1/monitor/1"),
    *("default", "rule", ("rule",), (), "sha256:1", "set monitor 1"),
)
PENDING = Approval(
    id="1",
    state=State.PENDING,
    digest="d",
    thread="t",
    basis="",
    requester=requester_of(AGENT),
    asked=ASKED,
    needs=NEEDS,
    preview=None,
    requested_at=NOW,
    pending_until=NOW + 600,
)


def person(name: str, *groups: str, **claims: Json) -> Person:
    return person_of(Principal("https://people", name, frozenset(groups), 2e9, claims=claims))


def yes(who: Person) -> Vote:
    return Vote(who, approves=True, reason="", at=NOW)


ALICE, CAROL = person("alice", "leads"), person("carol", "leads")
DAN, BOTH = person("dan", "secops"), person("both", "leads", "secops")
BOB = person("00u1", "leads", "incident", email="bob@example.com")


def refused(refusal: VoteRefused | None) -> VoteReason | None:
    return refusal.reason if refusal is not None else None


@pytest.mark.parametrize(
    ("approval", "who", "reason"),
    [
        (PENDING, ALICE, None),
        (PENDING, person("alice", "interns"), VoteReason.NOT_IN_GROUP),
        (PENDING, BOB, VoteReason.OWN_REQUEST),
        (PENDING, person("BOB@example.com", "leads"), VoteReason.OWN_REQUEST),
        (PENDING, person("x", "leads", preferred_username="agent"), VoteReason.OWN_REQUEST),
        (replace(PENDING, votes=(yes(ALICE),)), ALICE, VoteReason.ALREADY_VOTED),
        (
            replace(PENDING, votes=(yes(person("a", "leads", email="a@b")),)),
            person("other-account", "secops", email="A@b"),
            VoteReason.ALREADY_VOTED,
        ),
        (replace(PENDING, votes=(yes(ALICE),)), CAROL, VoteReason.PLACE_TAKEN),
        (replace(PENDING, votes=(yes(ALICE),)), DAN, None),
        (replace(PENDING, votes=(yes(BOTH),)), ALICE, None),
        (replace(PENDING, state=State.APPROVED), ALICE, VoteReason.NOT_PENDING),
        (replace(PENDING, state=State.EXPIRED), ALICE, VoteReason.TOO_LATE),
        (replace(PENDING, pending_until=NOW), ALICE, VoteReason.TOO_LATE),
        (replace(PENDING, requested_at=NOW + 301), ALICE, VoteReason.TOO_LATE),
        (replace(PENDING, needs=replace(NEEDS, reason_required=True)), ALICE, VoteReason.REASON_MISSING),
    ],
)
def test_abuse_33_whose_yes_counts(approval: Approval, who: Person, reason: VoteReason | None) -> None:
    assert refused(why_not_approve(approval, who, " ", NOW)) is reason


def test_an_agent_that_holds_a_persons_delegated_token_decides_nothing() -> None:
    alice = Principal("https://people", "alice", frozenset({"leads"}), 2e9)
    for delegated in (
        replace(alice, on_behalf_of="bob"),
        replace(alice, actors=(Actor("https://people", "agent"),)),
        replace(alice, claims={"act": {"sub": "agent"}}),
    ):
        with pytest.raises(ValueError, match="delegated"):
            person_of(delegated)


def test_the_actors_of_a_chain_decide_nothing_about_its_call() -> None:
    chained = replace(AGENT, actors=(Actor("https://issuer", "Planner"),))
    approval = replace(PENDING, requester=requester_of(chained))
    assert refused(why_not_approve(approval, person("planner", "leads"), "", NOW)) is VoteReason.OWN_REQUEST


def test_the_same_subject_of_another_issuer_is_taken_for_the_same() -> None:
    other = Person("https://elsewhere", "agent", frozenset({"leads"}), frozenset({"agent"}), "agent")
    assert refused(why_not_approve(PENDING, other, "", NOW)) is VoteReason.OWN_REQUEST


def test_who_is_needed_after_a_yes() -> None:
    assert places_after(PENDING, BOTH) == {"secops": 1}
    assert places_after(replace(PENDING, votes=(yes(BOTH),)), ALICE) == {}
    with pytest.raises(ValueError, match="no place"):
        places_after(replace(PENDING, votes=(yes(ALICE),)), CAROL)


type WhyNot = Callable[[Approval, Person], VoteRefused | None]


@pytest.mark.parametrize(
    ("why_not", "approval", "who", "reason"),
    [
        (lambda a, p: why_not_deny(a, p, "", NOW), PENDING, ALICE, None),
        (lambda a, p: why_not_deny(a, p, "", NOW), replace(PENDING, state=State.APPROVED), DAN, None),
        (
            lambda a, p: why_not_deny(a, p, "", NOW),
            replace(PENDING, state=State.EXECUTING),
            DAN,
            VoteReason.NOT_PENDING,
        ),
        (lambda a, p: why_not_deny(a, p, "", NOW), PENDING, BOB, VoteReason.OWN_REQUEST),
        (lambda a, p: why_not_deny(a, p, "", NOW), PENDING, person("x"), VoteReason.NOT_IN_GROUP),
        (lambda a, p: why_not_break_glass(a, p, "x", NOW), PENDING, person("i", "incident"), None),
        (lambda a, p: why_not_break_glass(a, p, "x", NOW), PENDING, BOB, VoteReason.OWN_REQUEST),
        (lambda a, p: why_not_break_glass(a, p, "x", NOW), PENDING, ALICE, VoteReason.NOT_IN_GROUP),
        (
            lambda a, p: why_not_break_glass(a, p, " ", NOW),
            PENDING,
            person("i", "incident"),
            VoteReason.REASON_MISSING,
        ),
        (
            lambda a, p: why_not_break_glass(a, p, "x", NOW),
            replace(PENDING, needs=replace(NEEDS, break_glass=None)),
            person("i", "incident"),
            VoteReason.NO_BREAK_GLASS,
        ),
        (lambda a, p: why_not_review(a, p, "x"), PENDING, ALICE, VoteReason.NO_REVIEW_DUE),
        (
            lambda a, p: why_not_review(a, p, "x"),
            replace(PENDING, broken_glass=BrokenGlass(ALICE, "x", NOW, NOW + 60)),
            ALICE,
            VoteReason.OWN_GLASS,
        ),
        (
            lambda a, p: why_not_review(a, p, "x"),
            replace(PENDING, broken_glass=BrokenGlass(ALICE, "x", NOW, NOW + 60)),
            DAN,
            None,
        ),
        (lambda a, p: why_not_resolve(a, p, "x"), PENDING, ALICE, VoteReason.NOT_UNKNOWN),
        (lambda a, p: why_not_resolve(a, p, "x"), replace(PENDING, state=State.UNKNOWN), ALICE, None),
        (
            lambda a, p: why_not_resolve(a, p, ""),
            replace(PENDING, state=State.UNKNOWN),
            ALICE,
            VoteReason.REASON_MISSING,
        ),
        (
            lambda a, p: why_not_resolve(a, p, "x"),
            replace(PENDING, state=State.UNKNOWN),
            BOB,
            VoteReason.OWN_REQUEST,
        ),
    ],
)
def test_what_else_a_person_may_say(
    why_not: WhyNot, approval: Approval, who: Person, reason: VoteReason | None
) -> None:
    assert refused(why_not(approval, who)) is reason


def test_the_one_for_whom_a_call_is_made_may_take_it_back() -> None:
    assert is_on_behalf_of(PENDING, BOB)
    assert not is_on_behalf_of(PENDING, ALICE)


def test_every_state_and_event_that_the_table_does_not_name_is_refused() -> None:
    for state in State:
        for event in Event:
            if (state, event) in TRANSITIONS:
                assert after(state, event) is TRANSITIONS[state, event]
            else:
                with pytest.raises(NoSuchTransition):
                    after(state, event)


def test_nothing_leads_out_of_an_end_nor_to_a_second_run() -> None:
    ends = {State.SUCCEEDED, State.FAILED, State.DENIED, State.EXPIRED, State.CANCELLED}
    assert not {state for state, _ in TRANSITIONS} & ends
    runs = {pair for pair, to in TRANSITIONS.items() if to is State.EXECUTING}
    assert runs == {(State.APPROVED, Event.CONSUMED)}
    back = {pair for pair, to in TRANSITIONS.items() if to is State.APPROVED and pair[0] is not State.PENDING}
    assert back == {(State.EXECUTING, Event.NOT_SENT)}
