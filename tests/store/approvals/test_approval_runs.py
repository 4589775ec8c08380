from __future__ import annotations

import multiprocessing
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from addons.core.approvals.states import State
from addons.store.approvals.answers import KeptAnswer
from addons.store.approvals.reading import Approvals
from addons.store.approvals.requests import Ask, ExpireDue, SetHolders
from addons.store.approvals.runs import Consume, Lost, NotSent, Ran, Recover
from addons.store.audit.changes import ChangeRefused, RefusedBecause
from addons.store.audit.record import AuditRecord, RecordKind, RecordRefused
from addons.store.moment import Moment
from addons.store.state_dir import StateDir
from addons.store.writing.process_lock import ProcessLock, is_dead
from tests.store.approval_samples import NEEDS, START, Store, approval, later

ROOT = Path(__file__).resolve().parents[3]
SOON = later(10)

type Make = Callable[..., AuditRecord]


def why_not(store: Store, change: Consume | NotSent | Ran | Lost) -> RefusedBecause:
    before = store.kinds(), store.events()
    with pytest.raises(ChangeRefused) as refused:
        store.do(change)
    assert (store.kinds(), store.events()) == before
    return refused.value.reason


def consume_in_process(path: Path, start: object, answers: object, one: str) -> None:
    store = Store(path)
    process = multiprocessing.current_process().name
    start.wait()  # type: ignore[attr-defined]
    took = 0
    for number in range(20):
        try:
            store.do(Consume(one, "d1", process, f"{process}-{number}", SOON))
        except ChangeRefused:
            continue
        took += 1
    answers.put(took)  # type: ignore[attr-defined]
    store.log.close()


def test_of_processes_that_race_for_a_grant_one_wins_once(store: Store) -> None:
    one = store.approved()
    context = multiprocessing.get_context("spawn")
    start, answers = context.Barrier(4), context.Queue()
    processes = [
        context.Process(target=consume_in_process, args=(store.path, start, answers, one.id))
        for _ in range(4)
    ]
    for process in processes:
        process.start()
    took = [answers.get(timeout=60) for _ in processes]
    for process in processes:
        process.join(60)
    assert sorted(took) == [0, 0, 0, 1]
    assert store.kinds().count("approval_consumed") == 1


def test_i7_a_state_that_was_set_by_hand_lets_nothing_run(store: Store) -> None:
    """Whoever can write to the file could set it; nobody's yes is on record."""
    one = store.ask("d1")
    store.sql(
        "UPDATE approvals SET state = 'approved', granted_at = requested_at, "
        "grant_until = requested_at + 3600, grant_boot = pending_boot, grant_boot_id = pending_boot_id"
    )
    assert why_not(store, Consume(one.id, "d1", "p", "c", SOON)) is RefusedBecause.NOT_APPROVED
    real = store.approved("d3")
    store.sql("UPDATE approval_history SET approval = ? WHERE approval = ?", one.id, real.id)
    store.sql(
        "UPDATE approvals SET told = (SELECT told FROM approvals WHERE id = ?) WHERE id = ?", real.id, one.id
    )
    assert why_not(store, Consume(one.id, "d1", "p", "c", SOON)) is RefusedBecause.NOT_APPROVED
    other = store.approved("d2")
    store.sql("UPDATE records SET body = replace(body, 'approval_approved', 'approval_seen')")
    assert why_not(store, Consume(other.id, "d2", "p", "c", SOON)) is RefusedBecause.NOT_APPROVED


def test_a_grant_is_for_exactly_one_request_and_one_time(store: Store) -> None:
    one = store.ask()
    assert why_not(store, Consume(one.id, "d1", "p1", "c1", SOON)) is RefusedBecause.NOT_APPROVED
    store.vote(one)
    assert why_not(store, Consume(one.id, "d2", "p1", "c1", SOON)) is RefusedBecause.NOT_APPROVED
    assert why_not(store, Consume("other", "d1", "p1", "c1", SOON)) is RefusedBecause.NOT_APPROVED
    taken = store.do(Consume(one.id, "d1", "p1", "c1", SOON))
    assert (taken.state, taken.process, taken.executing_call) == (State.EXECUTING, "p1", "c1")
    record = store.last()
    assert (record["kind"], record["call"], record["approval"]) == ("approval_consumed", "c1", one.id)
    assert record["attributes"]["digest"] == "d1"
    assert why_not(store, Consume(one.id, "d1", "p1", "c1", SOON)) is RefusedBecause.NOT_APPROVED
    store.do(Ran(one.id, "c1", 200, None, SOON))
    assert why_not(store, Consume(one.id, "d1", "p1", "c2", SOON)) is RefusedBecause.NOT_APPROVED


