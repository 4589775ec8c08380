"""Why a call is decided as it is: of every rule, whether it fits, and which of its fields said no."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from addons.core.model import Effect
from addons.core.policy.index import CompiledRule
from addons.core.policy.request import Decision, PolicyRequest
from addons.core.policy.rules import Fit, Rule, RuleError
from addons.core.yaml_source import Position


@dataclass(frozen=True, slots=True)
class RuleTrace:
    """How one rule met one call.

    `fields` are all that it asks (`op`, `who.groups`, `body.type`); `misses` those that said no; `lacks`
    those that the call leaves open, which counts as a match in rules that restrict; `errors` are (field, why)
    of those that could not be evaluated. The rule fits where there are no misses and no errors.
    """

    rule: str
    effect: Effect
    shadow: bool
    position: Position
    fields: tuple[str, ...]
    misses: tuple[str, ...]
    lacks: tuple[str, ...]
    errors: tuple[tuple[str, str], ...]

    @property
    def fits(self) -> bool:
        return not self.misses and not self.errors


@dataclass(frozen=True, slots=True)
class Explanation:
    """A decision with the trace of every rule, by id."""

    decision: Decision
    rules: tuple[RuleTrace, ...]


def explain(rules: Iterable[CompiledRule], request: PolicyRequest, decision: Decision) -> Explanation:
    return Explanation(decision, tuple(trace(each, request) for each in rules))


def trace(each: CompiledRule, request: PolicyRequest) -> RuleTrace:
    rule: Rule = each.rule
    fits = {Fit.NO: list[str](), Fit.LACKING: list[str](), Fit.YES: list[str]()}
    errors = []
    fits[each.operations.of(request.operation)].append("op")
    for condition in rule.conditions:
        try:
            fits[condition.test(request)].append(condition.field)
        except RuleError as error:
            errors.append((condition.field, str(error)))
    return RuleTrace(
        rule=rule.id,
        effect=rule.effect,
        shadow=rule.shadow,
        position=rule.position,
        fields=(
            *(() if each.operations.everything else ("op",)),
            *(condition.field for condition in rule.conditions),
        ),
        misses=tuple(fits[Fit.NO]),
        lacks=tuple(fits[Fit.LACKING]),
        errors=tuple(errors),
    )
