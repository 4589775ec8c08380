"""`ddgate freeze`, `unfreeze` and `revoke`: what they put on the list, take off it, show, and refuse."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from addons.cli.main import app
from addons.core.blocklist import BlockKind, Named
from addons.core.model import Principal
from addons.store.audit.record import AuditRecord, CallFacts, RecordKind
from addons.store.blocking.blocks import Blocks
from addons.store.state_dir import StateDir
from addons.store.writing.audit_log import AuditLog

RUNNER = CliRunner()


@pytest.fixture
def state(tmp_path: Path) -> StateDir:
    """Of a gateway that `agent` has called, in the run `run-7`."""
    state = StateDir.open(tmp_path / "state")
    log = AuditLog.open(state.audit_log, busy_seconds=5, create=True)
    who = Principal("https://issuer", "agent", frozenset(), 2e9, session="run-7")
    called = AuditRecord(RecordKind.ATTEMPTED, time.time(), "c1", CallFacts(principal=who))
    log.append([[(called, called.encode())]])
    log.close()
    return state


def run(state: StateDir, *arguments: str, status: int = 0) -> Result:
    done = RUNNER.invoke(app, [*arguments, "--state", str(state.path)], env={"COLUMNS": "200"})
    assert done.exit_code == status, done.output
    assert "Traceback" not in done.output
    return done


def entries(state: StateDir) -> list[tuple[BlockKind, Named, str, str | None]]:
    blocks = Blocks(state.audit_log)
    try:
        found = [one.block for one in blocks.all()]
    finally:
        blocks.close()
    return sorted((one.kind, one.named, one.name, one.issuer) for one in found)


def listed(state: StateDir, command: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in run(state, command, "--list", "--json").stdout.splitlines()]


FREEZE, REVOCATION = BlockKind.FREEZE, BlockKind.REVOCATION


@pytest.mark.parametrize(
    ("arguments", "entry"),
    [
        (["freeze", "agent"], (FREEZE, Named.SUBJECT, "agent", None)),
        (["freeze", "agent", "--issuer", "https://i"], (FREEZE, Named.SUBJECT, "agent", "https://i")),
        (["freeze", "--all"], (FREEZE, Named.EVERYONE, "", None)),
        (["revoke", "--subject", "agent"], (REVOCATION, Named.SUBJECT, "agent", None)),
        (["revoke", "--jti", "t1"], (REVOCATION, Named.TOKEN, "t1", None)),
        (["revoke", "--session", "run-7"], (REVOCATION, Named.SESSION, "run-7", None)),
    ],
)
def test_what_is_asked_for_is_on_the_list_and_taken_off_again(
    state: StateDir, arguments: list[str], entry: tuple[object, ...]
) -> None:
    done = run(state, *arguments, "--reason", "INC-42")
    assert "within a second" in done.stdout
    assert done.stderr == ""
    assert entries(state) == [entry]
    command, *named = arguments
    back = ["unfreeze", *named] if command == "freeze" else [command, *named, "--undo"]
    assert "no longer" in run(state, *back).stdout.lower()
    assert entries(state) == []
    assert run(state, *back, status=1).stderr


def test_a_list_shows_whom_since_when_until_when_by_whom_and_why(state: StateDir) -> None:
    assert "Nobody is frozen" in run(state, "freeze", "--list").stderr
    assert "Nothing is revoked" in run(state, "revoke", "--list").stderr
    run(state, "freeze", "agent", "--reason", "INC-42", "--for", "1h")
    run(state, "revoke", "--jti", "t1")
    (frozen,) = listed(state, "freeze")
    assert (frozen["name"], frozen["reason"], frozen["named"]) == ("agent", "INC-42", "subject")
    assert frozen["until"] == pytest.approx(frozen["at"] + 3600)
    assert frozen["by"]
    (revoked,) = listed(state, "revoke")
    assert (revoked["name"], revoked["until"]) == ("t1", None)
    line = run(state, "freeze", "--list").stdout
    assert "agent is frozen  until 20" in line
    assert line.rstrip().endswith("INC-42")
    assert "until tokens from then have expired" in run(state, "revoke", "--list").stdout


def test_with_json_each_says_what_it_did(state: StateDir) -> None:
    put = json.loads(run(state, "freeze", "agent", "--json").stdout)
    lifted = json.loads(run(state, "unfreeze", "agent", "--json").stdout)
    assert put == lifted
    assert (put["kind"], put["name"], put["until"]) == ("freeze", "agent", None)


def test_who_did_it_is_found_on_the_audit_trail(state: StateDir) -> None:
    run(state, "freeze", "agent", "--reason", "INC-42")
    run(state, "unfreeze", "agent")
    found = run(state, "audit", "query", "--kind", "frozen").stdout
    assert "agent is frozen: INC-42" in found
    (stored,) = [
        json.loads(line)
        for line in run(state, "audit", "query", "--kind", "frozen", "--json").stdout.splitlines()
    ]
    assert stored["attributes"]["os_user"] in found
    assert "agent is no longer frozen" in run(state, "audit", "query", "--text", "agent").stdout


def test_a_secret_in_a_reason_is_masked(state: StateDir) -> None:
    secret = "AKIA" + "IOSFODNN7" + "QQWERTY"
    run(state, "revoke", "--jti", "t1", "--reason", f"leaked beside {secret}")
    (revoked,) = listed(state, "revoke")
    assert secret not in revoked["reason"]
    assert revoked["reason"].startswith("leaked beside [REDACTED")
    assert secret.encode() not in state.audit_log.read_bytes()


def test_unfreezing_says_who_stays_frozen(state: StateDir) -> None:
    run(state, "freeze", "agent", "--issuer", "https://i")
    run(state, "freeze", "agent")
    run(state, "freeze", "--all")
    done = run(state, "unfreeze", "agent", "--issuer", "https://i")
    assert "Still frozen: agent." in done.stderr
    assert "everyone (ddgate unfreeze --all)" in done.stderr
    assert "Still frozen: agent." in run(state, "unfreeze", "--all").stderr
    assert entries(state) == [(FREEZE, Named.SUBJECT, "agent", None)]
    assert run(state, "unfreeze", "agent").stderr == ""


@pytest.mark.parametrize(
    "arguments", [["freeze", "agnet"], ["revoke", "--subject", "agnet"], ["revoke", "--session", "run-8"]]
)
def test_a_name_that_never_called_is_frozen_and_asked_about(state: StateDir, arguments: list[str]) -> None:
    assert "is on record: is it written so?" in run(state, *arguments).stderr
    assert len(entries(state)) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["freeze"],
        ["freeze", "agent", "--all"],
        ["freeze", "--all", "--issuer", "https://i"],
        ["freeze", "agent", "--list"],
        ["freeze", ""],
        ["freeze", "a\x1b[2J"],
        ["freeze", "agent", "--for", "soon"],
        ["freeze", "agent", "--for", "0s"],
        ["freeze", "agent", "--reason", "x" * 501],
        ["freeze", "agent", "--reason", "two\nlines"],
        ["unfreeze"],
        ["unfreeze", "agent", "--all"],
        ["revoke"],
        ["revoke", "--jti", "t", "--subject", "agent"],
        ["revoke", "--jti", "t", "--list"],
        ["revoke", "--jti", "t", "--undo", "--for", "1h"],
        ["revoke", "--jti", ""],
    ],
)
def test_what_makes_no_sense_changes_nothing(state: StateDir, arguments: list[str]) -> None:
    run(state, *arguments, status=2)
    assert entries(state) == []


@pytest.mark.parametrize("arguments", [["freeze", "--all"], ["freeze", "--list"], ["unfreeze", "agent"]])
def test_where_no_gateway_has_run_that_is_said(tmp_path: Path, arguments: list[str]) -> None:
    state = StateDir(tmp_path / "nowhere")
    done = run(state, *arguments, status=1)
    assert "There is no audit log" in done.stderr
    assert "--state" in done.stderr
    assert not state.path.exists()


def test_a_log_that_cannot_be_written_freezes_nobody_and_says_so(state: StateDir) -> None:
    state.audit_log.write_bytes(b"no database " * 1000)
    done = run(state, "freeze", "agent", status=1)
    assert "not a SQLite database" in done.stderr
