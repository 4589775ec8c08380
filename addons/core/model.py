"""The words every part shares: who asks, for what, and what was decided. Values only, no behaviour that
needs a clock, a file or the network.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

type Json = bool | int | float | str | list[Json] | dict[str, Json] | None


class Effect(StrEnum):
    """What a rule, and so a decision, says."""

    ALLOW = "allow"
    DENY = "deny"
    REQUIRE_APPROVAL = "require_approval"


class Risk(StrEnum):
    """Risk class of an operation; see `addons.core.risk` for how they are told apart."""

    READ = "read"
    SENSITIVE_READ = "sensitive-read"
    WRITE = "write"
    EXECUTE = "execute"
    DESTRUCTIVE = "destructive"
    PRIVILEGED = "privileged"
    INGEST = "ingest"
    UNKNOWN = "unknown"


class Reason(StrEnum):
    """Why ddgate answered instead of Datadog, or what let a call pass. A closed vocabulary: answers,
    audit records and metrics use these values and no others.
    """

    ALLOWED = "allowed"
    # identity
    NO_IDENTITY = "no_identity"
    BAD_TOKEN = "bad_token"  # noqa: S105 - the name of a reason, not a password
    TOKEN_EXPIRED = "token_expired"  # noqa: S105 - as above
    CONFLICTING_IDENTITY = "conflicting_identity"
    IDENTITY_UNAVAILABLE = "identity_unavailable"
    IDENTITY_FROZEN = "identity_frozen"
    TOKEN_REVOKED = "token_revoked"  # noqa: S105 - as above
    # destination
    UNKNOWN_HOST = "unknown_host"
    DESTINATION_MISMATCH = "destination_mismatch"
    NOT_TLS = "not_tls"
    ADDRESS_REFUSED = "address_refused"
    # the request itself
    MALFORMED_REQUEST = "malformed_request"
    BODY_TOO_LARGE = "body_too_large"
    UNREADABLE_BODY = "unreadable_body"
    UPGRADE_REFUSED = "upgrade_refused"
    # policy
    DENIED_BY_RULE = "denied_by_rule"
    NO_RULE = "no_rule"
    AMBIGUOUS_CREDENTIAL = "ambiguous_credential"
    POLICY_ERROR = "policy_error"
    POLICY_UNAVAILABLE = "policy_unavailable"
    RATE_LIMITED = "rate_limited"
    QUOTA_EXCEEDED = "quota_exceeded"
    TARGET_UNREADABLE = "target_unreadable"
    OBSERVED = "observed"
    # approvals
    APPROVAL_REQUIRED = "approval_required"
    APPROVAL_PENDING = "approval_pending"
    APPROVAL_DENIED = "approval_denied"
    APPROVAL_EXPIRED = "approval_expired"
    APPROVAL_CANCELLED = "approval_cancelled"
    APPROVAL_RUNNING = "approval_running"
    APPROVAL_USED = "approval_used"
    APPROVAL_UNKNOWN = "approval_unknown"
    APPROVAL_IMPOSSIBLE = "approval_impossible"
    TOO_MANY_APPROVALS = "too_many_approvals"
    APPROVALS_UNAVAILABLE = "approvals_unavailable"
    ANSWERED_AGAIN = "answered_again"
    GATEWAY_ANSWERED = "gateway_answered"
    # masking
    MASKED_VALUE = "masked_value"
    # credential
    CREDENTIAL_UNAVAILABLE = "credential_unavailable"
    CREDENTIAL_OUT_OF_SCOPE = "credential_out_of_scope"
    # the gateway's own state
    AUDIT_UNAVAILABLE = "audit_unavailable"
    NOT_READY = "not_ready"
    DRAINING = "draining"
    INTERNAL_ERROR = "internal_error"
    ANSWER_WITHHELD = "answer_withheld"
    UPSTREAM_FAILED = "upstream_failed"
    CLIENT_GONE = "client_gone"


@dataclass(frozen=True, slots=True)
class Actor:
    """One link of an RFC 8693 `act` chain."""

    issuer: str
    subject: str


@dataclass(frozen=True, slots=True)
class Principal:
    """Who makes a call, out of a verified token.

    With an `act` claim the principal is the outermost actor and `on_behalf_of` is the token's `sub`;
    `groups` are the actor's, never the subject's. `claims` holds the verified claims that policy may name.
    `token_issuer` is who signed the token, where that may be another than the actor's `issuer`. `expires` and
    `issued` (`iat`, where the token has one) are in seconds since the epoch.
    """

    issuer: str
    subject: str
    groups: frozenset[str]
    expires: float
    on_behalf_of: str | None = None
    actors: tuple[Actor, ...] = ()
    session: str | None = None
    token_id: str | None = None
    claims: Mapping[str, Json] = field(default_factory=lambda: MappingProxyType({}))
    token_issuer: str = ""
    issued: float | None = None

    def is_same_actor(self, other: Principal) -> bool:
        return (self.issuer, self.subject) == (other.issuer, other.subject)


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of Datadog's API, by its own name. `template` has `{parameters}`.

    `also` holds what it is besides `risk`: a deletion of keys, users or roles is privileged too.
    """

    name: str
    version: str
    method: str
    template: str
    tags: tuple[str, ...]
    risk: Risk
    also: frozenset[Risk] = frozenset()

    @property
    def risks(self) -> frozenset[Risk]:
        """All of its classes: to deny, one that a rule names is enough; to allow, a rule names them all."""
        return self.also | {self.risk}


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer that ddgate makes instead of Datadog.

    `message` and `remedy` go to the agent: what is wrong and what to do, never a value of the request.
    `retry_after` is in seconds.
    """

    status: int
    reason: Reason
    message: str
    remedy: str = ""
    rule: str | None = None
    retry_after: float | None = None
