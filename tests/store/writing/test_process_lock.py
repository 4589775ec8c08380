from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from addons.store.state_dir import StateDir, StateDirUnusable
from addons.store.writing.process_lock import ProcessLock, is_dead, remove_dead

ROOT = Path(__file__).resolve().parents[3]
HOLDER = """
import pathlib, sys
from addons.store.writing.process_lock import ProcessLock
from addons.store.state_dir import StateDir
lock = ProcessLock.take(StateDir.open(pathlib.Path(sys.argv[1])))
print(lock.name, flush=True)
sys.stdin.read()
"""
PROBER = """
import os, pathlib, resource, sys
from addons.store.writing.process_lock import is_dead
from addons.store.state_dir import StateDir
state = StateDir.open(pathlib.Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
print(is_dead(state, sys.argv[2]))
"""


@pytest.fixture
def holder(state: StateDir) -> Iterator[tuple[subprocess.Popen[str], str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(state.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    yield process, process.stdout.readline().strip()
    process.kill()
    process.communicate()


def test_a_process_is_dead_only_when_it_has_ended(
    state: StateDir, holder: tuple[subprocess.Popen[str], str]
) -> None:
    process, name = holder
    assert not is_dead(state, name)
    assert remove_dead(state) == 0
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert is_dead(state, name)
    assert remove_dead(state) == 1
    assert is_dead(state, name)


def test_a_stopped_process_lives(state: StateDir, holder: tuple[subprocess.Popen[str], str]) -> None:
    process, name = holder
    process.send_signal(signal.SIGSTOP)
    assert not is_dead(state, name)
    process.send_signal(signal.SIGCONT)


def test_ones_own_process_lives_until_it_lets_go(state: StateDir) -> None:
    one, other = ProcessLock.take(state), ProcessLock.take(state)
    assert one.name != other.name
    assert [is_dead(state, each.name) for each in (one, other)] == [False, False]
    one.release()
    one.release()
    assert [is_dead(state, each.name) for each in (one, other)] == [True, False]
    other.release()
    assert list((state.path / "processes").iterdir()) == []


def test_programs_that_a_process_starts_dont_keep_its_lock(state: StateDir) -> None:
    lock = ProcessLock.take(state)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, close_fds=False):
        lock.release()
        path = state.path / "processes" / f"{lock.name}.lock"
        path.touch(0o600)
        assert is_dead(state, lock.name)


@pytest.mark.parametrize("name", ["", "p1", "None", "../../keys/x", "a" * 31, "A" * 32, "a" * 32 + "\n"])
def test_a_name_that_no_process_has_is_dead_and_no_path(state: StateDir, name: str) -> None:
    assert is_dead(state, name)


def test_what_cant_be_told_lives(state: StateDir) -> None:
    lock = ProcessLock.take(state)
    path = state.path / "processes" / f"{lock.name}.lock"
    told = subprocess.run(
        [sys.executable, "-c", PROBER, str(state.path), lock.name],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(ROOT)},
        check=True,
    )
    assert told.stdout == "False\n"
    lock.release()
    path.symlink_to("/dev/null")  # nobody's lock file is a link
    assert not is_dead(state, lock.name)


def test_its_files_are_the_owners_alone(state: StateDir) -> None:
    lock = ProcessLock.take(state)
    folder = state.path / "processes"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert [path.stat().st_mode & 0o777 for path in folder.iterdir()] == [0o600]
    lock.release()


def test_a_folder_that_cant_be_made_is_named(state: StateDir) -> None:
    (state.path / "processes").write_text("")
    with pytest.raises(StateDirUnusable, match="processes can't be used"):
        ProcessLock.take(state)
