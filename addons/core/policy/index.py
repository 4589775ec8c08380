"""Which rules can match a call at all, by operation and by group: a decision looks at no others."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from addons.core.model import Operation
from addons.core.policy.compiling.operation_fits import OperationFits, OperationKey
from addons.core.policy.conditions.globs import unescaped_path
from addons.core.policy.request import Decision, PolicyRequest, Reads
from addons.core.policy.rules import Condition, Fit, GroupsTest, Rule, RuleError, UnreadableEvidence

GROUPS = "who.groups"
"""The field of the condition that the index asks, so that a decision need not."""

_MAX_KNOWN = 4096


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """A rule with what finds it: its operations, and its test of a principal's groups, where it has one."""

    rule: Rule
    operations: OperationFits
    groups: GroupsTest | None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A rule that can match: how its `op` and its groups fit, and the conditions that are left to ask."""

    rule: Rule
    known_fit: Fit
    conditions: tuple[Condition, ...]

    def fit(self, request: PolicyRequest) -> Fit:
        """Evaluate what is left: one condition that says no settles it, whatever the others could not do.

        Raises:
            UnreadableEvidence: a document that the rule reads is not readable, and nothing cheaper said no.
            RuleError: a condition could not be evaluated and none said no.

        """
        least = self.known_fit
        error: RuleError | None = None
        for condition in self.conditions:
            try:
                fit = condition.test(request)
            except UnreadableEvidence:
                raise
            except RuleError as raised:
                error = raised
                continue
            if fit is Fit.NO:
                return Fit.NO
            if fit is Fit.LACKING:
                least = fit
        if error is not None:
            raise error
        return least

    def wants(self, request: PolicyRequest) -> frozenset[Reads]:
        """Tell what the rule still has to read: empty once it can be decided, or has said no."""
        missing = missing_evidence(request) & self.rule.reads
        if not missing:
            return missing
        for condition in self.conditions:
            if condition.reads & missing:
                continue
            try:
                if condition.test(request) is Fit.NO:
                    return _NEITHER
            except UnreadableEvidence:
                return _NEITHER
            except RuleError:
                continue
        return missing


@dataclass(slots=True)
class Candidates:
    """The rules that can match, in no order: those that do, whatever else the call says, and those that
    depend on it; and what any of them reads. `verdict` is kept by `decide`: what comes of the certain ones
    alone.
    """

    certain: tuple[Candidate, ...]
    uncertain: tuple[Candidate, ...]
    reads: frozenset[Reads]
    verdict: Decision | None = None
    _by_path: _ByPath | None = None

    @property
    def rules(self) -> tuple[Rule, ...]:
        return tuple(each.rule for each in (*self.certain, *self.uncertain))

    @property
    def body_weight(self) -> int:
        """What all conditions on the body weigh together."""
        return sum(
            condition.weight
            for each in self.uncertain
            for condition in each.conditions
            if Reads.BODY in condition.reads
        )

    def open_to(self, path: str) -> Collection[Candidate]:
        """Of the uncertain ones, those whose `http.path` doesn't rule this path out at first sight."""
        if self._by_path is None:
            self._by_path = _ByPath(self.uncertain)
        return self._by_path.open_to(path)


class _ByPath:
    """Candidates by the segments with which the paths that they fit begin."""

    def __init__(self, candidates: Iterable[Candidate]) -> None:
        self._anywhere: list[Candidate] = []
        self._beginning: dict[str, list[Candidate]] = {}
        for each in candidates:
            (found,) = [one.beginnings for one in each.conditions if one.beginnings is not None] or [("",)]
            if "" in found:
                self._anywhere.append(each)
                continue
            for beginning in set(found):
                self._beginning.setdefault(beginning, []).append(each)
        self._longest = max((beginning.count("/") for beginning in self._beginning), default=0)

    def open_to(self, path: str) -> Collection[Candidate]:
        if not self._beginning:
            return self._anywhere
        found = {id(each): each for each in self._anywhere}
        segments = unescaped_path(path).split("/", self._longest + 1)[: self._longest + 1]
        for count in range(2, len(segments) + 1):
            for each in self._beginning.get("/".join(segments[:count]), ()):
                found[id(each)] = each
        return found.values()


class RuleIndex:
    """Rules by operation. What was found for an operation and a set of groups is kept, for the next call."""

    def __init__(self, rules: Iterable[CompiledRule], operations: Iterable[OperationKey]) -> None:
        self._operations = frozenset(operations)
        self._everywhere: list[tuple[CompiledRule, Fit]] = []
        self._by_operation: dict[OperationKey, list[tuple[CompiledRule, Fit]]] = {}
        self._unknown: list[tuple[CompiledRule, Fit]] = []
        for each in rules:
            fits = each.operations
            if fits.everything:
                self._everywhere.append((each, Fit.YES))
            for keys, fit in ((fits.fitting, Fit.YES), (fits.lacking, Fit.LACKING)):
                for key in keys:
                    self._by_operation.setdefault(key, []).append((each, fit))
            if fits.unknown is not Fit.NO:
                self._unknown.append((each, fits.unknown))
        self._known: dict[tuple[OperationKey | None, frozenset[str]], Candidates] = {}
        self._everywhere_for: dict[frozenset[str], tuple[Candidate, ...]] = {}

    def candidates(self, operation: Operation | None, groups: frozenset[str]) -> Candidates:
        key = (operation.version, operation.name) if operation is not None else None
        found = self._known.get((key, groups))
        if found is None:
            found = self._find(key if key in self._operations else None, groups)
            if len(self._known) >= _MAX_KNOWN:
                self._known.clear()
                self._everywhere_for.clear()
            self._known[key, groups] = found
        return found

    def _find(self, key: OperationKey | None, groups: frozenset[str]) -> Candidates:
        """`key` None: unknown, as is what is not in the catalogue."""
        if key is None:
            found = _fitting(self._unknown, groups)
        else:
            everywhere = self._everywhere_for.get(groups)
            if everywhere is None:
                everywhere = self._everywhere_for[groups] = _fitting(self._everywhere, groups)
            found = everywhere + _fitting(self._by_operation.get(key, ()), groups)
        return Candidates(
            certain=tuple(each for each in found if not each.conditions),
            uncertain=tuple(each for each in found if each.conditions),
            reads=frozenset[Reads]().union(*(each.rule.reads for each in found)),
        )


def missing_evidence(request: PolicyRequest) -> frozenset[Reads]:
    if request.body is None:
        return _BOTH if request.target is None else _BODY
    return _TARGET if request.target is None else _NEITHER


_BODY, _TARGET = frozenset({Reads.BODY}), frozenset({Reads.TARGET})
_BOTH, _NEITHER = _BODY | _TARGET, frozenset[Reads]()


def _fitting(rules: Iterable[tuple[CompiledRule, Fit]], groups: frozenset[str]) -> tuple[Candidate, ...]:
    found = []
    for each, fit in rules:
        groups_fit = Fit.YES if each.groups is None else each.groups(groups)
        if groups_fit is not Fit.NO:
            left = tuple(condition for condition in each.rule.conditions if condition.field != GROUPS)
            found.append(Candidate(each.rule, min(fit, groups_fit), left))
    return tuple(found)
