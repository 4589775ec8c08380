"""One login that is under way: all that is known of it is in a cookie of its browser.

Nothing is stored, so that nobody can fill anything up, and any control process can go on with it. The state,
the nonce and the PKCE verifier are made from the cookie with our key: what comes back at the end belongs to
this browser and to this attempt (RFC 6749 section 10.12, RFC 7636, OpenID Connect Core 1.0 section 3.1.2.1),
and a cookie that was made or changed elsewhere has a state that nobody can know.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field

LIFETIME = 600.0
"""Seconds that a person may take at the issuer."""
DEFAULT_NEXT = "/approvals"

_CLOCK_SLACK = 300.0
_COOKIE = re.compile(r"[A-Za-z0-9_-]{43}\.([0-9]{1,12})\.([A-Za-z0-9_-]{0,400})", re.ASCII)
_OWN_PATH = re.compile(r"/(approvals(/[A-Za-z0-9-]{1,64})?)?(\?[A-Za-z0-9_=&.,%-]{0,200})?", re.ASCII)


class NoAttempt(Exception):  # noqa: N818 - named after what is wrong, as the other refusals are
    """The browser has no login under way, or another one."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """`cookie` is what the browser keeps; `next_path` where it wanted to go."""

    cookie: str
    next_path: str
    state: str = field(repr=False)
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)

    @property
    def challenge(self) -> str:
        """Of the verifier, by S256 (RFC 7636 section 4.2)."""
        return _text(hashlib.sha256(self.verifier.encode()).digest())


def own_path(unverified_next: str | None) -> str:
    """A path of our own pages, whatever was asked for: a login leads nowhere else."""
    if unverified_next is None or not _OWN_PATH.fullmatch(unverified_next):
        return DEFAULT_NEXT
    return unverified_next


def begin(key: bytes, next_path: str, now: float) -> Attempt:
    path = own_path(next_path)
    return _attempt(key, f"{secrets.token_urlsafe(32)}.{int(now)}.{_text(path.encode())}", path)


def resume(key: bytes, unverified_cookie: str, unverified_state: str, now: float) -> Attempt:
    """The attempt that this browser began and the issuer answers. Raises NoAttempt."""
    parts = _COOKIE.fullmatch(unverified_cookie)
    if parts is None:
        raise NoAttempt("this browser has no login under way, or it took too long; log in again")
    if not -_CLOCK_SLACK <= now - int(parts[1]) <= LIFETIME:
        raise NoAttempt("the login took too long; log in again")
    try:
        next_path = base64.urlsafe_b64decode(parts[2] + "=" * (-len(parts[2]) % 4)).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise NoAttempt("this browser has no login under way; log in again") from None
    attempt = _attempt(key, unverified_cookie, own_path(next_path))
    if not hmac.compare_digest(unverified_state.encode(), attempt.state.encode()):
        raise NoAttempt("the answer belongs to another login, perhaps in another tab; log in again")
    return attempt


def _attempt(key: bytes, cookie: str, next_path: str) -> Attempt:
    return Attempt(
        cookie,
        next_path,
        state=_made(key, "state", cookie),
        nonce=_made(key, "nonce", cookie),
        verifier=_made(key, "verifier", cookie),
    )


def _made(key: bytes, label: str, text: str) -> str:
    return _text(hmac.digest(key, f"ddgate login 1 {label} {text}".encode(), "sha256"))


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")
