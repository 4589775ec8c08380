"""What the gateway says of an approval, to the agent that asked: inside the tunnel, as Datadog's host."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from urllib.parse import quote

import httpx

from addons.cli.approvals.client import Misused, Refused, Unreachable, fetch, why_it_failed
from addons.core.model import Json
from addons.sidecar.token_sources import TokenSource
from addons.sidecar.upstreams import BadGatewayError, parse_gateway

_HOST = "https://api.datadoghq.com"
_PLACE = "/.ddgate/approvals/"
_OURS = "ddgate: "
_NOT_FOUND = "not_found"
_SECONDS = 30.0
_RUN_PROXY, _RUN_CA = "DDGATE_RUN_PROXY", "DDGATE_RUN_CA"  # what `ddgate run` gives its command


@dataclass(frozen=True, slots=True)
class Way:
    """To the gateway: the proxy, with its login, and who signs Datadog's hosts there."""

    proxy: httpx.Proxy = field(repr=False)
    tls: ssl.SSLContext


def way_of_environment(
    environment: Mapping[str, str], ca: Path | None, default_ca: Path, *, only_run: bool
) -> Way | None:
    """The one of `ddgate run`, else HTTPS_PROXY, or None where there is neither. Raises Misused."""
    for name in (_RUN_PROXY,) if only_run else (_RUN_PROXY, "HTTPS_PROXY", "https_proxy"):
        url = environment.get(name)
        if not url:
            continue
        found = ca or Path(environment.get(_RUN_CA) or environment.get("SSL_CERT_FILE") or default_ca)
        try:
            return Way(httpx.Proxy(url), _trust(found))
        except (ValueError, httpx.InvalidURL):
            raise Misused(
                f"{name} is no http:// or https:// proxy; name the gateway with --gateway"
            ) from None
    return None


def way_of_options(gateway: str, gateway_ca: Path | None, ca: Path, source: TokenSource) -> Way:
    """Raises Misused, TokenError."""
    try:
        place = parse_gateway(gateway, gateway_ca)
    except BadGatewayError as bad:
        raise Misused(str(bad)) from None
    if place.sends_in_clear:
        raise Misused(f"your token would cross the network to {place} unencrypted; name it by https://")
    trust = _trust(ca)
    login = {"Proxy-Authorization": f"Bearer {fetch(source)}"}
    return Way(httpx.Proxy(str(place), ssl_context=place.tls, headers=login), trust)


@dataclass(slots=True)
class Gateway:
    """Every method raises Refused, Unreachable."""

    way: Way
    _http: httpx.Client = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._http = httpx.Client(
            proxy=self.way.proxy, verify=self.way.tls, trust_env=False, follow_redirects=False
        )

    def close(self) -> None:
        self._http.close()

    def status(self, approval: str, wait: float = 0.0) -> dict[str, Json]:
        """Answered at once, or as soon as it isn't pending any more, within `wait` seconds."""
        query = {"wait": f"{wait:.0f}"} if wait >= 1 else {}
        return self._asked("GET", approval, query, _SECONDS + wait)

    def cancel(self, approval: str) -> dict[str, Json]:
        return self._asked("DELETE", approval, {}, _SECONDS)

    def _asked(self, method: str, approval: str, query: Mapping[str, str], seconds: float) -> dict[str, Json]:
        url = _HOST + _PLACE + quote(approval, safe="")
        try:
            response = self._http.request(method, url, params=query, timeout=seconds)
        except httpx.ProxyError as error:  # its answer to CONNECT: a status and its phrase
            raise Refused(0, "proxy", f"the gateway opens no tunnel: {error}") from None
        except httpx.ConnectError as error:
            raise Unreachable(f"the gateway isn't reached ({why_it_failed(error)})") from None
        except httpx.TimeoutException:
            raise Unreachable("the gateway doesn't answer in time") from None
        except httpx.HTTPError as error:
            raise Unreachable(f"the connection to the gateway broke off ({why_it_failed(error)})") from None
        try:
            answer = response.json()
        except ValueError:
            answer = None
        if response.status_code == HTTPStatus.OK and isinstance(answer, dict) and "approval" in answer:
            return answer
        text, reason = _refusal(answer)
        if not text:
            raise Unreachable(f"what answers ({response.status_code}) isn't ddgate's gateway")
        if response.is_server_error:
            raise Unreachable(text)
        raise Refused(response.status_code, reason, text)


def _refusal(answer: Json) -> tuple[str, str]:
    """(text, reason) out of ddgate's answer to an agent, both empty where it isn't one."""
    match answer:
        case {"errors": [str(text), *_], "ddgate": {"reason": str(reason)}} if text.startswith(_OURS):
            return text.removeprefix(_OURS), reason
        case {"errors": [str(text), *_]} if text.startswith(_OURS):
            return text.removeprefix(_OURS), _NOT_FOUND
    return "", ""


def _trust(ca: Path) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=str(ca))
    except FileNotFoundError:
        raise Misused(f"{ca} isn't there; name the gateway's public CA with --ca") from None
    except (OSError, ssl.SSLError):
        raise Misused(
            f"{ca} can't be read as PEM certificates; name the gateway's public CA with --ca"
        ) from None
