"""Login of people's browsers: OpenID Connect's authorization code flow with PKCE.

OpenID Connect Core 1.0 section 3.1, RFC 6749 section 4.1, RFC 7636, RFC 9207, and the best current practice,
RFC 9700. Endpoints are found by discovery; no redirect is followed; every answer is bounded.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote_plus, urlencode, urlsplit

import httpx

from addons.control.login import attempt as login_attempt
from addons.control.login.attempt import Attempt, NoAttempt
from addons.control.login.id_tokens import IdTokens
from addons.core.approvals.approval import Person
from addons.core.approvals.voting import person_of
from addons.core.model import Json
from addons.core.token_checks import TokenRejected
from addons.core.token_parts import StrictJsonError, strict_object
from addons.store.credentials import CredentialProblem
from addons.store.identity import issuer_http
from addons.store.identity.issuer_http import FetchFailed, FetchLimits
from addons.store.identity.token_authority import IssuerUnavailable

CALLBACK = "/login/callback"

_OK = 200
_KEPT_SECONDS = 300.0  # of a discovery document
_RETRY_SECONDS = 2.0  # after one that could not be had
_ERROR_CODE = re.compile(r"[a-z_]{1,40}", re.ASCII)
_log = logging.getLogger(__name__)


class LoginFailed(Exception):  # noqa: N818 - named after what happened, as the other refusals are
    """The text is for the person who logs in, and holds nothing that came from outside."""


@dataclass(frozen=True, slots=True)
class LoginSettings:
    """As configured; `redirect_uri` is our own. `secret` reads the client's; None for a public one."""

    issuer: str
    client_id: str
    secret: Callable[[], bytes] | None
    scopes: tuple[str, ...]
    ca: Path | None
    redirect_uri: str


@dataclass(frozen=True, slots=True)
class _Provider:
    authorization: str
    token: str
    by_form: bool
    """The client's secret goes into the form (client_secret_post), not into a header."""
    names_itself: bool
    """Its answers carry `iss` (RFC 9207)."""
    until: float


