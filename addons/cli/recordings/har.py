"""A recorded call as an entry of a HAR file (HTTP Archive 1.2, http://www.softwareishard.com/blog/har-12-spec)."""

from __future__ import annotations

import base64
import datetime as dt
import json
from urllib.parse import parse_qsl

from mitmproxy import http

from addons.core.model import Json
from addons.store.recordings.bodies import RecordedBody, body_of

HEAD = '{"log": {"version": "1.2", "creator": {"name": "ddgate", "version": "1"}, "pages": [], "entries": [\n'
BETWEEN = ",\n"
TAIL = "\n]}}\n"

_UNKNOWN = -1  # HAR's word for a size or time that isn't known


def har_entry(flow: http.HTTPFlow) -> str:
    """Write one entry as JSON. Bodies stand decoded, so Content-Encoding is left out of their headers.

    Raises one of `NOT_A_FLOW`.
    """
    request, answer = flow.request, flow.response
    asked_end = request.timestamp_end or request.timestamp_start
    begun = asked_end if answer is None else answer.timestamp_start
    ended = begun if answer is None else answer.timestamp_end or begun
    timings = {
        "send": _milliseconds(request.timestamp_start, asked_end),
        "wait": _milliseconds(asked_end, begun),
        "receive": _milliseconds(begun, ended),
    }
    entry: dict[str, Json] = {
        "startedDateTime": dt.datetime.fromtimestamp(request.timestamp_start, dt.UTC).isoformat(),
        "time": sum(timings.values()),
        "request": _request(request),
        "response": _no_answer() if answer is None else _answer(answer),
        "cache": {},
        "timings": dict[str, Json](timings),
        "comment": flow.comment,
        "_ddgate": {
            name.removeprefix("ddgate."): value
            for name, value in flow.metadata.items()
            if name.startswith("ddgate.") and isinstance(value, str | int | bool)
        },
    }
    # a lone surrogate is no text that other programs take
    return json.dumps(entry, ensure_ascii=False).encode("utf-8", "replace").decode()


def _request(request: http.Request) -> dict[str, Json]:
    body = body_of(request)
    query = request.path.partition("?")[2]
    made: dict[str, Json] = {
        "method": request.method,
        "url": request.url,
        "httpVersion": request.http_version,
        "cookies": [],
        "headers": _headers(request),
        "queryString": [{"name": name, "value": value} for name, value in _pairs(query)],
        "headersSize": _UNKNOWN,
        "bodySize": body.size,
    }
    if body.size:
        made["postData"] = {"mimeType": request.headers.get("content-type", ""), **_text(body, "_encoding")}
    return made


def _answer(answer: http.Response) -> dict[str, Json]:
    body = body_of(answer)
    return {
        "status": answer.status_code,
        "statusText": answer.reason or "",
        "httpVersion": answer.http_version,
        "cookies": [],
        "headers": _headers(answer),
        "content": {
            "size": len(body.data or b""),
            "mimeType": answer.headers.get("content-type", ""),
            **_text(body, "encoding"),
        },
        "redirectURL": answer.headers.get("location", ""),
        "headersSize": _UNKNOWN,
        "bodySize": body.size,
    }


def _no_answer() -> dict[str, Json]:
    return {
        "status": 0,
        "statusText": "",
        "httpVersion": "",
        "cookies": [],
        "headers": [],
        "content": {"size": 0, "mimeType": ""},
        "redirectURL": "",
        "headersSize": _UNKNOWN,
        "bodySize": _UNKNOWN,
    }


def _headers(message: http.Request | http.Response) -> list[Json]:
    return [
        {"name": name.decode("utf-8", "replace"), "value": value.decode("utf-8", "replace")}
        for name, value in message.headers.fields
        if name.lower() != b"content-encoding"
    ]


def _text(body: RecordedBody, encoding_name: str) -> dict[str, Json]:
    told: dict[str, Json] = {"comment": body.problem} if body.problem else {}
    if (text := body.text) is not None:
        return {"text": text, **told}
    return {"text": base64.b64encode(body.data or b"").decode(), encoding_name: "base64", **told}


def _pairs(query: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(query, keep_blank_values=True)
    except ValueError:  # more of them than Python takes
        return []


def _milliseconds(begin: float, end: float) -> float:
    return max(0.0, (end - begin) * 1000)
