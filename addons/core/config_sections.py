"""The sections of `ddgate.yaml`; `addons.core.config` puts them together."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Annotated, Literal, Self
from urllib.parse import SplitResult, unquote, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from addons.core import hosts
from addons.core.quantities import Duration, Size
from addons.core.yaml_source import Section, complaint, did_you_mean

SANDBOX_PATH = "ddgate-sandbox"
"""The path of the sandbox's issuer URL, by which a configuration that mixes it with real parts is told."""

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}", re.ASCII)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,255}", re.ASCII)
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}", re.ASCII)
# The gateway's own or hop-by-hop fields; an identity there would be lost, or taken for something else.
_TAKEN_HEADERS = frozenset(
    {
        "host",
        "connection",
        "content-length",
        "content-type",
        "content-encoding",
        "transfer-encoding",
        "cookie",
    }
    | {"authorization", "proxy-authorization", "dd-api-key", "dd-application-key", "x-ddgate-intent"}
)


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _listen_host(host: str) -> str:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        if hosts.normalise_host(host) is None:
            raise complaint(
                "must be an address or a host name to listen on", "127.0.0.1, ::1, 0.0.0.0"
            ) from None
    return host


ListenHost = Annotated[str, AfterValidator(_listen_host)]
Port = Annotated[int, Field(ge=0, le=65535)]
"""0 lets the system choose."""
FileName = Annotated[str, Field(min_length=1)]


def _name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise complaint("not a name", "lower-case letters, digits, '.', '_' and '-'; at most 64")
    return name


def _variable(name: str) -> str:
    if not _VARIABLE.fullmatch(name):
        raise complaint("not the name of an environment variable", "env: DD_API_KEY, not the key itself")
    return name


Name = Annotated[str, AfterValidator(_name)]


class ListenTls(Section):
    """The proxy listener's own certificate (not one for Datadog's names)."""

    certificate: FileName
    """PEM file: the certificate, then its intermediates."""
    key: FileName
    """PEM file: its private key, without a passphrase."""


class Listen(Section):
    """Where agents reach the proxy."""

    host: ListenHost = "127.0.0.1"
    port: Port = 8080
    tls: ListenTls | None = None
    """Serve the proxy itself over TLS (`https://` proxy URLs); needed beyond loopback, because agents'
    tokens travel there."""
    insecure_listen: bool = False
    """Allow a listener beyond loopback without TLS: only where something else encrypts that way."""

    @model_validator(mode="after")
    def _tokens_stay_private(self) -> Self:
        if not (self.tls or self.insecure_listen or is_loopback(self.host)):
            raise complaint(
                "listens beyond loopback without TLS, so tokens would travel in the clear",
                "set tls: {certificate: F, key: F}, or insecure_listen: true where something else encrypts",
            )
        return self


class Inspector(Section):
    """The mitmweb side. Its password is full administration of that process, so it stays on loopback."""

    enabled: bool = True
    host: ListenHost = "127.0.0.1"
    port: Port = 8082

    @model_validator(mode="after")
    def _on_loopback(self) -> Self:
        if not is_loopback(self.host):
            raise complaint("must be on loopback", "127.0.0.1; reach it through SSH or a port-forward")
        return self


def _no_site_twice(sites: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(sites)) != len(sites):
        raise complaint("a site stands twice", "remove one")
    return sites


def _known_site(site: str) -> str:
    if site not in hosts.SITES:
        raise complaint("not a Datadog site", did_you_mean(site, hosts.SITES))
    return site


Sites = Annotated[
    tuple[Annotated[str, AfterValidator(_known_site)], ...],
    Field(min_length=1),
    AfterValidator(_no_site_twice),
]

Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"]


