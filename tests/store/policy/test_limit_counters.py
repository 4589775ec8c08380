from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import sqlite3
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from addons.core.policy.request import Allowance, LimitUse
from addons.store.policy import limit_counters
from addons.store.policy.limit_counters import CountersUnavailable, LimitCounters, LimitKind
from addons.store.state_dir import StateDir
from tests.store.policy.limit_uses import NOW, counted, use

GRACE = 60.0
ON_ONE_STORE = settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
NUMBERS = itertools.count()


def fresh(count: int, seconds: float) -> LimitUse:
    """A use whose key no other example of a property has had."""
    return use(count, seconds, key=str(next(NUMBERS)))


@pytest.fixture
def counters(state: StateDir) -> Iterator[LimitCounters]:
    opened = LimitCounters.open(state)
    yield opened
    opened.close()


def rows(state: StateDir) -> list[tuple[object, ...]]:
    with contextlib.closing(sqlite3.connect(state.path / "limits.db")) as connection:
        return connection.execute("SELECT * FROM counters ORDER BY id").fetchall()


def test_as_many_pass_as_the_limit_says(counters: LimitCounters) -> None:
    assert [counters.take([use(3)], NOW + n) for n in range(3)] == [None] * 3
    refused = counters.take([use(3)], NOW + 3)
    assert refused is not None
    assert (refused.name, refused.kind) == ("writes", LimitKind.RATE)
    assert 57 < refused.retry_after <= 58.1
    assert counters.take([use(3)], NOW + 3 + refused.retry_after) is None


def test_each_name_key_and_window_has_its_own_count(counters: LimitCounters) -> None:
    for other in (use(1), use(1, name="reads"), use(1, key='["b"]'), use(1, 120.0)):
        assert counters.take([other], NOW) is None
        assert counters.take([other], NOW) is not None


def test_a_changed_number_keeps_what_was_counted(counters: LimitCounters) -> None:
    assert counters.take([use(1)], NOW) is None
    assert counters.take([use(1)], NOW) is not None
    assert counters.take([use(2)], NOW) is None
    assert counters.take([use(2)], NOW) is not None


def test_rate_and_quota_both_count_and_the_longer_wait_is_told(counters: LimitCounters) -> None:
    both = LimitUse("writes", "[]", Allowance(1, 60.0), Allowance(2, 86400.0))
    assert counters.take([both], NOW) is None
    by_rate = counters.take([both], NOW)
    assert by_rate is not None
    assert by_rate.kind is LimitKind.RATE
    assert counters.take([both], NOW + 62) is None
    by_both = counters.take([both, use(9)], NOW + 62)
    assert by_both is not None
    assert by_both.kind is LimitKind.QUOTA
    assert by_both.retry_after > 80_000


def test_the_same_use_twice_counts_once_and_by_the_stricter_number(counters: LimitCounters) -> None:
    assert counters.take([use(2), use(2), use(3)], NOW) is None
    assert counters.take([use(2)], NOW) is None
    assert counters.take([use(3), use(2)], NOW) is not None
    assert counters.take([use(2), use(3)], NOW) is not None
    assert counters.take([use(3)], NOW) is None
    same_time = LimitUse("same", "[]", Allowance(5, 60.0), Allowance(2, 60.0))
    assert [counters.take([same_time], NOW) for _ in range(2)] == [None, None]
    refused = counters.take([same_time], NOW)
    assert refused is not None
    assert refused.kind is LimitKind.QUOTA


def test_a_call_that_one_limit_refuses_is_counted_by_none(state: StateDir, counters: LimitCounters) -> None:
    narrow, wide = use(1, name="narrow"), use(5, name="wide")
    assert counters.take([narrow], NOW) is None
    before = rows(state)
    for order in ([narrow, wide], [wide, narrow]):
        assert counters.take(order, NOW) is not None
        assert rows(state) == before


def test_without_uses_nothing_is_counted(state: StateDir, counters: LimitCounters) -> None:
    assert counters.take([], NOW) is None
    assert rows(state) == []


WINDOWS = st.sampled_from([1.0, 7.0, 60.0, 3600.0])
# In windows: mostly forward, now and then late by less than the grace
STEPS = st.lists(
    st.one_of(st.floats(0, 0.2), st.floats(0, 2), st.floats(-0.5, 0), st.sampled_from([0.0, 1 / 60, 1.0])),
    min_size=1,
    max_size=40,
)


@ON_ONE_STORE
@example(2, 60.0, [0.0, 0.999, 0.0009, 0.0])
@example(1, 1.0, [0.5, 1.0, -0.25, 0.3, 1.0])
@given(st.integers(1, 5), WINDOWS, STEPS)
def test_no_window_holds_more_than_the_limit_and_few_calls_are_refused_without_need(
    counters: LimitCounters, most: int, seconds: float, steps: list[float]
) -> None:
    one = fresh(most, seconds)
    passed: list[float] = []
    at = NOW
    for step in steps:
        at += max(step * seconds, -GRACE / 2)
        refused = counters.take([one], at)
        if refused is None:
            passed.append(at)
            # the windows that the new call can be in: those that begin at it or at an earlier one
            for begin in passed:
                assert sum(begin <= each < begin + seconds for each in passed) <= most
        else:
            # the bucket in which a window begins counts whole
            near = [each for each in passed if each > at - seconds * 61 / 60 - 1e-6]
            assert len(near) >= most
            assert refused.retry_after > 0


@ON_ONE_STORE
@given(st.integers(1, 5), WINDOWS, STEPS)
def test_after_the_time_that_is_told_a_call_passes_and_before_it_none_does(
    counters: LimitCounters, most: int, seconds: float, steps: list[float]
) -> None:
    one = fresh(most, seconds)
    at = NOW
    for step in steps:
        at += abs(step) * seconds
        refused = counters.take([one], at)
        if refused is not None:
            assert refused.retry_after <= seconds * 61 / 60 + 0.002
            early = at + refused.retry_after - 0.002
            assert early <= at or counters.take([one], early) is not None
            at += refused.retry_after
            assert counters.take([one], at) is None


