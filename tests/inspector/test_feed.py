from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mitmproxy.addons.view import View
from mitmproxy.test import taddons

from addons.core.seal import parse_key
from addons.inspector.feed import Feed, FeedLimits
from addons.store.recordings.sealing import Sealer, SealKeys
from addons.store.recordings.segments import SegmentLimits, SegmentWriter
from addons.store.state_dir import StateDir

type MakeFlow = Callable[..., bytes]


@pytest.fixture
def view() -> Iterator[View]:
    shown = View()
    with taddons.context(shown):
        yield shown


def drain(feed: Feed) -> None:
    while feed.take():
        pass


def ids(view: View) -> list[str]:
    return [flow.id for flow in view]


def test_no_more_flows_are_kept_than_allowed_and_the_oldest_go(
    state: StateDir, writer: SegmentWriter, view: View, make_flow: MakeFlow
) -> None:
    feed = Feed(state.recordings, view, FeedLimits(max_flows=3))
    for n in range(10):
        writer.append(make_flow(f"flow-{n}"))
        drain(feed)
    assert sorted(ids(view)) == ["flow-7", "flow-8", "flow-9"]
    assert view.store_count() == 3


def test_no_more_bytes_are_kept_than_allowed(
    state: StateDir, writer: SegmentWriter, view: View, make_flow: MakeFlow
) -> None:
    size = len(make_flow("flow-0"))
    feed = Feed(state.recordings, view, FeedLimits(max_bytes=2 * size + size // 2))
    for n in range(5):
        writer.append(make_flow(f"flow-{n}"))
    drain(feed)
    assert sorted(ids(view)) == ["flow-3", "flow-4"]


def test_sealed_recordings_show_with_their_key(state: StateDir, view: View, make_flow: MakeFlow) -> None:
    key = parse_key(b"0a" * 32)
    writer = SegmentWriter(state.recordings, SegmentLimits(min_free_bytes=0), Sealer(key))
    writer.append(make_flow("flow-0"))
    drain(Feed(state.recordings, view, FeedLimits()))
    assert ids(view) == []
    drain(Feed(state.recordings, view, FeedLimits(), SealKeys.of([key])))
    assert ids(view) == ["flow-0"]
    writer.rotate()


def test_a_later_state_of_a_call_replaces_the_earlier(
    state: StateDir, writer: SegmentWriter, view: View, make_flow: MakeFlow
) -> None:
    feed = Feed(state.recordings, view, FeedLimits())
    writer.append(make_flow("a", answered=False))
    drain(feed)
    assert [flow.response for flow in view] == [None]
    writer.append(make_flow("a"))
    drain(feed)
    assert ids(view) == ["a"]
    answer = view[0].response
    assert answer is not None
    assert answer.status_code == 200


def test_flows_of_several_writers_all_show(
    state: StateDir, writer: SegmentWriter, view: View, make_flow: MakeFlow
) -> None:
    feed = Feed(state.recordings, view, FeedLimits())
    other = type(writer)(state.recordings, writer._limits)
    writer.append(make_flow("a"))
    other.append(make_flow("b"))
    writer.append(make_flow("c"))
    drain(feed)
    assert sorted(ids(view)) == ["a", "b", "c"]


@pytest.mark.parametrize("hostile", [b"0:}", b"4:1:a,}", b"14:7:version;1:1#}", b"8:1:1#1:2#}"])
def test_a_flow_that_isnt_one_is_left_out_and_the_next_is_shown(
    state: StateDir, writer: SegmentWriter, view: View, make_flow: MakeFlow, hostile: bytes
) -> None:
    feed = Feed(state.recordings, view, FeedLimits())
    writer.append(hostile)
    writer.append(make_flow("a"))
    drain(feed)
    assert ids(view) == ["a"]


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_change_to_a_recorded_flow_crashes_the_feed(
    state: StateDir, writer: SegmentWriter, view: View, make_flow: MakeFlow, data: st.DataObject
) -> None:
    whole = bytearray(make_flow("a"))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(6, len(whole) - 2))
        whole[at] = data.draw(st.integers(0, 255))
    feed = Feed(state.recordings, view, FeedLimits())
    writer.append(bytes(whole))
    drain(feed)
    writer.rotate()
    next(state.recordings.iterdir()).unlink()
