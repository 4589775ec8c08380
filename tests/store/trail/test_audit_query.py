from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from addons.core.model import Effect, Json, Reason
from addons.store.audit.question import HAS_TEXT, INDEXES, Question
from addons.store.audit.record import AuditRecord, RecordKind
from addons.store.state_dir import StateDir
from addons.store.trail.body import read_body
from addons.store.trail.query import NEWEST_FIRST, OLDEST_FIRST, open_trail
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

PATHS = ("/api/v1/monitor/1", "/api/v1/monitor/1?group=all", "/api/v2/logs", "/api/v1/monitor/[x]")


def varied() -> list[AuditRecord]:
    """Calls that differ in everything that can be asked for."""
    made: list[AuditRecord] = []
    for number in range(40):
        who = (ALICE, BOB, None)[number % 3]
        known = facts(
            who, (DELETE, GET)[number % 2], PATHS[number % 4],
            rule=f"rule-{number % 5}",
            host=("api.datadoghq.com", "http-intake.logs.datadoghq.eu")[number % 2],
            approval=f"approval-{number % 7}" if number % 4 == 0 else None,
        )  # fmt: skip
        call, at = f"call-{number}", BEGIN + number * 10
        if number % 6 == 5:
            made.append(refused(call, at, known, 403 if number % 4 else 407))
        else:
            made += [attempted(call, at, known), outcome(call, at + 1, known, (200, 404, 500)[number % 3])]
    return made


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> StateDir:
    state = StateDir.open(tmp_path_factory.mktemp("log") / "state")
    write(state, varied())
    return state


def found(state: StateDir, question: Question, **options: Any) -> list[dict[str, Json]]:
    told: list[str] = []
    with open_trail(state.audit_log, told.append) as trail:
        records = [read_body(stored) for stored in trail.find(question, **options)]
        assert trail.count(question) == len(records)
    assert told == []
    return records


def pattern(glob: str) -> re.Pattern[str]:
    """SQLite's GLOB, as a regular expression."""
    parts = {"*": ".*", "?": "."}
    return re.compile("".join(parts.get(char, re.escape(char)) for char in glob), re.DOTALL)


def fits(body: Mapping[str, Any], question: Question) -> bool:
    """What the question says, in Python."""
    decision, request = body.get("decision", {}), body.get("http_request", {})
    actor = body.get("actor", {})
    path = request.get("path", "")
    status = body.get("http_response", {}).get("status")
    wanted: list[bool] = [
        question.who is None or actor.get("subject") == question.who,
        question.on_behalf_of is None or body.get("on_behalf_of") == question.on_behalf_of,
        question.rule is None or decision.get("rule") == question.rule,
        question.effect is None or decision.get("effect") == question.effect,
        question.reason is None or decision.get("reason") == question.reason,
        question.kind is None or body["kind"] == question.kind,
        question.since is None or body["time"] >= question.since,
        question.until is None or body["time"] < question.until,
        question.approval is None or body.get("approval") == question.approval,
        question.session is None or body.get("session", actor.get("token_id")) == question.session,
        question.call is None or body.get("call") == question.call,
        question.status is None
        or (status is not None and question.status[0] <= status <= question.status[1]),
        question.operation is None
        or pattern(question.operation).fullmatch(body.get("api", {}).get("operation", "")) is not None,
        question.host is None or pattern(question.host).fullmatch(request.get("host", "")) is not None,
        question.path is None
        or any(pattern(question.path).fullmatch(each) for each in (path, path.partition("?")[0])),
    ]
    return all(wanted)


times = st.integers(-1, 42).map(lambda number: BEGIN + number * 10)
OPTIONS: dict[str, st.SearchStrategy[Any]] = {
    "who": st.sampled_from(["alice-agent", "bob-agent", "nobody"]),
    "on_behalf_of": st.just("alice"),
    "operation": st.sampled_from(["DeleteMonitor", "Get*", "*Mon?tor"]),
    "rule": st.sampled_from(["rule-1", "no-deletes"]),
    "effect": st.sampled_from([Effect.ALLOW, Effect.DENY]),
    "reason": st.sampled_from([Reason.ALLOWED, Reason.DENIED_BY_RULE]),
    "kind": st.sampled_from([RecordKind.OUTCOME, RecordKind.REFUSED, RecordKind.READ]),
    "since": times,
    "until": times,
    "status": st.sampled_from([(404, 404), (400, 499)]),
    "approval": st.just("approval-4"),
    "session": st.sampled_from(["run-1", "token-2"]),
    "call": st.just("call-4"),
    "host": st.sampled_from(["api.datadoghq.com", "*.datadoghq.eu"]),
    "path": st.sampled_from(["/api/v1/monitor/1", "/api/*", "/api/v2/log?", "*group=all"]),
}
# Few at once: most combinations of many are fulfilled by nothing.
questions = (
    st.lists(st.sampled_from(sorted(OPTIONS)), max_size=3, unique=True)
    .flatmap(lambda names: st.fixed_dictionaries({name: OPTIONS[name] for name in names}))
    .map(lambda chosen: Question(**chosen))
)