JUMPS = st.lists(st.one_of(st.floats(0, 2), st.floats(-1e6, 1e6), st.sampled_from([-1e9, 1e9])), max_size=12)


@ON_ONE_STORE
@example(1, 60.0, [1e9, -1e9, 0.0, 0.0])
@given(st.integers(1, 3), WINDOWS, JUMPS)
def test_a_clock_that_jumped_shuts_out_for_two_windows_and_a_minute_at_most(
    counters: LimitCounters, most: int, seconds: float, jumps: list[float]
) -> None:
    one = fresh(most, seconds)
    at = NOW
    for jump in jumps:
        at = min(max(at + jump, 0), 1e10)
        counters.take([one], at)
    # a client that goes on asking is not shut out for longer by it
    end = at + (2 * seconds + GRACE) * 61 / 60 + 1
    while at < end:
        at = min(at + seconds / 2, end)
        if counters.take([one], at) is None:
            return
    pytest.fail("still shut out")


@ON_ONE_STORE
@given(st.integers(1, 5), WINDOWS, st.floats(0, 1e9), st.floats(0, 0.95))
def test_setting_the_clock_back_gives_no_call_more(
    counters: LimitCounters, most: int, seconds: float, back: float, waited: float
) -> None:
    one = fresh(most, seconds)
    for _ in range(most):
        assert counters.take([one], NOW) is None
    assert counters.take([one], NOW - back) is not None
    assert counters.take([one], NOW - back + waited * seconds) is not None


@pytest.mark.parametrize("at", [float("nan"), float("inf"), -1.0, 1e12])
def test_a_time_that_cant_be_counted_refuses(counters: LimitCounters, at: float) -> None:
    with pytest.raises(CountersUnavailable, match="clock"):
        counters.take([use()], at)
    assert counters.take([use()], NOW) is None


def test_what_no_longer_counts_is_forgotten(state: StateDir, counters: LimitCounters) -> None:
    for n in range(120):
        assert counters.take([use(1, key=str(n))], NOW) is None
    assert len(rows(state)) == 120
    later = NOW + 60 + 60 / 60 + GRACE + 1
    for n in range(3):
        assert counters.take([use(9)], later + n) is None
    assert len(rows(state)) == 1
    for n in range(1000):
        counters.take([use(10**6)], later + n)
    (row,) = rows(state)
    assert len(str(row[4])) < 4000


def test_a_restart_keeps_what_was_counted(state: StateDir) -> None:
    for _ in range(2):
        counters = LimitCounters.open(state)
        assert counters.take([use(2)], NOW) is None
        counters.close()
    counters = LimitCounters.open(state)
    assert counters.take([use(2)], NOW) is not None
    counters.close()


def test_its_files_are_the_owners_alone(state: StateDir, counters: LimitCounters) -> None:
    counters.take([use()], NOW)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in state.path.glob("limits*")}
    assert modes == dict.fromkeys(["limits.db", "limits.db-wal", "limits.db-shm"], 0o600)


def test_what_is_committed_is_with_the_operating_system(counters: LimitCounters) -> None:
    assert counters._connection is not None
    assert counters._connection.execute("PRAGMA synchronous").fetchone() == (1,)


def test_threads_share_one_count(counters: LimitCounters) -> None:
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: counters.take([use(100)], NOW), range(200)))
    assert results.count(None) == 100


def take_in_process(path: Path, start: Barrier, answers: Connection) -> None:
    start.wait()
    counters = LimitCounters.open(StateDir.open(path), busy_seconds=60)
    answers.send([counters.take([use(150), use(1000, name="wide")], NOW) is None for _ in range(100)])
    counters.close()


def test_processes_that_open_and_take_at_once_get_exactly_the_limit(state: StateDir) -> None:
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(4)
    pipes = [context.Pipe(duplex=False) for _ in range(4)]
    processes = [
        context.Process(target=take_in_process, args=(state.path, start, answers)) for _, answers in pipes
    ]
    for process in processes:
        process.start()
    answers = [heard.recv() for heard, _ in pipes]
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0, 0]
    assert sum(map(sum, answers)) == 150
    assert counted(state) == 300


def take_until_killed(path: Path, answers: Connection) -> None:
    counters = LimitCounters.open(StateDir.open(path), busy_seconds=60)
    for number in itertools.count():
        assert counters.take([use(10**9)], NOW + number / 100) is None
        answers.send(None)


def test_kill_9_neither_loses_an_acknowledged_take_nor_damages_the_file(state: StateDir) -> None:
    context = multiprocessing.get_context("spawn")
    acknowledged = 0
    started = 0
    for _ in range(2):
        pipes = [context.Pipe(duplex=False) for _ in range(2)]
        processes = [context.Process(target=take_until_killed, args=(state.path, one)) for _, one in pipes]
        for process in processes:
            process.start()
        for heard, _ in pipes:
            for _ in range(200):
                heard.recv()
                acknowledged += 1
        for process in processes:
            process.kill()
            process.join(60)
        for heard, said in pipes:
            said.close()
            with contextlib.suppress(EOFError):
                while True:
                    heard.recv()
                    acknowledged += 1
        started += len(processes)
        assert acknowledged <= counted(state) <= acknowledged + started
    counters = LimitCounters.open(state)
    assert counters.take([use(acknowledged)], NOW) is not None
    counters.close()


def test_the_grace_is_what_the_properties_assume() -> None:
    assert limit_counters.GRACE == GRACE * 1_000_000
