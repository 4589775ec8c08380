from __future__ import annotations

import sqlite3
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from addons.control.login.sessions import FILE_NAME, Sessions, SessionsUnavailable
from addons.store.state_dir import StateDir, StateDirUnusable
from tests.store.approval_samples import ALICE, BOB, START, later


@pytest.fixture
def state(tmp_path: Path) -> StateDir:
    return StateDir.open(tmp_path / "state")


@pytest.fixture
def sessions(state: StateDir) -> Iterator[Sessions]:
    opened = Sessions.open(state)
    yield opened
    opened.close()


def test_another_process_knows_the_login_and_its_end(state: StateDir, sessions: Sessions) -> None:
    other = Sessions.open(state)
    session_id = sessions.begin(ALICE, START, 60)
    found = other.find(session_id, START)
    assert found is not None
    assert (found.person, found.expires) == (ALICE, START.wall + 60)
    other.end(session_id)
    assert sessions.find(session_id, START) is None
    other.close()


def test_processes_that_start_at_once_share_one_file(state: StateDir) -> None:
    with ThreadPoolExecutor(8) as threads:
        opened = list(threads.map(lambda _: Sessions.open(state), range(16)))
    ids = [one.begin(ALICE, START, 60) for one in opened]
    assert all(opened[-1].find(each, START) is not None for each in ids)
    for one in opened:
        one.close()


def test_nobody_else_can_read_the_file(state: StateDir, sessions: Sessions) -> None:
    sessions.begin(ALICE, START, 60)
    for path in state.path.glob(f"{FILE_NAME}*"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_time_runs_by_both_clocks(sessions: Sessions) -> None:
    session_id = sessions.begin(ALICE, START, 60)
    assert sessions.find(session_id, later(59)) is not None
    assert sessions.find(session_id, later(60)) is None
    put_back = replace(START, wall=START.wall - 200, boot=START.boot + 61)
    assert sessions.find(session_id, put_back) is None
    rebooted = replace(START, boot=0.0, boot_id="boot-2")
    assert sessions.find(session_id, rebooted) is not None


def test_old_logins_are_forgotten(state: StateDir, sessions: Sessions) -> None:
    sessions.begin(ALICE, START, 60)
    sessions.begin(BOB, later(100), 60)
    with sqlite3.connect(state.path / FILE_NAME) as connection:
        assert connection.execute("SELECT count(*) FROM sessions").fetchone() == (1,)


@pytest.mark.parametrize(
    "person",
    ["", "[]", "null", '{"issuer": 1}', '{"issuer":"i","subject":"s","display":"d","groups":[1],"names":[]}'],
)
def test_a_login_that_cant_be_read_is_gone(state: StateDir, sessions: Sessions, person: str) -> None:
    session_id = sessions.begin(ALICE, START, 60)
    with sqlite3.connect(state.path / FILE_NAME) as connection:
        connection.execute("UPDATE sessions SET person = ?", (person,))
    assert sessions.find(session_id, START) is None


def test_a_file_that_breaks_in_use_is_told(state: StateDir, sessions: Sessions) -> None:
    with sqlite3.connect(state.path / FILE_NAME) as connection:
        connection.execute("DROP TABLE sessions")
    with pytest.raises(SessionsUnavailable, match=r"control\.sqlite3"):
        sessions.find("A" * 43, START)


def test_a_file_that_isnt_ours_stops_the_start_with_a_sentence(state: StateDir) -> None:
    path = state.path / FILE_NAME
    path.write_bytes(b"no database at all, but long enough to be looked at as one" * 20)
    with pytest.raises(StateDirUnusable, match=r"control\.sqlite3"):
        Sessions.open(state)
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 9")
    with pytest.raises(StateDirUnusable, match="log in again"):
        Sessions.open(state)
