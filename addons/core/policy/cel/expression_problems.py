"""What the CEL compiler complains about, said in the words of a policy's author."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from addons.core.yaml_source import did_you_mean, nearest

_ERROR = re.compile(r"^(?:INVALID_ARGUMENT: )?ERROR: <input>:(-?\d+):(-?\d+): (.*)$", re.MULTILINE)
_UNDECLARED = re.compile(r"undeclared reference to '([^']*)'")
_NO_OVERLOAD = re.compile(r"found no matching overload for '([^']*)' applied to '\((.*)\)'")
_UNEXPECTED = re.compile(
    r"Syntax error: (?:mismatched|extraneous|no viable alternative at) input '(.*?)'(?= expecting|$)"
)
_UNKNOWN_TOKEN = re.compile(r"Syntax error: token recognition error at: '(.*)'$")
_RESERVED = re.compile(r"reserved identifier: (\w+)")
_HAS_VARIABLE = re.compile(r"\bhas\s*\(\s*([a-z_]+\.[a-z_]+)\s*\)")
_WORD = re.compile(r"[A-Za-z_]\w*", re.ASCII)

_MACROS = {
    "has": "has(body.field)",
    "all": "LIST.all(item, CONDITION)",
    "exists": "LIST.exists(item, CONDITION)",
    "exists_one": "LIST.exists_one(item, CONDITION)",
    "map": "LIST.map(item, VALUE)",
    "filter": "LIST.filter(item, CONDITION)",
}
_FUNCTIONS = _MACROS | {
    "size": "size(VALUE)",
    "contains": "TEXT.contains(PART)",
    "startsWith": "TEXT.startsWith(PREFIX)",
    "endsWith": "TEXT.endsWith(SUFFIX)",
    "matches": "TEXT.matches(PATTERN)",
    "timestamp": "timestamp('2026-01-31T12:00:00Z')",
    "duration": "duration('90m')",
    **{
        name: f"{name}(VALUE)" for name in ("bool", "bytes", "double", "dyn", "int", "string", "type", "uint")
    },
    **{
        f"get{part}": f"now.get{part}('Europe/Paris')"
        for part in (
            *("FullYear", "Month", "Date", "DayOfMonth", "DayOfWeek", "DayOfYear"),
            *("Hours", "Minutes", "Seconds", "Milliseconds"),
        )
    },
}
_HABITS = {
    **dict.fromkeys(("len", "length", "count"), "size"),
    **dict.fromkeys(("any", "some", "find"), "exists"),
    **dict.fromkeys(("every", "forEach"), "all"),
    **dict.fromkeys(("includes", "has_key"), "contains"),
    **dict.fromkeys(("regex", "search", "test", "re_match"), "matches"),
    **dict.fromkeys(("str", "toString"), "string"),
}
_WORDS = {
    **dict.fromkeys(("and", "AND", "&"), "&&"),
    **dict.fromkeys(("or", "OR", "|"), "||"),
    **dict.fromkeys(("is", "="), "=="),
    **dict.fromkeys(("not", "NOT"), "!"),
    **dict.fromkeys(("True", "TRUE"), "true"),
    **dict.fromkeys(("False", "FALSE"), "false"),
    **dict.fromkeys(("None", "nil", "NULL", "undefined"), "null"),
}
_OPERATORS = {"@in": "in", "_[_]": "[…]", "_?_:_": "?:", "!_": "!", "-_": "-"}
_TYPES = {"google.protobuf.Timestamp": "timestamp", "google.protobuf.Duration": "duration"}


@dataclass(frozen=True, slots=True)
class ExpressionProblem:
    """`line` and `column` count from 1, in characters, within the expression's own text."""

    line: int
    column: int
    message: str
    remedy: str = ""


class ExpressionProblems(ValueError):  # noqa: N818 - named for what the caller is told
    """The expression can't be used; every problem that was found, by position."""

    def __init__(self, problems: tuple[ExpressionProblem, ...]) -> None:
        super().__init__("; ".join(problem.message for problem in problems))
        self.problems = problems


def problem_at(text: str, offset: int, message: str, remedy: str = "") -> ExpressionProblem:
    """Make a problem of the place `offset` characters into `text`."""
    before = text[:offset]
    return ExpressionProblem(before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1, message, remedy)


def problems_of(text: str, complaint: str, variables: Collection[str]) -> ExpressionProblems:
    """Read the compiler's complaint about `text`. `variables` are the environment's, with their dots."""
    words = _Words(text, variables)
    loop_variables = words.loop_variables(_UNDECLARED.findall(complaint))
    found: dict[tuple[int, str], ExpressionProblem] = {}
    always = always_there(text, variables)
    errors = _ERROR.findall(complaint) or [(1, 1, complaint.partition("\n")[0])]
    for line, column, error in errors:
        if error.startswith("Syntax error") and found:
            break  # what follows a syntax error is read out of step
        if always is not None and _NO_OVERLOAD.search(error):
            found[0, always.message] = always
            continue
        offset = _offset(text, int(line), int(column))
        undeclared = _UNDECLARED.match(error)
        if undeclared is None:
            message, remedy = words.other(error)
        elif undeclared[1].partition(".")[0] in loop_variables:
            continue
        else:
            offset = words.place(undeclared[1], offset)
            message, remedy = words.undeclared(undeclared[1], offset)
        found.setdefault((offset, message), problem_at(text, offset, message, remedy))
    return ExpressionProblems(tuple(found[key] for key in sorted(found)))


