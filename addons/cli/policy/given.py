"""A call that is made up on the command line, or in a file, in the words of a test's `given:`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from addons.core import hosts
from addons.core.catalogue import Catalogue
from addons.core.json_document import UnreadableDocument, parse_document
from addons.core.model import Json
from addons.core.policy.compiling.policy_file import PolicyFile
from addons.core.policy.forms.document import PolicyDocument
from addons.core.policy.request import PolicyRequest
from addons.core.policy.trials import prepare
from addons.core.request_target import BadTarget, normalise, query_pairs
from addons.core.start_problems import GatewayProblem
from addons.core.yaml_form import validate
from addons.core.yaml_source import Place, Position, Problem, ProblemsError, Source, load

_COMMAND_LINE = "command line"
_API = "api.datadoghq.com"
_UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class InlineRequest:
    """What options say of a call; None where they don't. `path` may have a query."""

    op: str | None = None
    groups: tuple[str, ...] = ()
    subject: str | None = None
    method: str | None = None
    path: str | None = None
    body: Path | None = None

    @property
    def is_empty(self) -> bool:
        return self == InlineRequest()


def given_request(text: str, name: str, catalogue: Catalogue) -> PolicyRequest:
    """Read a call from YAML or JSON: what stands under a test's `given:`, or such a test.

    Raises:
        ProblemsError: with every problem, at its place.

    """
    source = load(text, name)
    data, inner = source.data, tuple[str, ...]()
    if isinstance(data, dict) and "given" in data:
        data, inner = data["given"], ("given",)
    places = {
        path[len(inner) :]: place for path, place in source.places.items() if path[: len(inner)] == inner
    }
    return _made(name, data, places, catalogue)


def inline_request(inline: InlineRequest, catalogue: Catalogue) -> PolicyRequest:
    """Make a call of options.

    Raises:
        GatewayProblem: there are none.
        ProblemsError: an operation that isn't one, a path in no normal form, a body that isn't JSON.
        OSError: the body's file can't be read.

    """
    if inline.is_empty:
        raise GatewayProblem("name a recording, a call's id or a file, or make a call up with --op or --path")
    who: dict[str, Json] = {"groups": list[Json](inline.groups)}
    if inline.subject is not None:
        who["subject"] = inline.subject
    data: dict[str, Json] = {"who": who}
    if inline.method is not None:
        data["method"] = inline.method
    data["op"] = inline.op or _UNKNOWN
    if inline.path is not None:
        _put_path(data, inline, catalogue)
    if inline.body is not None:
        try:
            data["body"] = parse_document(inline.body.read_bytes(), None)
        except UnreadableDocument as unreadable:
            raise _problem(str(inline.body), f"not a JSON body: {unreadable.why}") from None
    return _made(_COMMAND_LINE, data, {}, catalogue)


def _put_path(data: dict[str, Json], inline: InlineRequest, catalogue: Catalogue) -> None:
    try:
        target = normalise(inline.path or "")
        pairs = query_pairs(target.query)
    except BadTarget as bad:
        raise _problem(_COMMAND_LINE, f"--path: {bad}") from None
    data["path"] = target.path
    query: dict[str, Json] = {}
    for key, value in pairs:
        values = query.setdefault(key, [])
        assert isinstance(values, list)  # noqa: S101 - put there above
        values.append(value)
    data["query"] = query
    host = hosts.lookup(_API)
    if inline.op is None and host is not None:
        found = catalogue.resolve((inline.method or "GET").upper(), target.segments, host)
        data["op"] = f"{found.version}.{found.name}" if found else _UNKNOWN


def _made(
    name: str, data: Json, places: Mapping[tuple[str | int, ...], Place], catalogue: Catalogue
) -> PolicyRequest:
    """Read it as the test of a policy file, so that it means the same and its problems read the same."""
    test: Json = {"name": "a call", "given": data, "expect": {"effect": "deny"}}
    whole = Source(
        name,
        {"version": 1, "tests": [test]},
        {("tests", 0, "given", *path): place for path, place in places.items()},
    )
    try:
        file = PolicyFile(whole, validate(PolicyDocument, whole))
    except ProblemsError as error:
        raise ProblemsError(_renamed(each) for each in error.problems) from None
    trials = prepare(file, catalogue, None)
    if file.problems:
        raise ProblemsError(_renamed(each) for each in file.problems)
    return trials[0].request


def _renamed(problem: Problem) -> Problem:
    return Problem(
        problem.position,
        problem.message.replace("tests[0].given.", "").replace("tests[0].given", "the call"),
        problem.remedy,
    )


def _problem(name: str, message: str) -> ProblemsError:
    return ProblemsError([Problem(Position(name), message)])
