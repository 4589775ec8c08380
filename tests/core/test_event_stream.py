"""Whole events come out, whatever the pieces they came in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.core.event_stream import EventCutter, EventTooLarge, split

_PARTS = (b"data: a", b"data:", b": ping", b"event: x", b"\n", b"\r\n", b"\r", b"\n\n", b"\r\n\r\n", b"z")


@given(st.lists(st.sampled_from(_PARTS), max_size=30), st.integers(1, 7))
def test_nothing_is_lost_or_changed(parts: list[bytes], size: int) -> None:
    stream = b"".join(parts)
    cutter = EventCutter(1000)
    out = [cutter.feed(stream[at : at + size]) for at in range(0, len(stream), size)]
    assert b"".join(out) + cutter.finish() == stream


@given(
    st.lists(st.sampled_from([b"data: a", b"data: b\ndata: c", b": ping", b"id: 1\r\ndata: d"]), max_size=8)
)
def test_events_come_out_as_soon_as_they_are_whole(events: list[bytes]) -> None:
    cutter = EventCutter(1000)
    for event in events:
        for end in (b"\n\n", b"\r\n\r\n", b"\r\r"):
            assert cutter.feed(event) == b""
            assert cutter.feed(end) == event + end
    assert cutter.finish() == b""


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"data: a\r\ndata: b\r\n\r\ndata: c\n\n", [b"data: a\r\ndata: b\r\n\r\n", b"data: c\n\n"]),
        (b"data: a\r\n\ndata: b\n\r\n", [b"data: a\r\n\n", b"data: b\n\r\n"]),
        (b"data: a\n\ndata: b", [b"data: a\n\n", b"data: b"]),
        (b"", []),
    ],
)
def test_where_an_event_ends(stream: bytes, events: list[bytes]) -> None:
    assert split(stream) == events


def test_an_event_that_never_ends_is_not_held_for_ever() -> None:
    cutter = EventCutter(100)
    cutter.feed(b"data: " + b"a" * 90)
    with pytest.raises(EventTooLarge):
        cutter.feed(b"a" * 10)


def test_many_whole_events_may_be_larger_than_one() -> None:
    events = b"data: a\n\n" * 100
    assert EventCutter(100).feed(events) == events
