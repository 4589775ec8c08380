"""What a decision is made of, and what comes out."""

from __future__ import annotations

from dataclasses import dataclass

from addons.core.model import Effect, Operation, Principal, Reason


@dataclass(frozen=True, slots=True)
class PolicyRequest:
    """One call, verified and in normal form.

    `operation` is None where the catalogue doesn't know the call. `path` is a `Target`'s, `query` its decoded
    pairs in order; header names are lower case; `size` is the body's, decoded, in bytes.
    """

    principal: Principal
    operation: Operation | None
    host: str
    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    size: int = 0


@dataclass(frozen=True, slots=True)
class Decision:
    """What policy says about one call, and why.

    `rule` is the one that decided: of those with the winning effect, the first by id. `rules` are all that
    matched, by id. `credential` is None where no matching rule names one. The masks are the detectors that
    matching allow and approval rules ask for, together. `revision` is the policy set's.
    """

    effect: Effect
    reason: Reason
    permitted: bool
    rule: str | None
    rules: tuple[str, ...]
    message: str
    revision: str
    credential: str | None = None
    mask_forward: frozenset[str] = frozenset()
    mask_response: frozenset[str] = frozenset()
    record_full: bool = False
