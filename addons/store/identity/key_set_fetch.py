"""One issuer's keys over HTTP(S): OpenID Connect Discovery 1.0 section 4, then the JWK Set (RFC 7517).

Blocking, for a worker thread. The fetch runs in an event loop of its own: that gives one deadline for the
whole exchange, and name resolution apart from the gateway's, which only resolves Datadog.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from addons.core.issuer_trust import Admitted, IssuerTrust
from addons.core.verification_keys import SIGNATURES, KeysById, KeySetError, parse_key_set
from addons.store.identity.issuer_http import (
    FetchFailed,
    FetchLimits,
    cause,
    discover,
    endpoint,
    get,
    is_plain_loopback,
    issuer_client,
    url_problem,
)


@dataclass(frozen=True, slots=True)
class IssuerSettings:
    """One trusted issuer, as configured. Times in seconds.

    Without `jwks_uri` the keys are found by discovery. `ca` is a PEM file that replaces the public
    authorities for this issuer. Keys count until `max_stale` after they were last fetched, so that an
    outage of the issuer is outlived. `key_uses` are as in `parse_key_set`, the rest as in `IssuerTrust`.
    Raises ValueError, in words for the writer of the configuration.
    """

    issuer: str
    audience: tuple[str, ...]
    algorithms: tuple[str, ...] = ("RS256", "ES256", "EdDSA")
    jwks_uri: str | None = None
    ca: Path | None = None
    max_lifetime: float = 3600.0
    leeway: float = 30.0
    max_stale: float = 6 * 3600.0
    subject_claim: str = "sub"
    groups_claim: str | None = "groups"
    session_claim: str | None = None
    on_behalf_of_claim: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)
    required: Mapping[str, tuple[Admitted, ...]] = field(default_factory=dict)
    actor_issuers: tuple[str, ...] = ()
    names_itself: bool = True
    key_uses: frozenset[str] = SIGNATURES

    def __post_init__(self) -> None:
        self.trust({})
        if not 0 < self.max_stale < math.inf:
            raise ValueError(f"issuer {self.issuer!r}: max_stale must be a positive number of seconds")
        if self.jwks_uri is not None:
            problem = url_problem(self.jwks_uri, plain_allowed=is_plain_loopback(self.issuer))
            if problem:
                raise ValueError(f"issuer {self.issuer!r}: jwks_uri {problem}")
            return
        problem = url_problem(self.issuer, plain_allowed=True)
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
            subject_claim=self.subject_claim,
            groups_claim=self.groups_claim,
            session_claim=self.session_claim,
            on_behalf_of_claim=self.on_behalf_of_claim,
            attributes=self.attributes,
            required=self.required,
            actor_issuers=self.actor_issuers,
            names_itself=self.names_itself,
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
        raise FetchFailed(f"cannot be reached ({cause(error)})") from None


async def _within(settings: IssuerSettings, limits: FetchLimits) -> KeysById:
    async with asyncio.timeout(limits.seconds):
        async with issuer_client(settings.ca, limits) as client:
            url = settings.jwks_uri
            if url is None:
                document = await discover(client, settings.issuer, limits)
                url = endpoint(document, "jwks_uri", settings.issuer)
            return parse_key_set(await get(client, url, limits), settings.key_uses)