@given(question=questions)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_what_is_found_is_what_was_asked_for_newest_first(log: StateDir, question: Question) -> None:
    every = [record.to_json() for record in varied()]
    records = found(log, question)
    assert sorted((str(r["call"]), str(r["kind"])) for r in records) == sorted(
        (str(r["call"]), str(r["kind"])) for r in every if fits(r, question)
    )
    order = [record["time"] for record in records]
    assert order == sorted(order, reverse=True)  # type: ignore[type-var]


def test_pages_neither_repeat_nor_leave_out(state: StateDir) -> None:
    known = facts(BOB, GET, "/api/v1/monitor/1")
    # More than a page of the same time: what comes next is told by the index alone.
    write(state, [outcome(f"call-{number}", BEGIN + number // 800, known) for number in range(2500)])
    newest = [record["call"] for record in found(state, Question(who="bob-agent"), order=NEWEST_FIRST)]
    assert newest == [f"call-{number}" for number in reversed(range(2500))]
    oldest = [record["call"] for record in found(state, Question(), order=OLDEST_FIRST)]
    assert oldest == [f"call-{number}" for number in range(2500)]


def test_after_an_index_comes_what_was_written_later_whatever_its_time(state: StateDir) -> None:
    known = facts(BOB, GET, "/api/v1/monitor/1")
    write(state, [outcome(f"call-{number}", BEGIN - number, known) for number in range(700)])
    with open_trail(state.audit_log, pytest.fail) as trail:
        later = [stored.idx for stored in trail.find_after(Question(since=BEGIN - 650), 100)]
    assert later == list(range(101, 652))


def test_what_is_written_while_somebody_reads_waits_for_nobody(state: StateDir) -> None:
    known = facts(BOB, GET, "/api/v1/monitor/1")
    write(state, [outcome(f"call-{number}", BEGIN + number, known) for number in range(1200)])
    with open_trail(state.audit_log, pytest.fail) as trail:
        reading: Iterator[Any] = trail.find(Question(), OLDEST_FIRST)
        next(reading)
        write(state, [outcome("late", BEGIN + 5000, known)])
        assert [read_body(stored)["call"] for stored in reading][-1] == "late"


def test_a_name_that_is_sql_is_only_a_name(log: StateDir) -> None:
    for hostile in ("' OR 1=1 --", 'x" OR "1"="1', "[", "*" * 10, "%"):
        question = Question(who=hostile, rule=hostile, approval=hostile, session=hostile, call=hostile)
        assert found(log, question) == []


@pytest.mark.parametrize(
    ("question", "index"),
    [
        (Question(who="bob-agent", since=BEGIN, until=BEGIN + 1), "records_subject (subject=? AND time>"),
        (Question(since=BEGIN, until=BEGIN + 1), "records_time (time>"),
        (Question(call="call-1"), "records_call (call=?)"),
        (Question(session="run-1"), "records_run (<expr>=?"),
        (Question(approval="approval-1"), "records_approval (<expr>=?)"),
        (Question(kind=RecordKind.READ), "records_rare (kind=?"),
    ],
)
def test_questions_use_their_index(state: StateDir, question: Question, index: str) -> None:
    write(state, approved_call())
    plan = _plan(state.audit_log, question)
    assert any(index in line for line in plan), plan


def _plan(path: Path, question: Question) -> list[str]:

    connection = sqlite3.connect(path)
    try:
        for statement in INDEXES:
            connection.execute(statement)
        where, values = question.where()
        sql = f"SELECT time, idx FROM records WHERE {where} ORDER BY time DESC, idx DESC LIMIT 5"  # noqa: S608 - a test's
        return [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", values)]
    finally:
        connection.close()


def test_text_is_asked_for_by_a_function(log: StateDir) -> None:
    with open_trail(log.audit_log, pytest.fail) as trail:
        seen: list[object] = []

        def says(body: object) -> bool:
            seen.append(body)
            return "call-7" in str(body)

        trail.add_function(HAS_TEXT, says)
        question = Question(has_text=True, since=BEGIN + 60, until=BEGIN + 80)
        assert {read_body(stored)["call"] for stored in trail.find(question)} == {"call-7"}
    assert len(seen) == 4  # only of those that the rest of the question leaves
