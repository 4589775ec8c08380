"""One audit record: its fields, and its one JSON form.

The JSON text is what is stored, followed, exported and, later, hashed, so it is canonical (keys sorted, no
spaces, ASCII only, see `AuditRecord.encode`) and its names stay. They are OCSF's (API Activity, class 6003)
where OCSF has a word; a name that means nothing for a record is left out, never null:

    v              1, the version of this form
    id             the record's own id, sortable by the time it was made
    kind           see RecordKind
    time           seconds since the epoch, UTC
    call           id of the call (or tunnel); ties `attempted` to `outcome`
    actor          issuer, subject, groups, token_id, chain: [{issuer, subject}], the RFC 8693 `act` claim
    on_behalf_of   whom the actor acts for
    session        the agent run
    api            operation, version, risk: Datadog's own name of what was called
    decision       effect, reason, rule, policy_revision, reasons: [text]
    approval       id of the approval that was asked for or used
    http_request   method, host, path, length, sha256: of the redacted request
    http_response  status, length: of what the agent got
    src_endpoint   ip, port: the agent's side
    findings       {detector: count} of what was masked, both ways
    recording      segment, offset, length, sha256: where the flow's bytes are
    message        one sentence for a person
    attributes     whatever else the kind carries
"""

from __future__ import annotations

import base64
import json
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Self

from addons.core.model import Effect, Json, Operation, Principal, Reason

FORM_VERSION = 1

_SPLICED = 16 * 1024  # characters of base64
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False)


class RecordKind(StrEnum):
    """What happened. Calls: an `attempted` is followed by one `outcome`; a `refused` stands alone."""

    ATTEMPTED = "attempted"
    OUTCOME = "outcome"
    REFUSED = "refused"
    TUNNEL_OPENED = "tunnel_opened"
    TUNNEL_REFUSED = "tunnel_refused"
    TUNNEL_CLOSED = "tunnel_closed"
    APPROVAL_REQUESTED = "approval_requested"
    APPROVAL_SEEN = "approval_seen"
    APPROVAL_VOTED = "approval_voted"
    APPROVAL_VOTE_REFUSED = "approval_vote_refused"
    APPROVAL_APPROVED = "approval_approved"
    APPROVAL_GLASS_BROKEN = "approval_glass_broken"
    APPROVAL_REVIEWED = "approval_reviewed"
    APPROVAL_DENIED = "approval_denied"
    APPROVAL_EXPIRED = "approval_expired"
    APPROVAL_CANCELLED = "approval_cancelled"
    APPROVAL_CONSUMED = "approval_consumed"
    APPROVAL_NOT_SENT = "approval_not_sent"
    APPROVAL_EXECUTED = "approval_executed"
    APPROVAL_UNKNOWN = "approval_unknown"
    APPROVAL_RESOLVED = "approval_resolved"
    POLICY_ACTIVATED = "policy_activated"
    POLICY_REJECTED = "policy_rejected"
    FROZEN = "frozen"
    UNFROZEN = "unfrozen"
    REVOKED = "revoked"
    UNREVOKED = "unrevoked"
    STARTED = "started"
    STOPPED = "stopped"
    RECORDING_RECOVERED = "recording_recovered"
    LOG_BEGUN = "log_begun"
    KEY_CHANGED = "key_changed"
    PRUNED = "pruned"
    RECORDINGS_REMOVED = "recordings_removed"
    APPROVALS_REMOVED = "approvals_removed"
    WITNESS_REFUSED = "witness_refused"
    READ = "read"
    REPLAYED = "replayed"


class RecordRefused(ValueError):  # noqa: N818 - named after what happened, as the other refusals are
    """A record can't be stored as it is: not JSON, or its id is taken.

    Nothing of the append that brought it was stored.
    """


@dataclass(frozen=True, slots=True)
class SegmentRef:
    """Where one flow's bytes lie: the segment's final name, offset and length in bytes, SHA-256 in hex."""

    segment: str
    offset: int
    length: int
    sha256: str


@dataclass(frozen=True, slots=True)
class CallFacts:
    """What is known of a call when a record is made; whatever isn't known yet stays None.

    Everything here must be redacted already: `path` without secrets, `request_sha256` over the redacted
    body. `status` is what the agent got; `client` is its address as (ip, port).
    """

    principal: Principal | None = None
    operation: Operation | None = None
    effect: Effect | None = None
    reason: Reason | None = None
    reasons: tuple[str, ...] = ()
    rule: str | None = None
    policy_revision: str | None = None
    approval: str | None = None
    method: str | None = None
    host: str | None = None
    path: str | None = None
    request_length: int | None = None
    request_sha256: str | None = None
    status: int | None = None
    response_length: int | None = None
    client: tuple[str, int] | None = None
    findings: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))


def new_id() -> str:
    """Make 32 hex digits: milliseconds since the epoch, then 80 random bits.

    Sorting by time keeps inserts into the index of ids at its end, where they are cheap.
    """
    return f"{time.time_ns() // 1_000_000:012x}{secrets.token_hex(10)}"


