"""Which answers are passed on while they come, and what must hold of each part of one."""

from __future__ import annotations

from dataclasses import replace

import pytest
from mitmproxy import http

from addons import flowstate
from addons.answers import refuse
from addons.core.model import Effect, Reason, Refusal
from addons.core.policy.request import Decision
from addons.core.redact.masking.asked import NO_MASKS, Masks
from addons.event_streams import EventStreams
from addons.flowstate import PART_STAGES, STREAM_STAGES, Call, Stage
from addons.gate import DefaultDeny, Release
from addons.streamed_answer import nothing_passes
from tests.calls import make_flow

ALLOWED = Decision(Effect.ALLOW, Reason.ALLOWED, True, "r", ("r",), "", "sha256:0")
EVENTS = {"Content-Type": "text/event-stream"}
REFUSAL = Refusal(403, Reason.DENIED_BY_RULE, "no", "ask")


def _answered(
    fields: dict[str, str], status: int = 200, decision: Decision = ALLOWED, method: str = "GET"
) -> tuple[http.HTTPFlow, Call]:
    """A call that was released, and the head of its answer."""
    flow, call = make_flow(method)
    call.released, call.decision = True, decision
    flow.response = http.Response.make(status, b"")
    flow.response.reason = "any text"
    flow.response.headers = http.Headers([(name.encode(), value.encode()) for name, value in fields.items()])
    DefaultDeny().responseheaders(flow)
    EventStreams(1000).responseheaders(flow)
    return flow, call


def _streamed() -> tuple[http.HTTPFlow, Call]:
    flow, call = _answered(EVENTS)
    assert call.streamed is not None
    call.streamed.clearances |= STREAM_STAGES
    Release().responseheaders(flow)
    assert call.stream is not None
    return flow, call


@pytest.mark.parametrize("coding", ["", "identity", "gzip", "deflate", "br", "zstd"])
def test_events_of_unknown_length_are_streamed_plain(coding: str) -> None:
    fields = {**EVENTS, "Content-Encoding": coding} if coding else EVENTS
    flow, call = _answered({**fields, "ETag": "x"})
    assert call.streamed is not None
    head = call.streamed.head.headers
    assert (head["transfer-encoding"], head["x-ddgate-call"]) == ("chunked", call.id)
    assert call.streamed.head.reason == "OK"
    assert "content-encoding" not in head
    assert "etag" not in head
    assert flow.response is not None
    assert "etag" in flow.response.headers  # as long as nothing is released, it is as it came


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"Content-Type": "application/json"}, 200),
        ({"Content-Type": "text/event-stream-not"}, 200),
        ({}, 200),
        ({**EVENTS, "Content-Length": "9"}, 200),
        ({**EVENTS, "Content-Encoding": "gzip, br"}, 200),
        ({**EVENTS, "Content-Encoding": "compress"}, 200),
        ({**EVENTS, "Transfer-Encoding": "gzip, chunked"}, 200),
        (EVENTS, 500),
        (EVENTS, 403),
        (EVENTS, 206),
    ],
)
def test_all_else_is_held_to_its_end(fields: dict[str, str], status: int) -> None:
    flow, call = _answered(fields, status)
    Release().responseheaders(flow)
    assert call.stream is None
    assert flow.response is not None
    assert flow.response.stream is False


def test_what_is_masked_by_json_path_is_held_to_its_end() -> None:
    _, call = _answered(EVENTS, decision=replace(ALLOWED, mask_response=Masks(json=frozenset({"$.a"}))))
    assert call.streamed is None
    _, call = _answered(EVENTS, decision=replace(ALLOWED, mask_response=NO_MASKS))
    assert call.streamed is not None


def test_an_answer_to_head_or_an_old_client_is_held_to_its_end() -> None:
    assert _answered(EVENTS, method="HEAD")[1].streamed is None
    flow, call = make_flow()
    flow.request.http_version = "HTTP/1.0"  # its end could not be told from a break
    call.released, call.decision = True, ALLOWED
    flow.response = http.Response.make(200, b"")
    flow.response.headers = http.Headers([(b"Content-Type", b"text/event-stream")])
    EventStreams(1000).responseheaders(flow)
    assert call.streamed is None


@pytest.mark.parametrize("silent", [None, *sorted(STREAM_STAGES)])
def test_i1_one_silent_stage_holds_the_answer_to_its_end(silent: Stage | None) -> None:
    flow, call = _answered(EVENTS)
    assert call.streamed is not None
    call.streamed.clearances |= STREAM_STAGES
    call.streamed.clearances -= {silent}
    Release().responseheaders(flow)
    assert flow.response is not None
    assert flow.response.stream is (nothing_passes if silent is None else False)
    assert (call.stream is not None) == (silent is None)


def test_i1_mitmproxy_itself_passes_nothing_of_a_stream() -> None:
    assert list(nothing_passes(b"data: one\n\n")) == []


@pytest.mark.parametrize("silent", [None, *sorted(PART_STAGES)])
async def test_i1_one_silent_stage_holds_a_part(silent: Stage | None) -> None:
    flow, call = _streamed()
    stream = call.stream
    assert stream is not None
    stream.begin_part(b"data: one\n\n", is_last=False)
    stream.events = b"data: one\n\n"
    stream.clearances |= PART_STAGES
    stream.clearances -= {silent}
    Release().answer_part(flow)
    assert stream.out == (b"data: one\n\n" if silent is None else None)


def test_i1_what_cleared_one_part_clears_no_other() -> None:
    flow, call = _streamed()
    stream = call.stream
    assert stream is not None
    stream.clearances |= PART_STAGES
    stream.begin_part(b"data: two\n\n", is_last=False)
    Release().answer_part(flow)
    assert stream.out is None


@pytest.mark.parametrize("refused", [True, False])
def test_i1_no_part_passes_after_a_refusal_or_an_outcome(refused: bool) -> None:
    flow, call = _streamed()
    stream = call.stream
    assert stream is not None
    if refused:
        refuse(flow, call, REFUSAL)
    else:
        call.closed = True
    stream.clearances |= PART_STAGES
    Release().answer_part(flow)
    assert stream.out is None


def test_a_stream_that_is_not_whole_is_not_delivered() -> None:
    flow, call = _streamed()
    DefaultDeny().response(flow)
    assert call.answer is flowstate.call_of(flow).answer is not None
    Release().response(flow)
    assert not call.delivered
