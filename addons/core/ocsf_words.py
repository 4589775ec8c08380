"""OCSF's enumerations, and which of their values an audit record means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from addons.core.model import Effect, Json, Reason, Risk

METHODS = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"})


class Activity(IntEnum):
    UNKNOWN = 0
    CREATE = 1
    READ = 2
    UPDATE = 3
    DELETE = 4
    OTHER = 99


class Severity(IntEnum):
    INFORMATIONAL = 1
    LOW = 2
    MEDIUM = 3
    HIGH = 4


class Status(IntEnum):
    UNKNOWN = 0
    SUCCESS = 1
    FAILURE = 2


class Action(IntEnum):
    UNKNOWN = 0
    ALLOWED = 1
    DENIED = 2
    OBSERVED = 3


class Disposition(IntEnum):
    UNKNOWN = 0
    ALLOWED = 1
    BLOCKED = 2
    APPROVED = 8
    DELAYED = 14
    LOGGED = 17
    REJECTED = 25
    UNAUTHORIZED = 26
    ERROR = 27


ACTIVITIES: Mapping[Activity, str] = {
    Activity.UNKNOWN: "Unknown",
    Activity.CREATE: "Create",
    Activity.READ: "Read",
    Activity.UPDATE: "Update",
    Activity.DELETE: "Delete",
    Activity.OTHER: "",  # is named by the kind of the record
}
SEVERITIES: Mapping[Severity, str] = {
    Severity.INFORMATIONAL: "Informational",
    Severity.LOW: "Low",
    Severity.MEDIUM: "Medium",
    Severity.HIGH: "High",
}
STATUSES: Mapping[Status, str] = {
    Status.UNKNOWN: "Unknown",
    Status.SUCCESS: "Success",
    Status.FAILURE: "Failure",
}
ACTIONS: Mapping[Action, str] = {
    Action.UNKNOWN: "Unknown",
    Action.ALLOWED: "Allowed",
    Action.DENIED: "Denied",
    Action.OBSERVED: "Observed",
}
DISPOSITIONS: Mapping[Disposition, str] = {
    Disposition.UNKNOWN: "Unknown",
    Disposition.ALLOWED: "Allowed",
    Disposition.BLOCKED: "Blocked",
    Disposition.APPROVED: "Approved",
    Disposition.DELAYED: "Delayed",
    Disposition.LOGGED: "Logged",
    Disposition.REJECTED: "Rejected",
    Disposition.UNAUTHORIZED: "Unauthorized",
    Disposition.ERROR: "Error",
}

_BY_RISK: Mapping[Risk, Activity] = {
    Risk.READ: Activity.READ,
    Risk.SENSITIVE_READ: Activity.READ,
    Risk.INGEST: Activity.CREATE,
    Risk.DESTRUCTIVE: Activity.DELETE,
    Risk.EXECUTE: Activity.OTHER,
}
_BY_METHOD: Mapping[str, Activity] = {
    "GET": Activity.READ,
    "HEAD": Activity.READ,
    "OPTIONS": Activity.READ,
    "POST": Activity.CREATE,
    "PUT": Activity.UPDATE,
    "PATCH": Activity.UPDATE,
    "DELETE": Activity.DELETE,
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was done about it. `status` None: what came of the call says."""

    action: Action
    disposition: Disposition
    severity: Severity = Severity.INFORMATIONAL
    status: Status | None = None


@dataclass(frozen=True, slots=True)
class _Kind:
    """Of the kinds that are no call to Datadog."""

    caption: str
    activity: Activity
    verdict: Verdict


def _logged(severity: Severity = Severity.INFORMATIONAL, status: Status = Status.SUCCESS) -> Verdict:
    return Verdict(Action.OBSERVED, Disposition.LOGGED, severity, status)


_APPROVED = Verdict(Action.ALLOWED, Disposition.APPROVED, Severity.LOW, Status.SUCCESS)
_DENIED = Verdict(Action.DENIED, Disposition.REJECTED, Severity.LOW, Status.SUCCESS)

