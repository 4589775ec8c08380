"""The journal under `kill -9` and on a full disk, with real processes and a real small file system."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from addons.store.audit.record import AuditRecord, SegmentRef
from addons.store.recordings.segment_reader import read_flow
from addons.store.recordings.segments import SegmentLimits
from addons.store.state_dir import StateDir
from addons.store.writing.journal import Journal, JournalLimits, JournalUnavailable
from addons.store.writing.thread_writer import ThreadWriter

type Make = Callable[..., AuditRecord]
type MakeFlow = Callable[[str], bytes]
type FlowIds = Callable[[Path], list[str]]
type Rows = Callable[[Path], list[tuple[int, dict[str, object]]]]
type Worker = Callable[..., subprocess.Popen[str]]

KIB = 1024


def acknowledged(lines: str) -> dict[str, int]:
    # A killed process may leave half a line; what isn't whole was never said.
    answers = [json.loads(line) for line in lines.splitlines() if line.endswith("}")]
    return {answer["id"]: answer["idx"] for answer in answers if "id" in answer}


def killed_under_load(worker: Worker, state: StateDir, processes: int, answers: int) -> dict[str, int]:
    writers = [worker(state.path, 8, 0) for _ in range(processes)]
    heard = ""
    for writer in writers:
        assert writer.stdout is not None
        heard += "".join(writer.stdout.readline() for _ in range(answers))
    for writer in writers:
        writer.send_signal(signal.SIGKILL)
    return acknowledged(heard + "".join(writer.communicate()[0] for writer in writers))


@pytest.mark.parametrize("processes", [1, 2])
def test_no_acknowledged_record_or_flow_is_lost_by_kill_9(
    state: StateDir, worker: Worker, rows: Rows, flow_ids: FlowIds, processes: int
) -> None:
    promised = killed_under_load(worker, state, processes, answers=100)
    journal = Journal.open(state)
    journal.close()
    stored = {str(body["id"]): (idx, body) for idx, body in rows(state.audit_log)}
    assert len(promised) >= 100 * processes
    assert {one: stored[one][0] for one in promised} == promised
    assert sorted(idx for idx, _ in stored.values()) == list(range(1, len(stored) + 1))

    flows_of = {path.name: len(flow_ids(path)) for path in state.recordings.glob("*.mitm")}
    assert len(flows_of) == processes
    assert sum(flows_of.values()) >= len(stored)
    assert not list(state.recordings.glob("*.open"))
    for _, body in stored.values():
        recording = body["recording"]
        assert isinstance(recording, dict)
        assert read_flow(state.recordings, SegmentRef(**recording)).startswith(b"1")


def test_a_start_beside_a_living_writer_leaves_its_segment_alone(
    state: StateDir, worker: Worker, flow_ids: FlowIds
) -> None:
    living = worker(state.path, 1, 0)
    assert living.stdout is not None
    assert living.stdout.readline()
    journal = Journal.open(state)
    assert journal.recovered == ()
    journal.close()
    (path,) = state.recordings.iterdir()
    assert path.suffix == ".open"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "disk"
    path.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m,mode=700", "tmpfs", str(path)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("mounting needs root")
    yield path
    subprocess.run(["umount", str(path)], check=True)


async def test_a_full_disk_refuses_everything_and_loses_nothing_acknowledged(
    small_disk: Path, record: Make, make_flow: MakeFlow, rows: Rows, flow_ids: FlowIds
) -> None:
    state = StateDir.open(small_disk / "state")
    limits = JournalLimits(segments=SegmentLimits(min_free_bytes=80 * KIB))
    journal = Journal.open(state, limits)
    kept: set[str] = set()
    failures: list[JournalUnavailable] = []
    for n in range(2000):
        one = record()
        try:
            await journal.append([one], make_flow(str(n % 10)))
            kept.add(one.id)
        except JournalUnavailable as error:
            failures.append(error)
            break
    assert len(kept) > 20
    assert failures
    assert "space" in failures[0].remedy
    (small_disk / "ballast").write_bytes(b"x" * 40 * KIB)
    for flow in (None, make_flow("a")):
        with pytest.raises(JournalUnavailable):
            await journal.append([record()], flow)
    assert not journal.healthy()

    (small_disk / "ballast").unlink()
    # Room again: the oldest complete segment is taken away.
    journal.close()
    biggest = max(state.recordings.iterdir(), key=lambda path: path.stat().st_size)
    assert len(flow_ids(biggest)) == len(kept)
    assert {str(body["id"]) for _, body in rows(state.audit_log)} == kept
    biggest.unlink()
    journal = Journal.open(state, limits)
    await journal.append([record()], make_flow("a"))
    assert journal.healthy()
    journal.close()


async def test_a_write_that_ends_in_the_middle_is_taken_back(
    small_disk: Path, record: Make, make_flow: MakeFlow, flow_ids: FlowIds
) -> None:
    state = StateDir.open(small_disk / "state")
    journal = Journal.open(state, JournalLimits(segments=SegmentLimits(min_free_bytes=0)))
    first = await journal.append([record()], make_flow("a"))
    body = b"x" * 2 * 1024 * KIB  # more than the disk has
    too_large = b"%d:%s}" % (len(body), body)
    results = await asyncio.gather(
        journal.append([record()], make_flow("b")),
        journal.append([record()], too_large),
        journal.append([record()], make_flow("c")),
        return_exceptions=True,
    )
    assert isinstance(results[1], JournalUnavailable)
    for _ in range(2):  # the first may still meet what is left of the failure
        last = await journal.append([record()], make_flow("d"))
    journal.close()
    assert first.recording is not None
    assert last.recording is not None
    found = [flow for path in sorted(state.recordings.iterdir()) for flow in flow_ids(path)]
    wanted = ["a"] + [
        n for n, done in zip("bxc", results, strict=True) if not isinstance(done, BaseException)
    ]
    assert sorted(found) == sorted([*wanted, "d", "d"])


def test_a_file_size_limit_refuses_and_what_was_acknowledged_stays(
    state: StateDir, worker: Worker, rows: Rows, flow_ids: FlowIds
) -> None:
    limited = worker(state.path, 4, 400, 200 * KIB)
    lines = limited.communicate(timeout=60)[0]
    assert limited.returncode == 0
    promised = acknowledged(lines)
    refused = [json.loads(line) for line in lines.splitlines() if "refused" in line]
    assert promised
    assert refused
    assert all("can't" in answer["what"] for answer in refused)
    stored = {str(body["id"]): idx for idx, body in rows(state.audit_log)}
    assert {one: stored.get(one) for one in promised} == promised
    assert sum(len(flow_ids(path)) for path in state.recordings.glob("*.mitm")) >= len(promised)


def remount(path: Path, mode: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{mode}", str(path)], check=True)


async def test_a_disk_that_turns_read_only_refuses_attempts_and_recovers(
    small_disk: Path, record: Make, make_flow: MakeFlow
) -> None:
    state = StateDir.open(small_disk / "state")
    journal = Journal.open(state, JournalLimits(segments=SegmentLimits(min_free_bytes=0)))
    await journal.append([record()], make_flow("a"))
    writer = journal._writer
    assert isinstance(writer, ThreadWriter)
    writer._committer.rotate()  # a descriptor open for writing would keep the mount busy
    writer._committer.reopen_later()
    remount(small_disk, "ro")
    with pytest.raises(JournalUnavailable):
        await journal.append([record()])
    with pytest.raises(JournalUnavailable):
        await journal.probe()
    remount(small_disk, "rw")
    await journal.append([record()], make_flow("b"))
    assert journal.healthy()
    journal.close()