@pytest.mark.parametrize(
    ("at", "holds"),
    [
        (later(NEEDS.grant - 1), True),
        (replace(START, wall=START.wall + NEEDS.grant), False),
        (replace(START, boot=START.boot + NEEDS.grant), False),
        (replace(START, wall=START.wall - 299), True),
        (replace(START, wall=START.wall - 301), False),
        (Moment(START.wall + NEEDS.grant - 1, 1e9, "boot-2"), True),
        (Moment(START.wall + NEEDS.grant, 1.0, "boot-2"), False),
    ],
)
def test_a_grant_ends_by_either_clock(store: Store, at: Moment, holds: bool) -> None:
    one = store.approved()
    if holds:
        assert store.do(Consume(one.id, "d1", "p1", "c1", at)).state is State.EXECUTING
    else:
        assert why_not(store, Consume(one.id, "d1", "p1", "c1", at)) is RefusedBecause.NOT_APPROVED


@pytest.mark.parametrize("column", ["granted_at", "grant_until", "grant_boot"])
def test_a_grant_with_a_damaged_limit_is_none(store: Store, column: str) -> None:
    one = store.approved()
    store.sql(f"UPDATE approvals SET {column} = NULL")  # noqa: S608 - a name from above
    assert why_not(store, Consume(one.id, "d1", "p1", "c1", START)) is RefusedBecause.NOT_APPROVED
    assert store.do(ExpireDue(START)) == (one.id,)


def test_without_its_attempted_record_nothing_is_consumed(
    store: Store, record: Make, reader: Approvals
) -> None:
    one = store.approved()
    taken = record()
    store.do(SetHolders(one.id, "p1", 1), taken)
    with pytest.raises(RecordRefused):
        store.do(Consume(one.id, "d1", "p1", "c1", SOON), taken)
    found = reader.get(one.id)
    assert found is not None
    assert found.state is State.APPROVED
    attempted = record(call="c1")
    store.do(Consume(one.id, "d1", "p1", "c1", SOON), attempted)
    assert store.kinds()[-2:] == ["attempted", "approval_consumed"]


def test_a_call_that_never_left_gives_the_grant_back_with_its_time(store: Store) -> None:
    one = store.executing()
    back = store.do(NotSent(one.id, "c1", SOON))
    assert (back.state, back.executing_call, back.process) == (State.APPROVED, None, None)
    assert back.grant_until == START.wall + NEEDS.grant
    assert store.last()["call"] == "c1"
    assert why_not(store, NotSent(one.id, "c1", SOON)) is RefusedBecause.NOT_EXECUTING
    again = store.do(Consume(one.id, "d1", "p2", "c2", SOON))
    assert again.executing_call == "c2"
    for late in (NotSent(one.id, "c1", SOON), Ran(one.id, "c1", 200, None, SOON), Lost(one.id, "c1", SOON)):
        assert why_not(store, late) is RefusedBecause.NOT_EXECUTING
    store.do(NotSent(one.id, "c2", SOON))
    over = later(NEEDS.grant)
    assert why_not(store, Consume(one.id, "d1", "p1", "c3", over)) is RefusedBecause.NOT_APPROVED


@pytest.mark.parametrize(
    ("status", "becomes"),
    [
        (200, State.SUCCEEDED),
        (202, State.SUCCEEDED),
        (304, State.SUCCEEDED),
        (400, State.FAILED),
        (500, State.FAILED),
    ],
)
def test_what_ran_is_known_with_its_answer(
    store: Store, reader: Approvals, status: int, becomes: State
) -> None:
    one = store.executing()
    answer = KeptAnswer(status, b"Whatever", ((b"A", b"b"),), b"{}", SOON.wall + 60)
    ran = store.do(Ran(one.id, "c1", status, answer, SOON))
    assert (ran.state, ran.status, ran.ran_at, ran.executing_call) == (becomes, status, SOON.wall, "c1")
    assert reader.answer(one.id) == answer
    found = reader.standing("d1", SOON.wall + 59, 60.0)
    assert found is not None
    assert found.id == one.id
    assert reader.standing("d1", SOON.wall + 60, 60.0) is None
    assert reader.standing("d1", SOON.wall - 301, 9e9) is None  # of a future that a clock came back from
    assert store.last()["attributes"]["result"] == ("succeeded" if status < 400 else "failed")
    assert store.events()[-1] == "executed"
    for late in (Ran(one.id, "c1", 500, None, SOON), NotSent(one.id, "c1", SOON), Lost(one.id, "c1", SOON)):
        assert why_not(store, late) is RefusedBecause.NOT_EXECUTING