_KINDS: Mapping[str, _Kind] = {
    "approval_requested": _Kind(
        "Approval requested",
        Activity.CREATE,
        Verdict(Action.DENIED, Disposition.DELAYED, Severity.LOW, Status.SUCCESS),
    ),
    "approval_seen": _Kind("Approval seen", Activity.READ, _logged()),
    "approval_voted": _Kind("Approval voted", Activity.UPDATE, _logged()),
    "approval_vote_refused": _Kind(
        "Approval vote refused",
        Activity.UPDATE,
        Verdict(Action.DENIED, Disposition.UNAUTHORIZED, Severity.MEDIUM, Status.FAILURE),
    ),
    "approval_approved": _Kind("Approval granted", Activity.UPDATE, _APPROVED),
    "approval_glass_broken": _Kind(
        "Approval glass broken",
        Activity.UPDATE,
        Verdict(Action.ALLOWED, Disposition.APPROVED, Severity.HIGH, Status.SUCCESS),
    ),
    "approval_reviewed": _Kind("Approval reviewed", Activity.UPDATE, _logged()),
    "approval_denied": _Kind("Approval denied", Activity.UPDATE, _DENIED),
    "approval_expired": _Kind("Approval expired", Activity.UPDATE, _DENIED),
    "approval_cancelled": _Kind("Approval cancelled", Activity.UPDATE, _DENIED),
    "approval_consumed": _Kind("Approval consumed", Activity.UPDATE, _APPROVED),
    "approval_not_sent": _Kind("Approval not sent", Activity.UPDATE, _logged(status=Status.FAILURE)),
    "approval_executed": _Kind("Approval executed", Activity.UPDATE, _APPROVED),
    "approval_unknown": _Kind(
        "Approval outcome unknown", Activity.UPDATE, _logged(Severity.HIGH, Status.UNKNOWN)
    ),
    "approval_resolved": _Kind("Approval resolved", Activity.UPDATE, _logged(Severity.LOW)),
    "policy_activated": _Kind("Policy activated", Activity.UPDATE, _logged(Severity.LOW)),
    "policy_rejected": _Kind(
        "Policy rejected",
        Activity.UPDATE,
        Verdict(Action.DENIED, Disposition.ERROR, Severity.MEDIUM, Status.FAILURE),
    ),
    "frozen": _Kind("Identity frozen", Activity.UPDATE, _logged(Severity.MEDIUM)),
    "unfrozen": _Kind("Identity unfrozen", Activity.UPDATE, _logged(Severity.MEDIUM)),
    "revoked": _Kind("Tokens revoked", Activity.UPDATE, _logged(Severity.MEDIUM)),
    "unrevoked": _Kind("Revocation ended", Activity.UPDATE, _logged(Severity.LOW)),
    "started": _Kind("Gateway started", Activity.OTHER, _logged()),
    "stopped": _Kind("Gateway stopped", Activity.OTHER, _logged()),
    "recording_recovered": _Kind("Recording recovered", Activity.OTHER, _logged(Severity.MEDIUM)),
    "log_begun": _Kind("Audit log begun", Activity.CREATE, _logged(Severity.LOW)),
    "key_changed": _Kind("Signing key changed", Activity.UPDATE, _logged(Severity.LOW)),
    "pruned": _Kind("Audit log pruned", Activity.DELETE, _logged(Severity.LOW)),
    "recordings_removed": _Kind("Recordings removed", Activity.DELETE, _logged(Severity.LOW)),
    "approvals_removed": _Kind("Approvals removed", Activity.DELETE, _logged(Severity.LOW)),
    "witness_refused": _Kind(
        "Witness refused the log",
        Activity.UPDATE,
        Verdict(Action.DENIED, Disposition.REJECTED, Severity.HIGH, Status.FAILURE),
    ),
    "read": _Kind("Trail read", Activity.READ, _logged()),
    "replayed": _Kind("Recording replayed", Activity.OTHER, _logged(Severity.LOW)),
}
CAPTIONS_OF_KINDS: Mapping[str, str] = {name: kind.caption for name, kind in _KINDS.items()} | {
    "attempted": "Execute",
    "outcome": "Execute",
    "refused": "Execute",
    "tunnel_opened": "Tunnel opened",
    "tunnel_refused": "Tunnel refused",
    "tunnel_closed": "Tunnel closed",
}

