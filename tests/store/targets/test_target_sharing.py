"""Who gets which read of a resource: how long one serves, who shares it, and what makes it old."""

from __future__ import annotations

import asyncio

import pytest

from addons.core.policy.request import Seen
from addons.store.targets.cache import CacheLimits
from addons.store.targets.call import CallLimits
from tests.e2e.raw_upstream import Exchange
from tests.store.targets.target_reading import API, record_of
from tests.store.targets.target_upstream import (
    MONITOR,
    OTHER,
    PATH,
    Gate,
    Make,
    answering,
    unread,
)


async def test_what_was_read_serves_for_its_time(make: Make) -> None:
    reading = make()
    first = await reading.read()
    reading.clock.now += 4.9
    again = await reading.read(call="AGAIN")
    assert again.evidence == first.evidence
    assert again.record == {**record_of(first), "age": 4.9}
    assert len(reading.records()) == 2
    reading.clock.now += 0.2
    assert record_of(await reading.read())["read"] == "READ1"
    assert len(reading.upstream.seen) == 2


async def test_its_time_begins_before_the_question_is_sent(make: Make) -> None:
    gate = Gate(MONITOR)
    reading = make(gate)
    task = asyncio.create_task(reading.read())
    await gate.wait()
    reading.clock.now += 4
    gate.open()
    assert record_of(await task)["age"] == 4
    reading.clock.now += 1
    gate.open()
    assert record_of(await reading.read())["read"] == "READ1"


async def test_who_asks_for_it_gets_it_fresh(make: Make) -> None:
    reading = make()
    await reading.read()
    assert record_of(await reading.read(fresh=True))["read"] == "READ1"
    assert record_of(await reading.read())["read"] == "READ1"  # and it serves the others


async def test_a_fresh_read_does_not_wait_for_one_that_began_before(make: Make) -> None:
    gate = Gate({"tags": ["old"]})
    reading = make(gate)
    before = asyncio.create_task(reading.read())
    await gate.wait()
    gate.document = {"tags": ["new"]}
    fresh = asyncio.create_task(reading.read(fresh=True))
    await gate.wait()
    gate.open(2)
    assert (await fresh).evidence == Seen({"tags": ["new"]})
    assert (await before).evidence == Seen({"tags": ["old"]})
    assert (await reading.read()).evidence == Seen({"tags": ["new"]})
    assert len(reading.upstream.seen) == 2


async def test_with_a_time_of_nothing_every_call_reads(make: Make) -> None:
    reading = make(cache_limits=CacheLimits(max_age=0))
    for _ in range(3):
        await reading.read()
    assert len(reading.upstream.seen) == 3


async def test_other_resources_and_hosts_are_read_on_their_own(make: Make) -> None:
    reading = make()
    for path in (PATH, OTHER):
        for host in (API, "app.datadoghq.com", "api.datadoghq.eu"):
            await reading.read(path=path, host=host)
    assert len(reading.upstream.seen) == 6
    await reading.read("UpdateMonitor")  # the same resource, by another operation
    assert len(reading.upstream.seen) == 6


async def test_a_failure_is_not_kept(make: Make) -> None:
    answers = iter([answering({}, 503), answering(MONITOR)])

    def by_turns(exchange: Exchange) -> None:
        next(answers)(exchange)

    reading = make(by_turns)
    assert unread(await reading.read()) == "Datadog answered 503"
    assert (await reading.read()).evidence == Seen(MONITOR)


async def test_calls_that_ask_at_once_share_one_read(make: Make) -> None:
    gate = Gate(MONITOR)
    reading = make(gate)
    tasks = [asyncio.create_task(reading.read(call=f"CALL{number}")) for number in range(20)]
    await gate.wait()
    gate.open()
    seen = await asyncio.gather(*tasks)
    assert {record_of(each)["read"] for each in seen} == {"READ0"}
    assert reading.ends() == [("attempted", None), ("outcome", "answered")]
    assert reading.records()[0]["attributes"]["for"] == "CALL0"


