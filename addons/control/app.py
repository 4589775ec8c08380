"""Control's HTTP side, put together: health and metrics, login, API, pages. A process and a port of its own,
which agents can't reach through the proxy.
"""

from __future__ import annotations

from http import HTTPStatus

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp

from addons.control import health, login_routes, problems
from addons.control.api import approvals, events, messages
from addons.control.edge import Edge
from addons.control.login.csrf import CrossSite
from addons.control.login.people import NotAPerson
from addons.control.login.sessions import SessionsUnavailable
from addons.control.pages import routes as pages
from addons.control.parts import ControlParts
from addons.control.problems import MEDIA_TYPE, Problem, ProblemError
from addons.store.audit.problems import AuditLogUnusable
from addons.store.writing.journal import JournalUnavailable

API_PREFIX = "/api/"
_SPECIFICATION = "/openapi.json"


def make_app(parts: ControlParts) -> ASGIApp:
    app = FastAPI(
        title="ddgate approvals",
        version="1",
        description="Calls that wait for people, and what people say about them.",
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=lambda route: route.name,
        openapi_url=_SPECIFICATION,
        redirect_slashes=False,
    )
    app.state.parts = parts
    app.router.routes.extend(health.make_routes(parts))
    app.include_router(approvals.make_router(parts))
    app.include_router(events.make_router(parts))
    app.include_router(messages.make_router(parts))
    app.include_router(login_routes.make_router(parts), include_in_schema=False)
    app.include_router(pages.make_router(parts), include_in_schema=False)
    _answer_problems(app, parts)
    return Edge(app, parts.public)


def _answer_problems(app: FastAPI, parts: ControlParts) -> None:
    def answer(request: Request, problem: Problem) -> Response:
        path = request.url.path
        if path.startswith(API_PREFIX) or path == _SPECIFICATION or path in health.PATHS:
            headers = {"WWW-Authenticate": "Bearer"} if problem.status == HTTPStatus.UNAUTHORIZED else None
            return JSONResponse(problem.to_json(), problem.status, headers, MEDIA_TYPE)
        return pages.problem_page(parts, request, problem)

    @app.exception_handler(ProblemError)
    def _problem(request: Request, error: ProblemError) -> Response:
        return answer(request, error.problem)

    @app.exception_handler(NotAPerson)
    def _nobody(request: Request, error: NotAPerson) -> Response:
        return answer(request, problems.of_caller(error))

    @app.exception_handler(CrossSite)
    def _cross_site(request: Request, error: CrossSite) -> Response:
        return answer(request, problems.of_cross_site(error))

    @app.exception_handler(RequestValidationError)
    def _invalid(request: Request, error: RequestValidationError) -> Response:
        return answer(request, problems.of_validation(error))

    @app.exception_handler(AuditLogUnusable)
    @app.exception_handler(JournalUnavailable)
    @app.exception_handler(SessionsUnavailable)
    def _unavailable(request: Request, _error: Exception) -> Response:
        return answer(request, problems.cannot_write())

    @app.exception_handler(Exception)
    def _unexpected(request: Request, _error: Exception) -> Response:
        return answer(request, problems.unexpected())  # and Edge logs it

    @app.exception_handler(HTTPException)
    def _http(request: Request, error: HTTPException) -> Response:
        response = answer(request, problems.of_http(error.status_code))
        response.headers.update(error.headers or {})  # Allow, with a 405
        return response
