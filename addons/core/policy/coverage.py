"""Which rules their own tests try: each needs a call that it fits, and one that it just does not."""

from __future__ import annotations

from dataclasses import dataclass

from addons.core.model import Effect, Principal
from addons.core.policy.explaining import RuleTrace
from addons.core.policy.policy_set import PolicySet
from addons.core.policy.request import PolicyRequest, Seen
from addons.core.policy.trials import Trial
from addons.core.yaml_source import Position, Problem

# What a rule asks is known from any call.
_ANY_CALL = PolicyRequest(
    Principal("", "", frozenset(), 0.0), None, "", "GET", "/", body=Seen({}), target=Seen({})
)

type Met = tuple[Trial, RuleTrace]
"""A test, and how its call met one rule."""


@dataclass(frozen=True, slots=True)
class RuleCoverage:
    """What the tests try of one rule.

    `fields` are all that it asks. `hits` are the tests whose call it fits; `near_misses` those whose call
    fits it in all fields but the one that stands beside; `nearest`, where there is no hit, is the test that
    comes closest, with the fields that keep it from being one. What a call leaves open is no fit here, also
    where it counts as a match: it tries nothing.
    """

    rule: str
    effect: Effect
    shadow: bool
    position: Position
    fields: tuple[str, ...]
    hits: tuple[Trial, ...]
    near_misses: tuple[tuple[Trial, str], ...]
    nearest: tuple[Trial, tuple[str, ...]] | None

    @property
    def is_complete(self) -> bool:
        """A rule that asks nothing fits every call, so nothing just misses it."""
        return bool(self.hits and (self.near_misses or not self.fields))

    def problems(self) -> tuple[Problem, ...]:
        """Say what is missing, and what such a test could be made of."""
        found = []
        if not self.hits:
            message = f"the rule {self.rule!r} has no hit: no test makes a call that it fits"
            found.append(Problem(self.position, message, self._how_to_hit()))
        if self.fields and not self.near_misses:
            message = (
                f"the rule {self.rule!r} has no near miss: no test makes a call that one field keeps out"
            )
            found.append(Problem(self.position, message, self._how_to_miss()))
        return tuple(found)

    def _how_to_hit(self) -> str:
        if self.nearest is None:
            return "add one under tests:"
        test, fields = self.nearest
        return f"the nearest, {_named(test)}, differs in {', '.join(fields)}"

    def _how_to_miss(self) -> str:
        start = f"copy {_named(self.hits[0])}, and" if self.hits else "take one that it fits, and"
        return f"{start} change {' or '.join(self.fields)}"


def coverage(policy_set: PolicySet) -> tuple[RuleCoverage, ...]:
    """Tell of every rule, shadow rules too, what the set's tests try; file by file, in their order."""
    met: dict[str, list[Met]] = {rule.id: [] for rule in policy_set.rules}
    for trial in policy_set.trials():
        for trace in policy_set.explain(trial.request).rules:
            met[trace.rule].append((trial, trace))
    files = [name for name, _ in policy_set.files]
    return tuple(
        _covered(trace, met[trace.rule])
        for trace in sorted(
            policy_set.explain(_ANY_CALL).rules,
            key=lambda trace: (files.index(trace.position.name), trace.position.line, trace.position.column),
        )
    )


def _covered(rule: RuleTrace, met: list[Met]) -> RuleCoverage:
    hits = tuple(trial for trial, trace in met if not _differing(trace))
    nearest = None
    if met and not hits:
        trial, trace = min(met, key=lambda each: len(_differing(each[1])))
        nearest = (trial, _differing(trace))
    return RuleCoverage(
        rule=rule.rule,
        effect=rule.effect,
        shadow=rule.shadow,
        position=rule.position,
        fields=rule.fields,
        hits=hits,
        near_misses=tuple(
            (trial, trace.misses[0])
            for trial, trace in met
            if trace.misses and len(_differing(trace)) == 1 and trace.misses[0] in rule.fields
        ),
        nearest=nearest,
    )


def _differing(trace: RuleTrace) -> tuple[str, ...]:
    return (*trace.misses, *trace.lacks, *(field for field, _ in trace.errors))


def _named(trial: Trial) -> str:
    return f"{trial.name!r} in line {trial.position.line}"
