"""An index that was damaged is made anew; damaged recordings are read as far as they go. Abuse case 37."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from addons import netstring
from addons.store.audit.record import SegmentRef
from addons.store.policy.files import read_catalogue
from addons.store.recordings.entry import Entry
from addons.store.recordings.index import RecordingIndex
from addons.store.recordings.segment_reader import SegmentDamaged, read_flow
from addons.store.recordings.segments import SegmentLimits
from addons.store.recordings.selection import Selection
from addons.store.state_dir import StateDir
from tests.recorded_calls import MONDAY, CallMaker, MadeCall, write_recording

ROOT = Path(__file__).resolve().parents[3]
LIMITS = SegmentLimits(min_free_bytes=0)


@pytest.fixture
def state(tmp_path: Path) -> StateDir:
    return StateDir.open(tmp_path / "state")


@pytest.fixture
def opened(state: StateDir) -> Iterator[Callable[[], RecordingIndex]]:
    """Opens the state directory's index; what is open is closed at the end."""
    kept: list[RecordingIndex] = []

    def open_one() -> RecordingIndex:
        kept.append(RecordingIndex.open(state))
        return kept[-1]

    yield open_one
    for index in kept:
        index.close()


type Opened = Callable[[], RecordingIndex]


def made(number: int) -> MadeCall:
    return MadeCall("GET", f"/api/v1/monitor/{number}?with=all", at=MONDAY + number)


def paths(index: RecordingIndex, selection: Selection | None = None) -> list[str]:
    return [entry.path for entry in index.select(selection or Selection())]


def record(state: StateDir, *calls: MadeCall) -> list[str]:
    return write_recording(state.recordings, calls, read_catalogue())


def spoil_page(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xff" * (len(data) - 4096)
    path.write_bytes(data)


def another_program(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE calls (x)")


def a_trap(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TRIGGER trap AFTER INSERT ON calls BEGIN DELETE FROM calls; END")


def another_version(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 999")


def a_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def a_link(path: Path) -> None:
    elsewhere = path.with_name("elsewhere")
    path.rename(elsewhere)
    path.symlink_to(elsewhere)


SPOILT = [
    lambda path: path.write_bytes(b""),
    lambda path: path.write_bytes(b"no database" * 1000),
    lambda path: path.write_bytes(path.read_bytes()[:5000]),
    spoil_page,
    another_program,
    another_version,
    a_trap,
    a_directory,
    a_link,
]


@pytest.mark.parametrize("spoil", SPOILT)
def test_an_index_that_cannot_be_trusted_is_put_aside_and_made_anew(
    state: StateDir, opened: Opened, spoil: Callable[[Path], object]
) -> None:
    record(state, made(0), made(1))
    first = opened()
    first.close()
    spoil(first.path)
    record(state, made(2))
    index = opened()
    assert sorted(paths(index)) == [f"/api/v1/monitor/{n}" for n in range(3)]
    assert "put aside" in index.notes[0]
    assert first.path.with_name(f"{first.path.name}.damaged").exists()
    again = opened()
    assert (len(paths(again)), again.notes) == (3, [])


def test_damage_that_shows_only_when_asked_is_mended_too(state: StateDir, opened: Opened) -> None:
    record(state, *(made(n) for n in range(200)))
    index = opened()
    spoil_page(index.path)
    again = opened()
    spoil_page(again.path)
    assert len(paths(again)) == 200


def test_a_deleted_index_comes_again_whatever_it_left(state: StateDir, opened: Opened) -> None:
    record(state, *(made(n) for n in range(100)))
    path = opened().path
    journal = path.with_name(f"{path.name}-journal")
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as writing:
        writing.execute("PRAGMA cache_size = 1")
        writing.execute("BEGIN")
        writing.execute("UPDATE calls SET path = hex(randomblob(90000)) WHERE number > 95")
        left_by_a_crash = journal.read_bytes()
    path.unlink()
    min(state.recordings.glob("*.mitm")).unlink()
    record(state, made(0))
    journal.write_bytes(left_by_a_crash)
    index = opened()
    assert (paths(index), index.notes) == (["/api/v1/monitor/0"], [])


def test_values_that_their_columns_forbid_are_damage(state: StateDir, opened: Opened) -> None:
    record(state, made(0))
    first = opened()
    first.close()
    with sqlite3.connect(first.path) as connection:
        (strict,) = connection.execute("SELECT sql FROM sqlite_schema WHERE name = 'calls'").fetchone()
        loose = strict.replace("STRICT", "").replace("NOT NULL", "")
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("UPDATE sqlite_schema SET sql = ? WHERE name = 'calls'", [loose])
    with sqlite3.connect(first.path) as connection:
        connection.execute("UPDATE calls SET path = NULL, length = -5, time = 'noon'")
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("UPDATE sqlite_schema SET sql = ? WHERE name = 'calls'", [strict])
    index = opened()
    assert index.notes == []
    assert paths(index) == ["/api/v1/monitor/0"]
    assert "put aside" in index.notes[0]


HOSTILE = [
    (b"garbage" * 10, 0, "no flow begins here"),
    (b"5:hello}", 0, "no flow of HTTP"),
    (netstring.dumps({"type": "http", "version": 21}), 0, "no flow of HTTP"),
    (b"8000:" + b"4000:" * 1600 + b"}", 0, "no flow of HTTP"),
    (b"0:}" * 5000, 0, "and 4999 more"),
    (b"999999999999:", 0, "middle of a flow"),
    (b"9999999999999:x", 0, "no flow begins here"),
]


@pytest.mark.parametrize(("content", "offset", "what"), HOSTILE)
def test_a_hostile_segment_is_reported_and_the_others_read(
    state: StateDir, opened: Opened, content: bytes, offset: int, what: str
) -> None:
    record(state, made(0))
    (state.recordings / "hostile.mitm").write_bytes(content)
    index = opened()
    assert paths(index) == ["/api/v1/monitor/0"]
    (problem,) = index.unread()
    assert (problem.segment, problem.offset) == ("hostile.mitm", offset)
    assert what in str(problem)
    assert opened().unread() == [problem]


def test_what_is_no_plain_file_is_reported(state: StateDir, opened: Opened) -> None:
    record(state, made(0))
    os.mkfifo(state.recordings / "a.mitm")
    (state.recordings / "b.mitm").mkdir()
    (state.recordings / "c.mitm").symlink_to("/etc/passwd")
    index = opened()
    assert len(paths(index)) == 1
    assert [each.segment for each in index.unread()] == ["a.mitm", "b.mitm", "c.mitm"]


def entries(directory: Path) -> tuple[list[Entry], list[str]]:
    index = RecordingIndex.open(StateDir(directory))
    try:
        return list(index.select(Selection(), oldest_first=True)), [str(each) for each in index.unread()]
    finally:
        index.close()


@settings(max_examples=150, deadline=None)
@given(data=st.data(), is_open=st.booleans())
def test_a_recording_cut_at_any_byte_is_read_up_to_the_cut(data: st.DataObject, is_open: bool) -> None:
    flows = sample()
    whole = b"".join(flows)
    cut = data.draw(st.integers(0, len(whole)))
    ends = [sum(map(len, flows[: n + 1])) for n in range(len(flows))]
    with tempfile.TemporaryDirectory() as made_here:
        directory = Path(made_here)
        (directory / "recordings").mkdir()
        name = "x.mitm.open" if is_open else "x.mitm"
        (directory / "recordings" / name).write_bytes(whole[:cut])
        found, problems = entries(directory)
        held = [end for end in ends if end <= cut]
        assert [entry.ref.offset + entry.ref.length for entry in found] == held
        torn = cut > (held[-1] if held else 0)
        assert len(problems) == (torn and not is_open)
        if problems:
            assert problems[0].startswith(f"segment x.mitm, byte {held[-1] if held else 0}: ")
        for entry, flow in zip(found, flows, strict=False):
            assert read_flow(directory / "recordings", entry.ref) == flow


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 10_000), st.binary(min_size=1, max_size=4)), max_size=6),
    st.integers(0, 5000),
)
def test_no_bytes_make_it_crash(changes: list[tuple[int, bytes]], cut: int) -> None:
    content = bytearray(b"".join(sample()))
    for offset, piece in changes:
        at = offset % len(content)
        content[at : at + len(piece)] = piece
    del content[len(content) - cut % len(content) :]
    with tempfile.TemporaryDirectory() as made_here:
        directory = Path(made_here)
        (directory / "recordings").mkdir()
        (directory / "recordings" / "x.mitm").write_bytes(content)
        found, problems = entries(directory)
        assert all(isinstance(entry.ref, SegmentRef) for entry in found)
        assert all(problem.startswith("segment x.mitm") for problem in problems)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 100_000), st.binary(min_size=1, max_size=64), st.booleans())
