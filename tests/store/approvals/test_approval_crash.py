"""Approvals under `kill -9`: what was acknowledged is there, and no step is there without its records."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from addons.core.approvals.states import State
from addons.store.approvals.reading import Approvals
from addons.store.approvals.runs import Recover
from addons.store.state_dir import StateDir
from tests.store.approval_samples import START, Store

ROOT = Path(__file__).resolve().parents[3]
WORKER = """
import asyncio, itertools, os, pathlib, sys
from addons.store.approvals.requests import Ask
from addons.store.approvals.runs import Consume, Ran
from addons.store.approvals.votes import VoteFor
from addons.store.audit.record import AuditRecord, RecordKind, new_id
from addons.store.writing.journal import Journal
from addons.store.writing.process_lock import ProcessLock
from addons.store.state_dir import StateDir
from tests.store.approval_samples import ALICE, START, approval

async def main():
    state = StateDir.open(pathlib.Path(sys.argv[1]))
    lock, journal = ProcessLock.take(state), Journal.open(state)

    def told(one, what):
        os.write(1, f"{one} {what}\\n".encode())

    async def live():
        while True:
            one = (await journal.change(Ask(approval(new_id(), thread=new_id()), START, 1000))).approval
            told(one.id, "pending")
            await journal.change(VoteFor(one.id, ALICE, True, "", one.digest, START))
            told(one.id, "approved")
            call = new_id()
            attempted = AuditRecord(RecordKind.ATTEMPTED, 1.0, call)
            await journal.append([attempted], change=Consume(one.id, one.digest, lock.name, call, START))
            told(one.id, "executing")
            outcome = AuditRecord(RecordKind.OUTCOME, 2.0, call)
            await journal.append([outcome], b"a flow", change=Ran(one.id, call, 200, None, START))
            told(one.id, "succeeded")

    async def plain():
        while True:
            await journal.append([AuditRecord(RecordKind.REFUSED, 1.0)])

    await asyncio.gather(*(live() for _ in range(8)), *(plain() for _ in range(4)))

asyncio.run(main())
"""
ORDER = ("pending", "approved", "executing", "succeeded")
STEPS = ("approval_requested", "approval_approved", "approval_consumed", "approval_executed")


@pytest.mark.parametrize("processes", [1, 2])
def test_no_acknowledged_step_is_lost_and_none_is_half_done(state: StateDir, processes: int) -> None:
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(state.path)],
            stdout=subprocess.PIPE,
            text=True,
            env={"PYTHONPATH": str(ROOT)},
        )
        for _ in range(processes)
    ]
    heard = ""
    for worker in workers:
        assert worker.stdout is not None
        heard += "".join(worker.stdout.readline() for _ in range(100))
    for worker in workers:
        worker.send_signal(signal.SIGKILL)
    heard += "".join(worker.communicate()[0] for worker in workers)
    told = dict(line.split() for line in heard.splitlines(keepends=True) if line.endswith("\n"))
    assert len(told) > 20 * processes

    store, reader = Store(state.audit_log), Approvals.open(state.audit_log)
    found = {one.id: one for one in reader.list(limit=100_000)}
    for name, acknowledged in told.items():
        assert ORDER.index(found[name].state) >= ORDER.index(acknowledged)
    calls: dict[object, set[str]] = {}
    for body, kind, call in store.sql("SELECT body, kind, call FROM records WHERE call IS NOT NULL"):
        assert json.loads(str(body))["kind"] == kind
        calls.setdefault(call, set()).add(str(kind))
    for one in found.values():
        done = ORDER.index(one.state) + 1
        history = [record.to_json()["kind"] for record in reader.history(one.id)]
        assert history == list(STEPS[:done])
        if one.executing_call is not None:
            expected = {"attempted", "approval_consumed"}
            expected |= {"outcome", "approval_executed"} if one.state is State.SUCCEEDED else set()
            assert calls[one.executing_call] == expected
    consumed = {one.executing_call for one in found.values() if one.executing_call is not None}
    assert {call for call, kinds in calls.items() if "attempted" in kinds} == consumed

    executing = tuple(name for name in sorted(found) if found[name].state is State.EXECUTING)
    assert store.do(Recover(state, START)) == executing
    store.log.close()
    reader.close()
