from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from addons.cli.main import app
from addons.core.redact.masking.mask import MASK_KEY, Masker
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

ROOT = Path(__file__).resolve().parents[2]
SECRET = "correct horse battery staple 42"
type Ask = Callable[..., tuple[int, str, str]]


@pytest.fixture
def state(tmp_path: Path) -> StateDir:
    """With calls of alice and bob; in bob's second, a secret was masked."""
    state = StateDir.open(tmp_path / "state")
    known, deletion = facts(BOB, GET, "/api/v1/monitor/1?x=1"), facts(ALICE, DELETE, "/api/v1/monitor/2")
    mask = Masker(state.installation_key(MASK_KEY)).mask("password", SECRET)
    write(
        state,
        [
            AuditRecord(RecordKind.STARTED, BEGIN, message="started"),
            attempted("01READ", BEGIN + 1, known),
            outcome("01READ", BEGIN + 2, known, 404),
            attempted("01MASKED", BEGIN + 3, known, f'{{"password": "{mask}"}}'.encode()),
            refused("01REFUSED", BEGIN + 4, deletion),
        ],
    )
    write(state, approved_call())
    return state


@pytest.fixture
def ask(state: StateDir) -> Ask:
    def run(*arguments: str) -> tuple[int, str, str]:
        done = CliRunner().invoke(app, [*arguments, "--state", str(state.path)])
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done.exit_code, done.stdout, done.stderr

    return run


def looks(state: StateDir) -> list[dict[str, Any]]:
    connection = sqlite3.connect(state.audit_log)
    try:
        rows = connection.execute("SELECT body FROM records WHERE kind = 'read' ORDER BY idx").fetchall()
    finally:
        connection.close()
    return [json.loads(body)["attributes"] for (body,) in rows]


def calls(out: str) -> list[str]:
    return [json.loads(line).get("call", "-") for line in out.splitlines()]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--who", "bob-agent"], ["01MASKED", "01READ", "01READ"]),
        (["--who", "bob-agent", "--oldest-first"], ["01READ", "01READ", "01MASKED"]),
        (["--who", "bob-agent", "--limit", "1"], ["01MASKED"]),
        (["--on-behalf-of", "alice", "--effect", "deny"], ["01REFUSED"]),
        (["--operation", "Get*", "--status", "4xx"], ["01READ"]),
        (["--status", "200-299", "--kind", "outcome"], ["01CALLAPPROVED"]),
        (["--rule", "no-deletes"], ["01REFUSED"]),
        (["--reason", "denied_by_rule"], ["01REFUSED"]),
        (["--approval", "9f0e1d2c", "--kind", "outcome"], ["01CALLAPPROVED"]),
        (["--session", "token-2", "--kind", "outcome"], ["01READ"]),
        (["--call", "01REFUSED"], ["01REFUSED"]),
        (["--host", "*.datadoghq.com", "--path", "/api/v1/monitor/1", "--kind", "outcome"], ["01READ"]),
        (["--text", "zürich"], ["01CALLAPPROVED"]),
        (["--text", SECRET], ["01MASKED"]),
        (["--since", "2027-01-15T08:00:04", "--until", "2027-01-15T09:00:05+01:00"], ["01REFUSED"]),
        (["--who", "nobody-like-that"], []),
    ],
)
def test_each_option_narrows(ask: Ask, options: list[str], expected: list[str]) -> None:
    code, out, err = ask("audit", "query", "--json", *options)
    assert (code, calls(out)) == (0, expected)
    assert err == ("There are more than these 1; --limit 0 shows all.\n" if "--limit" in options else "")


def test_a_line_for_a_person_and_a_count(ask: Ask) -> None:
    code, out, _ = ask("audit", "query", "--rule", "no-deletes")
    assert (code, out) == (
        0,
        (
            "2027-01-15 08:00:04.000Z  alice-agent for alice  DeleteMonitor  "
            "DELETE api.datadoghq.com/api/v1/monitor/2  deny denied_by_rule no-deletes  403  01REFUSED\n"
        ),
    )
    assert ask("audit", "query", "--who", "bob-agent", "--count")[1] == "3\n"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--effect", "maybe"], "allow, deny, require_approval"),
        (["--reason", "because"], "denied_by_rule"),
        (["--kind", "thing"], "outcome"),
        (["--status", "40x"], "404, 4xx or 400-499"),
        (["--since", "yesterday"], "no time"),
        (["--approval", "ffffffff"], "No approval"),
        (["--limit", "-1"], "--limit"),
    ],
)
def test_what_cant_be_meant_is_told_and_is_no_look(
    ask: Ask, state: StateDir, options: list[str], said: str
) -> None:
    code, out, err = ask("audit", "query", *options)
    assert (code in {1, 2}, out) == (True, "")
    assert said in " ".join(err.replace("│", " ").split())
    assert "Traceback" not in err


