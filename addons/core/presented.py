"""Which tokens a request presents, and which one principal they make.

Nothing here is verified yet except what `reconcile` is handed.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from addons.core.model import Json, Principal, Reason
from addons.core.token_parts import MAX_TOKEN_BYTES, looks_like_jwt

_MAX_VALUE = 2 * MAX_TOKEN_BYTES  # base64 of `user:token`
_TOKEN68 = re.compile(r"[A-Za-z0-9._~+/-]+=*", re.ASCII)  # RFC 9110 section 11.2
_PER_TOKEN_CLAIMS = frozenset({"exp", "iat", "nbf", "jti", "auth_time", "at_hash", "nonce"})


class TokenSource(StrEnum):
    """Where in a request a token stood."""

    PROXY_AUTHORIZATION = "Proxy-Authorization"
    IDENTITY_HEADER = "identity header"
    API_KEY = "DD-API-KEY"


@dataclass(frozen=True, slots=True)
class UnverifiedToken:
    source: TokenSource
    unverified_value: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class TokenProblem:
    """Something was presented that can't be read as one token. The texts hold none of it."""

    source: TokenSource
    message: str
    remedy: str


type Presented = UnverifiedToken | TokenProblem | None


class Conflict(Exception):  # noqa: N818 - a verdict on the request, as `TokenRejected` is on a token
    """Verified tokens of one request name more than one principal."""

    reason = Reason.CONFLICTING_IDENTITY

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


def from_proxy_authorization(values: Sequence[str]) -> Presented:
    """Read `Bearer <jwt>` (RFC 6750) or `Basic` (RFC 7617), the token as password or as the only user name.

    `values` is every field of that name, as many as were sent.
    """
    source = TokenSource.PROXY_AUTHORIZATION
    if not values:
        return None
    if len(values) > 1:
        return _repeated(source)
    scheme, _, rest = values[0].strip().partition(" ")
    rest = rest.strip()
    if scheme.lower() == "bearer":
        return _bearer(source, rest)
    if scheme.lower() == "basic":
        return _basic(source, rest)
    return TokenProblem(
        source,
        "The proxy login is neither Bearer nor Basic.",
        "Send `Proxy-Authorization: Bearer <token>`, or put the token into the proxy URL as its password.",
    )


def from_identity_header(values: Sequence[str]) -> Presented:
    """Read `Bearer <jwt>` or the bare token from the configured identity header."""
    source = TokenSource.IDENTITY_HEADER
    if not values:
        return None
    if len(values) > 1:
        return _repeated(source)
    scheme, _, rest = values[0].strip().partition(" ")
    if scheme.lower() == "bearer":
        return _bearer(source, rest.strip())
    return _bearer(source, values[0].strip())


def from_api_key(values: Sequence[str]) -> Presented:
    """Read a token out of the Datadog key's field, for clients that can set nothing else.

    A value that isn't shaped like a token is a Datadog key: no identity, and not a problem either.
    """
    source = TokenSource.API_KEY
    # Some libraries fold repeated fields into one with commas, which occur in neither keys nor tokens.
    sent = [part.strip() for value in values for part in value.split(",")]
    shaped = [value for value in sent if looks_like_jwt(value)]
    if not shaped:
        return None
    if len(sent) > 1:
        return _repeated(source)
    return UnverifiedToken(source, shaped[0])


def find_presented(
    *,
    proxy_authorization: Sequence[str] = (),
    identity_header: Sequence[str] = (),
    api_key: Sequence[str] = (),
) -> tuple[UnverifiedToken, ...] | TokenProblem:
    """Collect all that one request presents, in the order of the parameters.

    The first problem spoils all, because the caller meant to prove something and failed.
    """
    tokens: list[UnverifiedToken] = []
    for presented in (
        from_proxy_authorization(proxy_authorization),
        from_identity_header(identity_header),
        from_api_key(api_key),
    ):
        if isinstance(presented, TokenProblem):
            return presented
        if presented is not None:
            tokens.append(presented)
    return tuple(tokens)


def reconcile(tunnel: Principal | None, request_tokens: Sequence[Principal]) -> Principal | None:
    """Choose the one principal of a request, from the tunnel's token and its own; None without any.

    The request's own wins if its actor is the tunnel's; on whose behalf may differ. Several tokens of one
    request must agree on all that policy can see, and the one that expires first counts. Raises
    `Conflict`. Check each for revocation beforehand.
    """
    if not request_tokens:
        return tunnel
    chosen = min(request_tokens, key=lambda principal: principal.expires)
    if any(_standing(other) != _standing(chosen) for other in request_tokens):
        raise Conflict(
            "The request carries tokens that name different principals.",
            "Send one identity token per request.",
        )
    if tunnel is not None and not chosen.is_same_actor(tunnel):
        raise Conflict(
            "The request's token is another actor's than the one that opened this proxy connection.",
            "Open a connection per actor, or open it without a token and send one with each request.",
        )
    return chosen


def _standing(principal: Principal) -> tuple[object, ...]:
    claims: Mapping[str, Json] = principal.claims
    return (
        principal.issuer,
        principal.subject,
        principal.groups,
        principal.on_behalf_of,
        principal.actors,
        principal.session,
        {name: value for name, value in claims.items() if name not in _PER_TOKEN_CLAIMS},
    )


def _bearer(source: TokenSource, unverified_value: str) -> Presented:
    if not unverified_value:
        return _empty(source)
    # One run of RFC 9110 token characters: a blank or a comma would be a second value.
    if not _TOKEN68.fullmatch(unverified_value):
        return _unreadable(source)
    return UnverifiedToken(source, unverified_value)


def _basic(source: TokenSource, unverified_value: str) -> Presented:
    if not unverified_value:
        return _empty(source)
    if len(unverified_value) > _MAX_VALUE:
        return TokenProblem(
            source, "The proxy login is too large.", "Send a token of at most 16 KiB as the password."
        )
    try:
        decoded = base64.b64decode(unverified_value.encode("ascii"), validate=True)
        user, colon, password = decoded.partition(b":")
        token = (password or user).decode("ascii")
    except (binascii.Error, UnicodeError):
        return _unreadable(source)
    if not colon or base64.b64encode(decoded).decode("ascii") != unverified_value:
        return _unreadable(source)
    if not password and not looks_like_jwt(token):
        return _empty(source)
    return _bearer(source, token)


def _empty(source: TokenSource) -> TokenProblem:
    return TokenProblem(
        source,
        f"No identity token in {source}.",
        "Give the token as the password of the proxy URL (`http://agent:<token>@gateway`) or after"
        " `Bearer `; an empty environment variable is the usual cause.",
    )


def _repeated(source: TokenSource) -> TokenProblem:
    return TokenProblem(
        source, f"More than one value in {source}.", "Send exactly one identity token, in one field."
    )


def _unreadable(source: TokenSource) -> TokenProblem:
    return TokenProblem(
        source,
        f"The value of {source} cannot be read.",
        "Send one token as the issuer gave it: no quotes, blanks or line breaks; Basic in valid base64.",
    )
