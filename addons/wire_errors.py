"""mitmproxy's own error answers, in ddgate's form.

mitmproxy answers protocol errors before or beside the addons, in HTML that quotes what it could not read:
that crashes clients which expect JSON, and may repeat a secret. It has no option for that. So the function
that makes the answer and the method that sends it are replaced, for the minor version that pyproject.toml
pins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, cast

from mitmproxy import http
from mitmproxy.connection import ConnectionState
from mitmproxy.net.http import http1
from mitmproxy.proxy import commands
from mitmproxy.proxy.layers.http import _http1
from mitmproxy.proxy.layers.http._events import ResponseEndOfMessage, ResponseHeaders, ResponseProtocolError

from addons import flowstate
from addons.answers import error_body
from addons.core.model import Reason, Refusal
from addons.flowstate import Call

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
# An answer that can't be checked came from a call that ran, and one that was lost from a call that may have:
# a 5xx would make clients repeat it blindly.
_ANSWER_TOO_LARGE = Refusal(
    409,
    Reason.ANSWER_WITHHELD,
    "the call ran; its answer is over the gateway's limit and is withheld",
    "ask for less at a time",
)
_ANSWER_LOST = Refusal(
    409,
    Reason.UPSTREAM_FAILED,
    "the call was sent and may have run, but its answer was lost",
    "look at what Datadog has now before you repeat it",
)
ANSWER_HEAD_EXCEEDS = "Response head exceeds"
_TOO_LARGE = ("Response body exceeds", ANSWER_HEAD_EXCEEDS)
# RFC 9110 section 9.2.1: repeating these does no harm.
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def _refusal(status: int, message: str, call: Call | None) -> Refusal:
    """`message` may quote what came over the wire, so it only chooses between fixed texts."""
    if status == 502:  # noqa: PLR2004 - HTTP
        if message.startswith(_TOO_LARGE):
            return _ANSWER_TOO_LARGE
        if call is not None and call.head_sent and call.method not in _SAFE_METHODS:
            return _ANSWER_LOST
    return _BY_STATUS.get(status, _MALFORMED)


def error_answer(status: int, message: str = "", call: Call | None = None) -> bytes:
    """A whole HTTP/1.1 answer that closes the connection."""
    refusal = _refusal(status, message, call)
    headers = [(b"Content-Type", b"application/json"), (b"Connection", b"close")]
    if call is not None:
        headers.append((b"X-DDGate-Call", call.id.encode()))
    body = error_body(refusal, call.id if call is not None else None)
    return cast(
        bytes, http1.assemble_response(http.Response.make(refusal.status, body, http.Headers(headers)))
    )


def make_error_response(status_code: int, message: str = "") -> bytes:
    """Stands in for mitmproxy's function of the same name, where no call is known."""
    return error_answer(status_code, message)


def _send(original: Callable[[Any, Any], Iterator[Any]]) -> Callable[[Any, Any], Iterator[Any]]:
    def send(self: Any, event: Any) -> Iterator[Any]:
        if not isinstance(event, ResponseProtocolError):
            yield from original(self, event)
            if isinstance(event, ResponseHeaders) and event.response.status_code == 100:  # noqa: PLR2004 - HTTP
                # Only "100 Continue" went out: there is still an answer to give.
                self.response = None
            elif isinstance(event, ResponseEndOfMessage):
                flowstate.end_current_call(self.conn)
            return
        if not self.conn.state & ConnectionState.CAN_WRITE:
            return
        status = event.code.http_status_code()
        if self.response is None and status is not None:
            call = flowstate.current_call(self.conn)
            yield commands.SendData(self.conn, error_answer(status, event.message, call))
        yield commands.CloseConnection(self.conn)

    return send


_ORIGINAL_SEND = _http1.Http1Server.send


def install() -> None:
    """Replaces both; calling it again changes nothing."""
    _http1.make_error_response = make_error_response
    setattr(_http1.Http1Server, "send", _send(_ORIGINAL_SEND))  # noqa: B010 - mypy forbids assigning a method
