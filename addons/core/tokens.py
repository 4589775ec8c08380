"""Whether a token proves who calls: JWT (RFC 7519) verified after the best current practice (RFC 8725).

The caller brings the trusted issuers with their keys, and the time; nothing here fetches or waits.
"""

from __future__ import annotations

from collections.abc import Mapping

import jwt

from addons.core.issuer_trust import IssuerTrust
from addons.core.model import Json, Principal
from addons.core.token_checks import TokenCheck, TokenRejected, UnknownKeyError
from addons.core.token_claims import check_kind, check_required, principal_of, time_of
from addons.core.token_parts import UnverifiedJwt, take_apart
from addons.core.verification_keys import VerificationKey

_KINDS = frozenset({"jwt", "at+jwt", "application/jwt", "application/at+jwt", "jose"})
_OWN_KEY_HEADERS = ("jwk", "jku", "x5u", "x5c")
_REFUSED_HEADERS = ("crit", "b64", "zip")
_REQUIRED = ("sub", "aud", "exp")  # and `iss`, by which the trust was found
_SPIFFE = "spiffe://"


def verify(unverified_token: str, trusts: Mapping[str, IssuerTrust], now: float) -> Principal:
    """Find the principal that a token proves at `now` (seconds since the epoch).

    `trusts` is keyed by issuer. With `act` (RFC 8693 section 4.1) the principal is the outermost actor,
    whose groups and claims count; the token's `sub` is on whose behalf. Prior actors, nearest first, are
    kept for the record and are as trustworthy as the issuer. Raises `TokenRejected`, of which
    `UnknownKeyError` may be mended by fetching the issuer's keys.
    """
    return verify_under(unverified_token, trusts, now)[0]


def verify_under(
    unverified_token: str, trusts: Mapping[str, IssuerTrust], now: float
) -> tuple[Principal, IssuerTrust]:
    """Do as `verify` does, and say under which trust.

    That is the one of the token's issuer, which an actor may not share.
    """
    unverified = take_apart(unverified_token)
    header = unverified.unverified_header
    check_header(header)
    trust = find_trust(unverified.unverified_claims, trusts)
    algorithm = check_algorithm(header, trust)
    key = key_for(header, algorithm, trust)
    check_signature(unverified, key, algorithm)
    claims = unverified.unverified_claims  # the signature covers exactly these bytes
    check_presence(claims)
    check_audience(claims, trust)
    expires = check_times(claims, trust, now)
    check_kind(claims)
    check_required(claims, trust)
    return principal_of(claims, trust, expires), trust


def check_header(header: Mapping[str, Json]) -> None:
    for name in _OWN_KEY_HEADERS:
        if name in header:
            raise TokenRejected(TokenCheck.EMBEDDED_KEY, name)
    for name in _REFUSED_HEADERS:
        if name in header:
            raise TokenRejected(TokenCheck.HEADER, name)
    if "typ" in header:
        kind = header["typ"]
        if not isinstance(kind, str) or kind.lower() not in _KINDS:
            raise TokenRejected(TokenCheck.TOKEN_TYPE)


def find_trust(unverified_claims: Mapping[str, Json], trusts: Mapping[str, IssuerTrust]) -> IssuerTrust:
    """Find the configured issuer that the token claims to be of."""
    issuer = unverified_claims.get("iss")
    if issuer is None:
        issuer = _trust_domain(unverified_claims.get("sub"))
        if issuer is None or issuer not in trusts:
            raise TokenRejected(TokenCheck.MISSING_CLAIM, "iss")
    trust = trusts.get(issuer) if isinstance(issuer, str) else None
    if trust is None or (unverified_claims.get("iss") is None and trust.names_itself):
        raise TokenRejected(TokenCheck.UNKNOWN_ISSUER)
    return trust


def _trust_domain(unverified_subject: Json) -> str | None:
    """`spiffe://example.org` of a SPIFFE ID of that trust domain."""
    if not isinstance(unverified_subject, str) or not unverified_subject.startswith(_SPIFFE):
        return None
    return _SPIFFE + unverified_subject.removeprefix(_SPIFFE).split("/", 1)[0]


def check_algorithm(header: Mapping[str, Json], trust: IssuerTrust) -> str:
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in trust.algorithms:
        raise TokenRejected(TokenCheck.ALGORITHM)
    return algorithm


def key_for(header: Mapping[str, Json], algorithm: str, trust: IssuerTrust) -> VerificationKey:
    """Choose the issuer's key that the header names. Raises `UnknownKeyError` where it isn't known."""
    key_id = header.get("kid")
    if not isinstance(key_id, str) or not key_id:
        raise TokenRejected(TokenCheck.HEADER, "kid")
    named = trust.keys.get(key_id)
    if named is None:
        raise UnknownKeyError(trust.issuer)
    fitting = [key for key in named if algorithm in key.algorithms]
    if len(fitting) != 1:
        raise TokenRejected(TokenCheck.UNFIT_KEY)
    return fitting[0]


def check_signature(unverified: UnverifiedJwt, key: VerificationKey, algorithm: str) -> None:
    """Check the signature over the very bytes that were taken apart.

    By PyJWT's algorithms and not by `jwt.decode`, which would take the token apart a second time, in its own
    way, for several times the price of the signature.
    """
    try:
        holds = jwt.get_algorithm_by_name(algorithm).verify(
            unverified.signed_part, key.public, unverified.unverified_signature
        )
    except (jwt.InvalidKeyError, TypeError):
        raise TokenRejected(TokenCheck.UNFIT_KEY) from None
    except (jwt.PyJWTError, ValueError):
        raise TokenRejected(TokenCheck.SIGNATURE) from None
    if holds is not True:
        raise TokenRejected(TokenCheck.SIGNATURE)


def check_presence(claims: Mapping[str, Json]) -> None:
    for name in _REQUIRED:
        if claims.get(name) is None:
            raise TokenRejected(TokenCheck.MISSING_CLAIM, name)


def check_audience(claims: Mapping[str, Json], trust: IssuerTrust) -> None:
    """RFC 7519 section 4.1.3: a text or a list of texts, of which one is this gateway's."""
    found = claims.get("aud")
    named = [found] if isinstance(found, str) else found
    if not isinstance(named, list) or not all(isinstance(each, str) for each in named):
        raise TokenRejected(TokenCheck.AUDIENCE)
    if not any(each in trust.audiences for each in named):
        raise TokenRejected(TokenCheck.AUDIENCE)


def check_times(claims: Mapping[str, Json], trust: IssuerTrust, now: float) -> float:
    expires = time_of(claims, "exp")
    if expires is None:
        raise TokenRejected(TokenCheck.MISSING_CLAIM, "exp")
    if expires <= now:
        raise TokenRejected(TokenCheck.EXPIRED)
    for name in ("iat", "nbf"):
        moment = time_of(claims, name)
        if moment is not None and moment > now + trust.leeway:
            raise TokenRejected(TokenCheck.NOT_YET_VALID, name)
    issued = time_of(claims, "iat")
    if expires - (now if issued is None else issued) > trust.max_lifetime:
        raise TokenRejected(TokenCheck.LIFETIME)
    return expires
