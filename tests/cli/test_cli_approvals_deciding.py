"""The commands of `ddgate approvals` that decide, against a real control process."""

from __future__ import annotations

from dataclasses import replace

import pytest

from addons.store import moment
from addons.store.approvals.requests import ExpireDue
from tests.cli.approvals_desk import NEEDS, Desk

TWO = replace(NEEDS, groups=(("secops", 1), ("sre-leads", 1)), reason_required=True)


def state_of(desk: Desk, approval: str) -> str:
    return str(desk.run("show", approval, "--json", person="carol").json()["state"])


def test_a_yes_that_is_all_it_needs_lets_it_run(desk: Desk) -> None:
    one = desk.ask()
    ran = desk.run("approve", one.id[-8:], "--yes", "-m", "fine")
    assert (ran.status, ran.err) == (0, "")
    assert ran.out.startswith("approved  set monitor 1234")
    assert "it may run once, within" in ran.out
    said = desk.run("show", one.id, "--json").json()
    assert [(vote["person"]["subject"], vote["reason"]) for vote in said["votes"]] == [("alice", "fine")]
    assert "approval_approved" in desk.kinds(one)


def test_a_yes_of_two_says_for_whom_it_still_waits(desk: Desk) -> None:
    one = desk.ask(TWO)
    ran = desk.run("approve", one.id, "--yes", "-m", "fine")
    assert ran.status == 0
    assert ran.lines[1].strip() == "still waits for 1 of secops"
    done = desk.run("approve", one.id, "--yes", "-m", "me too", "--json", person="bob")
    assert (done.status, done.json()["state"]) == (0, "approved")


def test_a_no_ends_it_and_says_why(desk: Desk) -> None:
    one = desk.ask()
    ran = desk.run("deny", one.id, "--yes", "-m", "not during the sale")
    assert (ran.status, ran.out.split()[0]) == (0, "denied")
    assert desk.run("show", one.id, "--json").json()["end"]["reason"] == "not during the sale"


@pytest.mark.parametrize(
    ("prepare", "person", "options", "reason"),
    [
        (None, "bob", (), "not_in_group"),
        ("approved", "alice", (), "not_pending"),
        ("half", "alice", ("-m", "again"), "already_voted"),
        ("half", "carol", ("-m", "me too"), "place_taken"),
        ("two", "alice", (), "reason_missing"),
        ("own", "alice", (), "own_request"),
        ("expired", "alice", (), "too_late"),
        (None, "alice", ("--digest", "0" * 64), "changed"),
    ],
)
def test_what_control_refuses_is_status_1_with_its_reason_and_is_on_record(
    desk: Desk, prepare: str | None, person: str, options: tuple[str, ...], reason: str
) -> None:
    match prepare:
        case "own":
            one = desk.ask(by="alice")
        case "expired":
            one = desk.ask(replace(NEEDS, pending=0.001))
            desk.store.do(ExpireDue(moment.now()))
        case "half" | "two":
            one = desk.ask(TWO)
        case _:
            one = desk.ask()
    if prepare in {"approved", "half"}:
        assert desk.run("approve", one.id, "--yes", "-m", "fine").status == 0
    ran = desk.run("approve", one.id, "--yes", *options, person=person)
    assert (ran.status, ran.out) == (1, "")
    assert ran.err.startswith("ddgate approvals: ")
    assert ran.err.endswith(f"({reason})\n")
    assert "approval_vote_refused" in desk.kinds(one)


def test_without_a_terminal_nothing_is_sent_unless_it_is_told_yes(desk: Desk) -> None:
    one = desk.ask()
    for command in ("approve", "deny", "cancel", "break-glass", "review"):
        ran = desk.run(command, one.id, "-m", "why not")
        assert (ran.status, ran.out) == (2, "")
        assert "--yes" in ran.err
    assert state_of(desk, one.id) == "pending"


def test_on_a_terminal_it_shows_all_of_it_and_asks(desk: Desk) -> None:
    one = desk.ask()
    no = desk.on_terminal("approve", one.id, answers={"are you sure": "n"})
    assert no.status == 1
    assert "Nothing was sent." in no.out
    assert state_of(desk, one.id) == "pending"
    yes = desk.on_terminal("approve", one.id, answers={"are you sure": "y"})
    assert yes.status == 0
    for told in ("options.thresholds.critical: 500 -> 900", one.digest, "it may run once"):
        assert told in yes.out
    assert state_of(desk, one.id) == "approved"


def test_on_a_terminal_a_reason_that_is_needed_is_asked_for(desk: Desk) -> None:
    one = desk.ask(TWO)
    ran = desk.on_terminal("approve", one.id, answers={"Reason": "INC-42", "are you sure": "y"})
    assert ran.status == 0
    assert desk.run("show", one.id, "--json").json()["votes"][0]["reason"] == "INC-42"


def test_on_a_terminal_it_says_beforehand_that_control_will_refuse(desk: Desk) -> None:
    one = desk.ask()
    ran = desk.on_terminal("approve", one.id, person="bob", answers={"are you sure": "n"})
    assert "Control will refuse that: only people of sre-leads" in ran.out


def test_a_broken_glass_lets_it_pass_and_somebody_else_reviews_it(desk: Desk) -> None:
    one = desk.ask()
    assert desk.run("break-glass", one.id, "--yes", person="bob").status == 1  # without a reason
    ran = desk.run("break-glass", one.id, "--yes", "-m", "checkout is down", person="bob")
    assert (ran.status, ran.out.split()[0]) == (0, "approved")
    assert "somebody else has to review that" in desk.run("show", one.id).out
    own = desk.run("review", one.id, "--yes", "-m", "I was right", person="bob")
    assert (own.status, "own_glass" in own.err) == (1, True)
    assert desk.run("review", one.id, "--yes", "-m", "right", person="carol").status == 0
    assert "reviewed by carol@sandbox.example: right" in desk.run("show", one.id).out


@pytest.mark.parametrize(("fate", "state"), [("ran", "succeeded"), ("not-run", "failed")])
def test_a_lost_call_is_settled_by_a_person(desk: Desk, fate: str, state: str) -> None:
    one = desk.lost()
    assert desk.run("resolve", one.id, fate, "--yes").status == 1  # without a reason
    ran = desk.run("resolve", one.id, fate, "--yes", "-m", "I looked", person="carol")
    assert (ran.status, ran.out.split()[0]) == (0, state)
    assert desk.run("resolve", one.id, "perhaps", "--yes").status == 2


def test_a_person_takes_back_what_was_asked_on_their_behalf_and_nothing_else(desk: Desk) -> None:
    mine, others = desk.ask(by="alice"), desk.ask()
    assert desk.run("cancel", mine.id, "--yes", "-m", "done by hand").status == 0
    assert state_of(desk, mine.id) == "cancelled"
    ran = desk.run("cancel", others.id, "--yes")
    assert (ran.status, "not_requester" in ran.err) == (1, True)


def test_a_digest_or_reason_that_can_not_be_one_is_misuse(desk: Desk) -> None:
    one = desk.ask()
    assert desk.run("approve", one.id, "--yes", "--digest", "f00").status == 2
    assert desk.run("deny", one.id, "--yes", "-m", "x" * 4001).status == 2
    assert state_of(desk, one.id) == "pending"
