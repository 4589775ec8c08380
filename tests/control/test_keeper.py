from __future__ import annotations

import asyncio

import pytest

from addons.core.approvals.approval import Approval
from addons.core.approvals.states import State
from addons.store.approvals.keeper import Keeper
from addons.store.approvals.runs import Consume
from addons.store.writing.journal import JournalUnavailable
from addons.store.writing.process_lock import ProcessLock
from tests.control.desk import Desk, until
from tests.store.approval_samples import NEEDS


def _keeper(desk: Desk, pace: float = 1.0) -> Keeper:
    parts = desk.control.parts
    return Keeper(parts.state, parts.journal, parts.approvals, desk.clock.now, pace)


def _state(desk: Desk, approval: Approval) -> State:
    found = desk.control.parts.approvals.get(approval.id)
    assert found is not None
    return found.state


async def test_time_runs_out_without_a_gateway(desk: Desk) -> None:
    pending, granted = await desk.ask("a" * 64), await desk.ask("b" * 64)
    await desk.decide(granted, "approve", desk.issuer.token("alice", "sre"))
    keeper = _keeper(desk)
    await keeper.look(thorough=False)
    assert (_state(desk, pending), _state(desk, granted)) == (State.PENDING, State.APPROVED)
    desk.clock.offset += NEEDS.grant + 1
    await keeper.look(thorough=False)
    assert (_state(desk, pending), _state(desk, granted)) == (State.PENDING, State.EXPIRED)
    desk.clock.offset += NEEDS.pending
    await keeper.look(thorough=False)
    assert _state(desk, pending) is State.EXPIRED
    assert len(desk.records("approval_expired")) == 2


async def test_the_calls_of_a_dead_process_become_unknown_and_no_others(desk: Desk) -> None:
    dead, alive = ProcessLock.take(desk.control.parts.state), ProcessLock.take(desk.control.parts.state)
    running = []
    for number, lock in enumerate((dead, alive)):
        approval = await desk.ask(f"{number:064x}")
        await desk.decide(approval, "approve", desk.issuer.token("alice", "sre"))
        consume = Consume(approval.id, approval.digest, lock.name, f"c{number}", desk.clock.now())
        running.append(await desk.control.parts.journal.change(consume))
    dead.release()
    await _keeper(desk).look(thorough=False)
    assert [_state(desk, one) for one in running] == [State.UNKNOWN, State.EXECUTING]
    alive.release()


async def test_it_goes_on_once_it_can_write_again(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    log = desk.control.parts.state.audit_log
    approval = await desk.ask()
    desk.clock.offset += NEEDS.pending + 1
    aside = log.rename(log.with_suffix(".aside"))
    keeper = _keeper(desk, pace=0.01)
    with pytest.raises(JournalUnavailable):
        await keeper.look(thorough=True)
    task = asyncio.create_task(keeper.run())
    await until(lambda: "can't be looked after" in caplog.text)
    aside.rename(log)
    await until(lambda: _state(desk, approval) is State.EXPIRED)
    task.cancel()
    assert caplog.text.count("can't be looked after") == 1  # told once, not every second
