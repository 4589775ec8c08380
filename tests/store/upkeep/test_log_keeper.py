"""What happens to the audit log by itself: the newest head is kept, and orphans are settled."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sqlite3
from pathlib import Path

import pytest

from addons.core.model import Principal
from addons.store.audit.check import own_trust
from addons.store.audit.record import AuditRecord, CallFacts, RecordKind
from addons.store.audit.verify import verify_log
from addons.store.state_dir import StateDir
from addons.store.upkeep.log_keeper import LogKeeper, Retention
from addons.store.writing.journal import Journal, JournalUnavailable
from addons.store.writing.process_lock import ProcessLock

WHO = Principal(
    "https://agents", "agent-1", frozenset(), 0.0, on_behalf_of="bob", session="s1", token_id="t1"
)


@pytest.fixture
def state(tmp_path: Path) -> StateDir:
    return StateDir.open(tmp_path / "state")


def attempted(call: str, process: str) -> AuditRecord:
    facts = CallFacts(
        principal=WHO, rule="r", method="PUT", host="api.datadoghq.com", path="/api/v1/monitor/1"
    )
    return AuditRecord(RecordKind.ATTEMPTED, 1.0, call, facts, attributes={"process": process})


def outcomes(path: Path) -> dict[str, dict[str, object]]:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT call, body FROM records WHERE kind = 'outcome'").fetchall()
    assert len(rows) == len(dict(rows))
    return {call: json.loads(body) for call, body in rows}


async def test_calls_of_processes_that_ended_become_unknown_and_no_others(state: StateDir) -> None:
    dead, living = ProcessLock.take(state), ProcessLock.take(state)
    dead.release()
    journal = Journal.open(state)
    for call, process in (("a" * 32, dead.name), ("b" * 32, living.name), ("c" * 32, dead.name)):
        await journal.append([attempted(call, process)])
    await journal.append([AuditRecord(RecordKind.OUTCOME, 2.0, "c" * 32)])
    keeper = LogKeeper(state, journal)
    await keeper.look(thorough=True)
    await keeper.look(thorough=True)
    found = outcomes(state.audit_log)
    assert set(found) == {"a" * 32, "c" * 32}
    one = found["a" * 32]
    assert one["attributes"] == {"outcome": "unknown"}
    assert one["actor"] == {"issuer": "https://agents", "subject": "agent-1", "token_id": "t1"}
    assert (one["on_behalf_of"], one["session"]) == ("bob", "s1")
    assert one["http_request"] == {"method": "PUT", "host": "api.datadoghq.com", "path": "/api/v1/monitor/1"}
    living.release()
    await keeper.look(thorough=True)  # it was looked at before, and is not forgotten
    assert set(outcomes(state.audit_log)) == {"a" * 32, "b" * 32, "c" * 32}
    journal.close()
    assert verify_log(state.audit_log, own_trust(state)).size == 6


async def test_two_that_settle_at_once_write_one_outcome(state: StateDir) -> None:
    dead = ProcessLock.take(state)
    dead.release()
    journals = [Journal.open(state) for _ in range(3)]
    for number in range(20):
        await journals[0].append([attempted(f"{number:032x}", dead.name)])
    await asyncio.gather(*(LogKeeper(state, journal).look(thorough=True) for journal in journals))
    for journal in journals:
        journal.close()
    assert len(outcomes(state.audit_log)) == 20


async def test_the_newest_head_is_kept_when_no_record_follows(state: StateDir) -> None:
    journal = Journal.open(state)
    keeper = LogKeeper(state, journal)
    for number in range(3):
        await journal.append([attempted(f"{number:032x}", "")])
    with contextlib.closing(sqlite3.connect(state.audit_log, isolation_level=None)) as connection:
        kept = "SELECT max(size) FROM log_checkpoints"
        assert connection.execute(kept).fetchone() == (1,)
        connection.execute("UPDATE log_head SET kept_at = kept_at - 2")
        await keeper.look(thorough=False)
        assert connection.execute(kept).fetchone() == (3,)
    await journal.append([attempted("d" * 32, "")])
    journal.close()
    assert verify_log(state.audit_log, own_trust(state)).size == 4


async def test_a_start_refuses_a_log_that_does_not_verify(state: StateDir) -> None:

    journal = Journal.open(state)
    await journal.append([attempted("a" * 32, "")])
    journal.close()
    with contextlib.closing(sqlite3.connect(state.audit_log, isolation_level=None)) as connection:
        connection.execute("UPDATE records SET body = replace(body, 'agent-1', 'agent-2')")
    with pytest.raises(JournalUnavailable, match=r"doesn't verify: record 1: .*new-log"):
        Journal.open(state)


async def test_old_texts_go_and_that_is_on_record(state: StateDir) -> None:
    journal = Journal.open(state)
    for number in range(300):
        await journal.append([attempted(f"{number:032x}", "")])
    keeper = LogKeeper(state, journal, Retention(texts=86400.0))
    await keeper.retain()
    await keeper.retain()
    journal.close()
    verified = verify_log(state.audit_log, own_trust(state))
    assert (verified.size, verified.pruned) == (301, 256)
    with contextlib.closing(sqlite3.connect(state.audit_log)) as connection:
        rows = connection.execute("SELECT body FROM records WHERE kind = 'pruned'").fetchall()
    ((body,),) = rows
    assert json.loads(body)["attributes"]["by"] == "audit.retention"


async def test_old_recordings_go_after_it_is_on_record(state: StateDir) -> None:
    journal = Journal.open(state)
    names = ["a.mitm", "b.sealed", "c.mitm.torn", "new.mitm", "open.mitm.open"]
    for name in names:
        (state.recordings / name).write_bytes(b"x")
        if name != "new.mitm":
            os.utime(state.recordings / name, (1.0, 1.0))
    keeper = LogKeeper(state, journal, Retention(recordings=86400.0))
    await keeper.retain()
    assert {name for name in names if (state.recordings / name).exists()} == {"new.mitm", "open.mitm.open"}
    with contextlib.closing(sqlite3.connect(state.audit_log)) as connection:
        rows = connection.execute("SELECT body FROM records WHERE kind = 'recordings_removed'").fetchall()
    ((body,),) = rows
    assert json.loads(body)["attributes"]["segments"] == ["a.mitm", "b.sealed", "c.mitm.torn"]
    os.utime(state.recordings / "new.mitm", (1.0, 1.0))
    journal.close()
    with pytest.raises(JournalUnavailable):
        await keeper.retain()
    assert (state.recordings / "new.mitm").exists(), "what can't be put on record stays"