class Base64Text(str):
    """A body in a record's `attributes`, under `request` and `body_base64`. JSON's encoder would go over it
    character by character, and hold the interpreter's lock for milliseconds, in search of what to escape.
    """

    __slots__ = ()

    def __new__(cls, data: bytes) -> Self:
        return super().__new__(cls, base64.b64encode(data).decode("ascii"))

    @classmethod
    def of_text(cls, text: str) -> Self:
        """Take what is base64 already."""
        return super().__new__(cls, text)

    def __reduce__(self) -> tuple[Callable[[str], Base64Text], tuple[str]]:
        return Base64Text.of_text, (str(self),)


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """One line of the trail.

    `time` is in seconds since the epoch; `attributes` must be redacted, as everything in `facts`;
    `recording` is filled in by the journal when a flow is appended with it.
    """

    kind: RecordKind
    time: float
    call: str | None = None
    facts: CallFacts = field(default_factory=CallFacts)
    message: str | None = None
    attributes: Mapping[str, Json] = field(default_factory=lambda: MappingProxyType({}))
    recording: SegmentRef | None = None
    id: str = field(default_factory=new_id)

    def encode(self) -> str:
        """Write the canonical JSON text. Raises `RecordRefused` for attributes that JSON doesn't know."""
        try:
            form = self.to_json()
            body = _long_body(form)
            if body is None:
                return _CANONICAL.encode(form)
            place = secrets.token_hex(16)  # nobody can have written that elsewhere in the record
            return _CANONICAL.encode(_with_body(form, place)).replace(f'"{place}"', f'"{body}"')
        except (TypeError, ValueError, RecursionError):
            raise RecordRefused(
                f"the {self.kind} record {self.id} holds a value that JSON has no form for"
            ) from None

    def to_json(self) -> dict[str, Json]:
        """Make the form that this module's docstring describes."""
        facts = self.facts
        return _known(
            {
                "v": FORM_VERSION,
                "id": self.id,
                "kind": str(self.kind),
                "time": self.time,
                "call": self.call,
                "actor": _actor(facts.principal),
                "on_behalf_of": facts.principal.on_behalf_of if facts.principal else None,
                "session": facts.principal.session if facts.principal else None,
                "api": _api(facts.operation),
                "decision": _known(
                    {
                        "effect": facts.effect,
                        "reason": facts.reason,
                        "rule": facts.rule,
                        "policy_revision": facts.policy_revision,
                        "reasons": list(facts.reasons) or None,
                    }
                )
                or None,
                "approval": facts.approval,
                "http_request": _known(
                    {
                        "method": facts.method,
                        "host": facts.host,
                        "path": facts.path,
                        "length": facts.request_length,
                        "sha256": facts.request_sha256,
                    }
                )
                or None,
                "http_response": _known({"status": facts.status, "length": facts.response_length}) or None,
                "src_endpoint": {"ip": facts.client[0], "port": facts.client[1]} if facts.client else None,
                "findings": dict(facts.findings) or None,
                "recording": _recording(self.recording),
                "message": self.message,
                "attributes": dict(self.attributes) or None,
            }
        )


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """A record as the log holds it: its index, and the JSON text exactly as stored."""

    idx: int
    body: str

    def to_json(self) -> dict[str, Json]:
        """Parse the stored text. Raises ValueError if it is no JSON object."""
        parsed = json.loads(self.body)
        if not isinstance(parsed, dict):
            raise ValueError(f"record {self.idx} of the audit log is not a JSON object")  # noqa: TRY004 - bad data
        return parsed


def _long_body(form: Mapping[str, Json]) -> Base64Text | None:
    attributes = form.get("attributes")
    request = attributes.get("request") if isinstance(attributes, dict) else None
    body = request.get("body_base64") if isinstance(request, dict) else None
    return body if isinstance(body, Base64Text) and len(body) > _SPLICED else None


def _with_body(form: Mapping[str, Json], body: str) -> dict[str, Json]:
    attributes = form["attributes"]
    assert isinstance(attributes, dict)  # noqa: S101 - or there would be no body
    request = attributes["request"]
    assert isinstance(request, dict)  # noqa: S101 - as above
    return {**form, "attributes": {**attributes, "request": {**request, "body_base64": body}}}


def _known(fields: Mapping[str, Json]) -> dict[str, Json]:
    return {name: value for name, value in fields.items() if value is not None}


def _actor(principal: Principal | None) -> Json:
    if principal is None:
        return None
    chain: list[Json] = [{"issuer": actor.issuer, "subject": actor.subject} for actor in principal.actors]
    return _known(
        {
            "issuer": principal.issuer,
            "subject": principal.subject,
            "groups": list[Json](sorted(principal.groups)) or None,
            "token_id": principal.token_id,
            "chain": chain or None,
        }
    )


def _api(operation: Operation | None) -> Json:
    if operation is None:
        return None
    return {"operation": operation.name, "version": operation.version, "risk": str(operation.risk)}


def _recording(ref: SegmentRef | None) -> Json:
    if ref is None:
        return None
    return {"segment": ref.segment, "offset": ref.offset, "length": ref.length, "sha256": ref.sha256}
