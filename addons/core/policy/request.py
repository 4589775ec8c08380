"""What a decision is made of, and what comes out."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from addons.core.approvals.needs import Needs
from addons.core.model import Effect, Json, Operation, Principal, Reason
from addons.core.redact.masking.asked import NO_MASKS
from addons.core.redact.masking.asked import Masks as Masks  # noqa: PLC0414 - part of what a decision is made of


class Reads(StrEnum):
    """What a rule reads beyond the head of a request, cheapest first. It is fetched only where a rule that
    may still match would read it.
    """

    BODY = "body"
    TARGET = "target"


@dataclass(frozen=True, slots=True)
class Seen:
    """A JSON document that was read. Where there is none, an empty body above all, it is `{}`."""

    value: Json


@dataclass(frozen=True, slots=True)
class Unreadable:
    """It is there and can't be read; `why` names no value of it."""

    why: str


type Evidence = Seen | Unreadable


@dataclass(frozen=True, slots=True)
class PolicyRequest:
    """One call, verified and in normal form.

    `operation` is None where the catalogue doesn't know the call. `path` is a `Target`'s, `query` its decoded
    pairs in order; header names are lower case; `size` is the body's, decoded, in bytes. `body` and `target`
    (the resource as Datadog holds it now) are None until somebody looked at them; `at` is the time of the
    call, in seconds since the epoch.
    """

    principal: Principal
    operation: Operation | None
    host: str
    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    size: int = 0
    body: Evidence | None = None
    target: Evidence | None = None
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class Allowance:
    """At most `count` calls in any `seconds`."""

    count: int
    seconds: float


@dataclass(frozen=True, slots=True)
class LimitUse:
    """One limit that a call counts against. `key` tells whose count it is."""

    name: str
    key: str
    rate: Allowance | None
    quota: Allowance | None


@dataclass(frozen=True, slots=True)
class ShadowHit:
    """A rule in shadow mode that matched, or could not be evaluated."""

    rule: str
    effect: Effect
    is_error: bool = False


class LogLevel(StrEnum):
    """How loudly a decision is told in the gateway's log, quietest first."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"


class Recording(StrEnum):
    """What is stored of the bodies of a call that passes, its own and its answer's: both, masked, or the size
    and keyed digest of each.
    """

    FULL = "full"
    HASH = "hash"


@dataclass(frozen=True, slots=True)
class Decision:
    """What policy says about one call, and why.

    `rule` is the one that decided: of those with the winning effect, the first by id. `rules` are all that
    matched, by id. `credential` is None where no matching rule names one. Masks and limits are those of all
    matching allow and approval rules, together. `record` is never `hash` where the call is denied, or people
    are to be asked. `shadow` are the rules that would have had a say, were they
    enforced. `withheld` is, under `profile: observe`, the verdict that was not enforced. `revision` is the
    policy set's. Where people are to be asked, `needs` is what all the rules that want it need together,
    `asking` are these rules and `why` their reasons.
    """

    effect: Effect
    reason: Reason
    permitted: bool
    rule: str | None
    rules: tuple[str, ...]
    message: str
    revision: str
    credential: str | None = None
    mask_forward: Masks = NO_MASKS
    mask_response: Masks = NO_MASKS
    limits: tuple[LimitUse, ...] = ()
    log: LogLevel | None = None
    record: Recording = Recording.FULL
    shadow: tuple[ShadowHit, ...] = ()
    withheld: Decision | None = None
    needs: Needs | None = None
    asking: tuple[str, ...] = ()
    why: tuple[str, ...] = ()
