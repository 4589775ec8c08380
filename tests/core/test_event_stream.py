"""Whole events come out, whatever the pieces they came in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.core.event_stream import EventCutter, EventTooLarge, split

_PARTS = (b"data: a", b"data:", b": ping", b"event: x", b"\n", b"\r\n", b"\r", b"\n\n", b"\r\n\r\n", b"z")


def in_lines(stream: bytes) -> bytes:
    return stream.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


@given(st.lists(st.sampled_from(_PARTS), max_size=30), st.integers(1, 7))
def test_nothing_is_lost_and_lines_end_alike(parts: list[bytes], size: int) -> None:
    stream = b"".join(parts)
    cutter = EventCutter(1000)
    out = [cutter.feed(stream[at : at + size]) for at in range(0, len(stream), size)]
    assert b"".join(out) + cutter.finish() == in_lines(stream)


@given(
    st.lists(st.sampled_from([b"data: a", b"data: b\ndata: c", b": ping", b"id: 1\r\ndata: d"]), max_size=8)
)
def test_events_come_out_as_soon_as_they_are_whole(events: list[bytes]) -> None:
    cutter = EventCutter(1000)
    for event in events:
        for end in (b"\n\n", b"\r\n\r\n", b"\r\r"):
            assert cutter.feed(event) == b""
            assert cutter.feed(end) == in_lines(event + end)
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


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_a_byte_order_mark_and_other_line_ends_hide_no_line(size: int) -> None:
    stream = b"\xef\xbb\xbfdata: a\rdata: b\r\rdata: c\r\n\r\n"
    cutter = EventCutter(1000)
    out = b"".join(cutter.feed(stream[at : at + size]) for at in range(0, len(stream), size))
    assert out + cutter.finish() == b"data: a\ndata: b\n\ndata: c\n\n"
