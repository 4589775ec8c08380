"""All policy files as one immutable set."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from addons.core.model import Effect, Reason
from addons.core.policy.compiling.compile_names import compile_names, observe_until
from addons.core.policy.compiling.compile_rules import canonical, compile_rules
from addons.core.policy.compiling.operation_fits import OperationCatalogue, operations_of
from addons.core.policy.compiling.policy_file import PolicyFile
from addons.core.policy.compiling.salvage import salvaged
from addons.core.policy.decide import decide, wanted
from addons.core.policy.explaining import Explanation, explain
from addons.core.policy.forms.document import PolicyDocument
from addons.core.policy.forms.trial_document import TestCase
from addons.core.policy.index import CompiledRule, RuleIndex
from addons.core.policy.request import Decision, Masks, PolicyRequest, Reads
from addons.core.policy.rules import Fit, Rule
from addons.core.policy.trials import TestOutcome, Trial, prepare
from addons.core.redact.detector_set import BUILT_IN
from addons.core.yaml_form import validate
from addons.core.yaml_source import Problem, ProblemsError, did_you_mean, load

_SHOWN_DIGITS = 16
_LOOKED_AT = 20_000  # pairs of rules, in search of one to warn of


@dataclass(frozen=True, slots=True)
class PolicySet:
    """Made by `from_files`; swapped whole, never changed.

    `digest` is the SHA-256 of the rules and tests in one spelling, the same in whatever order and files they
    stand; `revision` is its first digits, for decisions. `warnings` are not errors: places where rules can
    meet so that a call is denied. `observe_until` is when `profile: observe` ends, in seconds since the
    epoch; None where the rules are enforced. `files` are the names and texts that it was made of, and
    `detectors` the names that were known.
    """

    files: tuple[tuple[str, str], ...]
    detectors: frozenset[str]
    rules: tuple[Rule, ...]
    digest: str
    warnings: tuple[Problem, ...]
    observe_until: float | None
    _compiled: tuple[CompiledRule, ...]
    _index: RuleIndex
    _trials: tuple[Trial, ...]

    @classmethod
    def from_files(
        cls,
        files: Iterable[tuple[str, str]],
        catalogue: OperationCatalogue,
        detectors: frozenset[str] | None = None,
    ) -> PolicySet:
        """Read (name, text) pairs as one policy. `detectors` are the names that `detect:` may use; without
        them the built-in ones.

        Raises:
            ProblemsError: every problem of every file.

        """
        files = tuple(files)
        detectors = detectors if detectors is not None else BUILT_IN.names()
        problems: list[Problem] = []
        parsed: list[PolicyFile] = []
        for name, text in files:
            try:
                source = load(text, name)
            except ProblemsError as error:
                problems += error.problems
                continue
            try:
                parsed.append(PolicyFile(source, validate(PolicyDocument, source), detectors=detectors))
            except ProblemsError as error:
                problems += error.problems
                if (rest := salvaged(source)) is not None:
                    parsed.append(PolicyFile(*rest, detectors=detectors))
        all_read = not problems
        operations = operations_of(catalogue)
        compile_names(parsed)
        until = observe_until(parsed)
        compiled = [rule for file in parsed for rule in compile_rules(file, operations)]
        trials: list[Trial] = []
        # a rule in a file that can't be read is not missing
        ids = {each.rule.id for each in compiled} if all_read else None
        for file in parsed:
            trials += prepare(file, catalogue, ids)
            problems += file.problems
        problems += _twice(compiled)
        if problems:
            raise ProblemsError(problems)
        compiled.sort(key=lambda each: each.rule.id)
        return cls(
            files=files,
            detectors=detectors,
            rules=tuple(each.rule for each in compiled),
            digest=_digest(compiled, [case for file in parsed for case in file.document.tests], until),
            warnings=(*(one for file in parsed for one in file.warnings), *_credential_conflicts(compiled)),
            observe_until=until,
            _compiled=tuple(compiled),
            _index=RuleIndex(compiled, operations.by_key),
            _trials=tuple(trials),
        )

    @property
    def revision(self) -> str:
        return f"sha256:{self.digest[:_SHOWN_DIGITS]}"

    @property
    def reads_bodies(self) -> bool:
        return any(Reads.BODY in rule.reads for rule in self.rules)

    @property
    def masks(self) -> tuple[Masks, ...]:
        """Every different one that a rule asks for."""
        found = (masks for rule in self.rules for masks in (rule.mask_forward, rule.mask_response))
        return tuple(dict.fromkeys(masks for masks in found if masks))

    def is_observing(self, at: float) -> bool:
        return self.observe_until is not None and at < self.observe_until

    def wants(self, request: PolicyRequest) -> Reads | None:
        """Tell what has to be read before `decide`: ask again once it was, until None."""
        candidates = self._index.candidates(request.operation, request.principal.groups)
        return wanted(candidates, request)

    def decide(self, request: PolicyRequest) -> Decision:
        """Decide one call. An operation that was not in the catalogue is an unknown one."""
        candidates = self._index.candidates(request.operation, request.principal.groups)
        decision = decide(candidates, request, self.revision)
        return _observed(decision) if self.is_observing(request.at) else decision

    def credential_for_reading(self, request: PolicyRequest) -> str | None:
        """Name the credential with which to look at a call's resource before the call is decided: the one
        that the rules which can match agree on, None where they don't name one.
        """
        candidates = self._index.candidates(request.operation, request.principal.groups)
        named = {rule.credential for rule in candidates.rules if rule.credential and not rule.shadow}
        return named.pop() if len(named) == 1 else None

    def target_fields(self, request: PolicyRequest) -> frozenset[str]:
        """Name the parts of the resource that rules which can match look at, by dotted path."""
        candidates = self._index.candidates(request.operation, request.principal.groups)
        prefix = f"{Reads.TARGET}."
        return frozenset(
            condition.field.removeprefix(prefix)
            for rule in candidates.rules
            for condition in rule.conditions
            if condition.field.startswith(prefix)
        )

    def body_weight(self, request: PolicyRequest) -> int:
        """How much it costs at worst to look at each byte of a call's body, reading it aside; 0 where no rule
        that can match does.
        """
        return self._index.candidates(request.operation, request.principal.groups).body_weight

    def explain(self, request: PolicyRequest) -> Explanation:
        """Say of every rule whether it fits and, if not, which of its fields said no."""
        return explain(self._compiled, request, self.decide(request))

    def credential_problems(self, configured: Collection[str]) -> list[Problem]:
        """List the rules that name a credential which is not configured."""
        return [
            Problem(
                rule.position,
                f"the rule {rule.id!r} names the credential {rule.credential!r}, which is not configured",
                did_you_mean(rule.credential, configured),
            )
            for rule in self.rules
            if rule.credential is not None and rule.credential not in configured
        ]

    def trials(self) -> tuple[Trial, ...]:
        return self._trials

    def run_tests(self) -> tuple[TestOutcome, ...]:
        """Run the files' own tests, in the files' order. Under `profile: observe` they test the rules as they
        will be enforced.
        """
        outcomes = []
        for trial in self._trials:
            candidates = self._index.candidates(trial.request.operation, trial.request.principal.groups)
            outcomes.append(trial.outcome(decide(candidates, trial.request, self.revision)))
        return tuple(outcomes)


def _observed(verdict: Decision) -> Decision:
    message = "let through, because the policy only observes for now"
    if verdict.permitted:
        return replace(verdict, reason=Reason.OBSERVED, withheld=verdict, message=message, limits=())
    return Decision(
        effect=Effect.ALLOW,
        reason=Reason.OBSERVED,
        permitted=True,
        rule=None,
        rules=verdict.rules,
        message=message,
        revision=verdict.revision,
        credential=verdict.credential,
        mask_forward=verdict.mask_forward,
        mask_response=verdict.mask_response,
        log=verdict.log,
        shadow=verdict.shadow,
        withheld=verdict,
    )


def _twice(compiled: list[CompiledRule]) -> list[Problem]:
    seen: dict[str, CompiledRule] = {}
    problems = []
    for each in compiled:
        first = seen.setdefault(each.rule.id, each)
        if first is not each:
            text = f"the rule id {each.rule.id!r} is taken, at {first.rule.position}"
            problems.append(Problem(each.rule.position, text, "give each rule its own"))
    return problems


def _credential_conflicts(compiled: list[CompiledRule]) -> Iterable[Problem]:
    """Name credentials of which rules share an operation, with one pair of rules for each two of them.

    One call that fits both is denied. Whether one can is not always plain from the rules, so this warns.
    """
    naming: dict[str, list[CompiledRule]] = {}
    for each in compiled:
        if each.rule.credential is not None and not each.rule.shadow:
            naming.setdefault(each.rule.credential, []).append(each)
    for first, second in itertools.combinations(sorted(naming), 2):
        pairs = ((one, other) for one in naming[first] for other in naming[second])
        pair = next(
            (pair for pair in itertools.islice(pairs, _LOOKED_AT) if _share_an_operation(*pair)), None
        )
        if pair is not None:
            one, other = sorted((each.rule for each in pair), key=lambda rule: rule.id)
            yield Problem(
                one.position,
                f"{one.id!r} and {other.id!r} name different credentials and can both match",
                "a call that fits both is denied; keep their who or op apart",
            )


def _share_an_operation(one: CompiledRule, other: CompiledRule) -> bool:
    fits, others = one.operations, other.operations
    if fits.unknown is not Fit.NO and others.unknown is not Fit.NO:
        return True
    if fits.everything or others.everything:
        return bool((fits.everything or fits.known) and (others.everything or others.known))
    return not fits.known.isdisjoint(others.known)


def _digest(compiled: list[CompiledRule], cases: list[TestCase], until: float | None) -> str:
    tests = sorted(
        canonical(case.model_dump(mode="json", exclude_unset=True, by_alias=True)) for case in cases
    )
    rules = [each.rule.canonical for each in compiled]
    content = canonical({"version": 1, "observe_until": until, "rules": rules, "tests": tests})
    return hashlib.sha256(content.encode()).hexdigest()
