"""From a token's claims, once their signature holds, to the principal that they name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from addons.core.issuer_trust import Admitted, IssuerTrust
from addons.core.model import Actor, Json, Principal
from addons.core.token_checks import TokenCheck, TokenRejected

MAX_ACTORS = 5

_MAX_NAME = 1024
_LAST_TIME = 253_402_300_800  # the year 10000: later than any date that can be written


def check_kind(claims: Mapping[str, Json]) -> None:
    """Refuse an event, whatever its `typ` says: OpenID Connect Back-Channel Logout 1.0 section 2.4."""
    if isinstance(claims.get("events"), dict):
        raise TokenRejected(TokenCheck.TOKEN_TYPE)


def check_required(claims: Mapping[str, Json], trust: IssuerTrust) -> None:
    """Refuse whom the issuer knows and this gateway doesn't admit. Raises `TokenRejected`."""
    for name, admitted in trust.required.items():
        found = claim(claims, name)
        values = found if isinstance(found, list) else [found]
        if not any(_fits(value, wanted) for value in values for wanted in admitted):
            raise TokenRejected(TokenCheck.NOT_ADMITTED, name)


def principal_of(claims: Mapping[str, Json], trust: IssuerTrust, expires: float) -> Principal:
    """Name the principal, whose token ends at `expires` (seconds since the epoch). Raises `TokenRejected`."""
    subject = _subject(claims, trust)
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
            claims=_seen_by_policy(claims, trust),
            token_issuer=trust.issuer,
            issued=time_of(claims, "iat"),
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
        claims=_seen_by_policy({name: value for name, value in act.items() if name != "act"}, trust),
        token_issuer=trust.issuer,
        issued=time_of(claims, "iat"),
    )


def claim(claims: Mapping[str, Json], name: str | None) -> Json:
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


def time_of(claims: Mapping[str, Json], name: str) -> float | None:
    """Read a time, in seconds since the epoch; None where there is none. Raises `TokenRejected`."""
    if name not in claims:
        return None
    value = claims[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _LAST_TIME:
        raise TokenRejected(TokenCheck.BAD_CLAIM, name)
    return float(value)


def _fits(value: Json, wanted: Admitted) -> bool:
    if isinstance(value, str) and isinstance(wanted, str):
        if wanted.endswith("*"):
            return value.startswith(wanted[:-1]) and len(value) >= len(wanted)
        if wanted.startswith("*"):
            return value.endswith(wanted[1:]) and len(value) >= len(wanted)
    return type(value) is type(wanted) and value == wanted  # 1 is not true


def _subject(claims: Mapping[str, Json], trust: IssuerTrust, about: str = "sub") -> str:
    """Name who the claims speak of, `sub` or what the configuration puts in its place."""
    if trust.subject_claim == "sub":
        return _name(claims.get("sub"), about)
    if trust.subject_claim == "email" and claims.get("email_verified") is not True:
        # anybody may write another's address into a profile
        raise TokenRejected(TokenCheck.NOT_ADMITTED, "email_verified")
    return _name(claim(claims, trust.subject_claim), trust.subject_claim)


def _seen_by_policy(claims: Mapping[str, Json], trust: IssuerTrust) -> Mapping[str, Json]:
    """Add the configured attributes. A claim that has the name of one never stands in for it."""
    seen = {name: value for name, value in claims.items() if name not in trust.attributes}
    for name, place in trust.attributes.items():
        found = claim(claims, place)
        if found is not None:
            seen[name] = found
    return MappingProxyType(seen)


def _actors(act: Json, trust: IssuerTrust) -> tuple[Actor, ...]:
    """List the whole `act` chain, outermost first; an actor without `iss` is the token issuer's."""
    chain: list[Actor] = []
    while True:
        if not isinstance(act, dict) or "sub" not in act or len(chain) == MAX_ACTORS:
            raise TokenRejected(TokenCheck.ACTOR)
        issuer = _name(act.get("iss", trust.issuer), "act.iss")
        chain.append(Actor(issuer, _subject(act, trust, "act.sub")))
        if "act" not in act:
            return tuple(chain)
        act = act["act"]


def _groups(claims: Mapping[str, Json], trust: IssuerTrust) -> frozenset[str]:
    found = claim(claims, trust.groups_claim)
    if found is None:
        return frozenset()
    listed = [found] if isinstance(found, str) else found
    if not isinstance(listed, list):
        raise TokenRejected(TokenCheck.BAD_CLAIM, "groups")
    return frozenset(_name(group, "groups") for group in listed)


def _session(claims: Mapping[str, Json], trust: IssuerTrust) -> str | None:
    found = claim(claims, trust.session_claim)
    if isinstance(found, int) and not isinstance(found, bool):  # CI systems number their runs
        return str(found)
    return None if found is None else _name(found, "session")


def _on_behalf_of(claims: Mapping[str, Json], trust: IssuerTrust) -> str | None:
    found = claim(claims, trust.on_behalf_of_claim)
    return None if found is None else _name(found, "on_behalf_of")


def _name(value: Json, about: str) -> str:
    """Require what can stand in a record and on a terminal: not empty, bounded, no control characters."""
    if not isinstance(value, str) or not 0 < len(value) <= _MAX_NAME or not value.isprintable():
        raise TokenRejected(TokenCheck.BAD_CLAIM, about)
    return value
