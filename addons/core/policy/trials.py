"""A policy file's own tests."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import cast

from addons.core.model import Actor, Json, Operation, Principal
from addons.core.policy.compiling import UNKNOWN, OperationCatalogue
from addons.core.policy.document import Expect, Given, GivenWho, TestCase
from addons.core.policy.request import Decision, PolicyRequest
from addons.core.yaml_source import Path, Position, Problem, Source, did_you_mean

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


def prepare(
    source: Source, cases: tuple[TestCase, ...], catalogue: OperationCatalogue, rules: Collection[str] | None
) -> tuple[list[Trial], list[Problem]]:
    """Make requests of a file's tests; problems are operations and rules that aren't there.

    `rules` are the ids of all files, None where they are not known.
    """
    trials: list[Trial] = []
    problems: list[Problem] = []
    for index, case in enumerate(cases):
        path: Path = ("tests", index)
        if rules is not None and case.expect.rule is not None and case.expect.rule not in rules:
            position = source.at((*path, "expect", "rule"))
            message = f"no rule is called {case.expect.rule!r}"
            problems.append(Problem(position, message, did_you_mean(case.expect.rule, rules)))
        position = source.at((*path, "given", "op"))
        found = _operation(case.given.op, position, catalogue)
        if isinstance(found, Problem):
            problems.append(found)
        else:
            trials.append(Trial(case.name, source.at(path), _request(case.given, found), case.expect))
    return trials, problems


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


def _request(given: Given, operation: Operation | None) -> PolicyRequest:
    template = operation.template if operation else "/unknown"
    return PolicyRequest(
        principal=_principal(given.who),
        operation=operation,
        host=given.host.lower(),
        method=(given.method or (operation.method if operation else "GET")).upper(),
        path=given.path or _PARAMETER.sub("1", template),
        query=tuple((key, value) for key, values in given.query.items() for value in values),
        headers=tuple((key.lower(), value) for key, values in given.headers.items() for value in values),
        size=given.size,
    )


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
    for way, wanted, masked in (
        ("forward", expect.mask and expect.mask.forward, decision.mask_forward),
        ("response", expect.mask and expect.mask.response, decision.mask_response),
    ):
        if wanted and frozenset[str](wanted.detect) != masked:
            names = ", ".join(sorted(masked)) or "nothing"
            differences.append(f"expected mask.{way} {', '.join(wanted.detect)}, got {names}")
    return differences
