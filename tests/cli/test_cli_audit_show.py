"""`ddgate audit show` and `ddgate sessions`, as a person reads them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from addons.cli.main import app
from addons.core.model import Json, Reason
from addons.store.audit.record import AuditRecord, CallFacts, RecordKind
from addons.store.state_dir import StateDir
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

FLOW = b"7:abc:1:d,}"
type Ask = Callable[..., tuple[int, str, str]]


@pytest.fixture
def state(tmp_path: Path) -> StateDir:
    """With a call that was approved, the recording of its answer, and a session of bob's."""
    state = StateDir.open(tmp_path / "state")
    revision = CallFacts(policy_revision="rev-1")
    write(state, [AuditRecord(RecordKind.POLICY_ACTIVATED, BEGIN, None, revision, "the set of the start")])
    first, answer, last = approved_call()[:5], approved_call()[5], approved_call()[6]
    write(state, first)
    write(state, [answer], FLOW)
    write(state, [last])
    return state


@pytest.fixture
def ask(state: StateDir) -> Ask:
    def run(*arguments: str) -> tuple[int, str, str]:
        done = CliRunner().invoke(app, [*arguments, "--state", str(state.path)])
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done.exit_code, done.stdout, done.stderr

    return run


def facts_of(text: str, section: str) -> dict[str, str]:
    """The lines under one heading, by their names."""
    _, _, rest = text.partition(f"\n{section}\n")
    lines = rest.partition("\n\n")[0].splitlines()
    return {line[:18].strip(): line[18:].strip() for line in lines}


def test_a_call_is_told_in_the_order_in_which_one_asks(ask: Ask) -> None:
    code, out, err = ask("audit", "show", "01CALLAPP")
    assert (code, err) == (0, "")
    headings = [line for line in out.splitlines() if line and not line.startswith(" ")]
    assert headings == [
        "DeleteMonitor DELETE api.datadoghq.com/api/v1/monitor/7",
        *("who", "decision", "approval", "sent (redacted, without the credential)", "answered", "masked"),
        *("recording", "read or replayed since", "records"),
    ]
    assert facts_of(out, "who") == {
        "principal": "alice-agent (https://issuer)",
        "on behalf of": "alice",
        "chain": "alice-agent (https://issuer)",
        "groups": "agents",
        "session": "run-1",
        "token": "token-1",
        "from": "10.0.0.7 port 40000",
    }
    assert facts_of(out, "decision") == {
        "verdict": "require_approval",
        "rule": "deletes",
        "policy": "rev-1, in force since 2027-01-15 08:00:00.000Z (#1)",
        "limits": "deletes-per-hour",
        "credential": "default",
        "because": "deletes need a person",
    }
    steps = facts_of(out, "approval")
    assert list(steps) == ["of", "requested", "voted", "approved", "consumed", "executed"]
    assert steps["voted"] == "2027-01-15 08:01:45.000Z Carol Miller (carol): voted “known broken”"
    assert facts_of(out, "answered") == {
        "status": "204 by Datadog",
        "outcome": "answered",
        "length": "12 bytes",
    }
    assert facts_of(out, "masked") == {"aws-key": "2"}
    assert facts_of(out, "recording")["bytes"] == "are what was recorded"
    assert '    "reason": "cleanup of Zürich",\n    "note": "[REDACTED:aws-key:0badcafe]"\n' in out
    assert len(facts_of(out, "records")) == 8


def test_an_approval_tells_the_same_and_json_gives_all_records(ask: Ask) -> None:
    def told(name: str) -> str:
        return ask("audit", "show", name)[1].partition("\nread or replayed")[0]

    assert told("9f0e1d2c") == told("01CALLAPP")
    code, out, _ = ask("audit", "show", "9f0e1d2c", "--json")
    records = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [record["idx"] for record in records if record["kind"] != "read"] == list(range(1, 9))


