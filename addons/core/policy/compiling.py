"""A policy file to compiled rules: named lists, operations by the catalogue, and what can never match."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Protocol

from addons.core.model import Effect, Operation, Risk
from addons.core.policy import document
from addons.core.policy.globs import TextTest, compile_globs, compile_path_globs, is_pattern
from addons.core.policy.rules import (
    CompiledRule,
    Condition,
    Fit,
    OperationFits,
    Rule,
    ValueTest,
    claim_condition,
    field_condition,
    principal_condition,
    size_condition,
    text_condition,
)
from addons.core.quantities import parse_size
from addons.core.yaml_source import Path, Problem, Source, did_you_mean

UNKNOWN = Risk.UNKNOWN.value
_LIST = "lists."
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


class OperationCatalogue(Protocol):
    """What policy asks of the catalogue. A name may stand for an operation of each version."""

    def by_name(self, name: str) -> tuple[Operation, ...]: ...
    def names(self) -> Collection[str]: ...
    def tags(self) -> Collection[str]: ...
    def nearest(self, name: str) -> str | None: ...


def operations_of(catalogue: OperationCatalogue) -> dict[tuple[str, str], Operation]:
    return {
        (operation.version, operation.name): operation
        for name in catalogue.names()
        for operation in catalogue.by_name(name)
    }


class Compiler:
    """Compiles the rules of one file and gathers its problems."""

    def __init__(
        self,
        source: Source,
        policy: document.PolicyDocument,
        catalogue: OperationCatalogue,
        operations: Mapping[tuple[str, str], Operation],
    ) -> None:
        self._source, self._policy = source, policy
        self._catalogue, self._operations = catalogue, operations
        self.problems: list[Problem] = []

    def rules(self) -> list[CompiledRule]:
        return [self._rule(index, rule) for index, rule in enumerate(self._policy.rules)]

    def _rule(self, index: int, rule: document.Rule) -> CompiledRule:
        path: Path = ("rules", index)
        operations = self._operation_fits((*path, "op"), rule)
        conditions = [*self._http(path, rule, operations), *self._who(path, rule)]
        mask = rule.mask or document.Mask()
        compiled = Rule(
            id=rule.id,
            effect=rule.effect,
            conditions=tuple(conditions),
            credential=rule.credential,
            mask_forward=frozenset(mask.forward.detect if mask.forward else ()),
            mask_response=frozenset(mask.response.detect if mask.response else ()),
            record_full=rule.record == "full",
            reason=rule.reason or "",
            approval=rule.approval,
            canonical=canonical(
                self._expanded(rule.model_dump(mode="json", exclude_none=True, by_alias=True))
            ),
        )
        position = self._source.at((*path, "id"))
        return CompiledRule(
            compiled,
            operations,
            self._groups(path, rule),
            lambda text, remedy: Problem(position, text, remedy),
        )

    def _groups(self, path: Path, rule: document.Rule) -> frozenset[str] | None:
        if not isinstance(rule.who.groups, tuple):
            return None
        groups = self._texts((*path, "who", "groups"), rule.who.groups)
        return None if any(is_pattern(group) for group in groups) else frozenset(groups)

    def _texts(self, path: Path, texts: tuple[str, ...]) -> tuple[str, ...]:
        """Expand the lists that are named among `texts`."""
        expanded: list[str] = []
        for index, text in enumerate(texts):
            if text.startswith(_LIST):
                name = text.removeprefix(_LIST)
                if name not in self._policy.lists:
                    remedy = did_you_mean(name, self._policy.lists) or "add it under lists:, in this file"
                    self._add((*path, index), f"no list is called {name!r}", remedy)
                expanded += self._policy.lists.get(name, ())
            else:
                expanded.append(text)
        return tuple(expanded)

    def _expanded(self, value: object) -> object:
        """Put the named lists into a dumped rule, so that it says the same wherever it stands."""
        if isinstance(value, dict):
            return {key: self._expanded(item) for key, item in value.items()}
        if isinstance(value, list):
            return [
                text
                for item in value
                for text in (
                    self._policy.lists.get(item.removeprefix(_LIST), ())
                    if isinstance(item, str) and item.startswith(_LIST)
                    else (self._expanded(item),)
                )
            ]
        return value

    def _value_test(self, path: Path, matcher: document.Comparison | tuple[str, ...]) -> ValueTest:
        if not isinstance(matcher, document.Comparison):
            return ValueTest(self._texts(path, matcher), None)
        if matcher.in_ is None or not any(isinstance(item, str) for item in matcher.in_):
            return ValueTest(None, matcher)
        values: list[document.Scalar] = []
        for index, value in enumerate(matcher.in_):
            values += self._texts((*path, "in", index), (value,)) if isinstance(value, str) else (value,)
        return ValueTest(None, matcher.model_copy(update={"in_": tuple(values)}))

    def _who(self, path: Path, rule: document.Rule) -> list[Condition]:
        who, effect, path = rule.who, rule.effect, (*path, "who")
        conditions = []
        if who.groups is not None:
            test = self._value_test((*path, "groups"), who.groups)
            conditions.append(principal_condition(test, effect, lambda principal: principal.groups))
        if who.subject is not None:
            test = self._value_test((*path, "subject"), who.subject)
            conditions.append(principal_condition(test, effect, lambda principal: (principal.subject,)))
        if who.issuer is not None:
            test = self._value_test((*path, "issuer"), who.issuer)
            conditions.append(principal_condition(test, effect, lambda principal: (principal.issuer,)))
        if who.on_behalf_of is not None:
            test = self._value_test((*path, "on_behalf_of"), who.on_behalf_of)
            conditions.append(
                principal_condition(
                    test,
                    effect,
                    lambda principal: (principal.on_behalf_of,) if principal.on_behalf_of else (),
                )
            )
        if who.actor is not None:
            test = self._value_test((*path, "actor"), who.actor)
            conditions.append(
                principal_condition(
                    test, effect, lambda principal: [actor.subject for actor in principal.actors]
                )
            )
        for name, matcher in who.claims.items():
            test = self._value_test((*path, "claims", name), matcher)
            conditions.append(claim_condition(name, test, effect))
        return conditions

    def _http(self, path: Path, rule: document.Rule, operations: OperationFits) -> list[Condition]:
        http, effect, path = rule.http, rule.effect, (*path, "http")
        conditions: list[Condition] = []
        if http.method is not None:
            methods = self._methods((*path, "method"), http.method, operations)
            conditions.append(text_condition(methods.__contains__, lambda request: request.method.upper()))
        if http.host is not None:
            texts = self._texts((*path, "host"), http.host)
            host_test = compile_globs([text.lower() for text in texts])
            conditions.append(text_condition(host_test, lambda request: request.host))
        if http.path is not None:
            conditions.append(text_condition(self._paths(path, http.path), lambda request: request.path))
        if http.size is not None:
            conditions += self._size((*path, "size"), http)
        for name, matcher in http.query.items():
            test = self._field_test((*path, "query", name), name, http.query, matcher)
            conditions.append(field_condition(name, test, effect, lambda request: request.query))
        for name, matcher in http.headers.items():
            test = self._field_test((*path, "headers", name), name, http.headers, matcher)
            conditions.append(field_condition(name.lower(), test, effect, lambda request: request.headers))
        return conditions

    def _field_test(
        self,
        path: Path,
        name: str,
        beside: Collection[str],
        matcher: document.Comparison | tuple[str, ...],
    ) -> ValueTest:
        test = self._value_test(path, matcher)
        if any(not isinstance(scalar, str) for scalar in test.scalars):
            self._add(path, f"{name!r} is always text, so a number or true never fits", "write it in quotes")
        if sum(other.casefold() == name.casefold() for other in beside) > 1:
            self._add(path, f"{name!r} stands there in another case as well", "keep one")
        return test

    def _methods(self, path: Path, texts: tuple[str, ...], operations: OperationFits) -> frozenset[str]:
        methods = frozenset(text.upper() for text in self._texts(path, texts))
        for text in sorted(methods - set(_METHODS)):
            self._add(path, f"{text!r} is not a method", did_you_mean(text.upper(), _METHODS))
        fitting = {self._operations[key].method for key, fit in operations.known.items() if fit}
        if "GET" in fitting:
            fitting.add("HEAD")  # resolves to the operation of its GET
        if fitting and not operations.unknown and not methods & fitting:
            remedy = "they use " + ", ".join(sorted(fitting))
            self._add(path, "never matches: the operations of op use other methods", remedy)
        return methods

    def _paths(self, path: Path, texts: tuple[str, ...]) -> TextTest:
        globs = self._texts((*path, "path"), texts)
        for glob in globs:
            if not glob.startswith(("/", "**")):
                self._add((*path, "path"), f"never matches: {glob!r} does not begin with '/'", "write /api/…")
            elif any("**" in part and part != "**" for part in glob.split("/")):
                self._add(
                    (*path, "path"), f"{glob!r}: '**' must be a whole segment", "/api/**, or '*' within one"
                )
            elif "//" in glob or {"..", "."} & set(glob.split("/")):
                self._add((*path, "path"), f"never matches: {glob!r} is not in normal form", "leave them out")
        return compile_path_globs(globs)

    def _size(self, path: Path, http: document.Http) -> list[Condition]:
        test = http.size_test
        bound = parse_size(test[1]) if test else None
        if test is None or bound is None:
            self._add(path, "not a test of a size", "an operator and a size: '<=64KiB', '>1MiB'")
            return []
        if test[0] == "<" and bound == 0:
            self._add(path, "never matches: nothing is smaller than 0", "'<=0' for no body")
        return [size_condition(test[0], bound)]

    def _operation_fits(self, path: Path, rule: document.Rule) -> OperationFits:
        if rule.op is None:
            everything = dict.fromkeys(self._operations, Fit.YES)
            # a deny rule without op speaks of every call; the others have to name what is unknown
            unknown = {Effect.ALLOW: Fit.NO, Effect.REQUIRE_APPROVAL: Fit.LACKING, Effect.DENY: Fit.YES}
            return OperationFits(everything, unknown[rule.effect])
        known_problems = len(self.problems)
        tests = self._operation_tests(path, rule.op)
        known = {
            key: fit
            for key, operation in self._operations.items()
            if (fit := _operation_fit(operation, rule.effect, tests))
        }
        named = UNKNOWN in tests.get("name", ()) or UNKNOWN in tests.get("risk", ())
        contradicted = any(UNKNOWN not in tests[key] for key in ("name", "risk") if key in tests)
        fully = named and not contradicted and not {"tags", "version"} & tests.keys()
        unknown_fit = Fit.YES if fully else Fit.NO
        if not fully and rule.op.absent is None and rule.effect is not Effect.ALLOW:
            unknown_fit = Fit.LACKING
        if not known and not fully and len(self.problems) == known_problems:
            remedy = "no operation has all of them" if len(tests) > 1 else "name one of the catalogue's"
            self._add(path, "never matches: op fits no operation", remedy)
        return OperationFits(known, unknown_fit)

    def _operation_tests(self, path: Path, op: document.Op) -> dict[str, frozenset[str]]:
        """Resolve each field of `op` to what it accepts: operation keys as `version.name`, tags, risks."""
        tests: dict[str, frozenset[str]] = {}
        if op.name is not None:
            tests["name"] = self._operation_names((*path, "name"), op.name)
        if op.tags is not None:
            tests["tags"] = self._among((*path, "tags"), op.tags, self._catalogue.tags(), "tag")
        if op.risk is not None:
            tests["risk"] = self._among((*path, "risk"), op.risk, [risk.value for risk in Risk], "risk class")
        if op.version is not None:
            versions = {version for version, _ in self._operations}
            tests["version"] = self._among((*path, "version"), op.version, versions, "version")
        return tests

    def _operation_names(self, path: Path, texts: tuple[str, ...]) -> frozenset[str]:
        accepted: set[str] = set()
        for index, text in enumerate(texts):
            for name in self._texts((*path, index), (text,)):
                if name == UNKNOWN:
                    accepted.add(UNKNOWN)
                    continue
                names = [name]
                if is_pattern(name):
                    names = list(filter(compile_globs([name]), self._catalogue.names()))
                found = {
                    f"{each.version}.{each.name}" for one in names for each in self._catalogue.by_name(one)
                }
                if not found:
                    close = self._catalogue.nearest(name)
                    remedy = (
                        f"did you mean {close!r}?" if close else "see the names in policies/operations.json"
                    )
                    self._add((*path, index), f"no operation is called {name!r}", remedy)
                accepted |= found
        return frozenset(accepted)

    def _among(self, path: Path, texts: tuple[str, ...], known: Collection[str], what: str) -> frozenset[str]:
        accepted: set[str] = set()
        for index, text in enumerate(texts):
            for name in self._texts((*path, index), (text,)):
                found = set(filter(compile_globs([name]), known))
                if not found:
                    self._add((*path, index), f"no {what} is called {name!r}", did_you_mean(name, known))
                accepted |= found
        return frozenset(accepted)

    def _add(self, path: Path, message: str, remedy: str) -> None:
        self.problems.append(Problem(self._source.at(path), message, remedy))


def _operation_fit(operation: Operation, effect: Effect, tests: Mapping[str, frozenset[str]]) -> Fit:
    if "name" in tests and f"{operation.version}.{operation.name}" not in tests["name"]:
        return Fit.NO
    if "tags" in tests and tests["tags"].isdisjoint(operation.tags):
        return Fit.NO
    if "version" in tests and operation.version not in tests["version"]:
        return Fit.NO
    if "risk" not in tests or effect is Effect.DENY:
        named = "risk" not in tests or not tests["risk"].isdisjoint(operation.risks)
        return Fit.YES if named else Fit.NO
    if tests["risk"] >= operation.risks:
        return Fit.YES
    # what is destructive and privileged is not opened by a rule that speaks of destructive alone
    some = effect is Effect.REQUIRE_APPROVAL and not tests["risk"].isdisjoint(operation.risks)
    return Fit.LACKING if some else Fit.NO


def canonical(value: object) -> str:
    """Write content in one spelling: no list of a rule or a test has an order that matters."""
    return json.dumps(_sorted(value), sort_keys=True, separators=(",", ":"))


def _sorted(value: object) -> object:
    if isinstance(value, dict):
        return {key: _sorted(item) for key, item in value.items()}
    if isinstance(value, list):
        return sorted((_sorted(item) for item in value), key=lambda item: json.dumps(item, sort_keys=True))
    return value
