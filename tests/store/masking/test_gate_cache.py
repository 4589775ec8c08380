from __future__ import annotations

import stat
import threading
from collections.abc import Callable
from pathlib import Path

import hyperscan
import pytest

from addons.core.redact.screening import gate
from addons.core.redact.screening.gate import Gate
from addons.store.masking.gate_cache import GateCache
from addons.store.state_dir import StateDir

NAME = "0f" * 32


@pytest.fixture
def state(tmp_path: Path) -> StateDir:
    return StateDir.open(tmp_path / "state")


def _gate() -> Gate:
    return Gate(["tok_[a-z]{8}"], by_name=True)


def _made(cache: GateCache, make: Callable[[], hyperscan.Database]) -> hyperscan.Database | None:
    cache.made(NAME, make)
    for thread in threading.enumerate():
        if thread.name == "gate-compiler":
            thread.join()
    return cache.made(NAME, make)


def _file(state: StateDir) -> Path:
    (path,) = (state.path / "cache").iterdir()
    return path


def test_a_database_is_compiled_once_and_kept_for_others(state: StateDir) -> None:
    assert GateCache(state).kept(NAME) is None
    assert _made(GateCache(state), _gate().compile) is not None
    assert stat.S_IMODE(_file(state).stat().st_mode) == 0o600
    assert stat.S_IMODE(_file(state).parent.stat().st_mode) == 0o700
    kept = GateCache(state).kept(NAME)
    assert kept is not None
    other = _gate()
    other._database = kept
    assert other.hits(b"see tok_abcdefgh")
    assert not other.hits(b"see token")


@pytest.mark.parametrize(
    "change", [lambda data: data[:-1], lambda data: data[:0], lambda data: data[:40] + b"\0" + data[41:]]
)
def test_a_file_that_was_touched_is_as_good_as_missing(
    state: StateDir, change: Callable[[bytes], bytes]
) -> None:
    _made(GateCache(state), _gate().compile)
    path = _file(state)
    path.write_bytes(change(path.read_bytes()))
    assert GateCache(state).kept(NAME) is None


def test_a_file_of_another_installation_or_for_other_patterns_is_not_taken(
    state: StateDir, tmp_path: Path
) -> None:
    _made(GateCache(state), _gate().compile)
    path = _file(state)
    foreign = StateDir.open(tmp_path / "other")
    (foreign.path / "cache").mkdir(mode=0o700)
    (foreign.path / "cache" / path.name).write_bytes(path.read_bytes())
    assert GateCache(foreign).kept(NAME) is None
    renamed = "1e" * 32
    path.rename(path.with_name(path.name.replace(NAME[:24], renamed[:24])))
    assert GateCache(state).kept(renamed) is None


def test_what_can_not_be_compiled_is_said_and_not_tried_again(
    state: StateDir, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[None] = []

    def fail() -> hyperscan.Database:
        calls.append(None)
        raise hyperscan.error("Pattern is too large.")

    cache = GateCache(state)
    assert _made(cache, fail) is None
    assert _made(cache, fail) is None
    assert len(calls) == 1
    assert "Pattern is too large." in caplog.text


def test_a_folder_that_can_not_be_written_costs_the_cache_alone(
    state: StateDir, caplog: pytest.LogCaptureFixture
) -> None:
    (state.path / "cache").write_text("a file in its place")
    assert _made(GateCache(state), _gate().compile) is not None
    assert "can't be kept" in caplog.text


def test_old_files_make_room(state: StateDir) -> None:
    folder = state.path / "cache"
    folder.mkdir(mode=0o700)
    for number in range(40):
        (folder / f"gate-{number}").touch()
    _made(GateCache(state), _gate().compile)
    assert len(list(folder.iterdir())) == 32
    assert GateCache(state).kept(NAME) is not None


def test_a_gate_takes_what_is_kept(state: StateDir, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = GateCache(state)
    first = _gate()
    cache.made(first._name, first.compile)
    for thread in threading.enumerate():
        if thread.name == "gate-compiler":
            thread.join()
    monkeypatch.setattr(gate, "_source", [GateCache(state)])
    second = _gate()
    assert second.hits(b"tok_abcdefgh")
    assert second._database is not None
