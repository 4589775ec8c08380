"""The login page of the development issuer: who are you? There is no password, because it is a sandbox.

OpenID Connect Core 1.0, section 3.1.2 (authorization code flow), RFC 9207 (`iss` in the answer).
"""

from __future__ import annotations

import html
import re
import urllib.parse
from collections.abc import Mapping, Sequence

from addons.sandbox.issuer_clients import Client, Clients
from addons.sandbox.issuer_codes import Codes, LoginRequest
from addons.sandbox.lifecycle import SandboxError
from addons.sandbox.server import Answer, Header, Request

CONTROL_CLIENT = "ddgate-control"
"""The approvals page: a public client, which holds no secret and must prove itself with PKCE."""
CONTROL_AUDIENCE = "ddgate-control"
SCOPES = ("openid", "profile", "email", "groups")

_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")  # of S256
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_PARAMETERS = (
    *("response_type", "client_id", "redirect_uri", "scope", "state", "nonce"),
    *("code_challenge", "code_challenge_method", "resource", "audience"),
)
_HEADERS: tuple[Header, ...] = (
    ("Cache-Control", "no-store"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
)
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"
_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} · ddgate sandbox</title>
<style>
:root {{ color-scheme: light dark }}
body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 24rem; margin: 4rem auto; padding: 0 1rem }}
button {{ display: block; width: 100%; margin: .5rem 0; padding: .75rem 1rem }}
button {{ font: inherit; text-align: left }}
button small {{ display: block }}
</style>
<main>
<h1>{title}</h1>
{content}
</main>
</html>
"""


class _NoPage(Exception):  # noqa: N818 - named after what follows
    """Nobody to send the browser back to: the person is told instead."""


class _SentBack(Exception):  # noqa: N818 - named after what follows
    """RFC 6749, section 4.1.2.1: the client is told in the redirect."""

    def __init__(self, redirect_uri: str, state: str | None, error: str, description: str) -> None:
        super().__init__(description)
        self.parameters = {"error": error, "error_description": description, "state": state}
        self.redirect_uri = redirect_uri


class LoginPage:
    """The authorization endpoint: GET shows who there is, POST says who it is, and leads back with a code."""

    def __init__(self, url: str, clients: Clients, codes: Codes) -> None:
        self._url = url
        self._clients = clients
        self._codes = codes

    def answer(self, request: Request) -> Answer:
        try:
            if request.method == "POST":
                return self._logged_in(_parameters(request.body.decode("latin-1")))
            given = _parameters(request.query)
            return _page("Who are you?", _choice(given, _asked(given), self._clients.people()))
        except _NoPage as problem:
            return _page("That login can't go on", f"<p>{html.escape(str(problem))}</p>", 400)
        except _SentBack as back:
            return self._redirect(back.redirect_uri, back.parameters)
        except SandboxError as error:
            return _page("The sandbox is broken", f"<p>{html.escape(str(error))}</p>", 500)

    def _logged_in(self, given: Mapping[str, str]) -> Answer:
        asked, person = _asked(given), given.get("person", "")
        if person not in {one.client_id for one in self._clients.people()}:
            raise _NoPage("There is no such person; go back and choose another.")
        code = self._codes.issue(asked, person)
        return self._redirect(asked.redirect_uri, {"code": code, "state": asked.state})

    def _redirect(self, to: str, parameters: Mapping[str, str | None]) -> Answer:
        given = {name: value for name, value in parameters.items() if value is not None}
        joint = "&" if urllib.parse.urlsplit(to).query else "?"
        location = to + joint + urllib.parse.urlencode({**given, "iss": self._url})
        return Answer(303, (("Location", location), *_HEADERS))


def _parameters(encoded: str) -> dict[str, str]:
    pairs = urllib.parse.parse_qsl(encoded, keep_blank_values=True)
    given = dict(pairs)
    if len(given) != len(pairs):
        raise _NoPage("A parameter is given twice.")
    return given


def _asked(given: Mapping[str, str]) -> LoginRequest:
    """Raises _NoPage where the client isn't known to be at that place, else _SentBack."""
    if given.get("client_id") != CONTROL_CLIENT:
        raise _NoPage(f"client_id must be {CONTROL_CLIENT}, the only client that people log in to here.")
    redirect_uri = given.get("redirect_uri", "")
    if not _is_loopback(redirect_uri):
        raise _NoPage("redirect_uri must be http:// or https:// on loopback, without a fragment.")
    state = given.get("state")

    def back(error: str, description: str) -> _SentBack:
        return _SentBack(redirect_uri, state, error, description)

    if given.get("response_type") != "code":
        raise back("unsupported_response_type", "response_type must be code")
    scopes = given.get("scope", "").split()
    if "openid" not in scopes:
        raise back("invalid_scope", "scope must contain openid")
    if given.get("code_challenge_method") != "S256":
        raise back("invalid_request", "PKCE is required: code_challenge_method must be S256")
    challenge = given.get("code_challenge", "")
    if not _CHALLENGE.fullmatch(challenge):
        raise back("invalid_request", "PKCE is required: code_challenge isn't one of S256")
    audiences = {given[name] for name in ("resource", "audience") if given.get(name)}
    if len(audiences) > 1:
        raise back("invalid_target", "resource and audience name two audiences")
    return LoginRequest(
        client_id=CONTROL_CLIENT,
        redirect_uri=redirect_uri,
        code_challenge=challenge,
        scope=" ".join(scope for scope in scopes if scope in SCOPES),
        audience=audiences.pop() if audiences else CONTROL_AUDIENCE,
        state=state,
        nonce=given.get("nonce"),
    )


def _is_loopback(url: str) -> bool:
    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        return False  # what browsers and Python read differently
    try:
        parts = urllib.parse.urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    if parts.scheme not in {"http", "https"} or "#" in url or "@" in parts.netloc:
        return False
    return parts.hostname in _LOOPBACK


def _choice(given: Mapping[str, str], asked: LoginRequest, people: Sequence[Client]) -> str:
    hidden = "\n".join(
        f'<input type="hidden" name="{name}" value="{html.escape(given[name])}">'
        for name in _PARAMETERS
        if name in given
    )
    buttons = "\n".join(
        f'<button name="person" value="{html.escape(one.client_id)}">{html.escape(one.client_id)}'
        f"<small>{html.escape(', '.join(one.groups) or 'no groups')}</small></button>"
        for one in people
    )
    back = urllib.parse.urlsplit(asked.redirect_uri).netloc
    return (
        f"<p>It is a sandbox, so there is no password. You go back to {html.escape(back)}.</p>\n"
        f'<form method="post" action="authorize">\n{hidden}\n{buttons}\n</form>'
    )


def _page(title: str, content: str, status: int = 200) -> Answer:
    headers = (
        ("Content-Type", "text/html; charset=utf-8"),
        ("Content-Security-Policy", _POLICY),
        *_HEADERS,
    )
    return Answer(status, headers, _PAGE.format(title=html.escape(title), content=content).encode())
