"""Authorization codes with PKCE: what a person's login leaves behind until its client comes for the tokens.

RFC 6749, section 4.1; RFC 7636 (S256 alone).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

CODE_SECONDS = 60.0
_MOST_CODES = 1000
_VERIFIER = re.compile(r"[A-Za-z0-9\-._~]{43,128}")  # RFC 7636, section 4.1


@dataclass(frozen=True, slots=True)
class LoginRequest:
    """What the client asked for at the authorization endpoint, checked. `audience` is the access token's."""

    client_id: str
    redirect_uri: str
    code_challenge: str
    scope: str
    audience: str
    state: str | None
    nonce: str | None


@dataclass(frozen=True, slots=True)
class Login:
    """Who logged in, for which request; `at` is in seconds since the epoch."""

    asked: LoginRequest
    person: str
    at: float


class BadCode(Exception):  # noqa: N818 - named after what is wrong
    """The code isn't one for this client; the text says why."""


class Codes:
    """Codes that nobody has used yet. Each can be used once, within 60 s, by whoever began the login."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._waiting: dict[str, tuple[float, Login]] = {}

    def issue(self, asked: LoginRequest, person: str) -> str:
        now = self._clock()
        self._waiting = {
            code: (until, login) for code, (until, login) in self._waiting.items() if now < until
        }
        while len(self._waiting) >= _MOST_CODES:
            del self._waiting[next(iter(self._waiting))]
        code = secrets.token_urlsafe(32)
        self._waiting[code] = (now + CODE_SECONDS, Login(asked, person, time.time()))
        return code

    def redeem(
        self, unverified_code: str, client_id: str, redirect_uri: str, unverified_verifier: str
    ) -> Login:
        """Use the code up, also where the rest is wrong: whoever guesses has one try. Raises BadCode."""
        until, login = self._waiting.pop(unverified_code, (0.0, None))
        if login is None:
            raise BadCode("no such code, or it was used already")
        if self._clock() >= until:
            raise BadCode(f"the code is older than {CODE_SECONDS:.0f} s")
        asked = login.asked
        if client_id != asked.client_id:
            raise BadCode("the code is another client's")
        if redirect_uri != asked.redirect_uri:
            raise BadCode("redirect_uri isn't the one that the login began with")
        if not _VERIFIER.fullmatch(unverified_verifier):
            raise BadCode("code_verifier has 43 to 128 letters, digits, and -._~")
        if not hmac.compare_digest(challenge_of(unverified_verifier), asked.code_challenge):
            raise BadCode("code_verifier doesn't fit the code_challenge")
        return login


def challenge_of(verifier: str) -> str:
    """S256: RFC 7636, section 4.2."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