def test_a_look_is_on_record_with_what_was_asked_and_how_much_was_found(ask: Ask, state: StateDir) -> None:
    ask("audit", "query", "--who", "bob-agent", "--since", "2027-01-15")
    ask("audit", "query", "--who", "bob-agent", "--count")
    ask("audit", "show", "01refu")
    ask("sessions")
    ask("sessions", "show", "run")
    ask("audit", "export", "--after", "2")
    ask("audit", "tail")
    told = [(look["command"], look["asked"], look["found"]) for look in looks(state)]
    assert told == [
        ("audit query", {"who": "bob-agent", "since": "2027-01-15", "limit": 50}, 3),
        ("audit query", {"who": "bob-agent", "limit": 50, "count": True}, 3),
        ("audit show", {"id": "01refu", "call": "01REFUSED"}, 1),
        ("sessions", {"limit": 20}, 2),
        ("sessions show", {"session": "run-1"}, 6),
        ("audit export", {"after": 2}, 15),
        ("audit tail", {"lines": 20}, 18),
    ]


def test_a_text_goes_on_record_only_where_it_is_on_record_already(ask: Ask, state: StateDir) -> None:
    unknown = "hunter2 as it was leaked"
    assert calls(ask("audit", "query", "--text", SECRET, "--json")[1]) == ["01MASKED"]
    assert ask("audit", "query", "--text", unknown, "--count")[1] == "0\n"
    assert ask("audit", "query", "--text", "BOB-agent", "--count")[1] == "3\n"
    masked, absent, plain = (look["asked"]["text"] for look in looks(state))
    assert masked.startswith("[REDACTED:searched:")
    assert absent.startswith("[REDACTED:searched:")
    assert masked != absent
    assert plain == "BOB-agent"
    stored = b"".join(path.read_bytes() for path in state.path.rglob("*") if path.is_file())
    assert SECRET.encode() not in stored
    assert unknown.encode() not in stored


