from __future__ import annotations

from dataclasses import replace

import pytest

from addons.core.model import Json
from addons.store.audit.record import AuditRecord, CallFacts, RecordKind
from addons.store.state_dir import StateDir
from addons.store.trail.query import open_trail
from addons.store.trail.story import NotFound, Story, approval_named, find_story
from addons.store.writing.read_record import note_read
from tests.store.audit_samples import (
    ALICE,
    BEGIN,
    BOB,
    DELETE,
    GET,
    approval_step,
    approved_call,
    attempted,
    facts,
    outcome,
    refused,
    write,
)

APPROVAL = "a" * 24 + "9f0e1d2c"
CALL = "01CALLAPPROVED"


@pytest.fixture
def log(state: StateDir) -> StateDir:
    revision = CallFacts(policy_revision="rev-1")
    lookup: dict[str, Json] = {"purpose": "target", "for": CALL}
    read = facts(ALICE, GET, "/api/v1/monitor/7")
    write(
        state,
        [
            AuditRecord(RecordKind.POLICY_ACTIVATED, BEGIN - 50, None, revision, "old"),
            AuditRecord(RecordKind.POLICY_ACTIVATED, BEGIN, None, revision, "the policy set of the start"),
            AuditRecord(RecordKind.POLICY_ACTIVATED, BEGIN + 1, None, CallFacts(policy_revision="rev-2")),
            attempted("01LOOKUP", BEGIN + 101, read, attributes=lookup),
            replace(outcome("01LOOKUP", BEGIN + 101, read), attributes={**lookup, "outcome": "answered"}),
        ],
    )
    write(state, approved_call(CALL, APPROVAL))
    write(state, [refused("01CALLREFUSED", BEGIN + 200, facts(BOB, DELETE, "/"))])
    return state


def story(state: StateDir, name: str) -> Story:
    with open_trail(state.audit_log, pytest.fail) as trail:
        return find_story(trail, name)


def kinds(records: tuple[object, ...]) -> list[str]:
    return [str(record.body["kind"]) for record in records]  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", [CALL, "01CALLA", "01callapp", APPROVAL, "9f0e1d2c", "aaaaaa", "#10", "#6"])
def test_a_call_and_its_approval_are_one_story_by_whichever_name(log: StateDir, name: str) -> None:
    told = story(log, name)
    assert (told.call, told.approvals) == (CALL, (APPROVAL,))
    assert kinds(told.own) == ["attempted", "outcome"]
    assert kinds(told.steps) == [
        *("approval_requested", "approval_voted", "approval_approved", "approval_consumed"),
        "approval_executed",
    ]
    assert told.policy is not None
    assert told.policy.body["message"] == "the policy set of the start"
    assert kinds(told.lookups) == ["attempted", "outcome"]
    indices = [each.idx for each in told.every()]
    assert indices == sorted(set(indices))


def test_the_id_of_a_record_names_its_call(log: StateDir) -> None:
    outcome_id = story(log, CALL).own[1].body["id"]
    assert story(log, str(outcome_id)).call == CALL


def test_an_approval_that_waits_is_told_by_its_steps(state: StateDir) -> None:
    write(state, [approval_step(RecordKind.APPROVAL_REQUESTED, BEGIN, "b" * 32, "01HELD")])
    told = story(state, "bbbb")
    assert (told.call, told.approvals, told.own) == (None, ("b" * 32,), ())
    assert kinds(told.steps) == ["approval_requested"]


def test_what_is_no_call_is_told_alone(log: StateDir) -> None:
    told = story(log, "#3")
    assert (told.call, told.approvals, kinds(told.own)) == (None, (), ["policy_activated"])


def test_who_has_read_or_replayed_it_since_is_told(log: StateDir) -> None:
    assert story(log, CALL).looks == ()
    note_read(log, "audit query", {"who": "alice-agent"}, 3)  # not by its id
    note_read(log, "recordings show", {"id": CALL}, 1)
    note_read(log, "audit show", {"id": "9f0e1d2c", "approvals": [APPROVAL]}, 1)
    note_read(log, "recordings show", {"id": "01CALLREFUSED"}, 1)
    write(log, [AuditRecord(RecordKind.REPLAYED, BEGIN, attributes={"calls": [{"recorded": CALL}]})])
    write(log, [AuditRecord(RecordKind.STOPPED, BEGIN, attributes={"call": CALL})])  # is no look
    looks = story(log, CALL).looks
    assert kinds(looks) == ["read", "read", "replayed"]
    assert len(story(log, "01CALLREFUSED").looks) == 1


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("01CALL", "more than one id"),
        ("01", "too short"),
        ("nothing-like-it", "Nothing on record"),
        ("#0", "no record #0"),
        ("#99", "the log has #1 to #13"),
        ("#x", "no index"),
        ("#" + "9" * 40, "no index"),
        ("#\u0661", "no index"),
        ("%", "too short"),
        ("%%%%", "Nothing on record"),
        ("a' OR '1'='1", "Nothing on record"),
    ],
)
def test_a_name_that_names_nothing_is_told(log: StateDir, name: str, why: str) -> None:
    with pytest.raises(NotFound, match=why):
        story(log, name)


def test_candidates_are_named(log: StateDir) -> None:
    with pytest.raises(NotFound) as caught:
        story(log, "01CALL")
    assert caught.value.candidates == (f"call {CALL}", "call 01CALLREFUSED")


def test_an_approval_is_found_by_its_end(log: StateDir) -> None:
    with open_trail(log.audit_log, pytest.fail) as trail:
        assert approval_named(trail, "9f0e1d2c") == APPROVAL
        with pytest.raises(NotFound):
            approval_named(trail, "ffff")
