"""`who` and `http` of a rule to conditions on the head of a request."""

from __future__ import annotations

from collections.abc import Collection

from addons.core import hosts
from addons.core.policy.compiling.operation_fits import OperationFits, Operations
from addons.core.policy.compiling.policy_file import PolicyFile
from addons.core.policy.conditions.globs import (
    TextTest,
    compile_glob,
    compile_globs,
    compile_path_globs,
    is_pattern,
    may_be_of_template,
    path_beginnings,
)
from addons.core.policy.forms import rule_document
from addons.core.policy.forms.matchers import Comparison, Scalar
from addons.core.policy.rules import (
    Condition,
    Fit,
    GroupsTest,
    ValueTest,
    claim_condition,
    field_condition,
    groups_test,
    principal_condition,
    size_condition,
    text_condition,
)
from addons.core.quantities import parse_size
from addons.core.yaml_source import Path, did_you_mean

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def compile_groups(file: PolicyFile, path: Path, rule: rule_document.Rule) -> GroupsTest | None:
    if rule.who.groups is None:
        return None
    return groups_test(_value_test(file, (*path, "who", "groups"), rule.who.groups), rule.effect)


def compile_who(file: PolicyFile, path: Path, rule: rule_document.Rule) -> list[Condition]:
    who, effect, path = rule.who, rule.effect, (*path, "who")
    conditions = []
    for name, matcher, values_of in (
        ("subject", who.subject, lambda principal: (principal.subject,)),
        ("issuer", who.issuer, lambda principal: (principal.issuer,)),
        (
            "on_behalf_of",
            who.on_behalf_of,
            lambda principal: (principal.on_behalf_of,) if principal.on_behalf_of else (),
        ),
        ("actor", who.actor, lambda principal: [actor.subject for actor in principal.actors]),
    ):
        if matcher is not None:
            test = _value_test(file, (*path, name), matcher)
            conditions.append(Condition(f"who.{name}", principal_condition(test, effect, values_of)))
    for name, matcher in who.claims.items():
        test = _value_test(file, (*path, "claims", name), matcher)
        conditions.append(Condition(f"who.claims.{name}", claim_condition(name, test, effect)))
    return conditions


def compile_http(
    file: PolicyFile, path: Path, rule: rule_document.Rule, fits: OperationFits, operations: Operations
) -> list[Condition]:
    http, path = rule.http, (*path, "http")
    conditions: list[Condition] = []
    if http.method is not None:
        methods = _methods(file, (*path, "method"), http.method, fits, operations)
        test = text_condition(methods.__contains__, lambda request: request.method.upper())
        conditions.append(Condition("http.method", test))
    if http.host is not None:
        named = _hosts(file, (*path, "host"), http.host)
        conditions.append(Condition("http.host", text_condition(named, lambda request: request.host)))
    if http.path is not None:
        globs = _paths(file, (*path, "path"), http.path, fits, operations)
        test = text_condition(compile_path_globs(globs), lambda request: request.path)
        conditions.append(Condition("http.path", test, beginnings=path_beginnings(globs)))
    if http.size is not None:
        conditions += _size(file, (*path, "size"), http)
    return conditions + _fields(file, path, rule)


def _fields(file: PolicyFile, path: Path, rule: rule_document.Rule) -> list[Condition]:
    conditions = []
    query, headers = rule.http.query, rule.http.headers
    for name, matcher in query.items():
        test = _field_test(file, (*path, "query", name), name, query, matcher)
        fit = field_condition(name, test, rule.effect, lambda request: request.query)
        conditions.append(Condition(f"http.query.{name}", fit))
    for name, matcher in headers.items():
        test = _field_test(file, (*path, "headers", name), name, headers, matcher)
        fit = field_condition(name.lower(), test, rule.effect, lambda request: request.headers)
        conditions.append(Condition(f"http.headers.{name}", fit))
    return conditions


def _value_test(file: PolicyFile, path: Path, matcher: Comparison | tuple[str, ...]) -> ValueTest:
    if not isinstance(matcher, Comparison):
        return ValueTest(file.texts(path, matcher), None)
    check_exact(file, path, matcher)
    return ValueTest(None, matcher.model_copy(update={"in_": expanded_values(file, path, matcher)}))


