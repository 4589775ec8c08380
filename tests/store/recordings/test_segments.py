from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import resource
import stat
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.store.recordings.segment_reader import (
    Frame,
    SegmentDamaged,
    SegmentFollower,
    frames,
    read_flow,
)
from addons.store.recordings.segments import SegmentLimits, SegmentWriter, recover_segments
from addons.store.state_dir import StateDir

type MakeFlow = Callable[[str], bytes]
type FlowIds = Callable[[Path], list[str]]

ROOMY = SegmentLimits(min_free_bytes=0)


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def orphan(directory: Path, content: bytes, name: str = "20250101T000000Z-1-1") -> Path:
    path = directory / f"{name}.mitm.open"
    path.write_bytes(content)
    return path


def test_a_segment_is_private_open_while_written_and_read_by_mitmproxy(
    state: StateDir, make_flow: MakeFlow, flow_ids: FlowIds
) -> None:
    writer = SegmentWriter(state.recordings, ROOMY)
    refs = [writer.append(make_flow(f"flow-{n}")) for n in range(3)]
    writer.sync()
    (path,) = state.recordings.iterdir()
    assert path.name == f"{refs[0].segment}.open"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    writer.rotate()
    assert names(state.recordings) == [refs[0].segment]
    assert flow_ids(state.recordings / refs[0].segment) == ["flow-0", "flow-1", "flow-2"]


def test_a_reference_finds_exactly_its_flow_in_open_and_complete_segments(
    state: StateDir, make_flow: MakeFlow
) -> None:
    writer = SegmentWriter(state.recordings, ROOMY)
    flows = [make_flow(f"flow-{n}") for n in range(3)]
    refs = [writer.append(flow) for flow in flows]
    assert [read_flow(state.recordings, ref) for ref in refs] == flows
    writer.rotate()
    assert [read_flow(state.recordings, ref) for ref in refs] == flows
    assert refs[1].sha256 == hashlib.sha256(flows[1]).hexdigest()


def test_a_changed_flow_is_noticed(state: StateDir, make_flow: MakeFlow) -> None:
    writer = SegmentWriter(state.recordings, ROOMY)
    ref = writer.append(make_flow("a"))
    writer.rotate()
    path = state.recordings / ref.segment
    path.write_bytes(path.read_bytes().replace(b"GET", b"PUT"))
    with pytest.raises(SegmentDamaged, match="not what was recorded"):
        read_flow(state.recordings, ref)


@pytest.mark.parametrize("segment", ["../outside.mitm", "missing.mitm", "/etc/passwd", "a.mitm.open"])
def test_a_reference_cant_leave_the_recordings(state: StateDir, make_flow: MakeFlow, segment: str) -> None:
    writer = SegmentWriter(state.recordings, ROOMY)
    ref = replace(writer.append(make_flow("a")), segment=segment)
    (state.path / "outside.mitm").write_bytes(make_flow("a"))
    with pytest.raises(SegmentDamaged):
        read_flow(state.recordings, ref)


def test_segments_rotate_by_size(state: StateDir, make_flow: MakeFlow, flow_ids: FlowIds) -> None:
    flow = make_flow("a")
    writer = SegmentWriter(state.recordings, SegmentLimits(max_bytes=2 * len(flow), min_free_bytes=0))
    for _ in range(5):
        writer.append(flow)
    writer.rotate()
    assert sorted(len(flow_ids(path)) for path in state.recordings.iterdir()) == [1, 2, 2]
    assert all(name.endswith(".mitm") for name in names(state.recordings))


def test_segments_rotate_by_age(state: StateDir, make_flow: MakeFlow) -> None:
    writer = SegmentWriter(state.recordings, SegmentLimits(max_seconds=0.0, min_free_bytes=0))
    first, second = writer.append(make_flow("a")), writer.append(make_flow("b"))
    assert first.segment != second.segment


def test_an_empty_segment_leaves_nothing(state: StateDir) -> None:
    writer = SegmentWriter(state.recordings, ROOMY)
    writer.check()
    assert len(names(state.recordings)) == 1
    writer.rotate()
    assert names(state.recordings) == []


def test_a_complete_segment_is_never_overwritten(state: StateDir, make_flow: MakeFlow) -> None:
    # What another container's process of the same pid may have left in this very second.
    writers = [SegmentWriter(state.recordings, ROOMY) for _ in range(3)]
    refs = []
    for n, writer in enumerate(writers):
        refs.append(writer.append(make_flow(f"flow-{n}")))
        if n != 1:
            writer.rotate()
    writers[1].rotate()
    assert len({ref.segment for ref in refs}) == 3
    assert len(names(state.recordings)) == 3


