from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from addons.store.audit.record import AuditRecord, RecordKind, RecordRefused
from addons.store.recordings.segment_reader import read_flow
from addons.store.recordings.segments import SegmentLimits
from addons.store.state_dir import StateDir
from addons.store.writing.committer import Outcome
from addons.store.writing.journal import Journal, JournalLimits, JournalUnavailable
from addons.store.writing.process_lock import ProcessLock
from addons.store.writing.process_writer import ProcessWriter
from addons.store.writing.thread_writer import ThreadWriter
from addons.store.writing.waiting import Waiting

type Make = Callable[..., AuditRecord]
type MakeFlow = Callable[[str], bytes]
type Rows = Callable[[Path], list[tuple[int, dict[str, object]]]]

LIMITS = JournalLimits(busy_seconds=0.1)


@pytest.fixture(params=[False, True], ids=["thread", "process"])
def journal(state: StateDir, request: pytest.FixtureRequest) -> Iterator[Journal]:
    lock = ProcessLock.take(state) if request.param else None
    opened = Journal.open(state, LIMITS, apart=lock)
    yield opened
    opened.close()
    if lock is not None:
        lock.release()


@pytest.fixture
def inner(state: StateDir) -> Iterator[Journal]:
    """One that commits in this process, where its parts can be made to fail."""
    opened = Journal.open(state, LIMITS)
    yield opened
    opened.close()


async def test_what_is_acknowledged_is_in_the_log_and_in_the_segment(
    state: StateDir, journal: Journal, record: Make, make_flow: MakeFlow, rows: Rows
) -> None:
    outcome = record(RecordKind.OUTCOME, call="c")
    done = await journal.append([outcome], make_flow("a"))
    ((idx, body),) = rows(state.audit_log)
    assert done.indices == (idx,)
    assert done.recording is not None
    assert body["recording"] == {
        "segment": done.recording.segment,
        "offset": done.recording.offset,
        "length": done.recording.length,
        "sha256": done.recording.sha256,
    }
    assert read_flow(state.recordings, done.recording) == make_flow("a")


async def test_records_of_many_callers_all_arrive_with_their_own_answers(
    state: StateDir, journal: Journal, record: Make, make_flow: MakeFlow, rows: Rows
) -> None:
    async def append(n: int) -> dict[int, str]:
        records = [record() for _ in range(1 + n % 3)]
        done = await journal.append(records, make_flow(str(n)) if n % 2 else None)
        if done.recording:
            assert read_flow(state.recordings, done.recording) == make_flow(str(n))
        return dict(zip(done.indices, (one.id for one in records), strict=True))

    answers: dict[int, str] = {}
    for answer in await asyncio.gather(*(append(n) for n in range(200))):
        answers |= answer
    assert answers == {idx: body["id"] for idx, body in rows(state.audit_log)}


async def test_a_commit_takes_what_queued_during_the_last(journal: Journal, record: Make) -> None:
    commits: list[int] = []
    writer = journal._writer
    assert isinstance(writer, (ThreadWriter, ProcessWriter))
    done = writer._done

    def counted(group: Sequence[Waiting], outcomes: Sequence[Outcome]) -> None:
        commits.append(len(group))
        done(group, outcomes)

    writer._done = counted
    await asyncio.gather(*(journal.append([record()]) for _ in range(300)))
    assert sum(commits) == 300
    assert len(commits) < 100


async def test_a_taken_id_or_odd_value_fails_its_own_caller_only(
    state: StateDir, journal: Journal, record: Make, rows: Rows
) -> None:
    first = record()
    await journal.append([first])
    odd = record(attributes={"x": float("nan")})
    results = await asyncio.gather(
        *(journal.append([one]) for one in (record(), first, odd, record())), return_exceptions=True
    )
    assert [isinstance(result, RecordRefused) for result in results] == [False, True, True, False]
    assert len(rows(state.audit_log)) == 3
    assert journal.healthy()


