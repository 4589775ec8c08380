"""The sections of `ddgate.yaml` about approvals: how calls are held, how people log in, who is told."""

from __future__ import annotations

from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from addons.core.config_sections import (
    Algorithm,
    FileName,
    ListenHost,
    Name,
    Port,
    Secret,
    Url,
    is_loopback,
)
from addons.core.quantities import Duration, Size
from addons.core.yaml_source import Section, complaint


class Approvals(Section):
    """How calls wait for people."""

    pending_per_principal: Annotated[int, Field(ge=1, le=10_000)] = 20
    """More requests of one principal don't wait: they are answered 429."""
    requests_per_hour: Annotated[int, Field(ge=1, le=100_000)] = 120
    """More requests of one principal are asked of nobody: they are answered 429. Those taken back count."""
    held_memory: Annotated[Size, Field(gt=0)] = 64 * 1024**2
    """Of all bodies that are held at once, in one process."""
    default_wait: Annotated[Duration, Field(ge=0)] = 4.0
    """How long a call of a client that isn't known is held."""
    longest_wait: Annotated[Duration, Field(ge=0)] = 300.0
    """How long any call is held; a rule's `hold` can make it less."""
    replay_window: Annotated[Duration, Field(ge=0, le=3600)] = 60.0
    """How long the answer of a call that ran is given again to whoever repeats that call."""
    retry_after: Annotated[Duration, Field(ge=1)] = 5.0
    """When a client that could not wait is asked to come back."""
    retention: Annotated[Duration, Field(ge=86400)] | None = None
    """How long those that are over stay, with what people were shown; records of them stay in the audit log.
    Without it all stay."""


class PeopleClaims(Section):
    """Which claims of a person's token say what. A name or a JSON Pointer (RFC 6901) beginning with `/`."""

    groups: str = "groups"


class Login(Section):
    """The OIDC issuer that approvers log in with."""

    issuer: Url
    """Exactly as in its tokens' `iss`; found by OIDC discovery."""
    client_id: Annotated[str, Field(min_length=1)]
    """Of the approvals page: the `aud` of its ID tokens."""
    client_secret: Secret | None = None
    """Not needed for a public client: PKCE is always used."""
    audience: Annotated[str, Field(min_length=1)] | None = None
    """The `aud` of tokens that people's programs show to the API; not one that agents' tokens carry. Without
    it the API takes no tokens, and the command line can't be used."""
    algorithms: Annotated[tuple[Algorithm, ...], Field(min_length=1)] = ("RS256", "ES256")
    scopes: Annotated[tuple[str, ...], Field(min_length=1)] = ("openid", "profile", "email", "groups")
    """What is asked for; `openid` must be among them."""
    ca: FileName | None = None
    """PEM bundle of the CA that signs the issuer's own TLS certificate; without it the public ones."""
    session: Annotated[Duration, Field(ge=60, le=86400)] = 3600.0
    """How long a login lasts."""
    claims: PeopleClaims = PeopleClaims()

    @model_validator(mode="after")
    def _asks_for_openid(self) -> Self:
        if "openid" not in self.scopes:
            raise complaint("scopes lacks openid", "scopes: [openid, profile, email, groups]")
        return self


EventName = Literal[
    "requested",
    "updated",
    "approved",
    "denied",
    "expired",
    "cancelled",
    "glass_broken",
    "executed",
    "unknown",
    "resolved",
    "reviewed",
]


class Notify(Section):
    """One receiver of messages about approvals."""

    name: Name
    url: Secret
    """Where they are posted. Often a secret of its own, so it is named by file, variable or command."""
    format: Literal["standard", "slack"] = "standard"
    """`standard`: signed JSON after Standard Webhooks. `slack`: an incoming webhook of Slack's."""
    secret: Secret | None = None
    """What `standard` messages are signed with: `whsec_…` (HMAC-SHA256) or `whsk_…` (Ed25519)."""
    events: Annotated[tuple[EventName, ...], Field(min_length=1)] | None = None
    """Which; without it all. Of a broken glass every receiver is told."""
    ca: FileName | None = None
    """PEM bundle of the CA that signs the receiver's own TLS certificate; without it the public ones."""
    retries: Annotated[tuple[Annotated[Duration, Field(le=86400)], ...], Field(max_length=20)] = (
        5.0,
        300.0,
        1800.0,
        7200.0,
        18000.0,
        36000.0,
    )
    """How long to wait after each attempt that failed; after the last one the message is a dead letter, which
    `ddgate approvals messages` shows and sends again."""

    @model_validator(mode="after")
    def _signs(self) -> Self:
        if self.format == "standard" and self.secret is None:
            raise complaint("a standard webhook is signed, and has no secret", "secret: {env: NAME}")
        if self.format == "slack" and self.secret is not None:
            raise complaint("Slack's webhooks aren't signed", "remove secret; the URL is the secret")
        return self


def _base_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.path not in {"", "/"}:
        raise complaint("has a path", "https://approvals.example.com")
    return url.rstrip("/")


class Control(Section):
    """Where approvers, health checks and metrics reach the control process."""

    host: ListenHost = "127.0.0.1"
    port: Port = 8081
    url: Annotated[Url, AfterValidator(_base_url)] | None = None
    """As people reach it, through a proxy that ends TLS; without it `http://HOST:PORT`."""
    login: Login | None = None
    """Without it nobody can decide, and every call that needs a person waits until it expires."""
    notify: tuple[Notify, ...] = ()
    """Who is told of requests and decisions."""

    @property
    def public_url(self) -> str:
        if self.url is not None:
            return self.url
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    @model_validator(mode="after")
    def _logins_stay_private(self) -> Self:
        if self.login is not None and not is_loopback(self.host) and self.url is None:
            raise complaint(
                "people log in over a network without TLS",
                "end TLS in front of control, and say how people reach it: url: https://…",
            )
        if len({one.name for one in self.notify}) != len(self.notify):
            raise complaint("two receivers have the same name", "give each its own")
        return self