def test_a_lost_call_is_in_the_way_of_the_same_call_until_somebody_looks(store: Store) -> None:
    one = store.executing()
    assert why_not(store, Lost(one.id, "other", SOON)) is RefusedBecause.NOT_EXECUTING
    lost = store.do(Lost(one.id, None, SOON, "the connection broke"))
    assert (lost.state, lost.executing_call) == (State.UNKNOWN, "c1")
    assert store.last()["attributes"]["why"] == "the connection broke"
    assert store.events()[-1] == "unknown"
    joined = store.do(Ask(approval(), later(1e6), 20))
    assert joined.joined
    assert joined.approval.state is State.UNKNOWN
    assert why_not(store, Consume(one.id, "d1", "p1", "c2", SOON)) is RefusedBecause.NOT_APPROVED


HOLDER = """
import pathlib, sys
from addons.store.approvals.runs import Consume
from addons.store.writing.process_lock import ProcessLock
from addons.store.state_dir import StateDir
from addons.store.approvals.requests import SetHolders
from tests.store.approval_samples import START, Store
state = StateDir.open(pathlib.Path(sys.argv[1]))
lock = ProcessLock.take(state)
store = Store(state.audit_log)
for one, digest in (each.split(":") for each in sys.argv[2:]):
    store.do(Consume(one, digest, lock.name, f"call-of-{digest}", START))
store.do(SetHolders("held", lock.name, 3))
print(lock.name, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def holder(state: StateDir) -> Iterator[Callable[..., tuple[subprocess.Popen[str], str]]]:
    """Starts a process that consumes what it is told, and waits."""
    started: list[subprocess.Popen[str]] = []

    def start(*what: str) -> tuple[subprocess.Popen[str], str]:
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(state.path), *what],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={"PYTHONPATH": str(ROOT)},
        )
        started.append(process)
        assert process.stdout is not None
        return process, process.stdout.readline().strip()

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_calls_of_a_process_that_was_killed_become_unknown_and_no_others(
    state: StateDir,
    store: Store,
    reader: Approvals,
    record: Make,
    holder: Callable[..., tuple[subprocess.Popen[str], str]],
) -> None:
    ones = {digest: store.approved(digest) for digest in ("d1", "d2", "d3")}
    mine = ProcessLock.take(state)
    store.do(Consume(ones["d3"].id, "d3", mine.name, "call-of-d3", START))
    process, name = holder(*(f"{ones[digest].id}:{digest}" for digest in ("d1", "d2")))
    # The end of one of its calls is on record, the word about its approval was not written any more.
    store.do(SetHolders("other", mine.name, 1), record(RecordKind.OUTCOME, call="call-of-d2"))
    assert store.do(Recover(state, SOON)) == ()

    process.send_signal(signal.SIGKILL)
    process.wait()
    lost = tuple(sorted(ones[digest].id for digest in ("d1", "d2")))
    assert is_dead(state, name)
    assert store.do(Recover(state, SOON)) == lost
    assert store.do(Recover(state, SOON)) == ()
    assert {one: reader.states([one])[one][0] for one in lost} == dict.fromkeys(lost, State.UNKNOWN)
    assert reader.states([ones["d3"].id])[ones["d3"].id][0] is State.EXECUTING
    assert store.sql("SELECT process FROM approval_holders") == [(mine.name,)]
    outcomes = store.sql("SELECT call, body FROM records WHERE kind = 'outcome' ORDER BY call")
    assert [call for call, _ in outcomes] == ["call-of-d1", "call-of-d2"]
    assert '"outcome":"unknown"' in str(outcomes[0][1])
    assert ones["d1"].id in str(outcomes[0][1])
    mine.release()
    assert store.do(Recover(state, SOON)) == (ones["d3"].id,)


def test_a_damaged_call_of_a_dead_process_is_unknown_too(
    state: StateDir, store: Store, reader: Approvals
) -> None:
    one = store.executing()
    store.sql("UPDATE approvals SET fixed = 'x', process = NULL")
    assert store.do(Recover(state, SOON)) == (one.id,)
    assert reader.counts()[State.UNKNOWN] == 1
    assert store.last()["kind"] == "approval_unknown"
