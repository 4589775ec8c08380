"""Which rules can match a call at all, by operation and by group: a decision looks at no others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from addons.core.model import Effect, Operation
from addons.core.policy.rules import CompiledRule, Fit, Rule

type Candidate = tuple[Rule, Fit]
"""A rule and how its `op` fits."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """The rules for one operation: those for everybody, and those for groups that are spelled out.

    `without_groups` are the latter's deny and require_approval rules, which fit a principal that has no
    groups at all. Inner keys are the rules' places, since a principal may have several groups of one rule.
    """

    general: tuple[Candidate, ...]
    by_group: Mapping[str, Mapping[int, Candidate]]
    without_groups: tuple[Candidate, ...]

    def for_groups(self, groups: frozenset[str]) -> Iterable[Candidate]:
        if not self.by_group:
            return self.general
        if not groups:
            return (*self.general, *self.without_groups)
        found: dict[int, Candidate] = {}
        for group in groups:
            found.update(self.by_group.get(group, {}))
        return (*self.general, *found.values())


@dataclass(frozen=True, slots=True)
class RuleIndex:
    by_operation: Mapping[tuple[str, str], Candidates]
    unknown: Candidates

    def candidates(self, operation: Operation | None, groups: frozenset[str]) -> Iterable[Candidate]:
        """List the rules that can match, in no order. What is not in the catalogue is unknown."""
        found = self.by_operation.get((operation.version, operation.name)) if operation else None
        return (found or self.unknown).for_groups(groups)


def build_index(rules: list[CompiledRule], operations: Iterable[tuple[str, str]]) -> RuleIndex:
    """Sort rules by operation; operations with the same rules share one entry."""
    fits_by_operation: dict[tuple[str, str], list[tuple[int, Fit]]] = {key: [] for key in operations}
    for place, each in enumerate(rules):
        for key, fit in each.operations.known.items():
            fits_by_operation[key].append((place, fit))
    shared: dict[tuple[tuple[int, Fit], ...], Candidates] = {}
    by_operation = {}
    for key, fits in fits_by_operation.items():
        content = tuple(fits)
        if content not in shared:
            shared[content] = _candidates(rules, content)
        by_operation[key] = shared[content]
    unknown = tuple((place, each.operations.unknown) for place, each in enumerate(rules))
    return RuleIndex(by_operation, _candidates(rules, tuple(one for one in unknown if one[1])))


def _candidates(rules: list[CompiledRule], fits: tuple[tuple[int, Fit], ...]) -> Candidates:
    general: list[Candidate] = []
    without_groups: list[Candidate] = []
    by_group: dict[str, dict[int, Candidate]] = {}
    for place, fit in fits:
        each = rules[place]
        if each.groups is None:
            general.append((each.rule, fit))
            continue
        if each.rule.effect is not Effect.ALLOW:
            without_groups.append((each.rule, fit))
        for group in each.groups:
            by_group.setdefault(group, {})[place] = (each.rule, fit)
    return Candidates(tuple(general), by_group, tuple(without_groups))
