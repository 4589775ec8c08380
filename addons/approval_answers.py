"""What an agent hears of its approval. Never a 2xx while it is pending, since a client takes any for done,
and, while approvals can be read, never a 5xx, since clients repeat those blindly.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping

from mitmproxy import http

from addons.core.approvals.approval import Approval
from addons.core.approvals.needs import places_left
from addons.core.approvals.states import State
from addons.core.hosts import DatadogHost
from addons.core.model import Json, Reason, Refusal
from addons.store.approvals.answers import KeptAnswer

PREFIX = "/.ddgate/approvals/"
REPEAT = "repeat the same request"

_ENDED = {
    State.DENIED: (Reason.APPROVAL_DENIED, "was denied"),
    State.EXPIRED: (Reason.APPROVAL_EXPIRED, "has expired"),
    State.CANCELLED: (Reason.APPROVAL_CANCELLED, "was cancelled"),
}
_NOT_REPEATED = frozenset({b"content-length", b"transfer-encoding", b"connection", b"x-ddgate-call"})


def refusal_of(approval: Approval, retry_after: float) -> Refusal:
    """What to answer with to a call whose approval can't let it pass now."""
    rule = approval.asked.rule
    match approval.state:
        case State.PENDING | State.APPROVED:
            text = "a person has to approve this call, and has not decided yet"
            if approval.state is State.APPROVED:
                text = "this call is approved, and another one like it is about to use that"
            return Refusal(
                429,
                Reason.APPROVAL_PENDING,
                text,
                f"{REPEAT}: it is the key to its approval",
                rule,
                retry_after,
            )
        case State.EXECUTING:
            text = "this call is running, by an approval that can be used once"
            return Refusal(409, Reason.APPROVAL_RUNNING, text, f"to hear its answer, {REPEAT}", rule)
        case State.UNKNOWN:
            text = "nobody can tell whether this call ran: the gateway was interrupted while it did"
            remedy = "look in Datadog; it can be asked again once a person has settled it"
            return Refusal(409, Reason.APPROVAL_UNKNOWN, text, remedy, rule)
        case State.SUCCEEDED | State.FAILED:
            text = "this call ran a moment ago, and its answer is not kept"
            return Refusal(409, Reason.APPROVAL_USED, text, "don't repeat it", rule)
        case _:
            return _ended(approval)


def _ended(approval: Approval) -> Refusal:
    reason, what = _ENDED[approval.state]
    text = f"the approval of this call {what}"
    if (end := approval.end) is not None:
        text += f" by {end.who}"
        if end.reason:
            text += f": {end.reason}"
    return Refusal(403, reason, text, "", approval.asked.rule)


def about(approval: Approval, host: DatadogHost | None) -> Mapping[str, str | None]:
    """What else the agent is told, beside the refusal."""
    decided_by = approval.end.who if approval.end is not None else None
    return {
        "approval": approval.id,
        "state": approval.state.value,
        "status_url": f"https://{host.name}{PREFIX}{approval.id}" if host is not None else None,
        "next": REPEAT if approval.state in {State.PENDING, State.APPROVED, State.EXECUTING} else None,
        "expires": _time(approval.pending_until) if approval.state is State.PENDING else None,
        "decided_by": decided_by,
    }


def status_response(approval: Approval) -> http.Response:
    """The state of an approval, for its requester. Not what a person sees of it: that tells what Datadog
    holds, which the agent may not be allowed to read.
    """
    left = places_left(approval.needs, (vote.person.groups for vote in approval.yes_votes))
    end = approval.end
    said: dict[str, Json] = {
        "id": approval.id,
        "state": approval.state.value,
        "operation": approval.asked.operation,
        "requested_at": _time(approval.requested_at),
        "pending_until": _time(approval.pending_until),
        "grant_until": _time(approval.grant_until) if approval.grant_until is not None else None,
        "places_left": dict(left or {}),
        "decided_by": end.who if end is not None else None,
        "reason": end.reason if end is not None else None,
        "status": approval.status,
        "superseded_by": approval.superseded_by,
    }
    live = approval.state in {State.PENDING, State.APPROVED, State.EXECUTING}
    content: Json = {"approval": said, "next": REPEAT if live else None}
    return _json_response(200, content)


def not_found() -> http.Response:
    return _json_response(404, {"errors": ["ddgate: you have no approval of this id"]})


def answered_again(approval: Approval, kept: KeptAnswer) -> http.Response:
    """The answer of the run, as it was stored: redacted, and marked as not new."""
    fields = [field for field in kept.headers if field[0].lower() not in _NOT_REPEATED]
    fields.append((b"X-DDGate-Answered-Again", approval.id.encode()))
    response = http.Response.make(kept.status, b"", http.Headers(fields))
    response.raw_content = kept.content  # as it travelled: still under its Content-Encoding
    response.data.reason = kept.reason
    response.headers["content-length"] = str(len(kept.content))
    return response


def _json_response(status: int, content: Json) -> http.Response:
    headers = {"Content-Type": "application/json", "Cache-Control": "no-store"}
    return http.Response.make(status, json.dumps(content).encode(), headers)


def _time(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
