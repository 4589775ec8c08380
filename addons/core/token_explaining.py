"""Every check of one token, told apart: why was it refused? For whoever has the configuration; an agent is
told the first that failed, and no value.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from addons.core.issuer_trust import IssuerTrust
from addons.core.model import Json, Principal
from addons.core.token_checks import TokenRejected
from addons.core.token_claims import check_kind, check_required, claim, principal_of
from addons.core.token_parts import UnverifiedJwt, take_apart
from addons.core.tokens import (
    check_algorithm,
    check_audience,
    check_header,
    check_presence,
    check_signature,
    check_times,
    find_trust,
    key_for,
    verify,
)

_OF_AN_ISSUER = ("algorithm", "key", "signature", "presence", "audience", "times", "kind", "claims")
_SHOWN = 8
_MAX_SHOWN = 200
_UNITS = (("days", 86400), ("h", 3600), ("min", 60))


class Outcome(StrEnum):
    """How one check ended; `skipped` where another failed first, or its key was not asked for."""

    OK = "ok"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Check:
    """`detail` says what was found, or what is wrong, and `remedy` what to do."""

    name: str
    outcome: Outcome
    detail: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Explanation:
    """`principal` is None where the token is refused, or where its signature was not looked at.

    `unverified` is what it says of itself, whoever wrote it; None where it can't be read.
    """

    checks: tuple[Check, ...]
    unverified: UnverifiedJwt | None
    trust: IssuerTrust | None
    principal: Principal | None

    @property
    def is_refused(self) -> bool:
        return any(check.outcome is Outcome.FAILED for check in self.checks)


def issuer_named(unverified_token: str, trusts: Mapping[str, IssuerTrust]) -> str | None:
    """Find whose keys the token needs; None where it names no configured issuer, or can't be read."""
    try:
        return find_trust(take_apart(unverified_token).unverified_claims, trusts).issuer
    except TokenRejected:
        return None


def explain(
    unverified_token: str, trusts: Mapping[str, IssuerTrust], now: float, *, without_keys: str | None = None
) -> Explanation:
    """Run every check on a token at `now` (seconds since the epoch), past the first that fails.

    `without_keys`: why there are no keys, where they were not fetched; what needs them is skipped then.
    """
    work = _Explaining(unverified_token, trusts, now, without_keys)
    principal = work.run()
    return Explanation(tuple(work.checks), work.unverified, work.trust, principal)


class _Explaining:
    def __init__(
        self, token: str, trusts: Mapping[str, IssuerTrust], now: float, without_keys: str | None
    ) -> None:
        self._token, self._trusts, self._now, self._without_keys = token, trusts, now, without_keys
        self.checks: list[Check] = []
        self.unverified: UnverifiedJwt | None = None
        self.trust: IssuerTrust | None = None

    @property
    def failed(self) -> bool:
        return any(check.outcome is Outcome.FAILED for check in self.checks)

    def run(self) -> Principal | None:
        unverified = self.unverified = self._try("form", lambda: take_apart(self._token))
        if unverified is None:
            self._skip("it can't be read", "header", "issuer", *_OF_AN_ISSUER)
            return None
        self._checks_of(unverified)
        if self.failed or self._without_keys is not None:
            return None
        # What the gateway itself does: its word counts.
        return self._try("verdict", lambda: verify(self._token, self._trusts, self._now))

    def _checks_of(self, unverified: UnverifiedJwt) -> None:
        header, claims = unverified.unverified_header, unverified.unverified_claims
        self._try("header", lambda: check_header(header))
        trust = self.trust = self._try(
            "issuer",
            lambda: find_trust(claims, self._trusts),
            ok=lambda found: found.issuer,
            about=f"configured: {_listed(self._trusts)}",
        )
        if trust is None:
            self._skip("no issuer to check it by", *_OF_AN_ISSUER)
            return
        self._signature(unverified, trust)
        self._try("presence", lambda: check_presence(claims))
        self._try(
            "audience",
            lambda: check_audience(claims, trust),
            ok=lambda _: ", ".join(trust.audiences),
            about=f"the token's: {_shown(claims.get('aud'))}; expected: {', '.join(trust.audiences)}",
        )
        self._try(
            "times",
            lambda: check_times(claims, trust, self._now),
            ok=lambda expires: f"ends in {_span(expires - self._now)}",
            about=_times(claims, self._now, trust),
        )
        self._try("kind", lambda: check_kind(claims))
        for name in trust.required:
            self._required(name, claims, trust)
        self._try("claims", lambda: principal_of(claims, trust, self._now))

    def _signature(self, unverified: UnverifiedJwt, trust: IssuerTrust) -> None:
        header = unverified.unverified_header
        algorithm = self._try(
            "algorithm",
            lambda: check_algorithm(header, trust),
            ok=str,
            about=f"accepted: {', '.join(trust.algorithms)}",
        )
        if self._without_keys is not None or algorithm is None:
            self._skip(self._without_keys or "no accepted algorithm", "key", "signature")
            return
        key = self._try(
            "key",
            lambda: key_for(header, algorithm, trust),
            ok=lambda found: f"kid {found.key_id}",
            about=f"the issuer publishes: {_listed(trust.keys)}",
        )
        if key is None:
            self._skip("no key to check it with", "signature")
            return
        self._try("signature", lambda: check_signature(unverified, key, algorithm))

    def _required(self, name: str, claims: Mapping[str, Json], trust: IssuerTrust) -> None:
        admitted = ", ".join(str(each) for each in trust.required[name])
        self._try(
            f"require {name}",
            lambda: check_required(claims, replace(trust, required={name: trust.required[name]})),
            about=f"the token's: {_shown(claim(claims, name))}; admitted: {admitted}",
        )

    def _try[T](
        self,
        name: str,
        check: Callable[[], T],
        *,
        ok: Callable[[T], str] = lambda _: "",
        about: str = "",
    ) -> T | None:
        try:
            found = check()
        except TokenRejected as rejected:
            self._add_failed(name, rejected, about)
            return None
        self.checks.append(Check(name, Outcome.OK, ok(found)))
        return found

    def _add_failed(self, name: str, rejected: TokenRejected, about: str = "") -> None:
        text = rejected.message + (f" ({about})" if about else "")
        self.checks.append(Check(name, Outcome.FAILED, text, rejected.remedy))

    def _skip(self, why: str, *names: str) -> None:
        self.checks += [Check(name, Outcome.SKIPPED, why) for name in names]


def _listed(names: Mapping[str, object]) -> str:
    shown = ", ".join(list(names)[:_SHOWN])
    return f"{shown}, …" if len(names) > _SHOWN else shown or "none"


def _shown(value: Json) -> str:
    """A claim as JSON, cut short; its escapes keep it off a terminal's controls."""
    text = json.dumps(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"


def _times(claims: Mapping[str, Json], now: float, trust: IssuerTrust) -> str:
    told = [
        f"{name} {_span(abs(value - now))} {'ahead' if value > now else 'ago'}"
        for name in ("exp", "iat", "nbf")
        if isinstance(value := claims.get(name), int | float) and not isinstance(value, bool)
    ]
    bounds = f"lives at most {_span(trust.max_lifetime)}, clocks differ by at most {_span(trust.leeway)}"
    return "; ".join([", ".join(told), bounds] if told else [bounds])


def _span(seconds: float) -> str:
    for unit, length in _UNITS:
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
