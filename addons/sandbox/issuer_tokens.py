"""What the development issuer answers: discovery, its key set, logins, tokens, and the levers of tests."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import time
import urllib.parse
import uuid
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

from addons.sandbox import issuer_keys
from addons.sandbox.issuer_clients import Client, Clients
from addons.sandbox.issuer_codes import BadCode, Codes
from addons.sandbox.issuer_keys import KeySet, SigningAlgorithm
from addons.sandbox.issuer_login import SCOPES, LoginPage
from addons.sandbox.lifecycle import SandboxError
from addons.sandbox.server import Answer, Json, Request, json_answer, parse_json_object

ISSUER_PATH = "/ddgate-sandbox"
DEFAULT_AUDIENCE = "ddgate"
DEFAULT_TTL = 600  # seconds
MAX_TTL = 24 * 3600
_SLOW_SECONDS = 30.0
_NO_STORE = (("Cache-Control", "no-store"),)


class Outage(StrEnum):
    """How discovery and the key set misbehave: 503; 200 and no JSON; an answer after 30 s."""

    OK = "ok"
    ERROR = "error"
    GARBAGE = "garbage"
    SLOW = "slow"


class _TokenError(Exception):
    """RFC 6749, section 5.2."""

    def __init__(self, status: int, error: str, description: str) -> None:
        super().__init__(description)
        self.status = status
        self.error = error


class IssuerApi:
    """One issuer's state and its endpoints."""

    def __init__(self, url: str, directory: Path, keys: KeySet, clients: Clients, admin_secret: str) -> None:
        self._url = url
        self._directory = directory
        self._keys = keys
        self._clients = clients
        self._admin_secret = admin_secret
        self._codes = Codes()
        self._login = LoginPage(url, clients, self._codes)
        self._outage = Outage.OK
        self._jwks_fetches = 0
        self._discovery_fetches = 0

    async def answer(self, request: Request) -> Answer:
        below = (
            request.path.removeprefix(ISSUER_PATH + "/") if request.path.startswith(ISSUER_PATH + "/") else ""
        )
        match request.method, below:
            case "GET", ".well-known/openid-configuration":
                self._discovery_fetches += 1
                return await self._through_outage(self._discovery())
            case "GET", "jwks":
                self._jwks_fetches += 1
                return await self._through_outage(self._keys.public())
            case "GET" | "POST", "authorize":
                return self._login.answer(request)
            case "POST", "token":
                return self._token(request)
            case ("POST", "mint" | "rotate" | "outage") | ("GET", "stats"):
                if not self._is_admin(request):
                    return json_answer({"error": "the admin secret in issuer.json is needed"}, 401)
                try:
                    return await self._administer(below, parse_json_object(request.body))
                except (KeyError, TypeError, ValueError) as error:
                    return json_answer({"error": f"{below}: bad request: {error}"}, 400)
        return json_answer({"error": f"nothing here; the issuer is {self._url}"}, 404)

    def _discovery(self) -> Json:
        return {
            "issuer": self._url,
            "jwks_uri": f"{self._url}/jwks",
            "authorization_endpoint": f"{self._url}/authorize",
            "token_endpoint": f"{self._url}/token",
            "grant_types_supported": ["authorization_code", "client_credentials"],
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "subject_types_supported": ["public"],
            "scopes_supported": list[Json](SCOPES),
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": True,
            "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic", "none"],
            "id_token_signing_alg_values_supported": [algorithm.value for algorithm in SigningAlgorithm],
        }

    async def _through_outage(self, content: Json) -> Answer:
        match self._outage:
            case Outage.ERROR:
                return json_answer({"error": "the issuer plays an outage"}, 503)
            case Outage.GARBAGE:
                return Answer(200, (("Content-Type", "application/json"),), b'{"keys": [{]} \xff not JSON')
            case Outage.SLOW:
                await asyncio.sleep(_SLOW_SECONDS)
        return json_answer(content)

    def _is_admin(self, request: Request) -> bool:
        expected = f"Bearer {self._admin_secret}".encode()
        return hmac.compare_digest((request.value("Authorization") or "").encode(), expected)

    def _token(self, request: Request) -> Answer:
        try:
            answer = self._granted(request, _single_valued_form(request.body))
        except _TokenError as error:
            told: Json = {"error": error.error, "error_description": str(error)}
            return json_answer(told, error.status, _NO_STORE)
        except SandboxError as error:
            return json_answer({"error": "server_error", "error_description": str(error)}, 500, _NO_STORE)
        return json_answer(answer, 200, _NO_STORE)

    def _granted(self, request: Request, form: Mapping[str, str]) -> dict[str, Json]:
        match form.get("grant_type"):
            case "client_credentials":
                return self._for_a_client(request, form)
            case "authorization_code":
                return self._for_a_person(request, form)
        raise _TokenError(400, "unsupported_grant_type", "client_credentials or authorization_code")

    def _for_a_client(self, request: Request, form: Mapping[str, str]) -> dict[str, Json]:
        client_id, unverified_secret = _client_credentials(request, form)
        client = self._clients.authenticated(client_id, unverified_secret)
        if client is None:
            raise _TokenError(401, "invalid_client", "unknown client or wrong secret; see clients.json")
        ttl = form.get("ttl", str(DEFAULT_TTL))
        if not (
            ttl.isascii() and ttl.isdecimal() and len(ttl) <= len(str(MAX_TTL)) and 1 <= int(ttl) <= MAX_TTL
        ):
            raise _TokenError(400, "invalid_request", f"ttl is 1 to {MAX_TTL} seconds")
        access: dict[str, Json] = {
            "aud": form.get("audience", DEFAULT_AUDIENCE),
            "client_id": client.client_id,
        }
        token = self._signed(int(ttl), access | self._who(client, form.get("on_behalf_of")))
        return {"access_token": token, "token_type": "Bearer", "expires_in": int(ttl)}

    def _for_a_person(self, request: Request, form: Mapping[str, str]) -> dict[str, Json]:
        """RFC 6749, section 4.1.3; the ID token is that of OpenID Connect Core 1.0, section 2."""
        client_id, _ = _client_credentials(request, form)
        names = ("code", "redirect_uri", "code_verifier")
        code, redirect_uri, unverified_verifier = (form.get(name, "") for name in names)
        try:
            login = self._codes.redeem(code, client_id, redirect_uri, unverified_verifier)
        except BadCode as bad:
            raise _TokenError(400, "invalid_grant", str(bad)) from None
        person = self._clients.find(login.person)
        if person is None:
            raise _TokenError(400, "invalid_grant", f"{login.person} is not in clients.json any more")
        who, asked = self._who(person, None), login.asked
        of_login: dict[str, Json] = {"aud": asked.client_id, "auth_time": int(login.at)}
        if asked.nonce is not None:
            of_login["nonce"] = asked.nonce
        access: dict[str, Json] = {
            "aud": asked.audience,
            "client_id": asked.client_id,
            "scope": asked.scope,
        }
        return {
            "access_token": self._signed(DEFAULT_TTL, access | who),
            "id_token": self._signed(DEFAULT_TTL, of_login | who),
            "token_type": "Bearer",
            "expires_in": DEFAULT_TTL,
            "scope": asked.scope,
        }

    def _signed(self, ttl: int, claims: Mapping[str, Json]) -> str:
        return self._keys.sign(SigningAlgorithm.RS256, {**self._default_claims(ttl), **claims}, {})

    def _who(self, client: Client, on_behalf_of: str | None) -> dict[str, Json]:
        """With `act`, the top level speaks of the subject, `act` of who acts (RFC 8693, section 4.1)."""
        groups: list[Json] = list(client.groups)
        if on_behalf_of is None:
            return {"sub": client.client_id, "groups": groups, **_names(client)}
        act: Json = {"iss": self._url, "sub": client.client_id, "groups": groups}
        subject = self._clients.find(on_behalf_of)
        if subject is None:
            return {"sub": on_behalf_of, "act": act}
        return {"sub": on_behalf_of, "act": act, "groups": list[Json](subject.groups), **_names(subject)}

    def _default_claims(self, ttl: int) -> dict[str, Json]:
        now = int(time.time())
        return {
            "iss": self._url,
            "aud": DEFAULT_AUDIENCE,
            "iat": now,
            "nbf": now,
            "exp": now + ttl,
            "jti": str(uuid.uuid4()),
        }

    async def _administer(self, what: str, body: Mapping[str, Json]) -> Answer:
        match what:
            case "mint":
                return json_answer({"token": self._mint(body)})
            case "rotate":
                self._keys = await asyncio.to_thread(
                    self._keys.rotated, keep_old=body.get("keep_old") is True
                )
                issuer_keys.save(self._keys, self._directory)
                return json_answer({"kids": [key.kid for key in self._keys.current.values()]})
            case "outage":
                self._outage = Outage(str(body["mode"]))
                return json_answer({"mode": self._outage.value})
        return json_answer({"jwks_fetches": self._jwks_fetches, "discovery_fetches": self._discovery_fetches})

    def _mint(self, body: Mapping[str, Json]) -> str:
        """Make a token, good or bad: any default claim can be overridden or left out, `ttl` be negative."""
        ttl = body.get("ttl", DEFAULT_TTL)
        claims = body.get("claims", {})
        headers = body.get("headers", {})
        omit = body.get("omit", [])
        if not isinstance(ttl, int) or not isinstance(claims, dict):
            raise TypeError("ttl is a number of seconds, claims an object")
        if not isinstance(headers, dict) or not isinstance(omit, list):
            raise TypeError("headers is an object, omit a list of claim names")
        algorithm = SigningAlgorithm(str(body.get("alg", SigningAlgorithm.RS256.value)))
        every = self._default_claims(ttl) | {"sub": "demo-agent"} | claims
        return self._keys.sign(algorithm, {name: every[name] for name in every if name not in omit}, headers)


def _names(client: Client) -> dict[str, Json]:
    """What people are called besides their subject."""
    if not client.is_person:
        return {}
    return {"email": client.email, "email_verified": True, "preferred_username": client.client_id}


def _single_valued_form(body: bytes) -> dict[str, str]:
    pairs = urllib.parse.parse_qsl(body.decode("latin-1"), keep_blank_values=True)
    form = dict(pairs)
    if len(form) != len(pairs):
        raise _TokenError(400, "invalid_request", "a parameter is given twice")
    return form


def _client_credentials(request: Request, form: Mapping[str, str]) -> tuple[str, str]:
    """From the form or from Basic authentication (RFC 6749, section 2.3.1)."""
    scheme, _, encoded = (request.value("Authorization") or "").partition(" ")
    if scheme.lower() != "basic":
        return form.get("client_id", ""), form.get("client_secret", "")
    try:
        client_id, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise _TokenError(401, "invalid_client", "the Authorization header can't be read") from error
    return urllib.parse.unquote_plus(client_id), urllib.parse.unquote_plus(secret)
