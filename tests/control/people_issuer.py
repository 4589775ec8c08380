"""An OpenID Connect provider on loopback with the authorization code flow, that a test can make misbehave."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlencode, urlsplit

from addons.core.model import Json
from tests.core.token_minting import Signer

AUDIENCE = "ddgate-control"
CLIENT_ID = "approvals-page"
DISCOVERY = "/.well-known/openid-configuration"


@dataclass
class Asked:
    """One login that a browser was sent here with."""

    given: Mapping[str, str]
    person: Mapping[str, Json]


@dataclass
class Answers:
    """What is other than it should be. `id_token` changes claims (None drops one); `token` takes the whole
    answer's place as (status, headers, body).
    """

    discovery: dict[str, Json] = field(default_factory=dict)
    id_token: dict[str, Json] = field(default_factory=dict)
    token: tuple[int, dict[str, str], bytes] | None = None


class PeopleIssuer:
    def __init__(self, client_secret: str | None = None) -> None:
        self.signer = Signer()
        self.answers = Answers()
        self.client_secret = client_secret
        self.codes: dict[str, Asked] = {}
        self.token_requests: list[tuple[dict[str, str], str | None]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            timeout = 10

            def do_GET(self) -> None:
                _send(self, 200, json.dumps(outer.document(urlsplit(self.path).path)).encode())

            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length", "0"))
                form = dict(parse_qsl(self.rfile.read(length).decode(), keep_blank_values=True))
                outer.token_requests.append((form, self.headers.get("Authorization")))
                if outer.answers.token is not None:
                    status, headers, body = outer.answers.token
                    _send(self, status, body, **headers)
                    return
                status, said = outer.exchange(form, self.headers.get("Authorization"))
                _send(self, status, json.dumps(said).encode())

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)

    def document(self, path: str) -> Json:
        if path == "/keys":
            return {"keys": [self.signer.jwk()]}
        found: dict[str, Json] = {
            "issuer": self.url,
            "jwks_uri": f"{self.url}/keys",
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
        }
        return {**found, **self.answers.discovery}

    def log_in(self, authorize_url: str, name: str, *groups: str, **claims: Json) -> dict[str, str]:
        """The person says who they are; what the browser is sent back with."""
        parts = urlsplit(authorize_url)
        assert f"{parts.scheme}://{parts.netloc}{parts.path}" == f"{self.url}/authorize"
        given = dict(parse_qsl(parts.query))
        code = secrets.token_urlsafe(16)
        self.codes[code] = Asked(given, {**self.claims(name, *groups), **claims})
        return {"code": code, "state": given["state"]}

    def exchange(self, form: Mapping[str, str], authorization: str | None) -> tuple[int, dict[str, Any]]:
        asked = self.codes.pop(form.get("code", ""), None)
        if asked is None or form.get("grant_type") != "authorization_code":
            return 400, {"error": "invalid_grant"}
        verifier = form.get("code_verifier", "")
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        if asked.given["code_challenge_method"] != "S256" or asked.given["code_challenge"] != challenge:
            return 400, {"error": "invalid_grant"}
        if form.get("redirect_uri") != asked.given["redirect_uri"] or not self._is_client(
            form, authorization
        ):
            return 401, {"error": "invalid_client"}
        claims: dict[str, Json] = {
            **asked.person,
            "aud": CLIENT_ID,
            "nonce": asked.given["nonce"],
            **self.answers.id_token,
        }
        body = {name: value for name, value in claims.items() if value is not None}
        dropped = tuple(name for name, value in claims.items() if value is None)
        return 200, {
            "token_type": "Bearer",
            "access_token": self.token("unused"),
            "id_token": self.signer.token(body, drop=dropped),
        }

    def _is_client(self, form: Mapping[str, str], authorization: str | None) -> bool:
        if self.client_secret is None:
            return form.get("client_id") == CLIENT_ID and authorization is None
        wanted = base64.b64encode(f"{CLIENT_ID}:{self.client_secret}".encode()).decode()
        by_form = form.get("client_secret") == self.client_secret and form.get("client_id") == CLIENT_ID
        return authorization == f"Basic {wanted}" or by_form

    def claims(self, name: str, *groups: str) -> dict[str, Json]:
        now = time.time()
        return {
            "iss": self.url,
            "sub": name,
            "email": f"{name}@example.com",
            "groups": list[Json](groups),
            "iat": now,
            "nbf": now,
            "exp": now + 300,
            "jti": secrets.token_hex(8),
        }

    def token(self, name: str, *groups: str, **claims: Json) -> str:
        """A person's own token for control's API, changed as told."""
        return self.signer.token({**self.claims(name, *groups), "aud": AUDIENCE, **claims})

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def _send(handler: BaseHTTPRequestHandler, status: int, body: bytes, **headers: str) -> None:
    handler.send_response(status)
    for name, value in {"Content-Length": str(len(body)), **headers}.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body)


def query(answer: Mapping[str, str]) -> str:
    return urlencode(answer)
