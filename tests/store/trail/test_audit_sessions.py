from __future__ import annotations

from dataclasses import replace

import pytest

from addons.core.model import Json
from addons.store.audit.record import AuditRecord, CallFacts, RecordKind
from addons.store.state_dir import StateDir
from addons.store.trail.query import open_trail
from addons.store.trail.sessions import Session, list_sessions, names_of, session_of
from tests.store.audit_samples import (
    ALICE,
    BEGIN,
    BOB,
    DELETE,
    GET,
    approved_call,
    attempted,
    facts,
    outcome,
    refused,
    write,
)


@pytest.fixture
def log(state: StateDir) -> StateDir:
    read, deletion = facts(BOB, GET, "/api/v1/monitor/1"), facts(ALICE, DELETE, "/api/v1/monitor/2")
    lookup = {"purpose": "target", "for": "r-1"}
    write(
        state,
        [
            attempted("b-1", BEGIN, read),
            outcome("b-1", BEGIN + 1, read, 404, findings={"aws-key": 2}),
            attempted("b-2", BEGIN + 2, read, b"{}"),
            refused("r-1", BEGIN + 3, deletion),
            attempted("t-1", BEGIN + 3, facts(ALICE, GET, "/api/v1/monitor/2"), attributes=lookup),
            replace(
                outcome("t-1", BEGIN + 3, facts(ALICE, GET, "/api/v1/monitor/2")),
                attributes={**lookup, "outcome": "answered"},
            ),
            AuditRecord(RecordKind.REFUSED, BEGIN + 9, "n-1", CallFacts(status=407)),  # by nobody
        ],
    )
    write(state, approved_call())
    return state


def sessions(state: StateDir, **asked: object) -> list[Session]:
    with open_trail(state.audit_log, pytest.fail) as trail:
        return list(list_sessions(trail, **asked))  # type: ignore[arg-type]


def test_runs_are_listed_the_latest_first_by_session_claim_or_else_by_token(log: StateDir) -> None:
    assert [session.id for session in sessions(log)] == ["run-1", "token-2"]


def test_a_run_is_added_up(log: StateDir) -> None:
    alice, bob = (session.to_json() for session in sessions(log))
    expected: dict[str, Json] = {
        "session": "token-2",
        "who": ["bob-agent"],
        "issuers": ["https://issuer"],
        "on_behalf_of": [],
        "first": BEGIN,
        "last": BEGIN + 2,
        "seconds": 2.0,
        "calls": 2,
        "answered": 1,
        "unfinished": 1,
        "lookups": 0,
        "records": 3,
        "operations": {"GetMonitor": 2},
        "effects": {"allow": 2},
        "statuses": {"404": 1},
        "findings": {"aws-key": 2},
        "approvals": [],
    }
    assert bob == expected
    assert (alice["calls"], alice["lookups"], alice["on_behalf_of"]) == (2, 1, ["alice"])
    assert alice["effects"] == {"deny": 1, "require_approval": 1}
    assert alice["approvals"] == ["a" * 24 + "9f0e1d2c"]


def test_runs_are_listed_by_who_and_since(log: StateDir) -> None:
    assert [session.id for session in sessions(log, who="bob-agent")] == ["token-2"]
    assert [session.id for session in sessions(log, since=BEGIN + 50)] == ["run-1"]
    assert sessions(log, since=BEGIN + 1000) == []


def test_two_principals_with_one_session_are_both_named(state: StateDir) -> None:
    mallory = replace(ALICE, subject="mallory", issuer="https://other")
    write(state, [refused(f"c-{who.subject}", BEGIN, facts(who, GET, "/")) for who in (ALICE, mallory)])
    (session,) = sessions(state)
    assert (list(session.who), list(session.issuers)) == (
        ["alice-agent", "mallory"],
        ["https://issuer", "https://other"],
    )


def test_a_session_is_found_by_its_id_or_its_beginning(log: StateDir) -> None:
    with open_trail(log.audit_log, pytest.fail) as trail:
        assert names_of(trail, "run-1") == ["run-1"]
        assert names_of(trail, "tok") == ["token-2"]
        assert names_of(trail, "other") == []
        assert session_of(trail, "run-1").records > 2


def test_an_id_that_begins_another_is_itself(state: StateDir) -> None:
    ids = ("run-1", "run-10", "run-11")
    write(state, [refused(f"c-{one}", BEGIN, facts(replace(ALICE, session=one), GET, "/")) for one in ids])
    with open_trail(state.audit_log, pytest.fail) as trail:
        assert names_of(trail, "run-1") == ["run-1"]
        assert names_of(trail, "run") == ["run-1", "run-10", "run-11"]
