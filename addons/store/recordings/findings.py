"""Looks through a recorded flow for secrets that were not masked when it was written."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from mitmproxy import http

from addons.core.redact.masking.findings import TooComplex
from addons.core.redact.reporting.message_findings import Searched, Searcher
from addons.core.redact.reporting.places import Place
from addons.store.recordings.bodies import body_of

_NAME_BYTES = 200


@dataclass(frozen=True, slots=True)
class PartFinding:
    """`count` finds of one secret at one place of a part (`request body`, `answer header set-cookie`). `mask`
    is what would stand there; the value is not kept. Without a place it is inside of what is compressed.
    """

    part: str
    place: Place | None
    detector: str
    kind: str | None
    mask: str | None
    count: int


@dataclass(frozen=True, slots=True)
class PartUnread:
    """A part that could not be searched, or only as the bytes that it travelled in."""

    part: str
    why: str


def search_flow(flow: http.HTTPFlow, searcher: Searcher) -> Iterator[PartFinding | PartUnread]:
    """Raises one of `NOT_A_FLOW`: what is in a recording may be anybody's."""
    request, answer = flow.request, flow.response
    yield from _part("request target", lambda: searcher.url(request.path))
    for name, text in (("method", request.method), ("host", request.host), ("authority", request.authority)):
        yield from _part_of_text(searcher, f"request {name}", text)
    yield from _message(searcher, request, "request")
    if answer is not None:
        yield from _part_of_text(searcher, "answer reason", answer.reason)
        yield from _message(searcher, answer, "answer")
    for number, message in enumerate(flow.websocket.messages if flow.websocket else (), 1):
        yield from _part(f"WebSocket message {number}", _body_search(searcher, message.content, None))
    yield from _part_of_text(searcher, "comment", flow.comment)
    if flow.error is not None:
        yield from _part_of_text(searcher, "error", flow.error.msg)
    for name, value in flow.metadata.items():
        text = value if isinstance(value, str) else json.dumps({str(name): value}, default=str)
        yield from _part_of_text(searcher, f"note {_masked(searcher, str(name))}", text)


def _message(
    searcher: Searcher, message: http.Request | http.Response, which: str
) -> Iterator[PartFinding | PartUnread]:
    for title, headers in (("header", message.headers), ("trailer", message.trailers)):
        for name, value in headers.fields if headers is not None else ():
            shown = _masked(searcher, name[:_NAME_BYTES].decode("latin-1"))
            yield from _part(f"{which} {title} {shown}", _header_search(searcher, name, value))
    body = body_of(message)
    if body.data is None:
        return
    if body.problem:
        yield PartUnread(f"{which} body", f"searched as it is, {body.problem}")
    media = message.headers.get("content-type")
    yield from _part(f"{which} body", _body_search(searcher, body.data, media))


def _header_search(searcher: Searcher, name: bytes, value: bytes) -> Callable[[], Searched]:
    return lambda: searcher.header(name, value)


def _body_search(searcher: Searcher, body: bytes, content_type: str | None) -> Callable[[], Searched]:
    return lambda: searcher.body(body, content_type)


def _part_of_text(searcher: Searcher, part: str, text: str) -> Iterator[PartFinding | PartUnread]:
    yield from _part(part, lambda: searcher.text(text))


def _part(part: str, search: Callable[[], Searched]) -> Iterator[PartFinding | PartUnread]:
    try:
        searched = search()
    except TooComplex as error:
        yield PartUnread(part, str(error))
        return
    counts = Counter(
        (spot.place, spot.mark.detector, spot.mark.kind, spot.mark.mask) for spot in searched.spots
    )
    for (place, detector, kind, mask), count in counts.items():
        yield PartFinding(part, place, detector, kind, mask, count)
    for detector, count in searched.inside.items():
        yield PartFinding(part, None, detector, None, None, count)


def _masked(searcher: Searcher, name: str) -> str:
    """A name to show. Most are short, and then they are searched at once."""
    try:
        return searcher.name(name)
    except TooComplex:
        return "?"
