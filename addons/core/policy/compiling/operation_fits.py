"""Which of the catalogue's operations a rule's `op` means."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from addons.core.model import Effect, Operation, Risk
from addons.core.policy.compiling.policy_file import PolicyFile
from addons.core.policy.conditions.globs import compile_globs, is_pattern
from addons.core.policy.forms import rule_document
from addons.core.policy.rules import Fit
from addons.core.yaml_source import Path

UNKNOWN = Risk.UNKNOWN.value

type OperationKey = tuple[str, str]
"""Version and name."""


class OperationCatalogue(Protocol):
    """What policy asks of the catalogue. A name may stand for an operation of each version."""

    def __hash__(self) -> int: ...
    def by_name(self, name: str) -> tuple[Operation, ...]: ...
    def names(self) -> Collection[str]: ...
    def tags(self) -> Collection[str]: ...
    def nearest(self, name: str) -> str | None: ...
    def reader_of(self, operation: Operation) -> Operation | None: ...


@dataclass(frozen=True, slots=True)
class OperationFits:
    """How operations fit a rule: those that do, those of which the rule names a part of what they are, and
    unknown ones. With `everything` the two sets are empty, and every known operation fits.
    """

    fitting: frozenset[OperationKey]
    lacking: frozenset[OperationKey]
    unknown: Fit
    everything: bool = False

    @property
    def known(self) -> frozenset[OperationKey]:
        return self.fitting | self.lacking

    def of(self, operation: Operation | None) -> Fit:
        if operation is None:
            return self.unknown
        key = (operation.version, operation.name)
        if self.everything or key in self.fitting:
            return Fit.YES
        return Fit.LACKING if key in self.lacking else Fit.NO


class Operations:
    """The catalogue, sorted for the compiler."""

    def __init__(self, catalogue: OperationCatalogue) -> None:
        self.catalogue = catalogue
        self.names = catalogue.names()
        self.by_key = {
            (operation.version, operation.name): operation
            for name in self.names
            for operation in catalogue.by_name(name)
        }
        self.by_text = {f"{version}.{name}": (version, name) for version, name in self.by_key}
        self.tags = frozenset(catalogue.tags())
        self.versions = frozenset(version for version, _ in self.by_key)
        self._by_tag: dict[str, set[OperationKey]] = {}
        self._by_risk: dict[str, set[OperationKey]] = {}
        for key, operation in self.by_key.items():
            for tag in operation.tags:
                self._by_tag.setdefault(tag, set()).add(key)
            for risk in operation.risks:
                self._by_risk.setdefault(risk.value, set()).add(key)

    def with_tags(self, tags: Collection[str]) -> set[OperationKey]:
        return set[OperationKey]().union(*(self._by_tag.get(tag, ()) for tag in tags))

    def with_risks(self, risks: Collection[str]) -> set[OperationKey]:
        """Find those that are of at least one of these."""
        return set[OperationKey]().union(*(self._by_risk.get(risk, ()) for risk in risks))


@lru_cache(maxsize=1)
def operations_of(catalogue: OperationCatalogue) -> Operations:
    """Sort the catalogue, once for all the policies that are compiled with it: neither ever changes."""
    return Operations(catalogue)


def compile_op(
    file: PolicyFile, path: Path, rule: rule_document.Rule, operations: Operations
) -> OperationFits:
    if rule.op is None:
        # a deny rule without op speaks of every call; the others have to name what is unknown
        unknown = {Effect.ALLOW: Fit.NO, Effect.REQUIRE_APPROVAL: Fit.LACKING, Effect.DENY: Fit.YES}
        return OperationFits(frozenset(), frozenset(), unknown[rule.effect], everything=True)
    known_problems = len(file.problems)
    tests = _tests(file, path, rule.op, operations)
    fitting, lacking = _fitting(tests, rule.effect, operations)
    named = UNKNOWN in tests.get("name", ()) or UNKNOWN in tests.get("risk", ())
    contradicted = any(UNKNOWN not in tests[key] for key in ("name", "risk") if key in tests)
    fully = named and not contradicted and not {"tags", "version"} & tests.keys()
    unknown_fit = Fit.YES if fully else Fit.NO
    if not fully and rule.op.absent is None and rule.effect is not Effect.ALLOW:
        unknown_fit = Fit.LACKING
    if not fitting and not lacking and not fully and len(file.problems) == known_problems:
        remedy = "no operation has all of them" if len(tests) > 1 else "name one of the catalogue's"
        file.add(path, "never matches: op fits no operation", remedy)
    return OperationFits(fitting, lacking, unknown_fit)


def _fitting(
    tests: Mapping[str, frozenset[str]], effect: Effect, operations: Operations
) -> tuple[frozenset[OperationKey], frozenset[OperationKey]]:
    if "name" in tests:
        keys = {operations.by_text[name] for name in tests["name"] if name != UNKNOWN}
    else:
        keys = set(operations.by_key)
    if "tags" in tests:
        keys &= operations.with_tags(tests["tags"])
    if "version" in tests:
        keys = {key for key in keys if key[0] in tests["version"]}
    if "risk" not in tests:
        return frozenset(keys), frozenset()
    some = keys & operations.with_risks(tests["risk"])
    if effect is Effect.DENY:
        return frozenset(some), frozenset()
    # what is destructive and privileged is not opened by a rule that speaks of destructive alone
    every = frozenset(key for key in some if tests["risk"] >= operations.by_key[key].risks)
    return every, frozenset(some - every) if effect is Effect.REQUIRE_APPROVAL else frozenset()


def _tests(
    file: PolicyFile, path: Path, op: rule_document.Op, operations: Operations
) -> dict[str, frozenset[str]]:
    """Resolve each field of `op` to what it accepts: operations as `version.name`, tags, risks."""
    tests: dict[str, frozenset[str]] = {}
    if op.name is not None:
        tests["name"] = _names(file, (*path, "name"), op.name, operations)
    if op.tags is not None:
        tests["tags"] = file.among((*path, "tags"), op.tags, operations.tags, "tag")
    if op.risk is not None:
        tests["risk"] = file.among((*path, "risk"), op.risk, [risk.value for risk in Risk], "risk class")
    if op.version is not None:
        tests["version"] = file.among((*path, "version"), op.version, operations.versions, "version")
    return tests


def _names(file: PolicyFile, path: Path, texts: tuple[str, ...], operations: Operations) -> frozenset[str]:
    accepted: set[str] = set()
    catalogue = operations.catalogue
    for index, text in enumerate(texts):
        for name in file.texts((*path, index), (text,)):
            if name == UNKNOWN:
                accepted.add(UNKNOWN)
                continue
            names = filter(compile_globs([name]), operations.names) if is_pattern(name) else (name,)
            found = {f"{each.version}.{each.name}" for one in names for each in catalogue.by_name(one)}
            if not found:
                close = catalogue.nearest(name)
                remedy = f"did you mean {close!r}?" if close else "see the names in policies/operations.json"
                file.add((*path, index), f"no operation is called {name!r}", remedy)
            accepted |= found
    return frozenset(accepted)
