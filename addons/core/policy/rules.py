"""Compiled rules: what a matcher became, and how well a request fits.

A condition answers with a `Fit`. What the request lacks fits deny and require_approval rules, so that
leaving a field out evades neither; that is `LACKING`. It denies like any match, but a rule that truly fits
explains better. In a require_approval rule's `who` and `op` it can turn a yes into a question, and opens
nothing to somebody, or to an operation, that the rule doesn't name; in its `http` it counts in full.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum

from addons.core.approvals.needs import Needs
from addons.core.model import Effect, Json, Principal
from addons.core.policy.conditions.globs import TextTest, compile_globs
from addons.core.policy.conditions.limits import Limit
from addons.core.policy.forms.matchers import Comparison, Scalar
from addons.core.policy.request import LogLevel, Masks, PolicyRequest, Reads, Recording
from addons.core.yaml_source import Position


class Fit(IntEnum):
    """How well a request fits; of several conditions the least counts."""

    NO = 0
    LACKING = 1
    YES = 2


class RuleError(Exception):
    """A condition can't be evaluated on this request; the text names no value of it."""


class UnreadableEvidence(RuleError):  # noqa: N818 - named for what the caller is told
    """A condition reads a document that can't be read: the call is denied, whatever the rule's effect."""

    def __init__(self, reads: Reads, why: str) -> None:
        super().__init__(why)
        self.reads, self.why = reads, why


type Test = Callable[[PolicyRequest], Fit]
type GroupsTest = Callable[[frozenset[str]], Fit]


@dataclass(frozen=True, slots=True)
class Condition:
    """One thing that a rule asks. `field` is its place in the rule, `who.groups` or `body.type`; `reads` is
    what it needs beside the head of the request, and `weight` how much it costs at worst for each byte of
    that, a plain matcher being 1. Where `beginnings` are given, every path that fits begins with one of them.
    """

    field: str
    test: Test
    reads: frozenset[Reads] = frozenset()
    weight: int = 1
    beginnings: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """`canonical` is the rule's content, lists expanded, in one spelling. `conditions` stand with the cheap
    ones first; those that read a document come last.
    """

    id: str
    effect: Effect
    conditions: tuple[Condition, ...]
    credential: str | None
    mask_forward: Masks
    mask_response: Masks
    limits: tuple[Limit, ...]
    log: LogLevel | None
    record: Recording | None
    reason: str
    needs: Needs | None
    shadow: bool
    reads: frozenset[Reads]
    position: Position
    canonical: str


class ValueTest:
    """A compiled matcher: globs, or a comparison."""

    def __init__(self, globs: Collection[str] | None, comparison: Comparison | None) -> None:
        self.absent = comparison.absent if comparison else None
        self._text_test: TextTest | None = compile_globs(globs) if globs is not None else None
        self.scalars: tuple[Scalar, ...] = ()
        if comparison is not None:
            self.scalars = comparison.in_ or (() if comparison.is_ is None else (comparison.is_,))
            texts = frozenset(scalar for scalar in self.scalars if isinstance(scalar, str))
            if self.scalars:
                self._text_test = texts.__contains__
        # True == 1 in Python, and neither in JSON nor in a policy; 1 and 1.0 are one number, as in a document
        self._others = frozenset(
            (isinstance(value, bool), value) for value in self.scalars if not isinstance(value, str)
        )

    def accepts(self, value: Scalar) -> bool:
        if isinstance(value, str):
            return self.absent is not True if self._text_test is None else self._text_test(value)
        if self._text_test is None:
            return self.absent is not True
        return (isinstance(value, bool), value) in self._others

    def without_value(self, effect: Effect, lacking: Fit) -> Fit:
        """How a request without the value fits; `lacking` where the rule doesn't say."""
        if self.absent is not None:
            return Fit.YES if self.absent else Fit.NO
        return Fit.NO if effect is Effect.ALLOW else lacking


def groups_test(test: ValueTest, effect: Effect) -> GroupsTest:
    """Fit where any of a principal's groups does."""
    lacking = test.without_value(effect, Fit.LACKING)

    def fit(groups: frozenset[str]) -> Fit:
        if not groups:
            return lacking
        return Fit.YES if any(test.accepts(group) for group in groups) else Fit.NO

    return fit


def principal_condition(
    test: ValueTest, effect: Effect, values_of: Callable[[Principal], Iterable[str]]
) -> Test:
    """Fit where any of the principal's values does: they are a set, such as its actors."""
    lacking = test.without_value(effect, Fit.LACKING)

    def condition(request: PolicyRequest) -> Fit:
        empty = True
        for value in values_of(request.principal):
            if test.accepts(value):
                return Fit.YES
            empty = False
        return lacking if empty else Fit.NO

    return condition


def claim_condition(name: str, test: ValueTest, effect: Effect) -> Test:
    """Fit on a claim that is a scalar, or a list of them of which any may fit."""
    lacking = test.without_value(effect, Fit.LACKING)

    def condition(request: PolicyRequest) -> Fit:
        claim: Json = request.principal.claims.get(name)
        values = claim if isinstance(claim, (list, tuple)) else () if claim is None else (claim,)
        if not values:
            return lacking
        scalars = [value for value in values if isinstance(value, (str, int, float))]
        if len(scalars) != len(values):
            raise RuleError(f"the claim {name!r} is neither a value nor a list of values")
        return Fit.YES if any(test.accepts(value) for value in scalars) else Fit.NO

    return condition


def field_condition(
    name: str,
    test: ValueTest,
    effect: Effect,
    pairs_of: Callable[[PolicyRequest], tuple[tuple[str, str], ...]],
) -> Test:
    """Fit on a query key or a header that may stand there several times.

    To allow, every value has to fit; to deny or to ask, one is enough. A key of the request that differs
    from `name` in case alone is an error: it can be read as that key, and as another.
    """
    lacking = test.without_value(effect, Fit.LACKING if effect is Effect.DENY else Fit.YES)
    enough = all if effect is Effect.ALLOW else any
    folded = name.casefold()

    def condition(request: PolicyRequest) -> Fit:
        values = []
        for key, value in pairs_of(request):
            if key == name:
                values.append(value)
            elif key.casefold() == folded:
                raise RuleError(f"the request spells {name!r} in another case")
        if not values:
            return lacking
        return Fit.YES if enough(test.accepts(value) for value in values) else Fit.NO

    return condition


def text_condition(test: TextTest, value_of: Callable[[PolicyRequest], str]) -> Test:
    return lambda request: Fit.YES if test(value_of(request)) else Fit.NO


_OPERATORS: Mapping[str, Callable[[int, int], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def size_condition(comparison: str, bound: int) -> Test:
    holds = _OPERATORS[comparison]
    return lambda request: Fit.YES if holds(request.size, bound) else Fit.NO
