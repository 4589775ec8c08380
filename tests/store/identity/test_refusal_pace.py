from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from addons.store.identity.refusal_pace import RefusalPace


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pace(clock: Clock) -> RefusalPace:
    return RefusalPace(per_second=10, burst=3, longest=2.0, remembered=4, clock=clock)


def delays(pace: RefusalPace, address: str, count: int) -> list[float]:
    return [round(pace.delay(address), 6) for _ in range(count)]


def test_a_few_are_told_at_once_and_more_one_after_the_other(pace: RefusalPace, clock: Clock) -> None:
    assert delays(pace, "192.0.2.1", 6) == [0, 0, 0, 0, 0.1, 0.2]
    clock.now += 0.3
    assert delays(pace, "192.0.2.1", 1) == [0]
    clock.now += 100
    assert delays(pace, "192.0.2.1", 5) == [0, 0, 0, 0, 0.1]


def test_nobody_waits_longer_than_the_longest(pace: RefusalPace, clock: Clock) -> None:
    assert max(delays(pace, "192.0.2.1", 500)) == 2.0
    clock.now += 2.1
    assert delays(pace, "192.0.2.1", 1) == [0]


def test_clients_wait_behind_themselves_alone(pace: RefusalPace) -> None:
    delays(pace, "192.0.2.1", 50)
    assert delays(pace, "192.0.2.2", 3) == [0, 0, 0]
    assert delays(pace, "", 1) == [0]


def test_one_subscriber_is_one_client(pace: RefusalPace) -> None:
    delays(pace, "2001:db8:1:2::1", 3)
    assert delays(pace, "2001:db8:1:2:ffff::9%eth0", 2) == [0, 0.1]
    assert delays(pace, "2001:db8:1:3::1", 2) == [0, 0]
    delays(pace, "192.0.2.7", 3)
    assert delays(pace, "::ffff:192.0.2.7", 2) == [0, 0.1]


def test_what_is_remembered_is_bounded(pace: RefusalPace) -> None:
    for number in range(100):
        pace.delay(f"192.0.2.{number}")
    assert len(pace._due) == 4


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0, 5), st.sampled_from(["192.0.2.1", "2001:db8::1", "x"])), max_size=60))
def test_no_client_is_told_more_than_its_share(moments: list[tuple[float, str]]) -> None:
    clock = Clock()
    pace = RefusalPace(per_second=10, burst=3, longest=1000.0, clock=clock)
    told: dict[str, list[float]] = {}
    for passed, address in moments:
        clock.now += passed
        told.setdefault(address, []).append(clock.now + pace.delay(address))
    for times in told.values():
        for first in times:
            within = [each for each in times if first <= each < first + 1]
            assert len(within) <= 10 + 3 + 1