def _split_url(url: str) -> SplitResult:
    """Take it apart; raises a complaint where `url` is not one plain https URL (http on loopback)."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise complaint("not a URL", "https://issuer.example.com") from None
    if parts.scheme not in {"https", "http"} or not host:
        raise complaint("not an https URL", "https://issuer.example.com")
    if parts.query or parts.fragment or parts.username is not None or any(char <= " " for char in url):
        raise complaint("has a query, a fragment, a user or a space", "write it as tokens carry it in `iss`")
    if parts.scheme == "http" and not is_loopback(host):
        raise complaint(
            "http:// is for loopback alone; keys fetched there could be anybody's", "use https://"
        )
    return parts


def check_url(url: str) -> str:
    _split_url(url)
    return url


Url = Annotated[str, AfterValidator(check_url)]


def is_sandbox_issuer(url: str) -> bool:
    return unquote(urlsplit(url).path).strip("/").lower() == SANDBOX_PATH


class Identity(Section):
    """How an agent may show its token, beside `Proxy-Authorization` and `DD-API-KEY`."""

    header: str = "X-DDGate-Identity"
    """Name of the request header that carries `Bearer <token>`."""

    @model_validator(mode="after")
    def _free_name(self) -> Self:
        if not _HEADER.fullmatch(self.header):
            raise complaint("header is not the name of a header", "letters, digits and hyphens")
        if self.header.lower() in _TAKEN_HEADERS:
            raise complaint("header names a field with a meaning of its own", "keep X-DDGate-Identity")
        return self


class SecretSource(Section):
    """Where a secret is read from; exactly one of the three. Never the secret."""

    file: FileName | None = None
    """A file that holds the secret alone."""
    env: Annotated[str, AfterValidator(_variable)] | None = None
    """An environment variable of the gateway."""
    command: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1)] | None = None
    """A program and its arguments, that prints the secret. No shell."""

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        given = [name for name in ("file", "env", "command") if getattr(self, name) is not None]
        if len(given) != 1:
            raise complaint(
                "needs exactly one source of the secret" + (f", has {' and '.join(given)}" if given else ""),
                "one of file: F, env: NAME, command: [PROGRAM, ARGUMENT]",
            )
        return self

    def __str__(self) -> str:
        if self.command is not None:
            return f"command {self.command[0]}"  # arguments may say too much
        return f"file {self.file}" if self.file is not None else f"environment variable {self.env}"


def _never_literal(value: object) -> object:
    if isinstance(value, (str, int, float, tuple)):
        raise complaint(
            "a secret never stands in the configuration itself",
            "name its source: {file: F}, {env: NAME} or {command: [PROGRAM, ARGUMENT]}; replace that key, "
            "it has been in a file",
        )
    return value


Secret = Annotated[SecretSource, BeforeValidator(_never_literal)]


class Credential(Section):
    """One pair of real Datadog keys, and where it may go."""

    api_key: Secret
    application_key: Secret | None = None
    """Not needed where only telemetry is sent."""
    sites: Sites = hosts.SITES
    """The Datadog sites that this credential may be sent to."""
    organisation: str | None = None
    """The Datadog organisation that the keys belong to, for the audit trail."""


class Route(Section):
    """Where a Datadog host is dialled instead of where DNS says."""

    address: Annotated[str, AfterValidator(_listen_host)]
    """IP address or host name."""
    port: Annotated[int, Field(ge=1, le=65535)] = 443
    ca: FileName | None = None
    """PEM bundle of the CA that signs what answers there; without it the public ones."""


def _registered_hosts(routes: Mapping[str, Route]) -> Mapping[str, Route]:
    for host in routes:
        if host != "*" and hosts.lookup(host) is None:
            raise complaint(
                f"{host!r} is not a Datadog host, so it is never dialled",
                did_you_mean(host, (known.name for known in hosts.registered())) or "or '*' for all",
            )
    return routes


class Upstream(Section):
    """The way to Datadog."""

    connect_to: Annotated[Mapping[str, Route], AfterValidator(_registered_hosts)] = {}
    """By Datadog host, or `*` for every host without an entry of its own."""
    timeout: Annotated[Duration, Field(gt=0)] = 60.0
    """How long Datadog may take to answer."""
    target_max_age: Annotated[Duration, Field(ge=0, le=60)] = 5.0
    """How long what was read of a resource, for `target` conditions of the policy, may serve other calls."""


class Limits(Section):
    """Bounds on what an agent may send; past them it gets a 413."""

    body: Annotated[Size, Field(gt=0)] = 16 * 1024**2
    """Of a body as it travels."""
    decoded_body: Annotated[Size, Field(gt=0)] = 64 * 1024**2
    """Of a body after gzip, deflate, zstd or br."""
    head: Annotated[Size, Field(ge=1024)] = 64 * 1024
    """Of a request's line and headers."""


class Recordings(Section):
    """When a segment of the recording is closed and the next begins: whichever comes first."""

    segment_size: Annotated[Size, Field(ge=64 * 1024)] = 64 * 1024**2
    segment_age: Annotated[Duration, Field(ge=1)] = 3600.0
    retention: Annotated[Duration, Field(ge=86400)] | None = None
    """How long complete segments stay; without it, for ever."""
    encryption_key: Secret | None = None
    """Seal what is recorded from now on with this key: 32 bytes, as 64 hexadecimal digits or base64."""
    old_encryption_keys: tuple[Secret, ...] = ()
    """Keys that were used before, for reading what was sealed with them."""


class Redaction(Section):
    """What is masked beyond the built-in secrets. The files are read at the start."""

    detectors: tuple[FileName, ...] = ()
    """Files with detectors of your own: ddgate's YAML form, or gitleaks' where the name ends in `.toml`."""
    pii: bool = False
    """Mask personal data too in all that is stored and shown. What is forwarded is as the rules say."""
    card_last_four: bool = False
    """Show the last four digits of a card number in its mask: `[REDACTED:card-4242:…]`."""


class Log(Section):
    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["text", "json"] = "text"
    """`json` writes one object a line."""
