"""A policy file's own tests."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import cast

from addons.core.model import Actor, Json, Operation, Principal
from addons.core.policy.compiling.operation_fits import UNKNOWN, OperationCatalogue
from addons.core.policy.compiling.policy_file import PolicyFile
from addons.core.policy.conditions.schedule import BadSchedule, parse_instant
from addons.core.policy.forms.rule_document import Mask
from addons.core.policy.forms.trial_document import Expect, Given, GivenWho
from addons.core.policy.request import Decision, Evidence, PolicyRequest, Seen, Unreadable
from addons.core.yaml_source import Path, Position, Problem, did_you_mean

NOON = "2026-01-07T12:00:00Z"
"""When a test happens that doesn't say: a Wednesday."""

_PARAMETER = re.compile(r"\{[^{}]*\}")


@dataclass(frozen=True, slots=True)
class TestOutcome:
    """What came of one test; `message` says what was expected and what came, and is empty if it passed."""

    __test__ = False  # no test of pytest's

    name: str
    position: Position
    passed: bool
    message: str
    decision: Decision


@dataclass(frozen=True, slots=True)
class Trial:
    """One test, ready to run."""

    name: str
    position: Position
    request: PolicyRequest
    expect: Expect

    def outcome(self, decision: Decision) -> TestOutcome:
        differences = _differences(self.expect, decision)
        message = "; ".join(differences)
        if differences:
            message += f"; matching rules: {', '.join(decision.rules) or 'none'}"
        return TestOutcome(self.name, self.position, not differences, message, decision)


def prepare(file: PolicyFile, catalogue: OperationCatalogue, rules: Collection[str] | None) -> list[Trial]:
    """Make requests of a file's tests; `file.problems` grows by operations, rules and times that are none.

    `rules` are the ids of all files, None where they are not known.
    """
    trials: list[Trial] = []
    for index, case in enumerate(file.document.tests):
        path: Path = ("tests", index)
        for place, rule in _named_rules(case.expect):
            if rules is not None and rule not in rules:
                file.add((*path, "expect", *place), f"no rule is called {rule!r}", did_you_mean(rule, rules))
        known_problems = len(file.problems)
        found = _operation(case.given.op, file.source.at((*path, "given", "op")), catalogue)
        if isinstance(found, Problem):
            file.problems.append(found)
            found = None
        at = _instant(file, (*path, "given", "at"), case.given.at)
        if len(file.problems) == known_problems:
            request = make_request(case.given, found, at)
            trials.append(Trial(case.name, file.source.at(path), request, case.expect))
    return trials


def _named_rules(expect: Expect) -> list[tuple[Path, str]]:
    named: list[tuple[Path, str]] = [(("rule",), expect.rule)] if expect.rule is not None else []
    return named + [(("shadow", index), rule) for index, rule in enumerate(expect.shadow or ())]


def _instant(file: PolicyFile, path: Path, text: str | None) -> float:
    try:
        return parse_instant(text or NOON)
    except BadSchedule as bad:
        file.add(path, bad.message, bad.remedy)
        return 0.0


def _operation(name: str, position: Position, catalogue: OperationCatalogue) -> Operation | Problem | None:
    if name == UNKNOWN:
        return None
    found = catalogue.by_name(name)
    if len(found) == 1:
        return found[0]
    if found:
        versions = " or ".join(f"{each.version}.{each.name}" for each in found)
        return Problem(position, f"{name!r} is an operation in several versions", f"write {versions}")
    close = catalogue.nearest(name)
    remedy = f"did you mean {close!r}?" if close else f"{UNKNOWN!r} stands for a call that is no operation"
    return Problem(position, f"no operation is called {name!r}", remedy)


def make_request(given: Given, operation: Operation | None, at: float) -> PolicyRequest:
    template = operation.template if operation else "/unknown"
    body = cast("Json", _listed(given.body)) if "body" in given.model_fields_set else None
    size = given.size
    if size is None:
        size = len(json.dumps(body)) if "body" in given.model_fields_set else 0
    return PolicyRequest(
        principal=_principal(given.who),
        operation=operation,
        host=given.host.lower(),
        method=(given.method or (operation.method if operation else "GET")).upper(),
        path=given.path or _PARAMETER.sub("1", template),
        query=tuple((key, value) for key, values in given.query.items() for value in values),
        headers=tuple((key.lower(), value) for key, values in given.headers.items() for value in values),
        size=size,
        body=Seen({} if body is None else body),
        target=_target(given),
        at=at,
    )


def _target(given: Given) -> Evidence:
    if "target" not in given.model_fields_set:
        return Unreadable("the test gives no target")
    return Seen(cast("Json", _listed(given.target)))


def _listed(value: object) -> object:
    """JSON as a reader of JSON makes it: lists, where the form of a policy holds tuples."""
    if isinstance(value, tuple):
        return [_listed(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _listed(item) for key, item in value.items()}
    return value


def _principal(who: GivenWho) -> Principal:
    return Principal(
        issuer=who.issuer,
        subject=who.subject,
        groups=frozenset(who.groups),
        expires=float("inf"),
        on_behalf_of=who.on_behalf_of,
        actors=tuple(Actor(who.issuer, subject) for subject in who.actor),
        claims=cast("Mapping[str, Json]", who.claims),  # out of YAML, so JSON, its lists as tuples
    )


def _differences(expect: Expect, decision: Decision) -> list[str]:
    differences = []
    if expect.effect is not decision.effect:
        differences.append(f"expected {expect.effect}, got {decision.effect} ({decision.reason})")
    if expect.rule is not None and expect.rule != decision.rule:
        differences.append(f"expected the rule {expect.rule} to decide, got {decision.rule or 'none'}")
    if expect.reason is not None and expect.reason is not decision.reason:
        differences.append(f"expected the reason {expect.reason}, got {decision.reason}")
    if expect.credential is not None and expect.credential != (decision.credential or "default"):
        got = decision.credential or "default"
        differences.append(f"expected the credential {expect.credential}, got {got}")
    differences += _mask_differences(expect.mask, decision)
    if expect.limits is not None and set(expect.limits) != {use.name for use in decision.limits}:
        got = ", ".join(use.name for use in decision.limits) or "none"
        differences.append(f"expected the limits {', '.join(expect.limits) or 'none'}, got {got}")
    if expect.log is not None and expect.log is not decision.log:
        differences.append(f"expected to be logged as {expect.log}, got {decision.log or 'nothing'}")
    if expect.record is not None and expect.record is not decision.record:
        differences.append(f"expected to be recorded as {expect.record}, got {decision.record}")
    if expect.shadow is not None and set(expect.shadow) != {hit.rule for hit in decision.shadow}:
        got = ", ".join(hit.rule for hit in decision.shadow) or "none"
        differences.append(f"expected the shadow rules {', '.join(expect.shadow) or 'none'}, got {got}")
    return differences


def _mask_differences(expected: Mask | None, decision: Decision) -> list[str]:
    differences = []
    for way, wanted, masks in (
        ("forward", expected and expected.forward, decision.mask_forward),
        ("response", expected and expected.response, decision.mask_response),
    ):
        for kind, named, got in (
            ("detect", wanted and wanted.detect, masks.detect),
            ("json", wanted and wanted.json_, masks.json),
        ):
            if named and frozenset[str](named) != got:
                names = ", ".join(sorted(got)) or "nothing"
                differences.append(f"expected mask.{way}.{kind} {', '.join(named)}, got {names}")
    return differences
