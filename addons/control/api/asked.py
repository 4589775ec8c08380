"""What every route of the API asks for first: the parts of this process, and who the caller is."""

from __future__ import annotations

from typing import Annotated, cast

from fastapi import Depends
from fastapi.security import APIKeyCookie, HTTPBearer
from starlette.requests import Request

from addons.control.login.people import Caller
from addons.control.parts import ControlParts

# They only stand in the OpenAPI document; `People` reads the request itself, and more strictly.
_BEARER = HTTPBearer(
    scheme_name="token", description="A person's own token for control's audience.", auto_error=False
)
_COOKIE = APIKeyCookie(
    scheme_name="login",
    name="ddgate-session",
    description="A browser's login; `__Host-ddgate-session` over https. Changes need `X-CSRF-Token` too.",
    auto_error=False,
)


def parts_of(request: Request) -> ControlParts:
    return cast(ControlParts, request.app.state.parts)


async def caller_of(request: Request) -> Caller:
    """Raises NotAPerson, CrossSite, SessionsUnavailable."""
    return await parts_of(request).people.of_request(request)


Parts = Annotated[ControlParts, Depends(parts_of)]
CallerHere = Annotated[Caller, Depends(_BEARER), Depends(_COOKIE), Depends(caller_of)]
