"""The JSON form of messages, after Standard Webhooks 1.0.0, section "Payload structure".

    {"type": "approval.requested", "timestamp": "2026-01-31T12:00:00.000Z", "data": {…}}

`data` has the same fields for every type; a field of which nothing is known is null. All texts are redacted,
and those of agents (`summary`, `target`, `stated_intent`, `changes`) are to be shown as what they are: words
of somebody who may want to deceive.
"""

from __future__ import annotations

from addons.core.approvals.messages.moments import rfc3339
from addons.core.approvals.messages.told import Told
from addons.core.model import Json


def standard_message(told: Told, link: str) -> dict[str, Json]:
    """`link` leads to the request on the approvals page. Raises ValueError for times that are none."""
    return {"type": told.event.type, "timestamp": rfc3339(told.at), "data": _data(told, link)}


def _data(told: Told, link: str) -> dict[str, Json]:
    changes: list[Json] = [
        {"path": change.path, "before": change.before, "after": change.after} for change in told.changes
    ]
    return {
        "id": told.approval,
        "thread": told.thread,
        "state": told.state,
        "url": link,
        "summary": told.summary,
        "operation": told.operation,
        "risk": told.risk,
        "request": {"method": told.method, "host": told.host, "target": told.target},
        "requester": {
            "issuer": told.issuer,
            "subject": told.requester,
            "on_behalf_of": told.on_behalf_of,
            "session": told.session,
        },
        "stated_intent": told.intent,
        "rule": told.rule,
        "reasons": list(told.why),
        "policy_revision": told.policy_revision,
        "changes": changes,
        "more_changes": told.more_changes,
        "still_needed": dict(told.places),
        "requested_at": rfc3339(told.requested_at),
        "pending_until": rfc3339(told.pending_until),
        "grant_until": _moment(told.grant_until),
        "by": told.act.who if told.act is not None else None,
        "reason": told.act.reason if told.act is not None else None,
        "review_due": _moment(told.review_due),
        "status": told.status,
        "supersedes": told.supersedes,
        "superseded_by": told.superseded_by,
    }


def _moment(at: float | None) -> str | None:
    return None if at is None else rfc3339(at)