@pytest.fixture
def file_size_limit() -> Iterator[Callable[[int], None]]:
    """Sets how large this process's files may grow; a write beyond it ends in the middle."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda limit: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_write_that_ends_in_the_middle_leaves_no_part_of_its_flow(
    state: StateDir, make_flow: MakeFlow, flow_ids: FlowIds, file_size_limit: Callable[[int], None]
) -> None:
    writer = SegmentWriter(state.recordings, ROOMY)
    writer.append(make_flow("a"))
    file_size_limit(len(make_flow("a")) + 100)
    with pytest.raises(OSError, match="large"):
        writer.append(make_flow("b"))
    (path,) = state.recordings.iterdir()
    assert path.stat().st_size == len(make_flow("a"))
    file_size_limit(resource.RLIM_INFINITY)
    writer.append(make_flow("c"))
    writer.rotate()
    assert sorted(ids for path in state.recordings.iterdir() for ids in flow_ids(path)) == ["a", "c"]


def test_only_a_thorough_check_or_a_failure_before_makes_it_write_something(
    state: StateDir, make_flow: MakeFlow, file_size_limit: Callable[[int], None]
) -> None:
    writer = SegmentWriter(state.recordings, ROOMY)
    file_size_limit(100)
    writer.check()
    with pytest.raises(OSError, match="large"):
        writer.check(thorough=True)
    with pytest.raises(OSError, match="large"):
        writer.append(make_flow("a"))
    with pytest.raises(OSError, match="large"):
        writer.check()
    file_size_limit(resource.RLIM_INFINITY)
    writer.check()
    assert [name for name in names(state.recordings) if "probe" in name] == []


def test_too_little_room_is_said_before_a_call_is_taken(state: StateDir) -> None:
    writer = SegmentWriter(state.recordings, SegmentLimits(min_free_bytes=2**62))
    with pytest.raises(OSError, match="KiB free"):
        writer.check()


def test_a_removed_segment_is_not_written_to(state: StateDir, make_flow: MakeFlow) -> None:
    writer = SegmentWriter(state.recordings, ROOMY)
    writer.append(make_flow("a"))
    next(state.recordings.iterdir()).unlink()
    with pytest.raises(FileNotFoundError):
        writer.sync()
    ref = writer.append(make_flow("b"))
    writer.sync()
    assert read_flow(state.recordings, ref) == make_flow("b")


@pytest.mark.parametrize("cut", [1, 2, 100, -1])
def test_a_torn_tail_costs_only_the_flow_being_written(
    state: StateDir, make_flow: MakeFlow, flow_ids: FlowIds, cut: int
) -> None:
    whole, torn = make_flow("a") + make_flow("b"), make_flow("c")[:cut]
    path = orphan(state.recordings, whole + torn)
    (recovered,) = recover_segments(state.recordings)
    name = path.name.removesuffix(".open")
    assert (recovered.segment, recovered.kept, recovered.torn) == (name, len(whole), len(torn))
    assert flow_ids(state.recordings / name) == ["a", "b"]
    assert (state.recordings / f"{name}.torn").read_bytes() == torn
    assert stat.S_IMODE((state.recordings / f"{name}.torn").stat().st_mode) == 0o600
    assert not path.exists()


def test_a_whole_orphan_is_only_renamed(state: StateDir, make_flow: MakeFlow) -> None:
    path = orphan(state.recordings, make_flow("a"))
    recover_segments(state.recordings)
    assert names(state.recordings) == [path.name.removesuffix(".open")]


def test_nothing_whole_leaves_only_what_was_set_aside(state: StateDir, make_flow: MakeFlow) -> None:
    path = orphan(state.recordings, make_flow("a")[:50])
    recover_segments(state.recordings)
    assert names(state.recordings) == [path.name.removesuffix(".open") + ".torn"]


def test_the_segment_of_a_living_writer_is_left_alone(state: StateDir, make_flow: MakeFlow) -> None:
    writer = SegmentWriter(state.recordings, ROOMY)
    writer.append(make_flow("a"))
    before = names(state.recordings)
    assert recover_segments(state.recordings) == []
    assert names(state.recordings) == before


def test_a_lock_by_somebody_else_counts(state: StateDir, make_flow: MakeFlow) -> None:
    path = orphan(state.recordings, make_flow("a"))
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert recover_segments(state.recordings) == []
    assert len(recover_segments(state.recordings)) == 1


def test_an_orphan_never_replaces_a_complete_segment(state: StateDir, make_flow: MakeFlow) -> None:
    path = orphan(state.recordings, make_flow("new"))
    final = state.recordings / path.name.removesuffix(".open")
    final.write_bytes(make_flow("old"))
    (recovered,) = recover_segments(state.recordings)
    assert recovered.problem is not None
    assert final.read_bytes() == make_flow("old")
    assert path.exists()


def test_what_isnt_a_file_is_reported_and_the_rest_recovered(state: StateDir, make_flow: MakeFlow) -> None:
    (state.recordings / "a.mitm.open").mkdir()
    os.mkfifo(state.recordings / "b.mitm.open")
    (state.recordings / "c.mitm.open").symlink_to("/etc/passwd")
    orphan(state.recordings, make_flow("a"), name="d")
    recovered = recover_segments(state.recordings)
    assert [found.segment for found in recovered if found.problem] == ["a.mitm", "b.mitm", "c.mitm"]
    assert (state.recordings / "d.mitm").read_bytes() == make_flow("a")


@given(st.binary(max_size=60) | st.from_regex(rb"[0-9]{0,14}:.{0,20}\}?", fullmatch=True))
def test_any_bytes_are_framed_or_refused_and_never_past_their_end(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = tmp_path_factory.mktemp("frames") / "x"
    path.write_bytes(data)
    found: list[Frame] = []
    with path.open("rb") as file, contextlib.suppress(SegmentDamaged):
        found.extend(frames(file.fileno()))
    assert sum(frame.length for frame in found) <= len(data)


def test_a_follower_hands_out_each_flow_once_over_writing_and_renaming(
    state: StateDir, make_flow: MakeFlow
) -> None:
    follower = SegmentFollower(state.recordings)
    assert follower.poll(10) == []
    writer = SegmentWriter(state.recordings, ROOMY)
    flows = [make_flow(f"flow-{n}") for n in range(4)]
    writer.append(flows[0])
    assert follower.poll(10) == [flows[0]]
    writer.append(flows[1])
    writer.rotate()
    writer.append(flows[2])
    assert follower.poll(10) == flows[1:3]
    writer.append(flows[3])
    assert follower.poll(10) == [flows[3]]
    assert follower.poll(10) == []
    assert follower.problems == []


def test_a_follower_waits_for_the_rest_of_a_partial_flow(state: StateDir, make_flow: MakeFlow) -> None:
    flow = make_flow("a")
    follower = SegmentFollower(state.recordings)
    for cut in (1, 5, len(flow) - 1):
        orphan(state.recordings, flow[:cut])
        assert follower.poll(10) == []
    orphan(state.recordings, flow)
    assert follower.poll(10) == [flow]


def test_a_follower_takes_no_more_than_asked_and_resumes(state: StateDir, make_flow: MakeFlow) -> None:
    flows = [make_flow(f"flow-{n}") for n in range(5)]
    orphan(state.recordings, b"".join(flows[:3]), "1").rename(state.recordings / "1.mitm")
    orphan(state.recordings, b"".join(flows[3:]), "2")
    follower = SegmentFollower(state.recordings)
    assert [follower.poll(2), follower.poll(2), follower.poll(2)] == [flows[:2], flows[2:4], flows[4:]]


def test_a_follower_begins_with_the_newest_segments(state: StateDir, make_flow: MakeFlow) -> None:
    for n in range(4):
        (state.recordings / f"{n}.mitm").write_bytes(make_flow(f"{n}a") + make_flow(f"{n}b"))
    assert len(SegmentFollower(state.recordings, newest=3).poll(100)) == 4


@pytest.mark.parametrize("damage", [b"garbage", b"5:hello,", b"12:{}", b"99999999999999:x"])
def test_a_damaged_segment_is_reported_once_and_the_others_are_read(
    state: StateDir, make_flow: MakeFlow, damage: bytes
) -> None:
    (state.recordings / "1.mitm").write_bytes(make_flow("a") + damage)
    (state.recordings / "2.mitm").write_bytes(make_flow("b"))
    (state.recordings / "3.mitm").symlink_to("/etc/passwd")
    follower = SegmentFollower(state.recordings)
    assert follower.poll(10) == [make_flow("a"), make_flow("b")]
    assert follower.poll(10) == []
    assert [problem.split(":")[0] for problem in follower.problems] == ["segment 1.mitm", "segment 3.mitm"]