class LoginFlow:
    """`key` signs what browsers keep, and is the same in every control process. `clock` gives seconds since
    the epoch.
    """

    def __init__(
        self,
        settings: LoginSettings,
        id_tokens: IdTokens,
        key: bytes,
        clock: Callable[[], float],
        limits: FetchLimits | None = None,
    ) -> None:
        self._settings = settings
        self._id_tokens = id_tokens
        self._key = key
        self._clock = clock
        self._limits = limits or FetchLimits()
        self._provider: _Provider | None = None
        self._failed: tuple[float, str] | None = None
        self._finding = asyncio.Lock()

    def problem(self) -> str | None:
        """Why nobody can log in now, as far as that is known."""
        return self._id_tokens.problem()

    async def begin(self, unverified_next: str | None) -> tuple[str, Attempt]:
        """Where to send the browser, and what it keeps meanwhile. Raises LoginFailed."""
        provider = await self._found()
        attempt = login_attempt.begin(self._key, login_attempt.own_path(unverified_next), self._clock())
        asked = {
            "response_type": "code",
            "client_id": self._settings.client_id,
            "redirect_uri": self._settings.redirect_uri,
            "scope": " ".join(self._settings.scopes),
            "state": attempt.state,
            "nonce": attempt.nonce,
            "code_challenge": attempt.challenge,
            "code_challenge_method": "S256",
        }
        joined = "&" if urlsplit(provider.authorization).query else "?"
        return f"{provider.authorization}{joined}{urlencode(asked)}", attempt

    async def finish(
        self, unverified_cookie: str, unverified_answer: Mapping[str, str]
    ) -> tuple[Person, Attempt]:
        """Who has logged in, from the parameters that the issuer sent the browser back with.

        Raises LoginFailed.
        """
        state = unverified_answer.get("state", "")
        try:
            attempt = login_attempt.resume(self._key, unverified_cookie, state, self._clock())
        except NoAttempt as error:
            raise LoginFailed(str(error)) from None
        provider = await self._found()
        code = self._code(unverified_answer, provider)
        token = await self._exchanged(code, attempt, provider)
        try:
            return person_of(await self._id_tokens.verify(token, attempt.nonce)), attempt
        except TokenRejected as rejected:
            _log.warning("An ID token was refused: %s %s", rejected.check, rejected.about)
            raise LoginFailed(f"the issuer's token isn't one for this page: {rejected.message}") from None
        except IssuerUnavailable as error:
            raise LoginFailed(error.message) from None
        except ValueError:
            raise LoginFailed("the token is made out to somebody who acts for somebody else") from None

    def _code(self, unverified_answer: Mapping[str, str], provider: _Provider) -> str:
        issuer = unverified_answer.get("iss")
        if issuer is None and provider.names_itself:
            raise LoginFailed("the answer doesn't say which issuer it is from")
        if issuer is not None and not hmac.compare_digest(issuer.encode(), self._settings.issuer.encode()):
            raise LoginFailed("the answer is from another issuer than the one that was asked")
        error = unverified_answer.get("error")
        if error is not None:
            shown = error if _ERROR_CODE.fullmatch(error) else "an error without a proper code"
            raise LoginFailed(f"the issuer refused the login: {shown}")
        code = unverified_answer.get("code", "")
        if not code:
            raise LoginFailed("the issuer sent no code")
        return code

    async def _exchanged(self, code: str, attempt: Attempt, provider: _Provider) -> str:
        """The ID token, for the code (RFC 6749 section 4.1.3)."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._settings.redirect_uri,
            "code_verifier": attempt.verifier,
        }
        basic = await self._authenticated(form, provider)
        answer = await self._asking(
            lambda client: issuer_http.post_form(client, provider.token, form, basic, self._limits)
        )
        try:
            said = strict_object(answer.body)
        except StrictJsonError:
            raise LoginFailed(f"the issuer's answer can't be read (HTTP status {answer.status})") from None
        if answer.status != _OK:
            error = said.get("error")
            shown = error if isinstance(error, str) and _ERROR_CODE.fullmatch(error) else "no reason given"
            raise LoginFailed(f"the issuer doesn't take the code: {shown}; log in again")
        token = said.get("id_token")
        if not isinstance(token, str):
            raise LoginFailed("the issuer sent no ID token; does control.login.scopes ask for openid?")
        return token

    async def _authenticated(self, form: dict[str, str], provider: _Provider) -> tuple[str, str] | None:
        """Adds who we are to `form`, or gives user and password for the header (RFC 6749 section 2.3.1)."""
        client_id, secret = self._settings.client_id, self._settings.secret
        if secret is None:
            form["client_id"] = client_id
            return None
        try:
            value = (await asyncio.to_thread(secret)).decode()
        except CredentialProblem as problem:
            _log.error("control.login.client_secret: %s", problem)
            raise LoginFailed("control can't read its own client secret; whoever runs it sees why") from None
        if provider.by_form:
            form.update(client_id=client_id, client_secret=value)
            return None
        return quote_plus(client_id), quote_plus(value)

    async def _found(self) -> _Provider:
        """The issuer's endpoints, asked for now and then. Raises LoginFailed."""
        async with self._finding:  # many who come at once ask once
            known, failed, now = self._provider, self._failed, self._clock()
            if known is not None and 0 < known.until - now <= _KEPT_SECONDS:
                return known
            if failed is not None and 0 <= now - failed[0] < _RETRY_SECONDS:
                raise LoginFailed(failed[1])
            try:
                self._provider = self._read(
                    await self._asking(
                        lambda client: issuer_http.discover(client, self._settings.issuer, self._limits)
                    )
                )
            except LoginFailed as error:
                self._failed = (self._clock(), str(error))
                raise
            self._failed = None
            return self._provider

    def _read(self, document: Mapping[str, Json]) -> _Provider:
        """Raises LoginFailed."""
        issuer = self._settings.issuer
        methods = document.get("token_endpoint_auth_methods_supported")
        listed = methods if isinstance(methods, list) else ["client_secret_basic"]
        try:
            authorization = issuer_http.endpoint(document, "authorization_endpoint", issuer)
            token = issuer_http.endpoint(document, "token_endpoint", issuer)
        except FetchFailed as error:
            raise LoginFailed(f"the issuer can't be used: {error}") from None
        return _Provider(
            authorization=authorization,
            token=token,
            by_form="client_secret_basic" not in listed and "client_secret_post" in listed,
            names_itself=document.get("authorization_response_iss_parameter_supported") is True,
            until=self._clock() + _KEPT_SECONDS,
        )

    async def _asking[T](self, ask: Callable[[httpx.AsyncClient], Awaitable[T]]) -> T:
        try:
            async with asyncio.timeout(self._limits.seconds):
                async with issuer_http.issuer_client(self._settings.ca, self._limits) as client:
                    return await ask(client)
        except TimeoutError:
            raise LoginFailed("the issuer doesn't answer in time; try again") from None
        except FetchFailed as error:
            raise LoginFailed(f"the issuer can't be used: {error}") from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError) as error:
            _log.warning("The issuer of people's logins can't be reached: %s", issuer_http.cause(error))
            raise LoginFailed("the issuer can't be reached; try again, or tell whoever runs this") from None
