"""The approvals page: where people see exactly what would run, and say yes or no.

Server-rendered, so that it works without scripts; `static/` adds what follows events and keys. Who asks is
established anew for every request, and every change goes through `deciding`, as the API's do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import cache
from http import HTTPStatus
from types import MappingProxyType
from urllib.parse import quote, urlencode

from fastapi import APIRouter
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from addons.control import deciding
from addons.control.api.models import MAX_REASON
from addons.control.deciding import Decided, Whole
from addons.control.login.people import Caller, NotAPerson, WhoReason
from addons.control.login_routes import LOGIN_PAGE, START
from addons.control.pages.fixed_parts import FixedParts
from addons.control.pages.listing import PATH, read_list
from addons.control.pages.one_request import About, Typed, read_one
from addons.control.pages.rendering import Follows, Rendering
from addons.control.pages.static_files import StaticFiles
from addons.control.parts import ControlParts
from addons.control.problems import Problem, ProblemError, of_refused_vote
from addons.core.approvals.approval import Person
from addons.core.approvals.states import State
from addons.core.approvals.voting import VoteRefused

type _Decide = Callable[[ControlParts, str, Person, str, FormData], Awaitable[Decided]]


def make_router(parts: ControlParts) -> APIRouter:
    pages = _Pages(parts)
    router = APIRouter()
    router.add_route("/", pages.root, ["GET"])
    router.add_route(LOGIN_PAGE, pages.login, ["GET"])
    router.add_route(PATH, pages.list, ["GET"])
    router.add_route(PATH + "/{id}", pages.one, ["GET"])
    for action in _DECISIONS:
        router.add_route(f"{PATH}/{{id}}/{action}", pages.decide, ["POST"])
    router.add_route("/static/{name}", StaticFiles().answer, ["GET"])
    return router


def problem_page(parts: ControlParts, request: Request, problem: Problem) -> Response:
    """What a browser shows for a problem outside the API."""
    return _rendering().page(
        "problem.html",
        now=parts.now().wall,
        status=problem.status,
        problem=problem,
        login=_again(request) if problem.status == HTTPStatus.UNAUTHORIZED else None,
    )


@cache
def _rendering() -> Rendering:
    """One for the process: it keeps the compiled templates."""
    return Rendering()


class _Pages:
    def __init__(self, parts: ControlParts) -> None:
        self._parts = parts
        self._fixed = FixedParts(_rendering())

    async def root(self, _: Request) -> Response:
        return RedirectResponse(PATH, HTTPStatus.SEE_OTHER)

    async def login(self, request: Request) -> Response:
        login = self._parts.config.control.login
        query = urlencode({"next": request.query_params.get("next", PATH)})
        return _rendering().page(
            "login.html",
            now=self._parts.now().wall,
            issuer=None if login is None else login.issuer,
            start=f"{START}?{query}",
        )

    async def list(self, request: Request) -> Response:
        caller = await self._caller(request)
        if isinstance(caller, Response):
            return caller
        state, before = _state(request), request.query_params.get("before")
        parts = self._parts

        def render() -> Response:
            version, now = parts.approvals.last_version(), parts.now().wall
            view = read_list(parts.approvals, caller.person, now, state, before)
            follows = Follows(caller, version, _again(request))
            return _rendering().page("list.html", now, follows, view=view)

        return await asyncio.to_thread(render)

    async def one(self, request: Request) -> Response:
        caller = await self._caller(request)
        if isinstance(caller, Response):
            return caller
        version = await asyncio.to_thread(self._parts.approvals.last_version)
        whole = await deciding.open_whole(self._parts, request.path_params["id"], caller.person)
        return await self._show(caller, whole, version, Typed(), HTTPStatus.OK)

    async def decide(self, request: Request) -> Response:
        caller = await self._caller(request)
        if isinstance(caller, Response):
            return caller
        of = request.path_params["id"]
        action = request.url.path.rpartition("/")[2]
        form = await request.form()
        reason = _text(form, "reason").replace("\r\n", "\n")
        if len(reason) > MAX_REASON:
            raise ProblemError(
                Problem(
                    HTTPStatus.UNPROCESSABLE_ENTITY,
                    "too_long",
                    f"the reason is longer than {MAX_REASON} characters; go back and shorten it",
                )
            )
        decided = await _DECISIONS[action](self._parts, of, caller.person, reason, form)
        if isinstance(decided, VoteRefused):
            typed = Typed(decided, MappingProxyType({_FIELDS[action]: reason}))
            status = HTTPStatus(of_refused_vote(decided).status)
            version = await asyncio.to_thread(self._parts.approvals.last_version)
            whole = await deciding.read_whole(self._parts, of)
            return await self._show(caller, whole, version, typed, status)
        return RedirectResponse(f"{PATH}/{quote(of, safe='')}", HTTPStatus.SEE_OTHER)

    async def _show(
        self, caller: Caller, whole: Whole, version: int, typed: Typed, status: HTTPStatus
    ) -> Response:
        """`version` was read before `whole`, so that nothing in between is missed."""

        def render() -> Response:
            now = self._parts.now().wall
            approvals = self._parts.approvals
            about = About(whole, self._fixed.of(approvals, whole), typed)
            view = read_one(approvals, about, caller.person, now)
            follows = Follows(caller, version, _login_for(f"{PATH}/{whole.approval.id}"))
            return _rendering().page("one.html", now, follows, status, view=view)

        return await asyncio.to_thread(render)

    async def _caller(self, request: Request) -> Caller | Response:
        """Whoever has a login; anybody else goes to the login page, and comes back here."""
        try:
            caller = await self._parts.people.of_request(request)
        except NotAPerson as nobody:
            if nobody.reason is WhoReason.NOT_LOGGED_IN:
                return RedirectResponse(_again(request), HTTPStatus.SEE_OTHER)
            raise
        if caller.csrf_token is None:
            # A token is for the API. A page made for one would hold forms that can't be sent.
            raise ProblemError(
                Problem(HTTPStatus.BAD_REQUEST, "pages_need_login", "programs use /api/v1, not the pages")
            )
        return caller


def _again(request: Request) -> str:
    """Where to log in, to come back to the page of this request."""
    path = request.url.path
    if request.method == "POST":
        path = path.rpartition("/")[0]
    elif request.url.query:
        path = f"{path}?{request.url.query}"
    return _login_for(path)


def _login_for(path: str) -> str:
    return f"{LOGIN_PAGE}?{urlencode({'next': path})}"


def _state(request: Request) -> State | None:
    given = request.query_params.get("state")
    if given is None:
        return None
    try:
        return State(given)
    except ValueError:
        words = ", ".join(State)
        raise ProblemError(
            Problem(HTTPStatus.BAD_REQUEST, "no_such_state", f"there is no such state; there are {words}")
        ) from None


def _text(form: FormData, name: str) -> str:
    """Raises ProblemError where it is there twice, or is a file."""
    values = form.getlist(name)
    if not values:
        return ""
    if len(values) > 1 or not isinstance(values[0], str):
        raise ProblemError(Problem(HTTPStatus.BAD_REQUEST, "bad_form", f"the form holds no single {name}"))
    return values[0]


def _digest(form: FormData) -> str:
    """That of the request which the page showed. Raises ProblemError."""
    digest = _text(form, "digest")
    if not digest:
        raise ProblemError(
            Problem(HTTPStatus.BAD_REQUEST, "bad_form", "the form doesn't say what it decides on")
        )
    return digest


async def _approve(parts: ControlParts, of: str, person: Person, reason: str, form: FormData) -> Decided:
    return await deciding.vote(parts, of, person, approves=True, reason=reason, digest=_digest(form))


async def _deny(parts: ControlParts, of: str, person: Person, reason: str, form: FormData) -> Decided:
    return await deciding.vote(parts, of, person, approves=False, reason=reason, digest=_digest(form))


async def _break_glass(parts: ControlParts, of: str, person: Person, reason: str, form: FormData) -> Decided:
    if _text(form, "sure") != "yes":
        raise ProblemError(
            Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "not_sure", "tick that you answer for it, and try again")
        )
    return await deciding.break_glass(parts, of, person, reason=reason, digest=_digest(form))


async def _review(parts: ControlParts, of: str, person: Person, reason: str, _: FormData) -> Decided:
    return await deciding.review(parts, of, person, reason=reason)


async def _resolve(parts: ControlParts, of: str, person: Person, reason: str, form: FormData) -> Decided:
    ran = {"yes": True, "no": False}.get(_text(form, "ran"))
    if ran is None:
        raise ProblemError(
            Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "bad_form", "say whether the call ran or did not run")
        )
    return await deciding.resolve(parts, of, person, ran=ran, reason=reason)


async def _cancel(parts: ControlParts, of: str, person: Person, reason: str, _: FormData) -> Decided:
    return await deciding.cancel(parts, of, person, reason=reason)


_DECISIONS: dict[str, _Decide] = {
    "approve": _approve,
    "deny": _deny,
    "break-glass": _break_glass,
    "review": _review,
    "resolve": _resolve,
    "cancel": _cancel,
}
_FIELDS = {
    "approve": "reason",
    "deny": "reason",
    "break-glass": "glass-reason",
    "review": "review-reason",
    "resolve": "resolve-reason",
    "cancel": "cancel-reason",
}
"""Where on the page the reason of each was written."""
