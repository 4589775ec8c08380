"""Is an ID token good: OpenID Connect Core 1.0 section 3.1.3.7, on top of what every token must pass."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import replace

from addons.core.model import Principal
from addons.core.token_checks import TokenCheck, TokenRejected, UnknownKeyError
from addons.core.tokens import verify
from addons.store.identity.key_sets import KeySets
from addons.store.identity.token_authority import IssuerUnavailable

_LONGEST_LIFE = 86400.0  # seconds; the login has a limit of its own, and this one is used once
_LONGEST_AGE = 600.0  # seconds since it was made: it answers a login that takes no longer


class IdTokens:
    """Verifies against the keys that `key_sets` holds for `issuer`. `clock` gives seconds since the epoch."""

    def __init__(self, key_sets: KeySets, issuer: str, client_id: str, clock: Callable[[], float]) -> None:
        self._key_sets = key_sets
        self._issuer = issuer
        self._client_id = client_id
        self._clock = clock

    def problem(self) -> str | None:
        """Why none can be verified now."""
        for known in self._key_sets.freshness():
            if known.issuer == self._issuer and not known.ready:
                return f"the keys of {self._issuer} can't be had: {known.last_error or 'they are too old'}"
        return None

    async def verify(self, unverified_token: str, nonce: str) -> Principal:
        """The person that the token proves; `nonce` is that of the login which it answers.

        Raises TokenRejected, or IssuerUnavailable when there are no keys to verify it with.
        """
        try:
            principal = self._verify(unverified_token)
        except UnknownKeyError:
            await self._key_sets.refresh_on_demand(self._issuer)
            trust = self._key_sets.trust_of(self._issuer)
            if trust is None or not trust.keys:
                raise IssuerUnavailable(self._issuer) from None
            principal = self._verify(unverified_token)
        self._check_claims(principal, nonce)
        return principal

    def _verify(self, unverified_token: str) -> Principal:
        trust = self._key_sets.trust_of(self._issuer)
        if trust is None:
            raise IssuerUnavailable(self._issuer)
        mine = replace(trust, audiences=(self._client_id,), max_lifetime=_LONGEST_LIFE)
        return verify(unverified_token, {self._issuer: mine}, self._clock())

    def _check_claims(self, principal: Principal, nonce: str) -> None:
        claims = principal.claims
        found = claims.get("nonce")
        if not isinstance(found, str) or not hmac.compare_digest(found.encode(), nonce.encode()):
            raise TokenRejected(TokenCheck.BAD_CLAIM, "nonce")
        audience = claims.get("aud")
        several = isinstance(audience, list) and len(audience) > 1
        if ("azp" in claims or several) and claims.get("azp") != self._client_id:
            raise TokenRejected(TokenCheck.BAD_CLAIM, "azp")
        made = claims.get("iat")
        if isinstance(made, bool) or not isinstance(made, int | float):
            raise TokenRejected(TokenCheck.MISSING_CLAIM, "iat")
        if made < self._clock() - _LONGEST_AGE:
            raise TokenRejected(TokenCheck.EXPIRED)
