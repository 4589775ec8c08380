from __future__ import annotations

import os
import pwd
from collections.abc import Callable
from pathlib import Path

import pytest

from addons.store.state_dir import StateDir
from addons.store.writing.audit_log import AuditLog
from addons.store.writing.read_record import note_read

type Rows = Callable[[Path], list[tuple[int, dict[str, object]]]]

SECRET = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"


@pytest.fixture
def log(state: StateDir) -> StateDir:
    AuditLog.open(state.audit_log, busy_seconds=5, create=True).close()
    return state


def test_who_asked_for_what_is_on_record(log: StateDir, rows: Rows) -> None:
    assert note_read(log, "audit query", {"who": "alice", "limit": 20, "rule": None}, 3) is None
    ((idx, body),) = rows(log.audit_log)
    assert (idx, body["kind"]) == (1, "read")
    attributes = body["attributes"]
    assert isinstance(attributes, dict)
    assert attributes["os_user"] == pwd.getpwuid(os.getuid()).pw_name
    assert (attributes["command"], attributes["found"]) == ("audit query", 3)
    assert attributes["asked"] == {"who": "alice", "limit": 20}


def test_a_secret_that_was_searched_for_is_not_stored(log: StateDir) -> None:
    assert note_read(log, "audit query", {"text": SECRET, "list": [{"deep": SECRET}]}, 0) is None
    stored = b"".join(path.read_bytes() for path in log.path.rglob("*") if path.is_file())
    assert SECRET.encode() not in stored
    assert b"[REDACTED:" in stored


def test_what_is_no_json_is_said_and_not_raised(log: StateDir) -> None:
    said = note_read(log, "audit query", {"x": float("nan")}, 0)
    assert said is not None
    assert said.startswith("This look is not on record: ")


def test_without_a_log_it_says_so_and_makes_nothing(tmp_path: Path) -> None:
    said = note_read(StateDir(tmp_path), "audit query", {"who": "alice"}, 0)
    assert said is not None
    assert "audit.sqlite3" in said
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_log_is_said_and_not_raised(log: StateDir) -> None:
    log.audit_log.write_bytes(b"x" * 4096)
    said = note_read(log, "audit query", {}, 0)
    assert said is not None
    assert "not a SQLite database" in said