def check_exact(file: PolicyFile, path: Path, matcher: Comparison) -> None:
    """Complain of a list in `is`, and warn of what looks like a glob where values are exact."""
    if isinstance(matcher.is_, str) and matcher.is_.startswith("lists."):
        file.add((*path, "is"), "a list has several values, and is takes one", f"in: {matcher.is_}")
    for key, values in (("is", (matcher.is_,)), ("in", matcher.in_ or ())):
        if any(isinstance(value, str) and is_pattern(value) and len(value) > 1 for value in values):
            remedy = "for a glob leave is and in out: field: 'x*', or field: [a, 'x*']"
            file.warn_key((*path, key), f"{key} is exact: '*' and '?' stand for themselves here", remedy)


def expanded_values(file: PolicyFile, path: Path, matcher: Comparison) -> tuple[Scalar, ...] | None:
    """The values of `in`, with the lists that are named among them."""
    if matcher.in_ is None:
        return None
    values: list[Scalar] = []
    for index, value in enumerate(matcher.in_):
        values += file.texts((*path, "in", index), (value,)) if isinstance(value, str) else (value,)
    return tuple(values)


def _field_test(
    file: PolicyFile,
    path: Path,
    name: str,
    beside: Collection[str],
    matcher: Comparison | tuple[str, ...],
) -> ValueTest:
    test = _value_test(file, path, matcher)
    if any(not isinstance(scalar, str) for scalar in test.scalars):
        file.add(path, f"{name!r} is always text, so a number or true never fits", "write it in quotes")
    if sum(other.casefold() == name.casefold() for other in beside) > 1:
        file.add(path, f"{name!r} stands there in another case as well", "keep one")
    return test


def _methods(
    file: PolicyFile, path: Path, texts: tuple[str, ...], fits: OperationFits, operations: Operations
) -> frozenset[str]:
    methods = frozenset(text.upper() for text in file.texts(path, texts))
    for text in sorted(methods - set(METHODS)):
        file.add(path, f"{text!r} is not a method", did_you_mean(text.upper(), METHODS))
    if "GET" in methods:
        methods |= {"HEAD"}  # is the operation of its GET, and asks Datadog for the same
    fitting = {operations.by_key[key].method for key in fits.known}
    if "GET" in fitting:
        fitting.add("HEAD")
    if fitting and fits.unknown is Fit.NO and methods <= set(METHODS) and not methods & fitting:
        remedy = "they use " + ", ".join(sorted(fitting))
        file.add(path, "never matches: the operations of op use other methods", remedy)
    return methods


def _hosts(file: PolicyFile, path: Path, texts: tuple[str, ...]) -> TextTest:
    """Compile host globs; one that none of Datadog's hosts has can't match."""
    globs = [text.lower() for text in file.texts(path, texts)]
    for glob in globs:
        known = any(map(compile_glob(glob), hosts.examples())) if is_pattern(glob) else hosts.lookup(glob)
        if not known:
            remedy = did_you_mean(glob, (host.name for host in hosts.registered()))
            file.add(path, f"never matches: {glob!r} is no host of Datadog's", remedy)
    return compile_globs(globs)


def _paths(
    file: PolicyFile, path: Path, texts: tuple[str, ...], fits: OperationFits, operations: Operations
) -> tuple[str, ...]:
    globs = file.texts(path, texts)
    known_problems = len(file.problems)
    for glob in globs:
        if not glob.startswith(("/", "**")):
            file.add(path, f"never matches: {glob!r} does not begin with '/'", "write /api/…")
        elif any("**" in part and part != "**" for part in glob.split("/")):
            file.add(path, f"{glob!r}: '**' must be a whole segment", "/api/**, or '*' within one")
        elif "//" in glob or {"..", "."} & set(glob.split("/")):
            file.add(path, f"never matches: {glob!r} is not in normal form", "leave them out")
    if fits.known and fits.unknown is Fit.NO and len(file.problems) == known_problems:
        templates = {operations.by_key[key].template for key in fits.known}
        if not any(may_be_of_template(glob, template) for glob in globs for template in templates):
            remedy = f"one has {min(templates)}"
            file.add(path, "never matches: the operations of op have other paths", remedy)
    return globs


def _size(file: PolicyFile, path: Path, http: rule_document.Http) -> list[Condition]:
    test = http.size_test
    bound = parse_size(test[1]) if test else None
    if test is None or bound is None:
        file.add(
            path,
            "not a test of a size",
            "an operator and a size: '<=64KiB', '>1MiB'; B, kB, KiB, MB, MiB, GB or GiB",
        )
        return []
    if test[0] == "<" and bound == 0:
        file.add(path, "never matches: nothing is smaller than 0", "'<=0' for no body")
    return [Condition("http.size", size_condition(test[0], bound))]
