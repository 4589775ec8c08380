"""`when:` of a rule as a condition: a compiled expression, and what of a request it reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import unquote

from addons.core.model import Json
from addons.core.policy.cel.expressions import Expression, ExpressionError
from addons.core.policy.request import PolicyRequest, Reads, Unreadable
from addons.core.policy.rules import Fit, RuleError, UnreadableEvidence

_UNKNOWN = "unknown"


def when_condition(
    expression: Expression, lists: Mapping[str, tuple[str, ...]]
) -> Callable[[PolicyRequest], Fit]:
    """Fit where the expression is true. Only what it reads is made of a request.

    The condition raises `UnreadableEvidence` for a document that can't be read, and `RuleError` for an
    expression that has no answer, or a document that nobody looked at.
    """

    def condition(request: PolicyRequest) -> Fit:
        given: dict[str, object] = {"lists": lists, "now": request.at}
        for name, make in _MAKERS.items():
            if name in expression.reads:
                given[name] = make(request)
        try:
            return Fit.YES if expression.evaluate(given) else Fit.NO
        except ExpressionError as error:
            raise RuleError(f"when: {error.why}") from None

    return condition


def _document(request: PolicyRequest, reads: Reads) -> Json:
    evidence = request.body if reads is Reads.BODY else request.target
    if evidence is None:
        raise RuleError(f"the {reads} was not looked at")
    if isinstance(evidence, Unreadable):
        raise UnreadableEvidence(reads, evidence.why)
    return evidence.value


def _body(request: PolicyRequest) -> object:
    return _document(request, Reads.BODY)


def _target(request: PolicyRequest) -> object:
    return _document(request, Reads.TARGET)


def _request(request: PolicyRequest) -> object:
    return {
        "method": request.method.upper(),
        "host": request.host,
        "path": _plain_path(request.path),
        "query": _grouped(request.query),
        "headers": _grouped(request.headers),
        "size": request.size,
    }


def _plain_path(path: str) -> str:
    """Give a path its one spelling: unescaped (a normal form has no escaped delimiters, so that no two paths
    become one) and without a slash at its end. `==` must not be evaded by `%40` for `@`.
    """
    return unquote(path).rstrip("/") or "/"


def _grouped(pairs: tuple[tuple[str, str], ...]) -> dict[str, list[str]]:
    grouped: dict[str, list[str]] = {}
    for name, value in pairs:
        grouped.setdefault(name, []).append(value)
    return grouped


def _op(request: PolicyRequest) -> object:
    operation = request.operation
    if operation is None:
        return {"name": _UNKNOWN, "version": "", "tags": (), "risk": (_UNKNOWN,)}
    return {
        "name": operation.name,
        "version": operation.version,
        "tags": operation.tags,
        "risk": sorted(risk.value for risk in operation.risks),
    }


def _identity(request: PolicyRequest) -> object:
    principal = request.principal
    return {
        "subject": principal.subject,
        "issuer": principal.issuer,
        "groups": principal.groups,
        "on_behalf_of": principal.on_behalf_of or "",
        "actors": [{"issuer": actor.issuer, "subject": actor.subject} for actor in principal.actors],
        "session": principal.session or "",
        "claims": principal.claims,
    }


_MAKERS: Mapping[str, Callable[[PolicyRequest], object]] = {
    "body": _body,
    "target": _target,
    "request": _request,
    "op": _op,
    "identity": _identity,
}