async def test_who_leaves_takes_nothing_from_the_others(make: Make) -> None:
    gate = Gate(MONITOR)
    reading = make(gate)
    leaving, staying = [asyncio.create_task(reading.read()) for _ in range(2)]
    await gate.wait()
    leaving.cancel()
    gate.open()
    assert (await staying).evidence == Seen(MONITOR)
    assert leaving.cancelled()


async def test_a_read_that_everybody_left_has_its_outcome(make: Make) -> None:
    gate = Gate(MONITOR)
    reading = make(gate)
    task = asyncio.create_task(reading.read())
    await gate.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    gate.open()
    assert record_of(await reading.read())["read"] == "READ0"  # it was there for who came next
    assert reading.ends() == [("attempted", None), ("outcome", "answered")]


async def test_a_gateway_that_stops_ends_its_reads_and_says_so(make: Make) -> None:
    gate = Gate(MONITOR)
    reading = make(gate)
    task = asyncio.create_task(reading.read())
    await gate.wait()
    await reading.reader.close()
    assert unread(await task) == "the gateway is stopping"
    assert reading.ends() == [("attempted", None), ("outcome", "unknown")]
    gate.open()


@pytest.mark.parametrize(
    ("path", "host"),
    [
        (PATH, API),
        (PATH + "/", API),
        (PATH, "app.datadoghq.com"),  # all hosts of a site serve the same resources
        (PATH + "/mute", API),
        ("/api/v1/monitor", API),
    ],
)
async def test_a_call_that_may_have_changed_it_makes_it_be_read_again(
    make: Make, path: str, host: str
) -> None:
    reading = make()
    await reading.read()
    reading.reader.forget(host, path)
    await reading.read()
    assert len(reading.upstream.seen) == 2


@pytest.mark.parametrize(
    ("path", "host"),
    [(OTHER, API), (PATH + "7", API), (PATH, "api.datadoghq.eu"), (PATH, "elsewhere.example")],
)
async def test_a_call_to_something_else_changes_nothing(make: Make, path: str, host: str) -> None:
    reading = make()
    await reading.read()
    reading.reader.forget(host, path)
    await reading.read()
    assert len(reading.upstream.seen) == 1


async def test_a_read_under_way_when_the_resource_changes_serves_nobody_who_comes_later(make: Make) -> None:
    gate = Gate({"tags": ["old"]})
    reading = make(gate)
    before = asyncio.create_task(reading.read())
    await gate.wait()
    gate.document = {"tags": ["new"]}
    reading.reader.forget(API, PATH)
    after = asyncio.create_task(reading.read())
    await gate.wait()
    gate.open(2)
    assert (await before).evidence == Seen({"tags": ["old"]})
    assert (await after).evidence == Seen({"tags": ["new"]})
    assert (await reading.read()).evidence == Seen({"tags": ["new"]})


async def test_what_was_changed_in_the_middle_of_a_read_is_not_kept(make: Make) -> None:
    gate = Gate({"tags": ["old"]})
    reading = make(gate)
    task = asyncio.create_task(reading.read())
    await gate.wait()
    reading.reader.forget(API, PATH)
    gate.open()
    await task
    gate.open()
    assert record_of(await reading.read())["read"] == "READ1"


async def test_reads_beyond_the_bound_wait_for_their_turn(make: Make) -> None:
    gate = Gate(MONITOR)
    reading = make(gate, call_limits=CallLimits(at_once=1))
    first, second = [asyncio.create_task(reading.read(path=path)) for path in (PATH, OTHER)]
    await gate.wait()
    assert len(reading.upstream.seen) == 1
    gate.open(2)
    for task in (first, second):
        assert (await task).evidence == Seen(MONITOR)


async def test_a_turn_that_does_not_come_in_time_is_given_up(make: Make) -> None:
    gate = Gate(MONITOR)
    reading = make(gate, call_limits=CallLimits(at_once=1, waiting=0.05))
    first = asyncio.create_task(reading.read())
    await gate.wait()
    assert unread(await reading.read(path=OTHER)) == "too many reads are under way"
    gate.open()
    await first
    gate.open()
    assert (await reading.read(path=OTHER)).evidence == Seen(MONITOR)
    assert reading.upstream.paths() == [PATH, OTHER]
