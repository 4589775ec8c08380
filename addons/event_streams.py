"""Chooses the answers that are passed on while they come, and takes their events out of the bytes."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from mitmproxy import http

from addons import flowstate
from addons.answers import refuse
from addons.core.body import BodyTooLarge, UndecodableBody
from addons.core.event_stream import EventCutter, EventTooLarge
from addons.core.incremental import StreamDecoder
from addons.core.model import Reason, Refusal
from addons.flowstate import Call, Stage, Streamed

_IN_THREAD = 4096
_TOO_LARGE = Refusal(
    409,
    Reason.ANSWER_WITHHELD,
    "the call ran; an event of its answer is over the gateway's limit, and what follows is withheld",
    "ask for less at a time",
)
_UNREADABLE = Refusal(
    409,
    Reason.ANSWER_WITHHELD,
    "the call ran; its answer can't be decoded, and what follows is withheld",
    "don't repeat the call; tell the gateway's operator the call id",
)


@dataclass(frozen=True, slots=True)
class _Reading:
    decoder: StreamDecoder
    cutter: EventCutter


class EventStreams:
    """Server-sent events of unknown length; `limit` is in bytes of one event, or of what comes at once,
    decoded. All else is held to its end: what is no event, and what is to be masked by its JSON path.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._readings: WeakKeyDictionary[http.HTTPFlow, _Reading] = WeakKeyDictionary()

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        call = flowstate.call_of(flow)
        call.streamed = None
        answer = flow.response
        if answer is None or not _is_stream(flow.request, answer, call):
            return
        try:
            decoder = StreamDecoder(answer.headers.get("content-encoding"))
        except UndecodableBody:
            return  # as a whole it may be read, or is withheld
        self._readings[flow] = _Reading(decoder, EventCutter(self._limit))
        call.streamed = Streamed(_head(answer, call))
        call.streamed.clearances.add(Stage.BODY)

    async def answer_part(self, flow: http.HTTPFlow) -> None:
        call = flowstate.call_of(flow)
        stream, reading = call.stream, self._readings.get(flow)
        if stream is None or reading is None or call.refusal is not None:
            return
        try:
            if len(stream.raw) > _IN_THREAD and not reading.decoder.is_plain:
                # In a thread: a small piece may decode to a very large one.
                decoded = await asyncio.to_thread(reading.decoder.feed, stream.raw, self._limit)
            else:
                decoded = reading.decoder.feed(stream.raw, self._limit)
            stream.events = reading.cutter.feed(decoded)
            if stream.is_last:
                reading.decoder.finish()
                stream.events += reading.cutter.finish()
        except (BodyTooLarge, EventTooLarge):
            refuse(flow, call, _TOO_LARGE)
            return
        except UndecodableBody:
            refuse(flow, call, _UNREADABLE)
            return
        stream.clearances.add(Stage.BODY)


def _is_stream(request: http.Request, answer: http.Response, call: Call) -> bool:
    media = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    codings = answer.headers.get_all("transfer-encoding")
    return (
        media == "text/event-stream"
        and answer.status_code == 200  # noqa: PLR2004 - HTTP
        and request.method != "HEAD"
        and request.http_version == "HTTP/1.1"  # the end can be told from a break by its chunks alone
        and "content-length" not in answer.headers
        and [one.lower() for one in codings] in ([], ["chunked"])
        and call.released
        and call.decision is not None
        and not call.decision.mask_response.json
    )


def _head(answer: http.Response, call: Call) -> http.Response:
    """The head that the agent gets: the same, chunked, and of a body whose coding is undone."""
    head = answer.copy()
    head.http_version, head.reason = "HTTP/1.1", "OK"  # the phrase may be any text, a secret too
    for name in ("content-encoding", "etag", "accept-ranges"):
        head.headers.pop(name, None)
    head.headers["transfer-encoding"] = "chunked"
    head.headers["X-DDGate-Call"] = call.id
    return head