def test_a_look_at_it_is_told_by_the_next(ask: Ask) -> None:
    assert "has looked at it" in ask("audit", "show", "01CALLAPP")[1]
    (told,) = facts_of(ask("audit", "show", "9f0e1d2c")[1], "read or replayed since").items()
    assert told[0] == "read"
    assert told[1].endswith("audit show")


@pytest.mark.parametrize(
    ("damage", "said"),
    [(lambda path: path.write_bytes(b"7:abc:2:d,}"), "is not what was recorded"), (Path.unlink, "is not in")],
)
def test_a_recording_that_differs_is_not_vouched_for(
    ask: Ask, state: StateDir, damage: Callable[[Path], None], said: str
) -> None:
    (segment,) = state.recordings.glob("*.mitm")
    damage(segment)
    told = facts_of(ask("audit", "show", "01CALLAPP")[1], "recording")["bytes"]
    assert told.startswith("can't be vouched for")
    assert said in told


@pytest.mark.parametrize(
    "recording",
    [
        {"segment": "../../etc/passwd", "offset": 0, "length": 3, "sha256": "aa"},
        {"segment": "a.mitm", "offset": -1, "length": 3, "sha256": "aa"},
        {"segment": "a.mitm", "offset": 2**70, "length": 2**70, "sha256": "aa"},
        {"segment": "\0.mitm", "offset": 0, "length": 3, "sha256": "aa"},
        {"segment": 7},
    ],
)
def test_a_place_that_is_none_is_told(state: StateDir, ask: Ask, recording: Json) -> None:
    record = outcome("01HERE", BEGIN, facts(BOB, GET, "/"))
    body = json.dumps({**record.to_json(), "recording": recording})
    connection = sqlite3.connect(state.audit_log)
    columns = [row[1] for row in connection.execute("PRAGMA table_info(records)")]
    leaf = {"leaf": b""} if "leaf" in columns else {}
    names = ", ".join(["body", *leaf])
    marks = ", ".join("?" * (1 + len(leaf)))
    connection.execute(f"INSERT INTO records ({names}) VALUES ({marks})", [body, *leaf.values()])  # noqa: S608 - constants
    connection.commit()
    connection.close()
    code, out, _ = ask("audit", "show", "01HERE")
    assert code == 0
    told = facts_of(out, "recording")["bytes"]
    assert told.startswith(("can't be vouched for", "the record doesn't say"))


@pytest.mark.parametrize(
    ("records", "section", "name", "said"),
    [
        ([refused("01X", BEGIN, facts(BOB, DELETE, "/x"))], "answered", "status", "403 by ddgate"),
        ([refused("01X", BEGIN, facts(None, DELETE, "/x"))], "who", "principal", "nobody: no identity"),
        ([attempted("01X", BEGIN, facts(BOB, GET, "/x"))], "answered", "outcome", "not on record"),
        (
            [
                attempted("01X", BEGIN, facts(BOB, GET, "/x")),
                replace(
                    outcome("01X", BEGIN, facts(BOB, GET, "/x")), attributes={"outcome": "answer withheld"}
                ),
            ],
            "answered",
            "note",
            "the agent didn't get the answer",
        ),
        (
            [
                attempted(
                    "01X", BEGIN, facts(BOB, GET, "/x", reason=Reason.OBSERVED),
                    attributes={"withheld": {"effect": "deny", "rule": "no-x"}},
                )
            ],
            "decision",
            "withheld",
            "only observed; would have been deny no-x",
        ),
    ],
)  # fmt: skip
def test_what_came_of_other_calls_is_told(
    ask: Ask, state: StateDir, records: list[AuditRecord], section: str, name: str, said: str
) -> None:
    write(state, records)
    code, out, _ = ask("audit", "show", "#9")
    assert code == 0
    assert said in facts_of(out, section)[name]


