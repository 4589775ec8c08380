"""All policy files as one immutable set."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from addons.core.policy.compiling import Compiler, OperationCatalogue, canonical, operations_of
from addons.core.policy.decide import decide
from addons.core.policy.document import PolicyDocument, TestCase
from addons.core.policy.index import RuleIndex, build_index
from addons.core.policy.request import Decision, PolicyRequest
from addons.core.policy.rules import CompiledRule, Rule
from addons.core.policy.trials import TestOutcome, Trial, prepare
from addons.core.yaml_source import Position, Problem, ProblemsError, Source, did_you_mean, load, validate

_SHOWN_DIGITS = 16


@dataclass(frozen=True, slots=True)
class PolicySet:
    """Made by `from_files`; swapped whole, never changed.

    `digest` is the SHA-256 of the rules and tests in one spelling, the same in whatever order and files they
    stand; `revision` is its first digits, for decisions. `warnings` are not errors: places where rules can
    meet so that a call is denied. `positions` are the rules', by id.
    """

    rules: tuple[Rule, ...]
    digest: str
    warnings: tuple[Problem, ...]
    positions: Mapping[str, Position]
    _index: RuleIndex
    _trials: tuple[Trial, ...]

    @classmethod
    def from_files(cls, files: Iterable[tuple[str, str]], catalogue: OperationCatalogue) -> PolicySet:
        """Read (name, text) pairs as one policy.

        Raises:
            ProblemsError: every problem of every file.

        """
        problems: list[Problem] = []
        parsed: list[tuple[Source, PolicyDocument]] = []
        for name, text in files:
            try:
                source = load(text, name)
                parsed.append((source, validate(PolicyDocument, source)))
            except ProblemsError as error:
                problems += error.problems
        all_read = not problems
        operations = operations_of(catalogue)
        compiled: list[CompiledRule] = []
        for source, policy in parsed:
            compiler = Compiler(source, policy, catalogue, operations)
            compiled += compiler.rules()
            problems += compiler.problems
        problems += _twice(compiled)
        trials: list[Trial] = []
        # a rule in a file that can't be read is not missing
        ids = {each.rule.id for each in compiled} if all_read else None
        for source, policy in parsed:
            made, wrong = prepare(source, policy.tests, catalogue, ids)
            trials += made
            problems += wrong
        if problems:
            raise ProblemsError(problems)
        compiled.sort(key=lambda each: each.rule.id)
        return cls(
            rules=tuple(each.rule for each in compiled),
            digest=_digest(compiled, [case for _, policy in parsed for case in policy.tests]),
            warnings=tuple(_credential_conflicts(compiled)),
            positions={each.rule.id: each.problem_here("", "").position for each in compiled},
            _index=build_index(compiled, operations),
            _trials=tuple(trials),
        )

    @property
    def revision(self) -> str:
        return f"sha256:{self.digest[:_SHOWN_DIGITS]}"

    def decide(self, request: PolicyRequest) -> Decision:
        """Decide one call. An operation that was not in the catalogue is an unknown one."""
        candidates = self._index.candidates(request.operation, request.principal.groups)
        return decide(candidates, request, self.revision)

    def credential_problems(self, configured: Collection[str]) -> list[Problem]:
        """List the rules that name a credential which is not configured."""
        return [
            Problem(
                self.positions[rule.id],
                f"the rule {rule.id!r} names the credential {rule.credential!r}, which is not configured",
                did_you_mean(rule.credential, configured),
            )
            for rule in self.rules
            if rule.credential is not None and rule.credential not in configured
        ]

    def run_tests(self) -> tuple[TestOutcome, ...]:
        """Run the files' own tests, in the files' order."""
        return tuple(trial.outcome(self.decide(trial.request)) for trial in self._trials)


def _twice(compiled: list[CompiledRule]) -> list[Problem]:
    seen: dict[str, Problem] = {}
    problems = []
    for each in compiled:
        here = each.problem_here("", "")
        first = seen.setdefault(each.rule.id, here)
        if first is not here:
            text = f"the rule id {each.rule.id!r} is taken, at {first.position}"
            problems.append(each.problem_here(text, "give each rule its own"))
    return problems


def _credential_conflicts(compiled: list[CompiledRule]) -> Iterable[Problem]:
    """Name pairs of rules with different credentials that share an operation.

    One call that fits both is denied. Whether one can is not always plain from the rules, so this warns.
    """
    naming = [each for each in compiled if each.rule.credential is not None]
    for place, one in enumerate(naming):
        for other in naming[place + 1 :]:
            if one.rule.credential == other.rule.credential:
                continue
            unknown = one.operations.unknown and other.operations.unknown
            if unknown or not one.operations.known.keys().isdisjoint(other.operations.known.keys()):
                yield one.problem_here(
                    f"{one.rule.id!r} and {other.rule.id!r} name different credentials and can both match",
                    "a call that fits both is denied; keep their who or op apart",
                )


def _digest(compiled: list[CompiledRule], cases: list[TestCase]) -> str:
    tests = sorted(
        canonical(case.model_dump(mode="json", exclude_none=True, by_alias=True)) for case in cases
    )
    content = canonical({"version": 1, "rules": [each.rule.canonical for each in compiled], "tests": tests})
    return hashlib.sha256(content.encode()).hexdigest()