def always_there(text: str, variables: Collection[str]) -> ExpressionProblem | None:
    """Find a `has()` of a variable, which the compiler takes for the variable itself."""
    for found in _HAS_VARIABLE.finditer(text):
        if found[1] in variables:
            remedy = f"compare it: {found[1]} != ''"
            return problem_at(text, found.start(1), f"{found[1]!r} is always there", remedy)
    return None


def _offset(text: str, line: int, column: int) -> int:
    """What ends too early is missing after its last character, wherever that stands."""
    starts = [0, *(found.end() for found in re.finditer("\n", text))]
    start = starts[min(max(line, 1), len(starts)) - 1]
    return max(min(start + max(column, 1) - 1, len(text.rstrip()) - 1), 0)


class _Words:
    def __init__(self, text: str, variables: Collection[str]) -> None:
        self._text = text
        self._fields: dict[str, list[str]] = {}
        for name in variables:
            root, _, field = name.partition(".")
            self._fields.setdefault(root, []).extend([field] if field else [])

    def place(self, name: str, offset: int) -> int:
        """The compiler points at the dot or the bracket after a name."""
        root = name.partition(".")[0]
        starts = [word.start() for word in _WORD.finditer(self._text) if word[0] == root]
        return max((start for start in starts if start <= offset), default=offset)

    def loop_variables(self, undeclared: Collection[str]) -> set[str]:
        """Names that are unknown only because the macro that would make them is."""
        macros = [name for name in undeclared if (_HABITS.get(name) or nearest(name, _FUNCTIONS)) in _MACROS]
        return {
            variable
            for name in macros
            for variable in re.findall(rf"\b{re.escape(name)}\s*\(\s*([A-Za-z_]\w*)\s*[,)]", self._text)
        }

    def undeclared(self, name: str, offset: int) -> tuple[str, str]:
        if self._text[offset + len(name) :].lstrip().startswith("("):
            if name in _FUNCTIONS:
                return f"{name!r} can't be called like this", f"write {_FUNCTIONS[name]}"
            meant = _HABITS.get(name) or nearest(name, _FUNCTIONS)
            remedy = f"did you mean {meant!r}? {_FUNCTIONS[meant]}" if meant else ""
            return f"no function is called {name!r}", remedy
        root, _, field = name.partition(".")
        if field and root in self._fields:
            field = field.partition(".")[0]
            return f"{root!r} has no field {field!r}", did_you_mean(field, self._fields[root])
        if root in self._fields:
            fields = ", ".join(f"{root}.{each}" for each in self._fields[root])
            return f"{root!r} is no value itself", f"one of {fields}"
        if root in _WORDS:
            return f"no variable is called {root!r}", f"write {_WORDS[root]}"
        return f"no variable is called {root!r}", did_you_mean(root, self._fields)

    def other(self, message: str) -> tuple[str, str]:
        message = " ".join(message.removesuffix("[INVALID_ARGUMENT]").split())
        if (found := _NO_OVERLOAD.search(message)) is not None:
            return self._no_overload(found[1], found[2])
        if "recursion" in message:
            return "nested too deep", "split the rule in two"
        if (found := _UNKNOWN_TOKEN.search(message)) is not None:
            token = found[1].strip()
            if token[:1] in {"'", '"'}:
                return "a text is not closed", f"end it with {token[0]}"
            return f"{token!r} can't stand here", _meant(token)
        if (found := _UNEXPECTED.search(message)) is not None:
            if found[1] == "<EOF>":
                return "the expression ends too early", ""
            return f"{found[1]!r} can't stand here", _meant(found[1])
        if (found := _RESERVED.search(message)) is not None:
            return f"{found[1]!r} is a reserved word", _meant(found[1])
        if message.startswith("has() argument"):
            return "has() asks for a field", f"write {_MACROS['has']}"
        return message.removeprefix("INVALID_ARGUMENT: "), ""

    def _no_overload(self, function: str, types: str) -> tuple[str, str]:
        for name, short in _TYPES.items():
            types = types.replace(name, short)
        if function in _FUNCTIONS:
            return f"{function!r} can't be applied to ({types})", f"write {_FUNCTIONS[function]}"
        operator = _OPERATORS.get(function, function.strip("_"))
        if function in {"_==_", "_!=_"} and "list(" in types:
            return f"{operator!r} can't be applied to ({types})", "to look into a list: VALUE in LIST"
        return f"{operator!r} can't be applied to ({types})", ""


def _meant(token: str) -> str:
    return f"write {_WORDS[token]}" if token in _WORDS else ""
