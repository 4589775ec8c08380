"""From a presented token to a principal, quickly when it was seen before.

Caches hold SHA-256 digests, never tokens.
"""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from addons.core.issuer_trust import IssuerTrust
from addons.core.model import Principal, Reason
from addons.core.token_checks import TokenCheck, TokenRejected, UnknownKeyError
from addons.core.token_parts import MAX_TOKEN_BYTES
from addons.core.tokens import verify_under
from addons.store.identity.key_sets import KeySets

_REFUSAL_SECONDS = 10.0
# Waiting or fetching keys may turn these into a pass.
_PASSING = frozenset({TokenCheck.UNKNOWN_KEY, TokenCheck.NOT_YET_VALID, TokenCheck.LIFETIME})


class IssuerUnavailable(Exception):  # noqa: N818 - the gateway's state, answered with 503
    """The token's issuer is configured, but its keys were never fetched or are too old to be believed."""

    reason = Reason.IDENTITY_UNAVAILABLE
    message = "The keys of the identity token's issuer cannot be fetched at the moment."
    remedy = "Send the call again in a few seconds; if it persists, tell whoever runs this gateway."

    def __init__(self, issuer: str) -> None:
        super().__init__(self.message)
        self.issuer = issuer


@dataclass(frozen=True, slots=True)
class _Verified:
    principal: Principal
    trust: IssuerTrust


@dataclass(frozen=True, slots=True)
class _Refused:
    check: TokenCheck
    about: str
    generation: int
    until: float


class TokenAuthority:
    """Verifies tokens against `key_sets`. `clock` gives seconds since the epoch, as `exp` does."""

    def __init__(
        self,
        key_sets: KeySets,
        *,
        clock: Callable[[], float] = time.time,
        remembered: int = 10_000,
        refusals_remembered: int = 256,
    ) -> None:
        self._key_sets = key_sets
        self._clock = clock
        self._remembered = remembered
        self._refusals_remembered = refusals_remembered
        self._verified: OrderedDict[bytes, _Verified] = OrderedDict()
        self._refused: OrderedDict[bytes, _Refused] = OrderedDict()

    def known(self, unverified_token: str, now: float) -> Principal | None:
        """Look up a token verified before, while it lives and its issuer's keys are the same.

        None is not a refusal: ask `authenticate`.
        """
        if len(unverified_token) > MAX_TOKEN_BYTES or not unverified_token.isascii():
            return None
        digest = hashlib.sha256(unverified_token.encode("ascii")).digest()
        entry = self._verified.get(digest)
        if entry is None:
            return None
        trust = entry.trust
        if entry.principal.expires <= now or self._key_sets.trust_of(trust.issuer) is not trust:
            del self._verified[digest]
            return None
        self._verified.move_to_end(digest)
        return entry.principal

    async def authenticate(self, unverified_token: str) -> Principal:
        """Verify a token, fetching its issuer's keys once if it names one that isn't known.

        Raises `TokenRejected`, or `IssuerUnavailable` when there are no keys to verify it with.
        """
        now = self._clock()
        principal = self.known(unverified_token, now)
        if principal is not None:
            return principal
        if len(unverified_token) > MAX_TOKEN_BYTES:
            raise TokenRejected(TokenCheck.TOO_LARGE)
        digest = hashlib.sha256(unverified_token.encode("utf-8", "surrogatepass")).digest()
        self._raise_if_refused(digest, now)
        try:
            return self._verify(unverified_token, digest)
        except UnknownKeyError as unknown:
            issuer = unknown.issuer
        tried = self._key_sets.trust_of(issuer)
        await self._key_sets.refresh_on_demand(issuer)
        trust = self._key_sets.trust_of(issuer)
        if trust is None or not trust.keys:
            raise IssuerUnavailable(issuer)
        if trust is tried:
            raise UnknownKeyError(issuer)
        return self._verify(unverified_token, digest)

    def _verify(self, unverified_token: str, digest: bytes) -> Principal:
        now = self._clock()
        try:
            principal, trust = verify_under(unverified_token, self._key_sets.trusts(), now)
        except TokenRejected as rejected:
            self._remember_refusal(digest, rejected, now)
            raise
        self._verified[digest] = _Verified(principal, trust)
        if len(self._verified) > self._remembered:
            self._verified.popitem(last=False)
        return principal

    def _raise_if_refused(self, digest: bytes, now: float) -> None:
        refused = self._refused.get(digest)
        if refused is None:
            return
        fresh = 0 <= refused.until - now <= _REFUSAL_SECONDS
        if fresh and refused.generation == self._key_sets.generation:
            raise TokenRejected(refused.check, refused.about)
        del self._refused[digest]

    def _remember_refusal(self, digest: bytes, rejected: TokenRejected, now: float) -> None:
        if rejected.check in _PASSING:
            return
        # A new exception is made of these at each use: one kept would gather tracebacks with tokens in them.
        self._refused[digest] = _Refused(
            rejected.check, rejected.about, self._key_sets.generation, now + _REFUSAL_SECONDS
        )
        if len(self._refused) > self._refusals_remembered:
            self._refused.popitem(last=False)