_SYSTEM: Mapping[str, Json] = {"name": "ddgate", "type_id": 3, "type": "System"}
FALLBACK: Mapping[str, Mapping[str, Json]] = {
    name: _SYSTEM for name in _KINDS if not name.startswith(("approval_voted", "approval_seen"))
}
"""Who acted where the record names nobody: ddgate itself."""

_UNAUTHORIZED = frozenset(
    {
        *(Reason.NO_IDENTITY, Reason.BAD_TOKEN, Reason.TOKEN_EXPIRED, Reason.CONFLICTING_IDENTITY),
        *(Reason.IDENTITY_UNAVAILABLE, Reason.CREDENTIAL_OUT_OF_SCOPE, Reason.AMBIGUOUS_CREDENTIAL),
        *(Reason.IDENTITY_FROZEN, Reason.TOKEN_REVOKED),
    }
)
_HELD = frozenset({Reason.APPROVAL_REQUIRED, Reason.APPROVAL_PENDING, Reason.APPROVAL_RUNNING})
_BLOCKED = frozenset(
    {
        *(
            Reason.DENIED_BY_RULE,
            Reason.NO_RULE,
            Reason.RATE_LIMITED,
            Reason.QUOTA_EXCEEDED,
            Reason.MASKED_VALUE,
        ),
        *(Reason.APPROVAL_DENIED, Reason.APPROVAL_EXPIRED, Reason.APPROVAL_CANCELLED, Reason.APPROVAL_USED),
        *(Reason.TOO_MANY_APPROVALS, Reason.UNKNOWN_HOST, Reason.ADDRESS_REFUSED, Reason.TARGET_UNREADABLE),
        Reason.APPROVAL_IMPOSSIBLE,
    }
)
_REJECTED = frozenset(
    {
        *(Reason.MALFORMED_REQUEST, Reason.BODY_TOO_LARGE, Reason.UNREADABLE_BODY, Reason.UPGRADE_REFUSED),
        *(Reason.DESTINATION_MISMATCH, Reason.NOT_TLS, Reason.CLIENT_GONE),
    }
)
_REFUSALS = frozenset({"refused", "tunnel_refused"})
_ANSWERED = frozenset({Reason.GATEWAY_ANSWERED, Reason.ANSWERED_AGAIN})


def activity_of(kind: str, risk: Risk | None, method: str) -> Activity:
    """What kind of activity the record is of: its kind says, else the operation's risk, else the method."""
    if kind in _KINDS and not (kind == "read" and method):
        return _KINDS[kind].activity
    if kind.startswith("tunnel"):
        return Activity.OTHER
    if risk is not None and risk in _BY_RISK:
        return _BY_RISK[risk]
    return _BY_METHOD.get(method, Activity.OTHER if method else Activity.UNKNOWN)


def verdict_of(kind: str, effect: Effect | None, reason: Reason | None, approved: bool) -> Verdict:  # noqa: FBT001 - one fact of four
    """What ddgate did about it."""
    if kind in _KINDS and reason not in _ANSWERED:
        return _KINDS[kind].verdict
    if kind in _REFUSALS:
        return Verdict(Action.DENIED, _refusal(reason), Severity.LOW, Status.FAILURE)
    if reason in _ANSWERED:
        return Verdict(Action.ALLOWED, Disposition.ALLOWED)
    if reason is Reason.OBSERVED:
        return Verdict(Action.OBSERVED, Disposition.LOGGED)
    if approved and effect is Effect.REQUIRE_APPROVAL:
        return Verdict(Action.ALLOWED, Disposition.APPROVED)
    if effect is Effect.ALLOW or kind.startswith("tunnel"):
        return Verdict(Action.ALLOWED, Disposition.ALLOWED)
    return Verdict(Action.UNKNOWN, Disposition.UNKNOWN)


def _refusal(reason: Reason | None) -> Disposition:
    for reasons, disposition in (
        (_UNAUTHORIZED, Disposition.UNAUTHORIZED),
        (_HELD, Disposition.DELAYED),
        (_BLOCKED, Disposition.BLOCKED),
        (_REJECTED, Disposition.REJECTED),
    ):
        if reason in reasons:
            return disposition
    return Disposition.ERROR
