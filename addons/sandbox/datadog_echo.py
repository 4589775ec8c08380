"""`/_sandbox/echo`: an upstream that gives the caller's own headers back, the key among them.

It does so in every form in which a key can hide, and it can break off, stall or talk nonsense.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable, Mapping

from addons.sandbox.datadog_bodies import encoded_answer
from addons.sandbox.datadog_call import ApiError, Call
from addons.sandbox.server import MAX_BODY, Answer, Header, Json, Request

ECHO_PATH = "/_sandbox/echo"
_KEY_HEADERS = ("DD-API-KEY", "DD-APPLICATION-KEY")
_JSON_TYPE: Header = ("Content-Type", "application/json")
_MAX_DELAY_SECONDS = 600.0
_GARBAGE = b"\x00\xff this is no HTTP at all \r\n\r\n\x16\x03\x01"


def _as_json(request: Request) -> Answer:
    content: Json = {
        "method": request.method,
        "path": request.path,
        "query": request.query,
        "headers": [[name, value] for name, value in request.headers],
    }
    return Answer(200, (_JSON_TYPE,), json.dumps(content).encode())


def _as_base64(request: Request) -> Answer:
    headers = [[name, base64.b64encode(value.encode("latin-1")).decode()] for name, value in request.headers]
    return Answer(200, (_JSON_TYPE,), json.dumps({"headers": headers}).encode())


def _as_percent(request: Request) -> Answer:
    """Every octet of a value percent-encoded (RFC 3986, section 2.1), the unreserved ones too."""
    lines = [
        f"{name}=" + "".join(f"%{octet:02x}" for octet in value.encode("latin-1"))
        for name, value in request.headers
    ]
    return Answer(200, (("Content-Type", "text/plain"),), "&".join(lines).encode())


def _as_header(request: Request) -> Answer:
    return Answer(200, (_JSON_TYPE, *((f"X-Echo-{name}", value) for name, value in request.headers)), b"{}")


def _as_location(request: Request) -> Answer:
    keys = "&".join(f"{name.lower()}={value}" for name in _KEY_HEADERS for value in request.values(name))
    return Answer(302, (_JSON_TYPE, ("Location", f"https://app.datadoghq.com/account/login?{keys}")), b"{}")


def _as_error(request: Request) -> Answer:
    said = ", ".join(value for name in _KEY_HEADERS for value in request.values(name))
    return Answer(
        400, (_JSON_TYPE,), json.dumps({"errors": [f"The key {said} is not allowed to do this"]}).encode()
    )


def _as_body(request: Request) -> Answer:
    """Give back the request's own body, under its own type and coding."""
    names = {"content-type", "content-encoding"}
    return Answer(200, tuple(field for field in request.headers if field[0].lower() in names), request.body)


_FORMS: Mapping[str, Callable[[Request], Answer]] = {
    "json": _as_json,
    "base64": _as_base64,
    "percent": _as_percent,
    "header": _as_header,
    "location": _as_location,
    "error": _as_error,
    "body": _as_body,
}


async def echo(call: Call) -> Answer:
    """Answer as the query options say, which act in this order.

    `delay=SECONDS` holds the answer; `close=1` closes without one; `garbage=1` sends octets that are no HTTP;
    `form=json|base64|percent|header|location|error|body` says where the request's headers (or body) show;
    `redirect=URL` answers 302 to it; `status=NNN` replaces the status; `size=OCTETS` pads the body;
    `encoding=gzip|deflate|zstd|br` encodes it; `chunked=1` sends it in chunks that split every key.
    """
    options = call.query
    await asyncio.sleep(_delay(options.get("delay", "0")))
    if options.get("close") == "1":
        return Answer(raw=b"")
    if options.get("garbage") == "1":
        return Answer(raw=_GARBAGE)
    form = options.get("form", "json")
    if form not in _FORMS:
        raise ApiError(400, f"form is one of {', '.join(_FORMS)}")
    answer = _FORMS[form](call.request)
    answer = _changed(answer, call)
    if "encoding" in options:
        try:
            answer = encoded_answer(answer, options["encoding"])
        except KeyError as error:
            raise ApiError(400, "encoding is gzip, deflate, zstd or br") from error
    if options.get("chunked") == "1":
        answer = Answer(answer.status, answer.headers, answer.body, cuts=_cuts(answer.body, call.request))
    return answer


def _changed(answer: Answer, call: Call) -> Answer:
    options, status, headers = call.query, answer.status, answer.headers
    if "redirect" in options:
        if not (options["redirect"].isascii() and options["redirect"].isprintable()):
            raise ApiError(400, "redirect is a URL")
        status, headers = 302, (*headers, ("Location", options["redirect"]))
    if "status" in options:
        status = call.number("status", 200, 599)
        if status < 200:  # noqa: PLR2004 - below are interim answers
            raise ApiError(400, "status is 200 to 599")
    return Answer(status, headers, _padded(answer.body, call.number("size", 0, MAX_BODY)))


def _delay(value: str) -> float:
    try:
        return min(max(0.0, float(value)), _MAX_DELAY_SECONDS)
    except ValueError as error:
        raise ApiError(400, "delay is a number of seconds") from error


def _padded(body: bytes, size: int) -> bytes:
    """At least `size` octets. Spaces after a JSON text leave it JSON (RFC 8259, section 2)."""
    return body.ljust(size)


def _cuts(body: bytes, request: Request) -> tuple[int, ...]:
    """Cut in the middle of each key; where none shows (it is encoded), every 16 of the first 1,024 octets."""
    cuts: set[int] = set()
    for key in [value.encode("latin-1") for name in _KEY_HEADERS for value in request.values(name)]:
        at = body.find(key)
        while at >= 0:
            cuts.add(at + len(key) // 2)
            at = body.find(key, at + 1)
    return tuple(sorted(cuts)) or tuple(range(16, min(len(body), 1024), 16))
