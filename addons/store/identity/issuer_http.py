"""Talking to an identity provider: bounded in time and size, verified, never redirected, never through a
proxy that the environment names.
"""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

import httpx

from addons.core.model import Json
from addons.core.token_parts import StrictJsonError, strict_object

_OK = 200
_ASKED = {"Accept": "application/json", "Accept-Encoding": "identity"}


class FetchFailed(Exception):  # noqa: N818 - an outcome that callers live with, not a fault
    """The issuer's answer could not be had. The message says why, for an operator, without the answer."""


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """Bounds of one fetch: seconds for the whole of it, bytes for each answer."""

    seconds: float = 5.0
    answer_bytes: int = 256 * 1024


@dataclass(frozen=True, slots=True)
class IssuerAnswer:
    status: int
    body: bytes


def issuer_client(ca: Path | None, limits: FetchLimits) -> httpx.AsyncClient:
    """`ca` is a PEM file that replaces the public authorities. Raises FetchFailed if it can't be used."""
    return httpx.AsyncClient(
        verify=_tls(ca),
        trust_env=False,  # no proxy, no CA and no password from the environment
        follow_redirects=False,
        timeout=httpx.Timeout(limits.seconds),
    )


async def get(client: httpx.AsyncClient, url: str, limits: FetchLimits) -> bytes:
    """The body of a 200. Raises FetchFailed for any other answer; httpx's errors where there is none."""
    return _only_ok(await _exchange(client, client.build_request("GET", url, headers=_ASKED), limits))


async def post_form(
    client: httpx.AsyncClient,
    url: str,
    form: Mapping[str, str],
    basic: tuple[str, str] | None,
    limits: FetchLimits,
) -> IssuerAnswer:
    """`basic` is user name and password (RFC 7617). Raises FetchFailed for an answer that can't be read;
    httpx's errors where there is none.
    """
    request = client.build_request("POST", url, headers=_ASKED, data=dict(form))
    if basic is not None:
        request = next(httpx.BasicAuth(*basic).auth_flow(request))
    return await _exchange(client, request, limits)


async def discover(client: httpx.AsyncClient, issuer: str, limits: FetchLimits) -> Mapping[str, Json]:
    """The document of OpenID Connect Discovery 1.0 section 4, which must name `issuer`.

    Raises FetchFailed; httpx's errors where there is no answer.
    """
    url = issuer.rstrip("/") + "/.well-known/openid-configuration"
    try:
        document = strict_object(await get(client, url, limits))
    except StrictJsonError as error:
        raise FetchFailed(f"the discovery document is {error}") from None
    if document.get("issuer") != issuer:
        raise FetchFailed("the discovery document names another issuer; configure exactly its `issuer`")
    return document


def endpoint(document: Mapping[str, Json], name: str, issuer: str) -> str:
    """The URL that a discovery document gives for `name`. Raises FetchFailed."""
    found = document.get(name)
    if not isinstance(found, str):
        raise FetchFailed(f"the discovery document has no {name}")
    problem = url_problem(found, plain_allowed=is_plain_loopback(issuer))
    if problem:
        raise FetchFailed(f"the discovery document's {name} {problem}")
    return found


def cause(error: Exception) -> str:
    """Name the failure without text that came from outside."""
    root: BaseException = error
    while root.__cause__ is not None or root.__context__ is not None:
        root = root.__cause__ or root.__context__ or root
        if isinstance(root, ssl.SSLCertVerificationError):
            return f"certificate: {root.verify_message}"
    return type(root).__name__


def url_problem(url: str, *, plain_allowed: bool) -> str | None:
    """Say what is wrong with an issuer's address: https always, plain http on loopback where allowed."""
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


def is_plain_loopback(issuer: str) -> bool:
    try:
        parts = urlsplit(issuer)
    except ValueError:
        return False
    return parts.scheme == "http" and _is_loopback(parts)


async def _exchange(client: httpx.AsyncClient, request: httpx.Request, limits: FetchLimits) -> IssuerAnswer:
    answer = await client.send(request, stream=True)
    try:
        # Unpacking could turn a small answer into a huge one before it is measured.
        if answer.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise FetchFailed("the answer is compressed although that was not asked for")
        if answer.is_redirect:
            raise FetchFailed(f"HTTP status {answer.status_code}; redirects are not followed")
        body = bytearray()
        async for chunk in answer.aiter_raw():
            body += chunk
            if len(body) > limits.answer_bytes:
                raise FetchFailed(f"the answer is larger than {limits.answer_bytes} bytes")
        return IssuerAnswer(answer.status_code, bytes(body))
    finally:
        await answer.aclose()


def _only_ok(answer: IssuerAnswer) -> bytes:
    if answer.status != _OK:
        raise FetchFailed(f"HTTP status {answer.status}")
    return answer.body


def _tls(ca: Path | None) -> ssl.SSLContext:
    if ca is None:
        return httpx.create_ssl_context(verify=True, trust_env=False)
    try:
        return ssl.create_default_context(cafile=str(ca))
    except ssl.SSLError:
        raise FetchFailed(f"the CA file {ca} holds no PEM certificate") from None
    except OSError as error:
        raise FetchFailed(f"the CA file {ca} cannot be read: {error.strerror}") from None


def _is_loopback(parts: SplitResult) -> bool:
    host = parts.hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
