"""Whether a token proves who calls: JWT (RFC 7519) verified after the best current practice (RFC 8725).

The caller brings the trusted issuers with their keys, and the time; nothing here fetches or waits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import jwt
from jwt.exceptions import InvalidJTIError, InvalidSubjectError

from addons.core.model import Actor, Json, Principal
from addons.core.token_checks import TokenCheck, TokenRejected, UnknownKeyError
from addons.core.token_parts import take_apart
from addons.core.verification_keys import ACCEPTED_ALGORITHMS, KeysById, VerificationKey

if TYPE_CHECKING:
    from jwt.types import Options

MAX_LEEWAY = 300.0
MAX_ACTORS = 5

_MAX_NAME = 1024
_LAST_TIME = 253_402_300_800  # the year 10000: later than any date that can be written
_KINDS = frozenset({"jwt", "at+jwt", "application/jwt", "application/at+jwt", "jose"})
_OWN_KEY_HEADERS = ("jwk", "jku", "x5u", "x5c")
_REFUSED_HEADERS = ("crit", "b64", "zip")
_REQUIRED = ("iss", "sub", "aud", "exp")

# The three times are checked below against the caller's clock: PyJWT would read the machine's own.
_OPTIONS: Options = {
    "verify_signature": True,
    "require": list(_REQUIRED),
    "verify_aud": True,
    "strict_aud": False,
    "verify_iss": True,
    "verify_sub": True,
    "verify_jti": True,
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
    "enforce_minimum_key_length": True,
}


@dataclass(frozen=True, slots=True)
class IssuerTrust:
    """What is believed of one issuer: its name, its keys, and the limits on its tokens.

    `max_lifetime` and `leeway` (for `iat` and `nbf`, never for `exp`) in seconds. A claim name is a
    top-level member, or a JSON Pointer (RFC 6901) when it begins with `/`. `actor_issuers` are the other
    issuers whose subjects this one may name in `act`: none by default, since an issuer that could name
    them freely would speak for them. Raises ValueError where a value would make a check void.
    """

    issuer: str
    audiences: tuple[str, ...]
    algorithms: tuple[str, ...]
    keys: KeysById
    max_lifetime: float
    leeway: float = 30.0
    groups_claim: str | None = "groups"
    session_claim: str | None = None
    on_behalf_of_claim: str | None = None
    actor_issuers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        where = f"issuer {self.issuer!r}"
        if not self.issuer:
            raise ValueError("an issuer needs a name: the value of its tokens' `iss`")
        if not self.audiences or not all(self.audiences):
            raise ValueError(f"{where}: name at least one audience; without it any token of it would pass")
        refused = sorted(set(self.algorithms) - ACCEPTED_ALGORITHMS)
        if refused or not self.algorithms:
            raise ValueError(
                f"{where}: algorithms must be among {', '.join(sorted(ACCEPTED_ALGORITHMS))}"
                + (f", not {', '.join(refused)}" if refused else "")
            )
        if not (math.isfinite(self.max_lifetime) and self.max_lifetime > 0):
            raise ValueError(f"{where}: the maximum lifetime must be a positive number of seconds")
        if not 0 <= self.leeway <= MAX_LEEWAY:
            raise ValueError(f"{where}: the leeway must lie between 0 and {MAX_LEEWAY:.0f} seconds")


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
    _check_header(header)
    issuer = unverified.unverified_claims.get("iss")
    if issuer is None:
        raise TokenRejected(TokenCheck.MISSING_CLAIM, "iss")
    trust = trusts.get(issuer) if isinstance(issuer, str) else None
    if trust is None:
        raise TokenRejected(TokenCheck.UNKNOWN_ISSUER)
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in trust.algorithms:
        raise TokenRejected(TokenCheck.ALGORITHM)
    key = _key_for(header, algorithm, trust)
    _check_signature(unverified_token, key, algorithm, trust)
    claims = unverified.unverified_claims  # the signature covers exactly these bytes
    expires = _check_times(claims, trust, now)
    return _principal(claims, trust, expires), trust


def _check_header(header: Mapping[str, Json]) -> None:
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


def _key_for(header: Mapping[str, Json], algorithm: str, trust: IssuerTrust) -> VerificationKey:
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


def _check_signature(token: str, key: VerificationKey, algorithm: str, trust: IssuerTrust) -> None:
    """Signature, audience, issuer and presence, as PyJWT checks them."""
    try:
        jwt.decode(
            token,
            key=key.public,
            algorithms=[algorithm],
            options=_OPTIONS,
            audience=list(trust.audiences),
            issuer=trust.issuer,
            subject=None,
            leeway=0,
        )
    except jwt.MissingRequiredClaimError as error:
        about = error.claim if error.claim in _REQUIRED else ""
        raise TokenRejected(TokenCheck.MISSING_CLAIM, about) from None
    except jwt.InvalidAudienceError:
        raise TokenRejected(TokenCheck.AUDIENCE) from None
    except jwt.InvalidIssuerError:
        raise TokenRejected(TokenCheck.UNKNOWN_ISSUER) from None
    except InvalidSubjectError:
        raise TokenRejected(TokenCheck.BAD_CLAIM, "sub") from None
    except InvalidJTIError:
        raise TokenRejected(TokenCheck.BAD_CLAIM, "jti") from None
    except jwt.InvalidKeyError:
        raise TokenRejected(TokenCheck.UNFIT_KEY) from None
    except (jwt.PyJWTError, ValueError):
        raise TokenRejected(TokenCheck.SIGNATURE) from None


def _check_times(claims: Mapping[str, Json], trust: IssuerTrust, now: float) -> float:
    expires = _time(claims, "exp")
    if expires is None:
        raise TokenRejected(TokenCheck.MISSING_CLAIM, "exp")
    if expires <= now:
        raise TokenRejected(TokenCheck.EXPIRED)
    for name in ("iat", "nbf"):
        moment = _time(claims, name)
        if moment is not None and moment > now + trust.leeway:
            raise TokenRejected(TokenCheck.NOT_YET_VALID, name)
    issued = _time(claims, "iat")
    if expires - (now if issued is None else issued) > trust.max_lifetime:
        raise TokenRejected(TokenCheck.LIFETIME)
    return expires


def _time(claims: Mapping[str, Json], name: str) -> float | None:
    if name not in claims:
        return None
    value = claims[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _LAST_TIME:
        raise TokenRejected(TokenCheck.BAD_CLAIM, name)
    return float(value)


def _principal(claims: Mapping[str, Json], trust: IssuerTrust, expires: float) -> Principal:
    if isinstance(claims.get("events"), dict):
        # OpenID Connect Back-Channel Logout 1.0 section 2.4, RFC 8417: an event, whatever its `typ` says
        raise TokenRejected(TokenCheck.TOKEN_TYPE)
    subject = _name(claims.get("sub"), "sub")
    token_id = _name(claims["jti"], "jti") if "jti" in claims else None
    session = _session(claims, trust)
    if "act" not in claims:
        return Principal(
            issuer=trust.issuer,
            subject=subject,
            groups=_groups(claims, trust),
            expires=expires,
            on_behalf_of=_on_behalf_of(claims, trust),
            session=session,
            token_id=token_id,
            claims=MappingProxyType(dict(claims)),
            token_issuer=trust.issuer,
            issued=_time(claims, "iat"),
        )
    act = claims["act"]
    actors = _actors(act, trust)
    if not isinstance(act, dict) or actors[0].issuer not in {trust.issuer, *trust.actor_issuers}:
        raise TokenRejected(TokenCheck.ACTOR)
    return Principal(
        issuer=actors[0].issuer,
        subject=actors[0].subject,
        groups=_groups(act, trust),
        expires=expires,
        on_behalf_of=subject,
        actors=actors[1:],
        session=_session(act, trust) or session,
        token_id=token_id,
        claims=MappingProxyType({name: value for name, value in act.items() if name != "act"}),
        token_issuer=trust.issuer,
        issued=_time(claims, "iat"),
    )


def _actors(act: Json, trust: IssuerTrust) -> tuple[Actor, ...]:
    """List the whole `act` chain, outermost first; an actor without `iss` is the token issuer's."""
    chain: list[Actor] = []
    while True:
        if not isinstance(act, dict) or "sub" not in act or len(chain) == MAX_ACTORS:
            raise TokenRejected(TokenCheck.ACTOR)
        issuer = _name(act.get("iss", trust.issuer), "act.iss")
        chain.append(Actor(issuer, _name(act["sub"], "act.sub")))
        if "act" not in act:
            return tuple(chain)
        act = act["act"]


