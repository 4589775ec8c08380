"""A journal whose commits are made by a process of its own: whatever becomes of either, nothing that was
acknowledged is lost, and nothing is acknowledged that isn't there.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.core.model import Operation, Principal, Risk
from addons.store.audit.changes import Applied, ChangeRefused, RefusedBecause
from addons.store.audit.record import (
    AuditRecord,
    Base64Text,
    CallFacts,
    RecordKind,
    RecordRefused,
    SegmentRef,
)
from addons.store.recordings.segment_reader import read_flow
from addons.store.state_dir import StateDir
from addons.store.writing import process_writer
from addons.store.writing.committer import JournalUnavailable
from addons.store.writing.committer_frames import Frames, framed
from addons.store.writing.journal import Journal
from addons.store.writing.process_lock import ProcessLock, is_dead
from tests.committers import committer_of
from tests.store.writing.test_journal_crash import acknowledged

type Make = Callable[..., AuditRecord]
type MakeFlow = Callable[[str], bytes]
type Rows = Callable[[Path], list[tuple[int, dict[str, object]]]]


@pytest.fixture
def journal(state: StateDir) -> Iterator[Journal]:
    lock = ProcessLock.take(state)
    opened = Journal.open(state, apart=lock)
    yield opened
    opened.close()
    lock.release()


@dataclass(frozen=True)
class Bug:
    secret: str

    def apply(self, _connection: sqlite3.Connection) -> Applied[None]:
        raise ValueError(self.secret)


def wait_for_end(pid: int) -> None:
    deadline = time.monotonic() + 20
    while not gone(pid):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _no_thread(_self: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def _no_memory(_message: object) -> bytes:
    raise MemoryError


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


async def test_a_committer_that_was_killed_is_followed_by_another_and_nothing_acknowledged_is_lost(
    state: StateDir, journal: Journal, record: Make, make_flow: MakeFlow, rows: Rows
) -> None:
    kept: dict[str, SegmentRef | None] = {}
    refused = 0
    for number in range(60):
        if number in {20, 40}:
            os.kill(committer_of(os.getpid()), signal.SIGKILL)
        group = [record() for _ in range(4)]
        flow = make_flow(str(number))
        answers = await asyncio.gather(
            *(journal.append([one], flow) for one in group), return_exceptions=True
        )
        for one, answer in zip(group, answers, strict=True):
            if isinstance(answer, JournalUnavailable):
                refused += 1
                continue
            assert not isinstance(answer, BaseException)
            kept[one.id] = answer.recording
    assert refused <= 8
    assert journal.healthy()
    stored = {str(body["id"]) for _, body in rows(state.audit_log)}
    assert kept.keys() <= stored
    for where in kept.values():
        assert where is not None
        assert read_flow(state.recordings, where)


async def test_a_committer_that_died_while_idle_costs_no_call(journal: Journal, record: Make) -> None:
    await journal.append([record()])
    before = committer_of(os.getpid())
    os.kill(before, signal.SIGKILL)
    wait_for_end(before)
    await journal.append([record()])
    assert committer_of(os.getpid()) != before


async def test_what_a_killed_committer_tore_is_set_aside_and_on_record(
    state: StateDir, journal: Journal, record: Make, make_flow: MakeFlow, rows: Rows
) -> None:
    done = await journal.append([record()], make_flow("a"))
    assert done.recording is not None
    committer = committer_of(os.getpid())
    os.kill(committer, signal.SIGKILL)
    wait_for_end(committer)
    with (state.recordings / f"{done.recording.segment}.open").open("ab") as segment:
        segment.write(b"123:torn")
    await journal.append([record()])
    (said,) = [body for _, body in rows(state.audit_log) if body["kind"] == "recording_recovered"]
    assert said["attributes"] == {"segment": done.recording.segment, "kept": done.recording.length, "torn": 8}
    assert read_flow(state.recordings, done.recording) == make_flow("a")


def test_a_committer_whose_journal_was_killed_completes_its_segment_and_ends(
    state: StateDir, worker: Callable[..., subprocess.Popen[str]], rows: Rows
) -> None:
    writer = worker(state.path, 8, 0, "apart")
    assert writer.stdout is not None
    heard = "".join(writer.stdout.readline() for _ in range(100))
    committer = committer_of(writer.pid)
    writer.kill()
    promised = acknowledged(heard + writer.communicate()[0])
    wait_for_end(committer)
    stored = {str(body["id"]) for _, body in rows(state.audit_log)}
    assert promised.keys() <= stored
    assert [path.suffix for path in state.recordings.iterdir()] == [".mitm"]


async def test_a_group_whose_committer_dies_under_it_is_refused_and_the_next_goes_on(
    state: StateDir, journal: Journal, record: Make, make_flow: MakeFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    await journal.append([record()])
    committer = committer_of(os.getpid())
    os.kill(committer, signal.SIGSTOP)
    large = make_flow("a") * 200  # more than a socket holds: a part of it is still to be sent
    waiting = [asyncio.ensure_future(journal.append([record()], large)) for _ in range(3)]
    await asyncio.sleep(0)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", _no_thread)  # nor can anybody wait for its end
        os.kill(committer, signal.SIGKILL)
        answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(answer, JournalUnavailable) for answer in answers)
    await journal.append([record()], large)
    assert (journal._waiting, journal._waiting_bytes) == (0, 0)


async def test_what_finds_no_memory_is_refused_and_the_next_goes_on(
    journal: Journal, record: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(process_writer, "framed", _no_memory)
        with pytest.raises(JournalUnavailable, match="MemoryError"):
            await journal.append([record()])
    await journal.append([record()])
    assert journal.healthy()


def test_a_killed_gateway_is_gone_only_with_its_committer(
    state: StateDir, worker: Callable[..., subprocess.Popen[str]]
) -> None:
    writer = worker(state.path, 1, 0, "apart")
    assert writer.stdout is not None
    assert writer.stdout.readline()
    (lock,) = (state.path / "processes").glob("*.lock")
    committer = committer_of(writer.pid)
    os.kill(committer, signal.SIGSTOP)  # as a slow disk would
    writer.kill()
    writer.wait()
    assert not is_dead(state, lock.stem)
    os.kill(committer, signal.SIGCONT)
    wait_for_end(committer)
    assert is_dead(state, lock.stem)


async def test_an_end_while_another_committer_is_started_leaves_none_behind(
    state: StateDir, record: Make, rows: Rows
) -> None:
    journal = Journal.open(state, apart=ProcessLock.take(state))
    await journal.append([record()])
    before = committer_of(os.getpid())
    os.kill(before, signal.SIGKILL)
    wait_for_end(before)
    waiting = asyncio.ensure_future(journal.append([record()]))
    await asyncio.sleep(0)  # it is put
    await asyncio.sleep(0)  # and finds that there is no process
    last = record()
    journal.close([last])
    await waiting
    assert last.id in {body["id"] for _, body in rows(state.audit_log)}
    with pytest.raises(subprocess.CalledProcessError):
        committer_of(os.getpid())


async def test_signals_that_end_the_gateway_leave_the_committer_to_write(
    journal: Journal, record: Make
) -> None:
    committer = committer_of(os.getpid())
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(committer, number)
    await journal.append([record()])
    assert committer_of(os.getpid()) == committer


def test_the_committer_has_nothing_of_the_gateways_environment(
    state: StateDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DD_API_KEY", "not-for-others")
    journal = Journal.open(state, apart=ProcessLock.take(state))
    environment = Path(f"/proc/{committer_of(os.getpid())}/environ").read_bytes()
    journal.close()
    assert [each.partition(b"=")[0] for each in environment.split(b"\0") if each] == [b"PYTHONPATH"]


async def test_what_cant_be_sent_is_refused_alone(journal: Journal, record: Make) -> None:
    odd = record(attributes={"x": lambda: None})
    answers = await asyncio.gather(
        *(journal.append([one]) for one in (record(), odd, record())), return_exceptions=True
    )
    assert [isinstance(answer, RecordRefused) for answer in answers] == [False, True, False]


async def test_what_the_committer_has_to_say_is_in_the_gateways_log_without_values(
    journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO), pytest.raises(ChangeRefused) as refused:
        await journal.change(Bug("s3cr3t"))
    assert refused.value.reason is RefusedBecause.FAILED
    (line,) = [line for line in caplog.messages if "could not be applied" in line]
    assert "ValueError at test_committer_process.py:" in line
    assert "s3cr3t" not in caplog.text


def test_a_log_that_cant_be_opened_is_told_as_without_a_process(state: StateDir, record: Make) -> None:
    Journal.open(state).close()
    with sqlite3.connect(state.audit_log) as connection:
        connection.execute("PRAGMA application_id = 1")
    connection.close()
    told = []
    for apart in (None, ProcessLock.take(state)):
        with pytest.raises(JournalUnavailable) as unavailable:
            Journal.open(state, apart=apart)
        told.append(str(unavailable.value))
    assert told[0] == told[1]


@given(
    st.builds(
        CallFacts,
        principal=st.none()
        | st.builds(
            Principal,
            issuer=st.text(),
            subject=st.text(),
            groups=st.frozensets(st.text()),
            expires=st.floats(allow_nan=False),
        ),
        operation=st.none()
        | st.just(Operation("ListMonitors", "v1", "GET", "/api/v1/monitor", (), Risk.READ, frozenset())),
        findings=st.dictionaries(st.text(), st.integers()).map(MappingProxyType),
        path=st.none() | st.text(),
    ),
    st.binary(),
)
def test_records_come_over_as_they_are(facts: CallFacts, body: bytes) -> None:
    sent = AuditRecord(
        RecordKind.ATTEMPTED, 1.0, facts=facts, attributes={"request": {"body": Base64Text(body)}}
    )
    (got,) = Frames().feed(bytes(framed(sent)))
    assert isinstance(got, AuditRecord)
    assert got == sent
    assert got.encode() == sent.encode()
    request = got.attributes["request"]
    assert isinstance(request, dict)
    assert isinstance(request["body"], Base64Text)
