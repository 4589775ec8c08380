"""The answers that ddgate makes itself. Every one is JSON with an `errors` list, the shape in which all
Datadog clients look for an error; what else they might meet (HTML, another JSON) crashes some of them.
"""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Mapping

from mitmproxy import http

from addons.core.model import Reason, Refusal
from addons.flowstate import Call

NOT_PERMITTED = Refusal(
    503,
    Reason.INTERNAL_ERROR,
    "a stage of the gateway failed, so the call was not forwarded",
    "tell the gateway's operator the call id; nothing reached Datadog",
)
WITHHELD = Refusal(
    409,
    Reason.ANSWER_WITHHELD,
    "the call ran; its answer is withheld",
    "don't repeat the call; tell the gateway's operator the call id",
)

_CALL_HEADER = b"X-DDGate-Call"
_NO_ID = "0" * 26  # as long as every call id, so that the template's length holds


def error_body(
    refusal: Refusal, call_id: str | None = None, about: Mapping[str, str | None] | None = None
) -> bytes:
    """`{"errors": ["ddgate: …"], "ddgate": {"reason", "rule", "remedy", "call", "identity", "policy"}}`."""
    rule = f" (rule {refusal.rule})" if refusal.rule else ""
    text = f"ddgate: {refusal.message.rstrip('.')}{rule}"
    if refusal.remedy:
        text = f"{text}. {refusal.remedy[:1].upper()}{refusal.remedy[1:]}"
    facts = {
        "reason": refusal.reason.value,
        "rule": refusal.rule,
        "remedy": refusal.remedy,
        "call": call_id,
        **(about or {}),
    }
    return json.dumps({"errors": [text], "ddgate": {k: v for k, v in facts.items() if v}}).encode()


def response_of(
    refusal: Refusal,
    call_id: str | None = None,
    *,
    head_only: bool = False,
    about: Mapping[str, str | None] | None = None,
) -> http.Response:
    headers = [(b"Content-Type", b"application/json")]
    if call_id:
        headers.append((_CALL_HEADER, call_id.encode()))
    if refusal.status == 407:  # noqa: PLR2004 - RFC 9110 section 15.5.8
        headers += [
            (b"Proxy-Authenticate", b'Bearer realm="ddgate"'),
            (b"Proxy-Authenticate", b'Basic realm="ddgate", charset="UTF-8"'),
        ]
    elif refusal.status == 401:  # noqa: PLR2004 - RFC 9110 section 15.5.2
        headers.append((b"WWW-Authenticate", b'Bearer realm="ddgate"'))
    if refusal.retry_after is not None:
        # Datadog's own name for it is the one that its API clients look at.
        seconds = str(max(1, math.ceil(refusal.retry_after))).encode()
        headers += [(b"Retry-After", seconds), (b"X-RateLimit-Reset", seconds)]
    return http.Response.make(
        refusal.status,
        b"" if head_only else error_body(refusal, call_id, about),
        http.Headers(headers),
    )


class Standing:
    """An answer that is put into every flow, and nearly always taken out again: made by copying, because
    building one costs more than the stage that replaces it.
    """

    def __init__(self, refusal: Refusal) -> None:
        self._template = response_of(refusal, _NO_ID)
        self._body = self._template.raw_content or b""
        self._fields = [field for field in self._template.headers.fields if field[0] != _CALL_HEADER]

    def response(self, call_id: str, *, head_only: bool = False) -> http.Response:
        made = copy.copy(self._template)
        made.data = copy.copy(self._template.data)
        made.data.headers = http.Headers()
        made.data.headers.fields = (*self._fields, (_CALL_HEADER, call_id.encode()))
        made.data.content = b"" if head_only else self._body.replace(_NO_ID.encode(), call_id.encode())
        return made


def cut_note(refusal: Refusal | None, call_id: str) -> bytes:
    """What an agent is told where a stream of events breaks off: a comment, which no client takes for one."""
    reason = (refusal or WITHHELD).reason.value
    return f": ddgate: the rest of this answer is withheld ({reason}), call {call_id}\n\n".encode()


def refuse(
    flow: http.HTTPFlow, call: Call, refusal: Refusal, more: Mapping[str, str | None] | None = None
) -> None:
    """Ends the call here: `refusal` becomes its answer, and no later stage may permit it. `more` is what else
    the agent is told.
    """
    call.refusal = refusal
    about = {
        **(more or {}),
        "identity": call.principal.subject if call.principal else None,
        "on_behalf_of": call.principal.on_behalf_of if call.principal else None,
        "policy": call.decision.revision if call.decision else None,
    }
    flow.response = response_of(refusal, call.id, head_only=flow.request.method == "HEAD", about=about)


def answer_here(flow: http.HTTPFlow, call: Call, reason: Reason, response: http.Response) -> None:
    """Ends the call here with an answer that is no refusal: nothing of it goes to Datadog."""
    call.refusal = Refusal(response.status_code, reason, "the gateway answered")
    response.headers["X-DDGate-Call"] = call.id
    if flow.request.method == "HEAD":
        response.raw_content = b""
    flow.response = response
