"""Where the listener itself connects to: the gateway, and the proxy that the caller's environment had."""

from __future__ import annotations

import base64
import contextlib
import ipaddress
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from addons.sidecar import no_proxy
from addons.sidecar.heads import Authority, MalformedHeadError, parse_authority
from addons.sidecar.no_proxy import NoProxy

_NO_EXEMPTIONS = NoProxy()


class BadGatewayError(ValueError):
    """The gateway as it was named can't be used; the text says why."""


@dataclass(frozen=True, slots=True)
class Gateway:
    """`tls` is None for a gateway that is spoken to in the clear."""

    authority: Authority
    tls: ssl.SSLContext | None = None

    def __str__(self) -> str:
        return f"{'https' if self.tls else 'http'}://{self.authority}"

    @property
    def sends_in_clear(self) -> bool:
        """Whether the token would cross a network unencrypted."""
        return self.tls is None and not _is_loopback(self.authority.host)


@dataclass(frozen=True, slots=True)
class UpstreamProxy:
    """A plain HTTP proxy; `authorization` is the whole value of Proxy-Authorization."""

    authority: Authority
    authorization: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Upstreams:
    """The ways on from here."""

    gateway: Gateway
    https_proxy: UpstreamProxy | None = None
    http_proxy: UpstreamProxy | None = None
    no_proxy: NoProxy = _NO_EXEMPTIONS

    def proxy_for(self, host: str, *, is_tunnel: bool) -> UpstreamProxy | None:
        proxy = self.https_proxy if is_tunnel else self.http_proxy
        return None if proxy is None or self.no_proxy.exempts(host) else proxy


def parse_gateway(url: str, ca: Path | None) -> Gateway:
    """`http://host:port` or `https://host:port`; `ca` replaces the system's roots. Raises BadGatewayError."""
    parts = _split(url)
    if (
        parts is None
        or parts.scheme not in ("http", "https")
        or parts.path not in ("", "/")
        or "@" in parts.netloc
    ):
        raise BadGatewayError(
            "the gateway must be http://HOST:PORT or https://HOST:PORT, with nothing else in it"
        )
    try:
        authority = parse_authority(parts.netloc, 443 if parts.scheme == "https" else 8080)
    except MalformedHeadError:
        raise BadGatewayError("the gateway must be http://HOST:PORT or https://HOST:PORT") from None
    if parts.scheme == "http":
        if ca is not None:
            raise BadGatewayError("--gateway-ca is for an https:// gateway; this one is http://")
        return Gateway(authority)
    try:
        context = ssl.create_default_context(cafile=None if ca is None else str(ca))
    except (OSError, ssl.SSLError):
        raise BadGatewayError(f"--gateway-ca {ca} can't be read as PEM certificates") from None
    return Gateway(authority, context)


def find_upstreams(
    environment: Mapping[str, str], gateway: Gateway, warn: Callable[[str], None]
) -> Upstreams:
    """Read what the caller's own proxy variables say about hosts that aren't Datadog's."""
    return Upstreams(
        gateway,
        _proxy_from(environment, ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"), gateway, warn),
        _proxy_from(environment, ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"), gateway, warn),
        NoProxy(no_proxy.from_environment(environment)),
    )


def _proxy_from(
    environment: Mapping[str, str], names: tuple[str, ...], gateway: Gateway, warn: Callable[[str], None]
) -> UpstreamProxy | None:
    name = next((name for name in names if environment.get(name)), None)
    if name is None:
        return None
    value = environment[name]
    parts = _split(value if "://" in value else f"http://{value}")
    authority = None
    if parts is not None and parts.scheme == "http":
        with contextlib.suppress(MalformedHeadError):
            authority = parse_authority(parts.netloc.rpartition("@")[2], 80)
    if parts is None or authority is None:
        warn(f"{name} isn't a plain http:// proxy; hosts other than Datadog's are dialled directly instead")
        return None
    if authority == gateway.authority:
        return None  # the gateway opens Datadog's hosts; for the rest it's no proxy
    return UpstreamProxy(authority, _basic(parts))


def _basic(parts: SplitResult) -> str | None:
    if parts.username is None:
        return None
    login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return f"Basic {base64.b64encode(login.encode()).decode()}"


def _split(url: str) -> SplitResult | None:
    try:
        return urlsplit(url)
    except ValueError:
        return None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
