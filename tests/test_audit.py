"""I2: what the audit stage could not write when it was due is written later, each record once."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from mitmproxy import http
from mitmproxy.test import tflow

from addons import audit as audit_stage
from addons import flowstate
from addons.audit import Audit, RunSettings
from addons.store.audit.record import AuditRecord, RecordKind
from addons.store.state_dir import StateDir
from addons.store.writing.journal import Journal


@pytest.fixture
def state(tmp_path: Path) -> StateDir:
    return StateDir.open(tmp_path / "state")


@pytest.fixture
async def journal(state: StateDir) -> AsyncIterator[Journal]:
    opened = Journal.open(state)
    yield opened
    opened.close()


@contextmanager
def nothing_can_be_written(state: StateDir) -> Iterator[None]:
    away = state.path / "away"
    state.recordings.rename(away)
    state.recordings.write_text("")
    yield
    state.recordings.unlink()
    away.rename(state.recordings)


def _records(state: StateDir) -> list[tuple[str, str]]:
    """Kind and call of each."""
    with sqlite3.connect(f"file:{state.audit_log}?mode=ro", uri=True) as connection:
        rows = connection.execute("SELECT body FROM records ORDER BY idx").fetchall()
    return [(body["kind"], body["call"]) for body in (json.loads(row) for (row,) in rows)]


def _flow(*, ran: bool) -> http.HTTPFlow:
    flow = tflow.tflow()
    flowstate.call_of(flow).attempted = ran
    return flow


async def test_i2_several_that_retry_at_once_write_each_record_once(
    state: StateDir, journal: Journal
) -> None:
    audit = Audit(journal, RunSettings("process", 60))
    flows = [_flow(ran=True) for _ in range(20)]
    with nothing_can_be_written(state):
        for flow in flows:
            await audit.settle(flow)
    await asyncio.gather(*(audit.retry() for _ in range(5)))
    calls = sorted(flowstate.call_of(flow).id for flow in flows)
    assert sorted(_records(state)) == [("outcome", call) for call in calls]


async def test_i2_a_record_that_was_written_after_all_holds_up_no_other(
    state: StateDir, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a commit fails at its last moment."""
    made: list[AuditRecord] = []

    def keeping(*arguments: object, **options: object) -> AuditRecord:
        made.append(AuditRecord(*arguments, **options))  # type: ignore[arg-type]
        return made[-1]

    monkeypatch.setattr(audit_stage, "AuditRecord", keeping)
    audit = Audit(journal, RunSettings("process", 60))
    with nothing_can_be_written(state):
        await audit.settle(_flow(ran=True))
        await audit.settle(_flow(ran=True))
    await journal.append([made[0]])
    await journal.append([made[1]])
    last = _flow(ran=True)
    with nothing_can_be_written(state):
        await audit.settle(last)
    await audit.retry()
    assert _records(state)[-1] == ("outcome", flowstate.call_of(last).id)
    assert len(_records(state)) == 3


async def test_i2_refusals_push_out_no_outcome(
    state: StateDir, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_stage, "_MAX_UNWRITTEN", 5)
    audit = Audit(journal, RunSettings("process", 60))
    audit._unwritten = type(audit._unwritten)(maxlen=5)
    ran = [_flow(ran=True) for _ in range(3)]
    with nothing_can_be_written(state):
        for flow in [_flow(ran=False), ran[0], *(_flow(ran=False) for _ in range(9)), *ran[1:]]:
            await audit.settle(flow)
    await audit.retry()
    written = _records(state)
    outcomes = {call for kind, call in written if kind == str(RecordKind.OUTCOME)}
    assert outcomes == {flowstate.call_of(flow).id for flow in ran}
    assert len(written) == 5


async def test_i2_a_call_ends_once(state: StateDir, journal: Journal) -> None:
    audit = Audit(journal, RunSettings("process", 60))
    flow = _flow(ran=True)
    await asyncio.gather(audit.settle(flow), audit.error(flow), audit.response(flow), audit.settle(flow))
    assert len(_records(state)) == 1
