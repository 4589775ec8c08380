from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from addons.cli.audit.command import app
from addons.cli.audit.lines import render
from addons.core.model import Effect, Operation, Principal, Reason, Risk
from addons.store.audit.record import AuditRecord, CallFacts, RecordKind
from addons.store.state_dir import StateDir
from addons.store.writing.audit_log import AuditLog

ROOT = Path(__file__).resolve().parents[2]

DENIED = AuditRecord(
    RecordKind.REFUSED,
    1763870592.25,
    call="call-1",
    facts=CallFacts(
        principal=Principal("https://issuer", "alice@ci", frozenset(), 2e9, on_behalf_of="bob"),
        operation=Operation("DeleteMonitor", "v1", "DELETE", "/x", (), Risk.DESTRUCTIVE),
        effect=Effect.DENY,
        reason=Reason.DENIED_BY_RULE,
        rule="no-deletes",
        method="DELETE",
        host="api.datadoghq.com",
        path="/api/v1/monitor/1",
        status=403,
    ),
)


@pytest.fixture
def state(tmp_path: Path) -> StateDir:
    return StateDir.open(tmp_path / "state")


def write(state: StateDir, *records: AuditRecord) -> None:
    log = AuditLog.open(state.audit_log, busy_seconds=5, create=True)
    log.append([[(record, record.encode()) for record in records]])
    log.close()


def tail(state: StateDir, *arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["tail", "--state", str(state.path), *arguments])
    return done.exit_code, done.stdout, done.stderr


def started(state: StateDir, *arguments: str) -> subprocess.Popen[str]:
    program = "from addons.cli.audit.command import app; app()"
    return subprocess.Popen(
        [sys.executable, "-c", program, "tail", *arguments, "--state", str(state.path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )


def test_a_line_says_who_what_where_and_why(state: StateDir) -> None:
    write(state, DENIED)
    line = (
        "2025-11-23 04:03:12.250Z  alice@ci for bob  DeleteMonitor  "
        "DELETE api.datadoghq.com/api/v1/monitor/1  deny denied_by_rule no-deletes  403  call-1\n"
    )
    assert tail(state) == (0, line, "")


def test_json_is_the_stored_record_with_its_index(state: StateDir) -> None:
    write(state, DENIED)
    assert json.loads(tail(state, "--json")[1]) == {"idx": 1} | json.loads(DENIED.encode())


def test_lines_limits_to_the_newest(state: StateDir) -> None:
    write(state, *(AuditRecord(RecordKind.STARTED, 1.0) for _ in range(30)))
    assert len(tail(state)[1].splitlines()) == 20
    shown = [json.loads(line) for line in tail(state, "-n", "2", "--json")[1].splitlines()]
    assert [(one["idx"], one["kind"]) for one in shown] == [(30, "started"), (31, "read")]


def test_without_a_log_it_says_where_it_looked_and_makes_nothing(state: StateDir) -> None:
    code, out, err = tail(state)
    assert (code, out) == (1, "")
    assert str(state.audit_log) in err
    assert "--state" in err
    assert not state.audit_log.exists()


def test_a_damaged_log_is_named_without_a_traceback(state: StateDir) -> None:
    state.audit_log.write_bytes(b"x" * 4096)
    code, _, err = tail(state)
    assert code == 1
    assert "not a SQLite database" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("hostile", ["\x1b[2J", "\r\n", "\x07", "\u202e", "\x9b", "\udc80"])
def test_nothing_in_a_record_steers_the_terminal(hostile: str) -> None:
    text = render({"actor": {"subject": f"a{hostile}b"}, "http_request": {"path": hostile}}).plain
    assert hostile not in text
    assert text.isprintable()


def test_markup_in_a_record_is_only_text() -> None:
    assert "[red]x[/red]" in render({"actor": {"subject": "[red]x[/red]"}}).plain


def test_an_odd_record_is_shown_nevertheless() -> None:
    for odd in (
        {},
        {"time": "x", "actor": 1, "decision": [], "http_response": {"status": {}}},
        {"time": 1e300},
    ):
        assert render(odd).plain  # type: ignore[arg-type]


def test_follow_shows_what_comes_and_ends_quietly_on_ctrl_c(state: StateDir) -> None:
    process = started(state, "-f", "--json")
    assert process.stdout is not None
    write(state, DENIED)
    assert json.loads(process.stdout.readline())["call"] == "call-1"
    began = time.monotonic()
    write(state, AuditRecord(RecordKind.STOPPED, 1.0))
    kinds = {json.loads(process.stdout.readline())["kind"] for _ in range(2)}
    assert kinds == {"stopped", "read"}  # its own look is on record once, however long it lasts
    assert time.monotonic() - began < 2
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=10)
    assert (process.returncode, err) == (130, "")


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_a_reader_that_has_seen_enough_is_no_error(state: StateDir, form: list[str]) -> None:
    write(state, *(AuditRecord(RecordKind.STARTED, 1.0, message="x" * 1000) for _ in range(500)))
    process = started(state, "-n", "500", *form)
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == ""
    assert process.wait(10) == 0
    process.stderr.close()
