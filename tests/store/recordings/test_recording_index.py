"""The index says what the segments say, and keeps up with them."""

from __future__ import annotations

import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from addons.core.model import Effect, Reason
from addons.store.policy.files import read_catalogue
from addons.store.recordings.index import IndexUnusable, RecordingIndex
from addons.store.recordings.segment_reader import read_flow
from addons.store.recordings.segments import SegmentLimits, SegmentWriter
from addons.store.recordings.selection import Selection
from addons.store.state_dir import StateDir
from tests.recorded_calls import MONDAY, CallMaker, MadeCall, write_recording

ROOT = Path(__file__).resolve().parents[3]
LIMITS = SegmentLimits(min_free_bytes=0)


@pytest.fixture(scope="module")
def maker() -> CallMaker:
    return CallMaker(read_catalogue())


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


def test_an_entry_says_what_the_recording_says(state: StateDir, opened: Opened) -> None:
    record(
        state,
        MadeCall(
            "PUT",
            "/api/v1/monitor/7?x=1",
            subject="bot",
            on_behalf_of="bob",
            body=b'{"a": 1}',
            effect=Effect.DENY,
            reason=Reason.DENIED_BY_RULE,
            rule="no-writes",
            refused=Reason.DENIED_BY_RULE,
            status=403,
            request_findings={"token": 2},
            answer_findings={"token": 1},
        ),
    )
    index = opened()
    (entry,) = index.select(Selection())
    assert (entry.subject, entry.on_behalf_of, entry.issuer) == ("bot", "bob", "https://issuer.example")
    assert (entry.method, entry.host) == ("PUT", "api.datadoghq.com")
    assert (entry.path, entry.query) == ("/api/v1/monitor/7", "x=1")
    assert (entry.effect, entry.rule, entry.reason, entry.refused) == (
        "deny",
        "no-writes",
        "denied_by_rule",
        True,
    )
    assert (entry.operation, entry.status, entry.findings) == ("UpdateMonitor", 403, 3)
    assert (entry.request_size, entry.answer_size) == (8, 2)
    assert entry.time == MONDAY
    assert entry.duration == pytest.approx(0.1)
    assert entry.call.encode() in read_flow(state.recordings, entry.ref)


def test_a_body_that_was_not_stored_has_its_size(state: StateDir, opened: Opened) -> None:
    record(state, MadeCall("POST", "/api/v1/monitor", body=b"x" * 1234, stored=False))
    (entry,) = opened().select(Selection())
    assert entry.request_size == 1234


SELECTIONS = [
    (Selection(), [3, 2, 1, 0]),
    (Selection(who="b"), [3, 1]),
    (Selection(who="B"), []),
    (Selection(on_behalf_of="bob"), [1]),
    (Selection(operation="Delete*"), [3]),
    (Selection(operation="*Monitor"), [3, 2, 1]),
    (Selection(method="delete"), [3]),
    (Selection(path="/api/v1/*/?"), [3, 2, 1]),
    (Selection(path="/api/v1"), []),
    (Selection(status=(400, 499)), [3]),
    (Selection(status=(200, 200)), [2, 1, 0]),
    (Selection(effect="deny"), [3]),
    (Selection(rule="no-deletes"), [3]),
    (Selection(since=MONDAY + 2), [3, 2]),
    (Selection(until=MONDAY + 2), [1, 0]),
    (Selection(since=MONDAY + 1, until=MONDAY + 3, who="b"), [1]),
    (Selection(who="x' OR 1=1 --"), []),
]


@pytest.mark.parametrize(("selection", "expected"), SELECTIONS)
def test_a_selection_leaves_what_fits_the_newest_first(
    state: StateDir, opened: Opened, selection: Selection, expected: list[int]
) -> None:
    record(
        state,
        MadeCall("GET", "/api/v1/dashboard", at=MONDAY, subject="a"),
        MadeCall("GET", "/api/v1/monitor/1", at=MONDAY + 1, subject="b", on_behalf_of="bob"),
        MadeCall("GET", "/api/v1/monitor/2", at=MONDAY + 2, subject="a"),
        MadeCall(
            *("DELETE", "/api/v1/monitor/3"),
            subject="b",
            at=MONDAY + 3,
            effect=Effect.DENY,
            rule="no-deletes",
            status=403,
        ),
    )
    index = opened()
    assert [int(entry.time - MONDAY) for entry in index.select(selection)] == expected
    assert [int(entry.time - MONDAY) for entry in index.select(selection, oldest_first=True)] == expected[
        ::-1
    ]