def _groups(claims: Mapping[str, Json], trust: IssuerTrust) -> frozenset[str]:
    found = _claim(claims, trust.groups_claim)
    if found is None:
        return frozenset()
    listed = [found] if isinstance(found, str) else found
    if not isinstance(listed, list):
        raise TokenRejected(TokenCheck.BAD_CLAIM, "groups")
    return frozenset(_name(group, "groups") for group in listed)


def _session(claims: Mapping[str, Json], trust: IssuerTrust) -> str | None:
    found = _claim(claims, trust.session_claim)
    if isinstance(found, int) and not isinstance(found, bool):  # CI systems number their runs
        return str(found)
    return None if found is None else _name(found, "session")


def _on_behalf_of(claims: Mapping[str, Json], trust: IssuerTrust) -> str | None:
    found = _claim(claims, trust.on_behalf_of_claim)
    return None if found is None else _name(found, "on_behalf_of")


def _claim(claims: Mapping[str, Json], name: str | None) -> Json:
    """Look a configured claim up; None where the token has none."""
    if name is None:
        return None
    if not name.startswith("/"):
        return claims.get(name)
    value: Json = dict(claims)
    for step in name[1:].split("/"):
        if not isinstance(value, dict):
            return None
        value = value.get(step.replace("~1", "/").replace("~0", "~"))
    return value


def _name(value: Json, about: str) -> str:
    """Require what can stand in a record and on a terminal: not empty, bounded, no control characters."""
    if not isinstance(value, str) or not 0 < len(value) <= _MAX_NAME or not value.isprintable():
        raise TokenRejected(TokenCheck.BAD_CLAIM, about)
    return value