def test_what_is_no_call_is_told_with_all_that_its_record_says(ask: Ask, state: StateDir) -> None:
    attributes: dict[str, Json] = {"problems": ["a.yaml:3: no such rule", "b.yaml:1: empty"], "pid": 7}
    write(
        state,
        [
            AuditRecord(
                RecordKind.POLICY_REJECTED, BEGIN, message="the files are refused", attributes=attributes
            )
        ],
    )
    code, out, _ = ask("audit", "show", "#9")
    assert code == 0
    assert facts_of(out, "who") == {"principal": "ddgate itself"}
    assert "problems        a.yaml:3: no such rule\n  problems        b.yaml:1: empty\n" in out


def test_a_long_request_is_cut_and_full_shows_it(ask: Ask, state: StateDir) -> None:
    body = json.dumps({"lines": list(range(1000))}).encode()
    write(state, [attempted("01LONG", BEGIN, facts(BOB, GET, "/"), body)])
    cut, full = ask("audit", "show", "01LONG")[1], ask("audit", "show", "01LONG", "--full")[1]
    assert "--full shows all" in cut
    assert "    999\n" not in cut
    assert "    999\n" in full


def test_binary_requests_are_only_counted(ask: Ask, state: StateDir) -> None:
    write(state, [attempted("01BINARY", BEGIN, facts(BOB, GET, "/"), b"\xff\x00" * 100)])
    assert "that are no text)" in ask("audit", "show", "01BINARY")[1]


def test_names_that_name_nothing_or_too_much_are_told_and_are_no_look(ask: Ask, state: StateDir) -> None:
    write(state, [refused(f"01MANY{n}", BEGIN, facts(BOB, DELETE, "/")) for n in range(3)])
    for name, said in (
        ("01MANY", "more than one"),
        ("nothing", "Nothing on record"),
        ("#77", "no record #77"),
    ):
        code, out, err = ask("audit", "show", name)
        assert (code, out) == (1, "")
        assert said in err
    assert "call 01MANY0 call 01MANY1 call 01MANY2" in ask("audit", "show", "01MANY")[2]
    assert ask("audit", "query", "--kind", "read", "--count")[1] == "0\n"


def test_runs_are_listed_and_told(ask: Ask, state: StateDir) -> None:
    known = facts(BOB, GET, "/api/v1/monitor/1")
    write(
        state,
        [
            attempted("01A", BEGIN + 10, known),
            outcome("01A", BEGIN + 12, known, 404, findings={"aws-key": 3}),
            attempted("01B", BEGIN + 13, known),
            refused("01C", BEGIN + 200, facts(BOB, DELETE, "/api/v1/monitor/1")),
        ],
    )
    assert ask("sessions", "--who", "bob-agent")[1] == (
        "2027-01-15 08:00:10.000Z  bob-agent  3.2 min  3 calls  allow 2, deny 1  3 masked  "
        "GetMonitor 2, DeleteMonitor 1  token-2\n"
    )
    assert [json.loads(line)["session"] for line in ask("sessions", "--json")[1].splitlines()] == [
        "token-2",
        "run-1",
    ]
    out = ask("sessions", "show", "token")[1]
    head, _, lines = out.partition("\n\n")
    assert "  calls           3, of which Datadog answered 1\n  unfinished      1\n" in head
    assert [line.rsplit("  ", 2)[1:] for line in lines.splitlines()] == [
        ["404", "01A"],
        ["attempted", "01B"],
        ["403", "01C"],
    ]


def test_a_session_that_is_none_is_told(ask: Ask, state: StateDir) -> None:
    write(
        state,
        [refused(f"01{n}", BEGIN, facts(replace(ALICE, session=f"run-1{n}"), GET, "/")) for n in range(2)],
    )
    assert ask("sessions", "show", "nothing")[2] == (
        "No session is 'nothing'.\n`ddgate sessions` lists them.\n"
    )
    assert ask("sessions", "show", "run")[2] == (
        "More than one session's id begins with 'run'.\nrun-1 run-10 run-11\n"
    )