def test_pages_neither_lose_nor_repeat_calls_of_one_moment(state: StateDir, opened: Opened) -> None:
    calls = record(state, *(MadeCall("GET", "/api/v1/monitor", at=MONDAY + n // 700) for n in range(1400)))
    found = [entry.call for entry in opened().select(Selection(), oldest_first=True)]
    assert found == calls


def test_it_grows_with_what_is_written_and_survives_completion(
    state: StateDir, opened: Opened, maker: CallMaker
) -> None:
    writer = SegmentWriter(state.recordings, LIMITS)
    writer.append(maker.serialised(made(0))[1])
    assert paths(opened()) == ["/api/v1/monitor/0"]
    writer.append(maker.serialised(made(1))[1])
    assert len(paths(opened())) == 2
    writer.rotate()
    index = opened()
    assert (len(paths(index)), index.unread(), index.counts()) == (2, [], (2, 1))
    for entry in index.select(Selection()):
        assert entry.call.encode() in read_flow(state.recordings, entry.ref)


def test_the_end_of_a_flow_that_is_being_written_is_waited_for(
    state: StateDir, opened: Opened, maker: CallMaker
) -> None:
    first, second = maker.serialised(made(0))[1], maker.serialised(made(1))[1]
    path = state.recordings / "x.mitm.open"
    path.write_bytes(first + second[:-1])
    index = opened()
    assert (len(paths(index)), index.unread()) == (1, [])
    path.write_bytes(first + second)
    assert len(paths(opened())) == 2


def test_a_look_at_what_was_read_writes_nothing(state: StateDir, opened: Opened, maker: CallMaker) -> None:
    record(state, made(0))
    (state.recordings / "x.mitm.open").write_bytes(maker.serialised(made(1))[1])
    before = opened().path.stat()
    assert len(paths(opened())) == 2
    after = opened().path.stat()
    assert (after.st_mtime_ns, after.st_ino) == (before.st_mtime_ns, before.st_ino)


def test_a_segment_that_goes_takes_its_calls_along(state: StateDir, opened: Opened) -> None:
    record(state, made(0))
    record(state, made(1))
    assert len(paths(opened())) == 2
    min(state.recordings.glob("*.mitm")).unlink()
    assert paths(opened()) == ["/api/v1/monitor/1"]


def test_a_segment_that_was_replaced_is_read_anew(state: StateDir, opened: Opened, maker: CallMaker) -> None:
    record(state, made(0), made(1))
    assert len(paths(opened())) == 2
    (path,) = state.recordings.glob("*.mitm")
    path.write_bytes(maker.serialised(made(5))[1])
    assert paths(opened()) == ["/api/v1/monitor/5"]


def test_ids_are_found_whole_in_part_and_in_either_case(state: StateDir, opened: Opened) -> None:
    first, second = record(
        state,
        MadeCall("GET", "/a", id="01M84AMVMZKC5RRRPRWQQMVVYF"),
        MadeCall("GET", "/b", id="01M84AMVMZXC5RRRPRWQQMVVYF"),
    )
    index = opened()
    (entry,) = index.find(first)
    assert entry.path == "/a"
    assert [each.path for each in index.find(second.lower())] == ["/b"]
    assert [each.path for each in index.find("01m84amvmzx")] == ["/b"]
    assert [each.path for each in index.find(entry.flow)] == ["/a"]
    assert len(index.find("01M84")) == 2
    assert index.find("") == index.find("9") == index.find("%") == []


def test_the_file_is_the_owners_alone(state: StateDir, opened: Opened) -> None:
    record(state, made(0))
    assert stat.S_IMODE(opened().path.stat().st_mode) == 0o600


def test_reindexing_makes_the_same_again(state: StateDir, opened: Opened) -> None:
    record(state, *(made(n) for n in range(20)))
    before = list(opened().select(Selection()))
    index = RecordingIndex.open(state, anew=True)
    assert list(index.select(Selection())) == before
    index.close()


def test_without_recordings_it_says_where_it_looked(tmp_path: Path) -> None:
    with pytest.raises(IndexUnusable, match=r"no recordings at .*gone"):
        RecordingIndex.open(StateDir(tmp_path / "gone"))


ALONE = """
import resource, signal, sys
from pathlib import Path
from addons.store.recordings.index import RecordingIndex
from addons.store.recordings.selection import Selection
from addons.store.state_dir import StateDir
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
index = RecordingIndex.open(StateDir(Path(sys.argv[1])))
sys.stderr.write(" ".join(index.notes))
sys.exit(len(list(index.select(Selection()))))
"""


def test_where_no_file_can_be_written_it_answers_nevertheless(state: StateDir) -> None:
    record(state, made(0), made(1))
    done = subprocess.run(
        [sys.executable, "-c", ALONE, str(state.path)],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 2, done.stderr
    assert "can't be kept (File too large)" in done.stderr


READER = """
import sys
from pathlib import Path
from addons.store.recordings.index import RecordingIndex
from addons.store.recordings.selection import Selection
from addons.store.state_dir import StateDir
index = RecordingIndex.open(StateDir(Path(sys.argv[1])))
assert not index.notes and not index.unread(), (index.notes, index.unread())
print(len({entry.call for entry in index.select(Selection())}), index.counts()[0])
"""


def test_several_processes_bring_it_up_to_date_at_once(state: StateDir, opened: Opened) -> None:
    for first in range(0, 600, 150):
        record(state, *(made(n) for n in range(first, first + 150)))
    started = [
        subprocess.Popen(
            [sys.executable, "-c", READER, str(state.path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={"PYTHONPATH": str(ROOT)},
        )
        for _ in range(4)
    ]
    said = [process.communicate(timeout=120) for process in started]
    assert [out for out, _ in said] == ["600 600\n"] * 4, said
    assert opened().counts() == (600, 4)
