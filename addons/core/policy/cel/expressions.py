"""`when:` of a rule: CEL, by cel-expr-python, which binds the official C++ implementation.

The library is kept behind this file, for it has edges. An evaluation error comes back as a value, and a
truthy one. Text is cut off at NUL, and half a surrogate pair raises. A value nested a few thousand levels
deep overflows its stack. It stops after 10,000 turns of loops, but each may take as long as the values are
large, and `map` and `filter` copy what they have so far. And it reads keys exactly, where Datadog takes `IDS`
for `ids`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import cast

from cel_expr_python import cel

from addons.core.json_document import MAX_DEPTH
from addons.core.model import Json
from addons.core.policy.cel.document_survey import Survey, UnfitDocument, misspelling, survey
from addons.core.policy.cel.expression_names import LISTS, Names, Size, read_names
from addons.core.policy.cel.expression_problems import (
    ExpressionProblem,
    ExpressionProblems,
    always_there,
    problem_at,
    problems_of,
)
from addons.core.policy.cel.expression_tree import UnreadableTree, read_tree
from addons.core.policy.cel.expression_weight import weight_of

__all__ = [
    "Expression",
    "ExpressionError",
    "ExpressionProblem",
    "ExpressionProblems",
    "compile_expression",
    "known_variables",
]

MAX_CHARACTERS = 4096
MAX_TURNS = 10_000
"""The library's own bound on turns of all loops of one evaluation."""
MAX_WORK = 5_000_000
"""Characters or items that loops may go over, of values that are read anew in every turn."""
_COPYING = 5  # times what it costs to read an item

_NOW = "now"
_DOCUMENTS = ("body", "target")
_QUERY = "request.query"


@cache
def known_variables() -> Mapping[str, cel.Type]:
    """Everything that an expression may name. Of `request`, `op` and `identity` each field is a variable of
    its own, so that its type and its name are checked when the expression is compiled.
    """
    text = cel.Type.STRING
    texts = cel.Type.List(text)
    return {
        "body": cel.Type.DYN,
        "target": cel.Type.DYN,
        "request.method": text,
        "request.host": text,
        "request.path": text,
        _QUERY: cel.Type.Map(text, texts),
        "request.headers": cel.Type.Map(text, texts),
        "request.size": cel.Type.INT,
        "op.name": text,
        "op.version": text,
        "op.tags": texts,
        "op.risk": texts,
        "identity.subject": text,
        "identity.issuer": text,
        "identity.groups": texts,
        "identity.on_behalf_of": text,
        "identity.actors": cel.Type.List(cel.Type.Map(text, text)),
        "identity.session": text,
        "identity.claims": cel.Type.Map(text, cel.Type.DYN),
        LISTS: cel.Type.Map(text, texts),
        _NOW: cel.Type.TIMESTAMP,
    }


@cache
def _environment() -> cel.Env:
    return cel.NewEnv(variables=dict(known_variables()))


@cache
def _clock() -> cel.Expression:
    """Makes CEL's own kind of time."""
    env = cel.NewEnv(variables={"seconds": cel.Type.STRING})
    return env.compile("timestamp(0) + duration(seconds)")


