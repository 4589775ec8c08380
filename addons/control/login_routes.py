"""The steps of a login that no page shows: to the issuer, back from it, and out."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from addons.control.login import csrf
from addons.control.login.attempt import LIFETIME
from addons.control.login.code_flow import CALLBACK, LoginFailed, LoginFlow
from addons.control.parts import ControlParts
from addons.control.problems import Problem, ProblemError

LOGIN_PAGE = "/login"
START = "/login/start"
LOGOUT = "/logout"


def make_router(parts: ControlParts) -> APIRouter:
    steps = _Steps(parts)
    router = APIRouter()
    router.add_route(START, steps.start, ["GET"])
    router.add_route(CALLBACK, steps.callback, ["GET"])
    router.add_route(LOGOUT, steps.logout, ["POST"])
    return router


class _Steps:
    def __init__(self, parts: ControlParts) -> None:
        self._parts = parts
        self._public = parts.public

    async def start(self, request: Request) -> Response:
        try:
            url, attempt = await self._flow().begin(_single(request, "next"))
        except LoginFailed as failed:
            raise _failed(failed) from None
        response = _to(url)
        self._set_cookie(response, self._public.login_cookie, attempt.cookie, LIFETIME)
        return response

    async def callback(self, request: Request) -> Response:
        answer = dict(request.query_params.multi_items())
        if len(answer) != len(request.query_params.multi_items()):
            raise _failed(LoginFailed("the answer says something twice; log in again"))
        try:
            cookie = request.cookies.get(self._public.login_cookie, "")
            person, attempt = await self._flow().finish(cookie, answer)
        except LoginFailed as failed:
            raise _failed(failed) from None
        sessions, seconds = self._parts.sessions, self._seconds()
        old = request.cookies.get(self._public.session_cookie)
        if old is not None:
            await asyncio.to_thread(sessions.end, old)
        session_id = await asyncio.to_thread(sessions.begin, person, self._parts.now(), seconds)
        response = _to(attempt.next_path)
        self._set_cookie(response, self._public.session_cookie, session_id, seconds)
        self._drop_cookie(response, self._public.login_cookie)
        return response

    async def logout(self, request: Request) -> Response:
        """Also where there is no login any more: whoever asks for it shall be out."""
        session_id = request.cookies.get(self._public.session_cookie, "")
        if await self._parts.people.from_session(session_id) is not None:
            await csrf.check(request, session_id, self._public.origin)
            await asyncio.to_thread(self._parts.sessions.end, session_id)
        response = _to(LOGIN_PAGE)
        self._drop_cookie(response, self._public.session_cookie)
        return response

    def _flow(self) -> LoginFlow:
        if self._parts.login is None:
            text = "nobody can log in: whoever runs this has to set control.login"
            raise ProblemError(Problem(HTTPStatus.NOT_FOUND, "login_not_configured", text))
        return self._parts.login

    def _seconds(self) -> float:
        login = self._parts.config.control.login
        return 0.0 if login is None else login.session

    def _set_cookie(self, response: Response, name: str, value: str, seconds: float) -> None:
        response.set_cookie(
            name,
            value,
            max_age=int(seconds),
            path="/",
            secure=self._public.is_https,
            httponly=True,
            samesite="lax",  # not strict: people come by a link in a message, and from the issuer
        )

    def _drop_cookie(self, response: Response, name: str) -> None:
        response.delete_cookie(name, path="/", secure=self._public.is_https, httponly=True, samesite="lax")


def _single(request: Request, name: str) -> str | None:
    values = request.query_params.getlist(name)
    return values[0] if len(values) == 1 else None


def _failed(error: LoginFailed) -> ProblemError:
    return ProblemError(Problem(HTTPStatus.BAD_REQUEST, "login_failed", str(error)))


def _to(url: str) -> Response:
    return RedirectResponse(url, HTTPStatus.SEE_OTHER)
