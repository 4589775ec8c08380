"""Looks for a text in recorded calls: in what was asked and answered, decoded, as people read it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote_plus

from mitmproxy import http

from addons.store.recordings.bodies import body_of
from addons.store.recordings.flows import StoredFlow

_AROUND = 40  # characters of context on each side


@dataclass(frozen=True, slots=True)
class Found:
    """Where a text stands in a flow, in words, and the text with what is around it."""

    where: str
    excerpt: str


def find_text(stored: StoredFlow, text: str) -> Found | None:
    """Give the first place where the text stands, without regard to case. Raises one of `NOT_A_FLOW`."""
    flow = stored.whole()
    if flow is None:
        return None
    wanted = re.compile(re.escape(text), re.IGNORECASE)
    for where, content in _texts(flow):
        if (match := wanted.search(content)) is not None:
            begin, end = max(0, match.start() - _AROUND), match.end() + _AROUND
            return Found(where, " ".join(content[begin:end].split()))
    return None


def _texts(flow: http.HTTPFlow) -> Iterator[tuple[str, str]]:
    request, answer = flow.request, flow.response
    line = f"{request.method} {request.url}"
    yield "request line", line
    yield "request line", unquote_plus(line)
    yield (
        "what ddgate noted",
        f"{flow.comment}\n"
        + "\n".join(
            str(value) for name, value in sorted(flow.metadata.items()) if name.startswith("ddgate.")
        ),
    )
    yield from _texts_of(request, "request")
    if answer is not None:
        yield from _texts_of(answer, "answer")


def _texts_of(message: http.Request | http.Response, name: str) -> Iterator[tuple[str, str]]:
    head = b"\r\n".join(field + b": " + value for field, value in message.headers.fields)
    yield f"{name} head", head.decode("utf-8", "replace")
    body = body_of(message).data or b""
    yield f"{name} body", body.decode("utf-8", "replace")
    if b"\\u" in body:  # JSON of clients that write ASCII only
        try:
            unescaped = json.dumps(json.loads(body), ensure_ascii=False)
        except (ValueError, RecursionError):
            return
        yield f"{name} body", unescaped
