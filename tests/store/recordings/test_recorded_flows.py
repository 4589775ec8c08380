"""Recordings that are cut, damaged or hostile are reported, and read as far as they go. Abuse case 37."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mitmproxy import http
from mitmproxy import io as flow_io
from mitmproxy.test import tflow

from addons import netstring
from addons.core.catalogue import Catalogue
from addons.core.policy.request import Reads
from addons.store.policy.files import read_catalogue
from addons.store.recordings.flows import NoRecordings, Recordings, find_recordings
from addons.store.recordings.requests import RecordedCall, RecordedCalls
from tests.recorded_calls import CallMaker, MadeCall, write_recording


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return read_catalogue()


def read(place: Path, catalogue: Catalogue) -> tuple[list[RecordedCall], RecordedCalls]:
    calls = RecordedCalls(Recordings(find_recordings([place])), catalogue)
    return list(calls.read()), calls


@pytest.fixture
def segment(tmp_path: Path, catalogue: Catalogue) -> Path:
    write_recording(tmp_path, [MadeCall("GET", f"/api/v1/monitor/{n}") for n in range(3)], catalogue)
    (path,) = tmp_path.glob("*.mitm")
    return path


def test_a_truncated_file_is_read_up_to_the_cut_and_reported(segment: Path, catalogue: Catalogue) -> None:
    whole = segment.read_bytes()
    segment.write_bytes(whole[:-10])
    found, calls = read(segment, catalogue)
    assert len(found) == 2
    (damage,) = calls.damage
    assert damage.path == segment
    (prefix, _, _) = whole[found[-1].offset :].partition(b":")
    assert damage.offset == found[-1].offset + len(prefix) + 1 + int(prefix) + 1
    assert "middle of a flow" in str(damage)


def test_a_segment_that_is_being_written_may_end_anywhere(segment: Path, catalogue: Catalogue) -> None:
    being_written = segment.with_name(segment.name + ".open")
    being_written.write_bytes(segment.read_bytes()[:-10])
    segment.unlink()
    found, calls = read(being_written.parent, catalogue)
    assert (len(found), calls.damage) == (2, [])


def test_what_follows_the_last_flow_is_reported(segment: Path, catalogue: Catalogue) -> None:
    end = segment.stat().st_size
    segment.write_bytes(segment.read_bytes() + b"garbage" * 3)
    found, calls = read(segment, catalogue)
    assert len(found) == 3
    assert [each.offset for each in calls.damage] == [end]


@pytest.mark.parametrize(
    "content",
    [
        b"5:hello}",
        netstring.dumps({"type": "http", "version": 21}),
        netstring.dumps({"type": "nonsense"}),
        netstring.dumps({}),
        b"8000:" + b"4000:" * 1600 + b"}",
    ],
)
def test_a_frame_that_holds_no_flow_is_left_out_and_the_rest_read(
    segment: Path, catalogue: Catalogue, content: bytes
) -> None:
    segment.write_bytes(content + segment.read_bytes())
    found, calls = read(segment, catalogue)
    assert len(found) == 3
    assert [each.offset for each in calls.damage] == [0]


def test_deep_nesting_is_no_crash(segment: Path, catalogue: Catalogue) -> None:
    nested = b"0:]"
    for _ in range(20_000):
        nested = b"%d:%b]" % (len(nested), nested)
    inner = netstring.dumps("x") + nested
    segment.write_bytes(b"%d:%b}" % (len(inner), inner) + segment.read_bytes())
    found, calls = read(segment, catalogue)
    assert (len(found), len(calls.damage)) == (3, 1)


def test_hostile_metadata_is_no_identity(segment: Path, catalogue: Catalogue) -> None:
    flow = tflow.tflow(resp=True)
    flow.request = http.Request.make("GET", "https://api.datadoghq.com/api/v1/monitor")
    flow.metadata = {
        "ddgate.call": ["a"],
        "ddgate.principal": {"x": 1},
        "ddgate.issuer": 3,
        "ddgate.effect": "allow everything",
        "ddgate.identity": "[" * 100_000,
        "ddgate.groups": b"agents",
        "ddgate.findings": "many",
    }
    with segment.open("wb") as file:
        flow_io.FlowWriter(file).add(flow)
    (call,), _ = read(segment, catalogue)
    assert call.principal is None
    assert call.decided is None
    assert call.request_findings == 0


def test_a_flow_that_is_too_large_is_skipped(segment: Path, catalogue: Catalogue) -> None:
    calls = RecordedCalls(Recordings([segment], largest=100), catalogue)
    assert list(calls.read()) == []
    assert len(calls.damage) == 3
    assert "too large" in str(calls.damage[0])


def test_places_that_hold_nothing_are_told(tmp_path: Path) -> None:
    with pytest.raises(NoRecordings, match="no such file"):
        find_recordings([tmp_path / "gone"])
    with pytest.raises(NoRecordings, match="holds no recordings"):
        find_recordings([tmp_path])


def test_what_is_no_plain_file_is_reported(tmp_path: Path, catalogue: Catalogue) -> None:
    os.mkfifo(tmp_path / "a.mitm")
    (tmp_path / "b.mitm").mkdir()
    found, calls = read(tmp_path, catalogue)
    assert found == []
    assert [str(each).rpartition(": ")[2] for each in calls.damage] == ["not a plain file"] * 2


def test_each_file_is_read_once_and_a_state_directory_will_do(segment: Path, catalogue: Catalogue) -> None:
    state = segment.parent / "state"
    (state / "recordings").mkdir(parents=True)
    moved = state / "recordings" / segment.name
    segment.rename(moved)
    (state / "recordings" / "link.mitm").symlink_to(moved)
    files = find_recordings([state, moved, state / "recordings"])
    assert len(files) == 2
    recordings = Recordings(files)
    assert len(list(RecordedCalls(recordings, catalogue).read())) == 3
    assert recordings.done <= recordings.total


def test_a_segment_completed_after_the_list_was_made_is_found(segment: Path, catalogue: Catalogue) -> None:
    listed = segment.with_name(segment.name + ".open")
    assert len(list(RecordedCalls(Recordings([listed]), catalogue).read())) == 3


def test_calls_are_found_by_what_their_bytes_hold(segment: Path, catalogue: Catalogue) -> None:
    calls = RecordedCalls(Recordings([segment]), catalogue)
    second = list(calls.read())[1]
    assert [each.id for each in calls.read(second.id)] == [second.id]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 5000), st.binary(min_size=1, max_size=4)), max_size=6),
    st.integers(0, 5000),
)
def test_no_bytes_make_it_crash(changes: list[tuple[int, bytes]], cut: int) -> None:
    catalogue = read_catalogue_once()
    data = bytearray(sample())
    for offset, content in changes:
        at = offset % len(data)
        data[at : at + len(content)] = content
    del data[len(data) - cut % len(data) :]
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "x.mitm"
        path.write_bytes(data)
        found, calls = read(path, catalogue)
        for call in found:
            call.evidence(Reads.BODY)
            call.evidence(Reads.TARGET, {"tags"})
            assert isinstance(call.ran, bool)
        assert all(str(each) for each in calls.damage)
        json.dumps([call.id for call in found])


_kept: dict[str, object] = {}


def read_catalogue_once() -> Catalogue:
    found = _kept.setdefault("catalogue", None) or read_catalogue()
    assert isinstance(found, Catalogue)
    _kept["catalogue"] = found
    return found


def sample() -> bytes:
    if "sample" not in _kept:
        maker = CallMaker(read_catalogue_once())
        made = MadeCall("PUT", "/api/v1/monitor/1", body=b'{"a": 1}', encoding="gzip")
        _kept["sample"] = b"".join(maker.serialised(made)[1] for _ in range(2))
    found = _kept["sample"]
    assert isinstance(found, bytes)
    return found
