"""What goes wrong, as the API says it: `application/problem+json` (RFC 9457)."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus

from fastapi.exceptions import RequestValidationError

from addons.control.login.csrf import CrossSite
from addons.control.login.people import NotAPerson, WhoReason
from addons.core.approvals.voting import VoteReason, VoteRefused
from addons.store.audit.changes import ChangeRefused, RefusedBecause

MEDIA_TYPE = "application/problem+json"

_TOLD_ERRORS = 5
_HTTP_TEXTS = {
    HTTPStatus.BAD_REQUEST: "the request can't be read: its body must be JSON in UTF-8",
    HTTPStatus.NOT_FOUND: "there is nothing here",
    HTTPStatus.METHOD_NOT_ALLOWED: "this can't be asked that way; the header Allow says how",
}

_FORBIDDEN = frozenset(
    {
        VoteReason.OWN_REQUEST,
        VoteReason.NOT_IN_GROUP,
        VoteReason.NO_BREAK_GLASS,
        VoteReason.OWN_GLASS,
        VoteReason.NOT_REQUESTER,
    }
)


@dataclass(frozen=True, slots=True)
class Problem:
    """`reason` is one word out of a closed list; `detail` tells a person what is wrong and what to do."""

    status: int
    reason: str
    detail: str

    @property
    def title(self) -> str:
        return HTTPStatus(self.status).phrase

    def to_json(self) -> dict[str, str | int]:
        return {
            "type": "about:blank",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "reason": self.reason,
        }


class ProblemError(Exception):
    """Ends a request with `problem`."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


def of_refused_vote(refused: VoteRefused) -> Problem:
    if refused.reason is VoteReason.REASON_MISSING:
        status = HTTPStatus.UNPROCESSABLE_ENTITY
    elif refused.reason in _FORBIDDEN:
        status = HTTPStatus.FORBIDDEN
    else:
        status = HTTPStatus.CONFLICT
    return Problem(status, refused.reason, refused.text)


def of_caller(error: NotAPerson) -> Problem:
    others = {
        WhoReason.ISSUER_UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
        WhoReason.FROZEN: HTTPStatus.FORBIDDEN,
    }
    status = others.get(error.reason, HTTPStatus.UNAUTHORIZED)
    return Problem(status, error.reason, error.text)


def of_cross_site(error: CrossSite) -> Problem:
    return Problem(HTTPStatus.FORBIDDEN, "cross_site", str(error))


def no_such_approval() -> Problem:
    return Problem(HTTPStatus.NOT_FOUND, "no_such_approval", "there is no approval of this id")


def of_validation(error: RequestValidationError) -> Problem:
    """Names what is wrong and where; never the value, which may be anything."""
    found = [
        f"{'.'.join(str(step) for step in one['loc'])}: {one['msg']}" for one in error.errors()[:_TOLD_ERRORS]
    ]
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_request", "; ".join(found))


def of_http(status: int) -> Problem:
    """What routing itself answers: no such page, no such method, a body that isn't JSON."""
    known = HTTPStatus(status)
    return Problem(status, known.name.lower(), _HTTP_TEXTS.get(known, "it can't be done"))


def cannot_write() -> Problem:
    return Problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "cannot_write",
        "nothing can be put on record now, so nothing was changed; see /readyz, and try again",
    )


def unexpected() -> Problem:
    return Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error", "it failed; control's log says where")


def unreadable() -> Problem:
    return Problem(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "unreadable",
        "what is stored of this approval is damaged; see the log",
    )


def of_refused_change(refused: ChangeRefused) -> Problem:
    if refused.reason is RefusedBecause.NO_SUCH_APPROVAL:
        return no_such_approval()
    if refused.reason is RefusedBecause.UNREADABLE:
        return unreadable()
    if refused.reason is RefusedBecause.FAILED:
        return unexpected()
    return Problem(HTTPStatus.CONFLICT, refused.reason, refused.text)