def test_a_copy_that_cant_be_written_is_read_nevertheless(state: StateDir, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    with sqlite3.connect(state.audit_log) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    (copy / "audit.sqlite3").write_bytes(state.audit_log.read_bytes())
    done = CliRunner().invoke(app, ["audit", "query", "--count", "--state", str(copy)])
    assert (done.exit_code, done.stdout) == (0, "12\n")
    assert done.stderr.startswith("This look is not on record: ")


def test_without_a_log_every_command_says_where_it_looked_and_makes_nothing(tmp_path: Path) -> None:
    for command in (
        ["audit", "query"],
        ["audit", "show", "01CALL"],
        ["audit", "export"],
        ["sessions"],
        ["sessions", "show", "run"],
    ):
        done = CliRunner().invoke(app, [*command, "--state", str(tmp_path / "none")])
        assert (done.exit_code, done.stdout) == (1, ""), command
        assert str(tmp_path / "none" / "audit.sqlite3") in done.stderr
        assert "--state" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_every_command_tells_of_damage_and_shows_the_rest(state: StateDir, ask: Ask) -> None:
    with sqlite3.connect(state.audit_log) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    data = state.audit_log.read_bytes()
    body = b'{"actor":{"issuer":"https://issuer","subject":"bob-agent","token_id":"token-2"}'
    assert data.count(body) == 3
    state.audit_log.write_bytes(data.replace(body, b"!" + body[1:], 1))  # of the last of them in the page
    with sqlite3.connect(state.audit_log) as connection:
        torn = "SELECT idx FROM records WHERE substr(CAST(body AS BLOB), 1, 1) = x'21'"
        ((damaged,),) = connection.execute(torn).fetchall()
    connection.close()
    for command in (
        ["audit", "query", "--json"],
        ["audit", "query", "--rule", "all", "--json"],
        ["audit", "export", "--raw"],
        ["sessions", "show", "token-2", "--json"],
        ["audit", "show", f"#{damaged}", "--json"],
    ):
        code, out, err = ask(*command)
        assert code == 1, command
        assert "can't be" in err
        assert "Traceback" not in err
        assert "#" in err
        for line in out.splitlines():
            json.loads(line)
    left = [json.loads(line) for line in ask("audit", "query", "--json")[1].splitlines()]
    assert len([record for record in left if record["kind"] != "read"]) == 11


HOSTILE = "\x1b[2J\r\n\x07\u202e\x9b31m\ud800[red]x[/red]"


def hostile_record(kind: RecordKind, number: int) -> AuditRecord:
    operation = replace(DELETE, name=f"Del{HOSTILE}", version=HOSTILE)
    principal = replace(ALICE, issuer=HOSTILE, subject=HOSTILE, on_behalf_of=HOSTILE, session="hostile")
    known = CallFacts(
        principal=principal, operation=operation, rule=HOSTILE, policy_revision=HOSTILE, method=HOSTILE,
        host=HOSTILE, path=HOSTILE, reasons=(HOSTILE,), approval=f"x{HOSTILE}", findings={HOSTILE: 1},
        client=(HOSTILE, 1),
    )  # fmt: skip
    attributes: dict[str, Any] = {
        "request": {"headers": [[HOSTILE, HOSTILE]], "body_base64": "G1syShtbMzFt"},
        **dict.fromkeys(("outcome", "credential", "summary", "who", "reason", "command", HOSTILE), HOSTILE),
        "shadow": [HOSTILE],
        "limits": [HOSTILE],
        "withheld": {"effect": HOSTILE},
    }
    return AuditRecord(kind, BEGIN + 500 + number, f"01HOSTILE{HOSTILE}", known, HOSTILE, attributes)


@pytest.mark.parametrize("kind", RecordKind)
def test_nothing_in_a_record_steers_the_terminal(state: StateDir, ask: Ask, kind: RecordKind) -> None:
    write(state, [hostile_record(kind, 0), hostile_record(RecordKind.OUTCOME, 1)])
    for command in (
        ["audit", "query"],
        ["audit", "show", "#13", "--full"],
        ["audit", "show", "#13", "--json"],
        ["sessions"],
        ["sessions", "show", "hostile"],
    ):
        code, out, err = ask(*command)
        assert code == 0, (command, err)
        assert out
        assert all(line.isprintable() for line in (out + err).split("\n")), command


def test_export_is_ocsf_or_the_stored_records_in_the_order_of_the_log(ask: Ask, state: StateDir) -> None:
    events = [json.loads(line) for line in ask("audit", "export", "--after", "2")[1].splitlines()]
    assert [event["metadata"]["sequence"] for event in events] == list(range(3, 13))
    assert {event["class_uid"] for event in events} == {6003}
    raw = [
        json.loads(line) for line in ask("audit", "export", "--raw", "--until", "2027-02-01")[1].splitlines()
    ]
    assert [record["idx"] for record in raw] == list(range(1, 14))  # the last of which is the look before
    assert raw[2]["call"] == "01READ"
    since = [
        json.loads(line)["idx"]
        for line in ask("audit", "export", "--raw", "--since", "2027-01-15T08:01")[1].splitlines()
    ]
    assert since[0] == 6


def test_export_follows(state: StateDir) -> None:
    command = [
        sys.executable,
        "-m",
        "addons.cli.main",
        "audit",
        "export",
        "--raw",
        "--follow",
        "--after",
        "12",
    ]
    process = subprocess.Popen(
        [*command, "--state", str(state.path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert process.stdout is not None
    first = json.loads(process.stdout.readline())
    assert (first["kind"], first["attributes"]["command"]) == ("read", "audit export")  # itself
    write(state, [AuditRecord(RecordKind.STOPPED, 1.0)])
    assert json.loads(process.stdout.readline())["kind"] == "stopped"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (130, "")
    assert len(looks(state)) == 1


def test_a_reader_that_has_seen_enough_is_no_error(state: StateDir) -> None:
    known = facts(BOB, GET, "/api/v1/monitor/1?" + "x" * 900)
    write(state, [outcome(f"c-{number}", BEGIN, known) for number in range(400)])
    for command in (["audit", "query", "-n", "0"], ["audit", "export"], ["sessions", "show", "token-2"]):
        process = subprocess.Popen(
            [sys.executable, "-m", "addons.cli.main", *command, "--state", str(state.path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == "", command
        assert process.wait(20) == 0
        process.stderr.close()
    assert len(looks(state)) == 3
