"""mitmproxy's own error answers, put into ddgate's form; and a bound on the size of a message's head.

mitmproxy answers protocol errors before any addon runs, in HTML that quotes what it could not read: that
crashes clients which expect JSON and may repeat a secret. It has no option for either matter, so three of
its functions are replaced, in one place, for the minor version that `pyproject.toml` pins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any, cast

from mitmproxy import http
from mitmproxy.net.http import http1
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.layers.http import _http1

from addons.answers import error_body
from addons.core.model import Reason, Refusal

_MALFORMED = Refusal(400, Reason.MALFORMED_REQUEST, "the request is not well-formed HTTP", "mend the client")
_BY_STATUS = {
    400: _MALFORMED,
    413: Refusal(
        413, Reason.BODY_TOO_LARGE, "the body is over the gateway's limit", "send less in one request"
    ),
    431: Refusal(
        431, Reason.MALFORMED_REQUEST, "the request's head is over the gateway's limit", "send fewer headers"
    ),
    502: Refusal(
        502,
        Reason.UPSTREAM_FAILED,
        "Datadog could not be reached, or broke off",
        "try again later; the audit trail says whether the call was sent",
    ),
}
# An answer that is too large to be checked came from a call that ran: a 5xx would make clients repeat it.
_ANSWER_TOO_LARGE = Refusal(
    409,
    Reason.ANSWER_WITHHELD,
    "the call ran; its answer is over the gateway's limit and is withheld",
    "ask for less at a time",
)


def make_error_response(status_code: int, message: str = "") -> bytes:
    """Stands in for mitmproxy's function of the same name. `message` may quote what came
    over the wire, so it only chooses between fixed texts.
    """
    refusal = _BY_STATUS.get(status_code, _MALFORMED)
    if status_code == 502 and message.startswith("Response body exceeds"):  # noqa: PLR2004 - HTTP
        refusal = _ANSWER_TOO_LARGE
    response = http.Response.make(
        refusal.status,
        error_body(refusal),
        http.Headers([(b"Content-Type", b"application/json"), (b"Connection", b"close")]),
    )
    return cast(bytes, http1.assemble_response(response))


type _ReadHeaders = Callable[[Any, events.ConnectionEvent], Iterator[Any]]


def _with_bounded_head(read_headers: _ReadHeaders, limit: int, *, answers: bool) -> _ReadHeaders:
    @wraps(read_headers)
    def bounded(self: Any, event: events.ConnectionEvent) -> Iterator[Any]:
        yield from read_headers(self, event)
        still_reading = getattr(self.state, "__func__", None) is bounded
        if still_reading and len(self.buf) > limit:
            if answers:
                yield commands.SendData(self.conn, make_error_response(431))
            yield commands.CloseConnection(self.conn)
            self.state = self.done

    bounded.__dict__["original"] = read_headers
    return bounded


def install(head_limit: int) -> None:
    """Replaces the three functions; `head_limit` is in bytes. Calling it again only changes the limit."""
    _http1.make_error_response = make_error_response
    for layer, answers in ((_http1.Http1Server, True), (_http1.Http1Client, False)):
        current = layer.read_headers
        original = getattr(current, "original", current)
        setattr(layer, "read_headers", _with_bounded_head(original, head_limit, answers=answers))  # noqa: B010 - mypy forbids assigning a method