def test_no_bytes_in_the_index_make_it_crash(offset: int, piece: bytes, cut: bool) -> None:
    with tempfile.TemporaryDirectory() as made_here:
        state = StateDir(Path(made_here))
        state.recordings.mkdir()
        (state.recordings / "x.mitm").write_bytes(b"".join(sample()))
        shutil.copy(kept_index(), state.path / "recordings-index.sqlite3")
        path = state.path / "recordings-index.sqlite3"
        content = bytearray(path.read_bytes())
        at = offset % len(content)
        content[at : at + len(piece)] = piece
        path.write_bytes(content[:at] if cut else content)
        index = RecordingIndex.open(state)
        for entry in index.select(Selection()):
            assert isinstance(entry.call, str)
            with contextlib.suppress(SegmentDamaged):
                read_flow(state.recordings, entry.ref)
        index.close()


_kept: dict[str, object] = {}


def sample() -> list[bytes]:
    if "flows" not in _kept:
        maker = CallMaker(read_catalogue())
        body = MadeCall("PUT", "/api/v1/monitor/1", body=b'{"a": 1}', encoding="gzip")
        _kept["flows"] = [maker.serialised(call)[1] for call in (made(0), body, made(2))]
    flows = _kept["flows"]
    assert isinstance(flows, list)
    return flows


def kept_index() -> Path:
    if "index" not in _kept:
        _kept["directory"] = directory = tempfile.TemporaryDirectory()
        state = StateDir.open(Path(directory.name) / "state")
        (state.recordings / "x.mitm").write_bytes(b"".join(sample()))
        RecordingIndex.open(state).close()
        _kept["index"] = state.path / "recordings-index.sqlite3"
    path = _kept["index"]
    assert isinstance(path, Path)
    return path