class ExpressionError(Exception):
    """An expression has no answer for this request; `why` names no value of it."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


@dataclass(frozen=True, slots=True)
class Expression:
    """A compiled expression. `reads` are the variables that it names: `body`, `target`, `request`, `op`,
    `identity`, `lists`, `now`. `lists` are the lists that it names, `list_places` where, as line and column.
    `fields` are the keys that it looks for, and the texts that it may look for as keys. `weight` is what it
    can cost for each byte of a document, a plain matcher being 1.
    """

    reads: frozenset[str]
    lists: frozenset[str]
    list_places: Mapping[str, tuple[int, int]]
    fields: frozenset[str]
    weight: int
    _program: cel.Expression
    _names: Names

    def evaluate(self, variables: Mapping[str, object]) -> bool:
        """Evaluate with at least the variables that `reads` names: mappings with the fields that they have
        in an expression, documents as they were parsed, `now` in seconds since the epoch.

        Raises:
            ExpressionError: it can't be evaluated, its result is not true or false, it would take too long,
                or a document or the query has a key that the expression names, in another case or form.

        """
        data = {name: self._value(name, variables) for name in self._names.variables}
        surveys = {name: _surveyed(name, cast("Json", data[name])) for name in data.keys() - {_NOW}}
        self._check_keys(surveys, cast("Mapping[str, list[str]]", data.get(LISTS, {})))
        self._check_work(surveys)
        return _result(self._program, data)

    def _value(self, name: str, variables: Mapping[str, object]) -> object:
        root, _, field = name.partition(".")
        value = variables[root]
        if name == _NOW:
            return _instant(cast("float", value))
        if name in _DOCUMENTS:
            return value
        given = cast("Mapping[str, object]", value)
        if name == LISTS:
            return {each: _plain(given[each]) for each in self.lists if each in given}
        return _plain(given[field])

    def _check_keys(self, surveys: Mapping[str, Survey], lists: Mapping[str, list[str]]) -> None:
        fields = self.fields.union(*(lists.get(name, ()) for name in self._names.key_lists))
        for name in surveys.keys() & {*_DOCUMENTS, _QUERY}:
            if (field := misspelling(surveys[name].keys, fields)) is not None:
                raise ExpressionError(f"{name} spells the key {field!r} in another case or form")

    def _check_work(self, surveys: Mapping[str, Survey]) -> None:
        if not self._names.works:
            return
        brought = [survey for name, survey in surveys.items() if name != LISTS]
        most = max((each.most for each in brought), default=0)
        own = max(self._names.longest_items, surveys[LISTS].most if LISTS in surveys else 0)
        largest = {
            Size.WHOLE: max((max(each.values, each.longest) for each in brought), default=0),
            Size.ITEM: sum(each.values + each.characters for each in brought),
            Size.GATHERED: _COPYING * max(own, most),
        }
        for work in self._names.works:
            request_loops = work.request_loops - (work.size is Size.ITEM)
            turns = min(MAX_TURNS, own**work.policy_loops * most**request_loops)
            if turns * largest[work.size] > MAX_WORK:
                raise ExpressionError("it would take too long on what this request brings")


def compile_expression(text: str) -> Expression:
    """Compile a condition.

    Raises:
        ExpressionProblems: every problem, with its place.

    """
    if len(text) > MAX_CHARACTERS:
        message = f"longer than {MAX_CHARACTERS} characters"
        raise ExpressionProblems((problem_at(text, 0, message, "split the rule, or use lists:"),))
    if (unfit := _UNFIT.search(text)) is not None:
        raise ExpressionProblems(
            (problem_at(text, unfit.start(), "a character that is no text", "remove it"),)
        )
    try:
        program = _environment().compile(text)
    except RuntimeError as error:
        complaint = str(error)
    else:
        return _analysed(text, program)
    raise problems_of(text, complaint, known_variables())


def _analysed(text: str, program: cel.Expression) -> Expression:
    try:
        tree = read_tree(program.serialize())
        names = read_names(tree, known_variables())
    except (UnreadableTree, RecursionError) as error:
        # a version of the library that this was not written for
        raise ExpressionProblems((problem_at(text, 0, f"can't be analysed: {error}"),)) from None
    problems = [
        problem_at(text, found.offset, found.message, found.remedy)
        for found in sorted(names.findings, key=lambda found: found.offset)
    ]
    result = program.return_type().name().lower()
    if not problems and result not in {"bool", "dyn"}:
        message = f"gives {result}, where a bool is needed"
        always = always_there(text, known_variables())
        problems.append(always or problem_at(text, 0, message, "compare it: ... == ..."))
    if problems:
        raise ExpressionProblems(tuple(problems))
    places = {name: problem_at(text, offset, "") for name, offset in names.lists.items()}
    return Expression(
        reads=frozenset(name.partition(".")[0] for name in names.variables),
        lists=frozenset(names.lists),
        list_places={name: (place.line, place.column) for name, place in places.items()},
        fields=names.fields(),
        weight=weight_of(tree, names.works),
        _program=program,
        _names=names,
    )


_UNFIT = re.compile("[\0\ud800-\udfff]")


def _surveyed(name: str, value: Json) -> Survey:
    try:
        return survey(value)
    except UnfitDocument as unfit:
        raise ExpressionError(f"{name} can't be used: {unfit}") from None


def _plain(value: object, depth: int = 0) -> object:
    """Copy what may be read-only into the types that the library knows."""
    if depth > MAX_DEPTH:
        raise ExpressionError(f"a value is nested more than {MAX_DEPTH} levels deep")
    if isinstance(value, Mapping):
        return {key: _plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        items = sorted(value) if isinstance(value, (set, frozenset)) else value
        return [_plain(item, depth + 1) for item in items]
    return value


def _instant(seconds: float) -> object:
    try:
        value = _clock().eval(data={"seconds": f"{seconds:.6f}s"})
    except RuntimeError:
        raise ExpressionError("now is no time") from None
    if value.type() != cel.Type.TIMESTAMP:
        raise ExpressionError("now is no time")
    return value.value()


def _result(program: cel.Expression, data: Mapping[str, object]) -> bool:
    try:
        value = program.eval(data=data)
        kind, result = value.type(), value.value()
    except (RuntimeError, ValueError, TypeError, LookupError, ArithmeticError, MemoryError) as error:
        complaint = str(error)
    else:
        if kind == cel.Type.BOOL and isinstance(result, bool):
            return result
        if kind != cel.Type.ERROR:
            raise ExpressionError("its result is not true or false")
        complaint = str(result)
    raise ExpressionError(_reason(complaint))


# what a complaint holds, and what is said instead: the library puts values of the request into its own
_REASONS = (
    ("No matching overloads", "a value is not of a type that it can use"),
    ("SELECT to non-message", "a value is not of a type that it can use"),
    ("Invalid container type", "a value is not of a type that it can use"),
    ("Key not found", "a key that it reads isn't there; ask for it first, with has()"),
    ("Index error", "a list has no item at an index that it reads"),
    ("by zero", "it divides by zero"),
    ("overflow", "a number is out of range"),
    ("range", "a number is out of range"),
    ("maximum allowed", "a number is out of range"),
    ("regular expression", "a pattern is no regular expression"),
    ("Iteration budget", f"its loops take more than {MAX_TURNS} turns"),
    ("onver", "a value can't be converted"),
    ("timezone", "it names no time zone"),
)


def _reason(complaint: str) -> str:
    return next((why for part, why in _REASONS if part in complaint), "it can't be evaluated")
