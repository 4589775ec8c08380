"""One issuer's keys over HTTP(S): OpenID Connect Discovery 1.0 section 4, then the JWK Set (RFC 7517).

Blocking, for a worker thread. The fetch runs in an event loop of its own: that gives one deadline for the
whole exchange, and name resolution apart from the gateway's, which only resolves Datadog.
"""

from __future__ import annotations

import asyncio
import ipaddress
import math
import ssl
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

import httpx

from addons.core.token_parts import StrictJsonError, strict_object
from addons.core.tokens import IssuerTrust
from addons.core.verification_keys import KeysById, KeySetError, parse_key_set

_OK = 200


class FetchFailed(Exception):  # noqa: N818 - an outcome that callers live with, not a fault
    """An issuer's keys could not be had. The message says why, for an operator, without the answer."""


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """Bounds of one fetch: seconds for the whole of it, bytes for each answer."""

    seconds: float = 5.0
    answer_bytes: int = 256 * 1024


@dataclass(frozen=True, slots=True)
class IssuerSettings:
    """One trusted issuer, as configured. Times in seconds.

    Without `jwks_uri` the keys are found by discovery. `ca` is a PEM file that replaces the public
    authorities for this issuer. Keys count until `max_stale` after they were last fetched, so that an
    outage of the issuer is outlived. The rest is as in `IssuerTrust`. Raises ValueError, in words for the
    writer of the configuration.
    """

    issuer: str
    audience: tuple[str, ...]
    algorithms: tuple[str, ...] = ("RS256", "ES256", "EdDSA")
    jwks_uri: str | None = None
    ca: Path | None = None
    max_lifetime: float = 3600.0
    leeway: float = 30.0
    max_stale: float = 6 * 3600.0
    groups_claim: str | None = "groups"
    session_claim: str | None = None
    on_behalf_of_claim: str | None = None
    actor_issuers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.trust({})
        if not 0 < self.max_stale < math.inf:
            raise ValueError(f"issuer {self.issuer!r}: max_stale must be a positive number of seconds")
        if self.jwks_uri is not None:
            problem = _url_problem(self.jwks_uri, plain_allowed=_is_plain_loopback(self.issuer))
            if problem:
                raise ValueError(f"issuer {self.issuer!r}: jwks_uri {problem}")
            return
        problem = _url_problem(self.issuer, plain_allowed=True)
        if problem or urlsplit(self.issuer).query:
            raise ValueError(
                f"issuer {self.issuer!r}: the name {problem or 'has a query'}; set jwks_uri where keys are"
                " not found by discovery"
            )

    def trust(self, keys: KeysById) -> IssuerTrust:
        return IssuerTrust(
            issuer=self.issuer,
            audiences=self.audience,
            algorithms=self.algorithms,
            keys=keys,
            max_lifetime=self.max_lifetime,
            leeway=self.leeway,
            groups_claim=self.groups_claim,
            session_claim=self.session_claim,
            on_behalf_of_claim=self.on_behalf_of_claim,
            actor_issuers=self.actor_issuers,
        )


def fetch_keys(settings: IssuerSettings, limits: FetchLimits) -> KeysById:
    """Fetch one issuer's keys, within `limits`. Raises `FetchFailed`; needs a thread without a loop."""
    try:
        return asyncio.run(_within(settings, limits))
    except TimeoutError:
        raise FetchFailed(f"no answer within {limits.seconds:g} s") from None
    except KeySetError as error:
        raise FetchFailed(str(error)) from None
    except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError) as error:
        raise FetchFailed(f"cannot be reached ({_cause(error)})") from None


async def _within(settings: IssuerSettings, limits: FetchLimits) -> KeysById:
    async with asyncio.timeout(limits.seconds):
        async with httpx.AsyncClient(
            verify=_tls(settings.ca),
            trust_env=False,  # no proxy, no CA and no password from the environment
            follow_redirects=False,
            timeout=httpx.Timeout(limits.seconds),
        ) as client:
            url = settings.jwks_uri or await _discover(client, settings, limits)
            return parse_key_set(await _get(client, url, limits))


async def _discover(client: httpx.AsyncClient, settings: IssuerSettings, limits: FetchLimits) -> str:
    url = settings.issuer.rstrip("/") + "/.well-known/openid-configuration"
    try:
        document = strict_object(await _get(client, url, limits))
    except StrictJsonError as error:
        raise FetchFailed(f"the discovery document is {error}") from None
    if document.get("issuer") != settings.issuer:
        raise FetchFailed("the discovery document names another issuer; configure exactly its `issuer`")
    found = document.get("jwks_uri")
    if not isinstance(found, str):
        raise FetchFailed("the discovery document has no jwks_uri")
    problem = _url_problem(found, plain_allowed=_is_plain_loopback(settings.issuer))
    if problem:
        raise FetchFailed(f"the discovery document's jwks_uri {problem}")
    return found


async def _get(client: httpx.AsyncClient, url: str, limits: FetchLimits) -> bytes:
    asked = {"Accept": "application/json", "Accept-Encoding": "identity"}
    async with client.stream("GET", url, headers=asked) as answer:
        if answer.status_code != _OK:
            hint = "; redirects are not followed" if answer.is_redirect else ""
            raise FetchFailed(f"HTTP status {answer.status_code}{hint}")
        # Unpacking could turn a small answer into a huge one before it is measured.
        if answer.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise FetchFailed("the answer is compressed although that was not asked for")
        body = bytearray()
        async for chunk in answer.aiter_raw():
            body += chunk
            if len(body) > limits.answer_bytes:
                raise FetchFailed(f"the answer is larger than {limits.answer_bytes} bytes")
        return bytes(body)


def _tls(ca: Path | None) -> ssl.SSLContext:
    if ca is None:
        return httpx.create_ssl_context(verify=True, trust_env=False)
    try:
        return ssl.create_default_context(cafile=str(ca))
    except ssl.SSLError:
        raise FetchFailed(f"the CA file {ca} holds no PEM certificate") from None
    except OSError as error:
        raise FetchFailed(f"the CA file {ca} cannot be read: {error.strerror}") from None


def _cause(error: Exception) -> str:
    """Name the failure without text that came from outside."""
    root: BaseException = error
    while root.__cause__ is not None or root.__context__ is not None:
        root = root.__cause__ or root.__context__ or root
        if isinstance(root, ssl.SSLCertVerificationError):
            return f"certificate: {root.verify_message}"
    return type(root).__name__


def _url_problem(url: str, *, plain_allowed: bool) -> str | None:
    """Say what is wrong with an address of keys: https always, plain http on loopback where allowed."""
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - reading it raises ValueError on a bad port
    except ValueError:
        return "is not a URL"
    if parts.scheme not in {"https", "http"} or not parts.hostname:
        return "is not an https URL"
    if parts.username is not None or parts.fragment:
        return "has a user name or a fragment"
    if parts.scheme == "http" and not (plain_allowed and _is_loopback(parts)):
        return "must be https"
    return None


def _is_plain_loopback(issuer: str) -> bool:
    try:
        parts = urlsplit(issuer)
    except ValueError:
        return False
    return parts.scheme == "http" and _is_loopback(parts)


def _is_loopback(parts: SplitResult) -> bool:
    host = parts.hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