async def test_a_locked_log_fails_the_append_and_the_next_succeeds(
    state: StateDir, journal: Journal, record: Make
) -> None:
    other = sqlite3.connect(state.audit_log, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(JournalUnavailable, match="locked"):
        await journal.append([record()])
    assert not journal.healthy()
    with pytest.raises(JournalUnavailable, match="locked"):
        await journal.probe()
    other.execute("ROLLBACK")
    other.close()
    await journal.append([record()])
    assert journal.healthy()


async def test_a_flow_that_isnt_synced_gets_no_record(
    state: StateDir,
    inner: Journal,
    record: Make,
    make_flow: MakeFlow,
    rows: Rows,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    first = await inner.append([record()], make_flow("a"))
    with monkeypatch.context() as patched:
        patched.setattr(os, "fdatasync", fails)
        with pytest.raises(JournalUnavailable, match="Input/output error"):
            await inner.append([record()], make_flow("b"))
    assert len(rows(state.audit_log)) == 1
    after = await inner.append([record()], make_flow("c"))
    assert first.recording is not None
    assert after.recording is not None
    # The kernel reports a lost write once; no later sync of that file proves anything.
    assert after.recording.segment != first.recording.segment


async def test_no_attempt_is_recorded_while_recordings_cant_be_written(
    state: StateDir, journal: Journal, record: Make, make_flow: MakeFlow, rows: Rows
) -> None:
    await journal.append([record()], make_flow("a"))
    aside = state.path / "aside"
    state.recordings.rename(aside)
    state.recordings.write_text("a file in its place")
    with pytest.raises(JournalUnavailable, match="Recordings in"):
        await journal.append([record()])
    with pytest.raises(JournalUnavailable, match="Recordings in"):
        await journal.probe()
    state.recordings.unlink()
    aside.rename(state.recordings)
    await journal.append([record()], make_flow("b"))
    assert len(rows(state.audit_log)) == 2


async def test_a_log_that_is_gone_is_not_begun_anew_and_serves_again_when_back(
    state: StateDir, journal: Journal, record: Make, rows: Rows
) -> None:
    await journal.append([record()])
    aside = state.path / "aside"
    aside.mkdir()
    for path in list(state.path.glob("audit*")):
        path.rename(aside / path.name)
    for _ in range(2):
        with pytest.raises(JournalUnavailable):
            await journal.append([record()])
    assert not state.audit_log.exists()
    for path in list(aside.iterdir()):
        path.rename(state.path / path.name)
    done = await journal.append([record()])
    assert done.indices[0] in {idx for idx, _ in rows(state.audit_log)}


async def test_a_copy_of_the_log_is_not_taken_for_it_until_a_restart(
    state: StateDir, journal: Journal, record: Make, rows: Rows
) -> None:
    await journal.append([record()])
    with contextlib.closing(sqlite3.connect(state.audit_log)) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copy(state.audit_log, state.path / "copy")
    (state.path / "copy").rename(state.audit_log)
    for _ in range(2):  # it may lack what was acknowledged since it was made
        with pytest.raises(JournalUnavailable, match="replaced"):
            await journal.append([record()])
    journal.close()
    again = Journal.open(state)
    done = await again.append([record()])
    again.close()
    assert done.indices[0] in {idx for idx, _ in rows(state.audit_log)}


async def test_too_much_waiting_is_refused_at_once_and_drains(
    state: StateDir, record: Make, make_flow: MakeFlow
) -> None:
    journal = Journal.open(state, JournalLimits(queued_appends=5, queued_bytes=10_000))
    results = await asyncio.gather(*(journal.append([record()]) for _ in range(20)), return_exceptions=True)
    refused = [result for result in results if isinstance(result, JournalUnavailable)]
    assert refused
    assert "Too much waits" in refused[0].what
    with pytest.raises(JournalUnavailable, match="Too much waits"):
        await journal.append([record()], b"x" * 10_001)
    await journal.append([record()], make_flow("a"))
    journal.close()


async def test_closing_writes_what_is_queued_and_refuses_what_comes(
    state: StateDir, journal: Journal, record: Make, make_flow: MakeFlow, rows: Rows
) -> None:
    waiting = [asyncio.ensure_future(journal.append([record()], make_flow(str(n)))) for n in range(20)]
    await asyncio.sleep(0)
    journal.close()
    with pytest.raises(JournalUnavailable, match="closed"):
        await journal.append([record()])
    await asyncio.gather(*waiting)
    assert len(rows(state.audit_log)) == 20
    assert [path.suffix for path in state.recordings.iterdir()] == [".mitm"]


async def test_a_cancelled_caller_takes_nobody_along(
    state: StateDir, journal: Journal, record: Make, rows: Rows
) -> None:
    leaving = asyncio.ensure_future(journal.append([record()]))
    staying = asyncio.ensure_future(journal.append([record()]))
    await asyncio.sleep(0)
    leaving.cancel()
    await staying
    assert len(rows(state.audit_log)) == 2


def test_several_loops_share_one_journal(inner: Journal, record: Make) -> None:
    async def run() -> int:
        return (await inner.append([record()])).indices[0]

    assert [asyncio.run(run()) for _ in range(3)] == [1, 2, 3]


async def test_an_unexpected_failure_refuses_and_the_next_append_works(
    inner: Journal, record: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(AuditRecord, "encode", lambda _: 1 / 0)
        with pytest.raises(JournalUnavailable, match="unexpectedly"):
            await inner.append([record()])
    await inner.append([record()])


async def test_an_idle_segment_is_completed_when_it_is_old(
    state: StateDir, record: Make, make_flow: MakeFlow
) -> None:
    journal = Journal.open(state, JournalLimits(segments=SegmentLimits(max_seconds=0.2)))
    done = await journal.append([record()], make_flow("a"))
    assert done.recording is not None
    deadline = time.monotonic() + 10
    while not (state.recordings / done.recording.segment).exists():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)
    journal.close()


def test_opening_completes_what_a_gone_process_left(state: StateDir, make_flow: MakeFlow) -> None:
    (state.recordings / "20250101T000000Z-1-1.mitm.open").write_bytes(make_flow("a") + b"123:torn")
    journal = Journal.open(state, LIMITS)
    assert [(found.kept, found.torn) for found in journal.recovered] == [(len(make_flow("a")), 8)]
    journal.close()


def test_opening_on_a_log_that_cant_be_used_says_so(state: StateDir) -> None:
    state.audit_log.write_bytes(b"x" * 4096)
    with pytest.raises(JournalUnavailable, match="not a SQLite database"):
        Journal.open(state, LIMITS)
