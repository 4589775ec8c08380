"""Requests that a browser sends by itself: told from those that our own pages make.

A cookie travels with whatever site makes the browser send a request, so a request that changes something and
is known by its cookie alone must come from our own origin (`Sec-Fetch-Site`, `Origin`, RFC 6454) and carry a
token that only our own pages can read. A request with a bearer token needs neither: no other site can add it.
"""

from __future__ import annotations

import base64
import hmac

from starlette.datastructures import FormData
from starlette.requests import Request

FIELD = "csrf_token"
"""Name of the hidden field in forms."""
HEADER = "X-CSRF-Token"

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_LABEL = b"ddgate csrf 1"
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


class CrossSite(Exception):  # noqa: N818 - named after what is wrong, as the other refusals are
    """The request may have been made by another site; the text is for a person."""


def token_for(session_id: str) -> str:
    """The token of one session: whoever knows the cookie could make it, and scripts can't read the cookie."""
    digest = hmac.digest(session_id.encode(), _LABEL, "sha256")
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


def check_origin(request: Request, own_origin: str) -> None:
    """Raises CrossSite unless the browser says that a page of `own_origin` made this request.

    A browser that says nothing is refused too: every one in use sends `Origin` with a POST.
    """
    sites = request.headers.getlist("sec-fetch-site")
    origins = request.headers.getlist("origin")
    if any(site != "same-origin" for site in sites) or any(origin != own_origin for origin in origins):
        raise CrossSite("another site made this request; open the page here and try again")
    if not sites and not origins:
        raise CrossSite("the browser doesn't say which site made this request")


async def check(request: Request, session_id: str, own_origin: str) -> None:
    """For a request that is known by its session cookie. Raises CrossSite."""
    if request.method in _SAFE_METHODS:
        _check_reading(request)
        return
    check_origin(request, own_origin)
    given = request.headers.get(HEADER)
    if given is None and request.headers.get("content-type", "").startswith(_FORMS):
        given = _field(await request.form())
    if given is None or not hmac.compare_digest(given.encode(), token_for(session_id).encode()):
        raise CrossSite("the page is older than your login; load it again and try once more")


def _check_reading(request: Request) -> None:
    """People may come from anywhere by a link; other sites' scripts, images and frames may not fetch in their
    name. On loopback the cookie goes along with requests of every port's pages.
    """
    sites = request.headers.getlist("sec-fetch-site")
    is_navigation = request.headers.getlist("sec-fetch-mode") == ["navigate"]
    is_page = request.headers.getlist("sec-fetch-dest") in ([], ["document"])
    if any(site not in {"same-origin", "none"} for site in sites) and not (is_navigation and is_page):
        raise CrossSite("another site's page tried to read this")


def _field(form: FormData) -> str | None:
    values = form.getlist(FIELD)
    return values[0] if len(values) == 1 and isinstance(values[0], str) else None
