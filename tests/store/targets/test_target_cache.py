"""Reads that are kept are few, small and young."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.core.hosts import DatadogHost, HostRole
from addons.store.targets.cache import CacheLimits, ReadCache, ReadKey

API = DatadogHost("api.datadoghq.com", "datadoghq.com", HostRole.API)


def key(path: str, credential: str = "default") -> ReadKey:
    return ReadKey(API, path, credential)


def kept(cache: ReadCache[int], now: float, count: int = 10) -> list[int]:
    found = (cache.get(key(f"/{number}"), now) for number in range(count))
    return [value for value in found if value is not None]


def filled(limits: CacheLimits, *sizes: int) -> ReadCache[int]:
    cache: ReadCache[int] = ReadCache(limits)
    for number, size in enumerate(sizes):
        cache.put(key(f"/{number}"), number, size, 100, 100)
    return cache


@pytest.mark.parametrize(
    ("limits", "sizes", "left"),
    [
        (CacheLimits(entries=2), (1, 1, 1, 1), [2, 3]),
        (CacheLimits(content_bytes=10), (4, 4, 4, 4), [2, 3]),
        (CacheLimits(content_bytes=10), (4, 4, 10), [2]),
        (CacheLimits(content_bytes=10), (4, 4, 11), [0, 1]),  # what is too large pushes nothing out
        (CacheLimits(max_age=0), (1, 1), []),
        (CacheLimits(entries=0), (1,), []),
    ],
)
def test_the_oldest_give_way(limits: CacheLimits, sizes: tuple[int, ...], left: list[int]) -> None:
    assert kept(filled(limits, *sizes), 100) == left


@pytest.mark.parametrize(("now", "left"), [(100, [0]), (104.9, [0]), (105, []), (99, []), (1e9, [])])
def test_what_is_old_or_of_the_future_is_not_given(now: float, left: list[int]) -> None:
    assert kept(filled(CacheLimits(max_age=5), 1), now) == left


def test_what_was_old_on_arrival_is_not_kept() -> None:
    cache: ReadCache[int] = ReadCache(CacheLimits(max_age=5))
    cache.put(key("/0"), 0, 1, 90, 100)
    assert kept(cache, 94) == []


def test_what_is_old_makes_room_without_being_asked_for() -> None:
    cache = filled(CacheLimits(max_age=5, content_bytes=10), 5, 5)
    cache.put(key("/2"), 2, 5, 200, 200)
    assert kept(cache, 100) == []
    assert kept(cache, 200) == [2]


def test_a_newer_read_takes_the_place_of_the_older() -> None:
    cache = filled(CacheLimits(content_bytes=10), 6)
    for size in (6, 10, 1):
        cache.put(key("/0"), size, size, 100, 100)
        assert cache.get(key("/0"), 100) == size
    cache.put(key("/1"), 1, 9, 100, 100)
    assert kept(cache, 100) == [1, 1]


def test_each_credential_sees_its_own() -> None:
    cache = filled(CacheLimits(), 1)
    assert cache.get(key("/0", "readonly"), 100) is None


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 12), st.floats(0, 20))))
def test_no_bound_is_ever_passed(puts: list[tuple[int, int, float]]) -> None:
    limits = CacheLimits(max_age=5, entries=4, content_bytes=20)
    cache: ReadCache[int] = ReadCache(limits)
    for name, size, now in puts:
        cache.put(key(f"/{name}"), size, size, now, now)
        sizes = [entry[1] for entry in cache._entries.values()]
        assert cache._size == sum(sizes) <= limits.content_bytes
        assert len(sizes) <= limits.entries
