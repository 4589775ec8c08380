"""Control's HTTP API, as `ddgate approvals` uses it: always straight there, never through a proxy."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from urllib.parse import quote, urlsplit

import httpx

from addons.core.model import Json
from addons.sidecar.token_sources import TokenError, TokenSource

_SECONDS = 30.0
_SILENCE = 45.0  # control says something every 10 s on an open stream
_API = "/api/v1"
_EXPIRED = "token_expired"
_MOST_DETAIL = 2000


class Misused(Exception):  # noqa: N818 - named after what is wrong
    """The options, or what they name, can't be used; the text says what to do."""


class Unreachable(Exception):  # noqa: N818 - named after what is wrong
    """Control doesn't answer, or can't just now."""


class Refused(Exception):  # noqa: N818 - named after what happened
    """Control said no: `reason` is its word for why."""

    def __init__(self, status: int, reason: str, text: str) -> None:
        super().__init__(text)
        self.status, self.reason = status, reason


@dataclass(frozen=True, slots=True)
class Place:
    """Where control is; `tls` is None for one that is spoken to in the clear, on this machine."""

    url: str
    tls: ssl.SSLContext | None


def parse_place(url: str, ca: Path | None) -> Place:
    """`ca` replaces the system's roots. Raises Misused."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        usable = bool(host) and (parts.port is None or parts.port > 0)
    except ValueError:
        usable, parts, host = False, urlsplit(""), ""
    odd = parts.path not in {"", "/"} or parts.query or parts.fragment or "@" in parts.netloc
    if not usable or parts.scheme not in {"http", "https"} or odd:
        raise Misused("--control must be http://HOST:PORT or https://HOST:PORT, with nothing else in it")
    if parts.scheme == "http":
        if not _is_loopback(host):
            raise Misused(
                f"your token would cross the network to {parts.netloc} unencrypted; reach control by https://"
            )
        if ca is not None:
            raise Misused("--control-ca is for an https:// address; this one is http://")
        return Place(f"http://{parts.netloc}", None)
    try:
        tls = ssl.create_default_context(cafile=None if ca is None else str(ca))
    except (OSError, ssl.SSLError):
        raise Misused(f"--control-ca {ca} can't be read as PEM certificates") from None
    return Place(f"https://{parts.netloc}", tls)


@dataclass(slots=True)
class ControlClient:
    """One person's calls. The token is fetched when it is first needed, and anew when control says that it
    has expired. Every method raises Refused, Unreachable, TokenError.
    """

    place: Place
    source: TokenSource
    _token: str | None = field(default=None, repr=False)
    _http: httpx.Client = field(init=False, repr=False)

    def __post_init__(self) -> None:
        verify: ssl.SSLContext | bool = self.place.tls if self.place.tls is not None else True
        self._http = httpx.Client(
            base_url=self.place.url, verify=verify, trust_env=False, timeout=_SECONDS, follow_redirects=False
        )

    def close(self) -> None:
        self._http.close()

    def get(self, *path: str, **query: str | int | list[str]) -> Json:
        return self._asked("GET", path, query, None)

    def post(self, *path: str, body: Mapping[str, Json] | None = None) -> Json:
        return self._asked("POST", path, {}, body or {})

    @contextmanager
    def events(self, after: int) -> Iterator[Iterator[tuple[str, str]]]:
        """(event, data) of each server-sent event, beginning with what has changed `after` that version."""
        request = self._request("GET", ("events",), {"after": after}, None)
        request.headers["Accept"] = "text/event-stream"
        request.extensions["timeout"] = httpx.Timeout(_SECONDS, read=_SILENCE).as_dict()
        with self._told_plainly():
            response = self._http.send(request, stream=True)
            try:
                if response.status_code != HTTPStatus.OK:
                    response.read()
                    self._refuse(response)
                yield _events(response.iter_lines())
            finally:
                response.close()

    def forget_token(self) -> None:
        """The next call fetches a new one."""
        self._token = None

    def _asked(
        self,
        method: str,
        path: tuple[str, ...],
        query: Mapping[str, str | int | list[str]],
        body: Mapping[str, Json] | None,
    ) -> Json:
        kept = self._token is not None
        with self._told_plainly():
            response = self._http.send(self._request(method, path, query, body))
            if kept and response.status_code == HTTPStatus.UNAUTHORIZED and _reason(response) == _EXPIRED:
                self.forget_token()
                response = self._http.send(self._request(method, path, query, body))
        if not response.is_success:
            self._refuse(response)
        try:
            answer: Json = response.json()
        except ValueError:
            raise Unreachable(f"{self.place.url} answers, but not as ddgate's control does") from None
        return answer

    def _request(
        self,
        method: str,
        path: tuple[str, ...],
        query: Mapping[str, str | int | list[str]],
        body: Mapping[str, Json] | None,
    ) -> httpx.Request:
        if self._token is None:
            self._token = fetch(self.source)
        return self._http.build_request(
            method,
            "/".join((_API, *(quote(part, safe="") for part in path))),
            params=dict(query),
            content=None if body is None else json.dumps(body).encode(),
            headers={
                "Authorization": f"Bearer {self._token}",
                "Accept": "application/json",
                **({} if body is None else {"Content-Type": "application/json"}),
            },
        )

    def _refuse(self, response: httpx.Response) -> None:
        text, reason = _detail(response), _reason(response)
        if not reason:
            raise Unreachable(
                f"{self.place.url} answers {response.status_code}, but not as ddgate's control does"
            )
        if response.is_server_error:
            raise Unreachable(f"control can't answer now: {text}")
        raise Refused(response.status_code, reason, text)

    @contextmanager
    def _told_plainly(self) -> Iterator[None]:
        try:
            yield
        except httpx.ConnectError as error:
            raise Unreachable(
                f"control isn't reached at {self.place.url} ({why_it_failed(error)}); "
                "start it, or say where it is: --control URL"
            ) from None
        except httpx.TimeoutException:
            raise Unreachable(f"control at {self.place.url} doesn't answer in time") from None
        except httpx.HTTPError as error:
            raise Unreachable(f"the connection to control broke off ({why_it_failed(error)})") from None


def fetch(source: TokenSource) -> str:
    """A token that fits into a header. Raises TokenError."""
    token = asyncio.run(source.fetch())
    if not token.isascii() or not token.isprintable() or " " in token:
        raise TokenError("what was given as a token isn't one: it has characters that no token has")
    return token


def _events(lines: Iterator[str]) -> Iterator[tuple[str, str]]:
    """Server-sent events (WHATWG HTML, section 9.2.6), as far as control uses them."""
    event, data = "", list[str]()
    for line in lines:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if data:
                yield event, "\n".join(data)
            event, data = "", []
        elif name == "event":
            event = value
        elif name == "data":
            data.append(value)


def _reason(response: httpx.Response) -> str:
    return _word(response, "reason")


def _detail(response: httpx.Response) -> str:
    return _word(response, "detail")[:_MOST_DETAIL] or f"status {response.status_code}"


def _word(response: httpx.Response, name: str) -> str:
    try:
        problem = response.json()
    except ValueError:
        return ""
    word = problem.get(name) if isinstance(problem, dict) else None
    return word if isinstance(word, str) else ""


def why_it_failed(error: httpx.HTTPError) -> str:
    """In words, and without what was sent."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate isn't trusted: {cause.verify_message}"
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__cause__ or cause.__context__
    return type(error).__name__


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
