"""YAML text to data that knows where each value stands, and pydantic's complaints as `file:line:column`.

The subset of YAML is small on purpose: what two readers could read differently is refused. Two equal keys
(PyYAML keeps the last one: `deny` then `allow` would allow), anchors, aliases, merge keys, tags, keys that
are not text and several documents are problems. Plain scalars follow the core schema of YAML 1.2: `true` and
`false` are the only booleans (`on`, `yes` stay text), `12:30` and dates stay text.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from addons.core.model import Json

type Path = tuple[str | int, ...]

MAX_CHARACTERS = 1024 * 1024
MAX_DEPTH = 32
_SHOWN_CHOICES = 12


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in a text; line and column count from 1.

    Line 0 is the thing named as a whole: a file that is missing, an environment variable.
    """

    name: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.name}:{self.line}:{self.column}" if self.line else self.name


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing that is wrong, for a person: where, what, what to do. Never holds a secret."""

    position: Position
    message: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.position}: {self.message}" + (f" ({self.remedy})" if self.remedy else "")


class Section(BaseModel):
    """Strict and closed: an unknown key is an error, `"8080"` is no number, nothing changes afterwards."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", use_attribute_docstrings=True)


class ProblemsError(Exception):
    """All that is wrong with a text, sorted by position, one line each."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(set(problems)))
        super().__init__("\n".join(str(problem) for problem in self.problems))


@dataclass(frozen=True, slots=True)
class Place:
    """Positions of a value and, where it is the value of a mapping's key, of that key."""

    value: Position
    key: Position


@dataclass(frozen=True, slots=True)
class Source:
    """Data with the position of every value in it."""

    name: str
    data: Json
    places: Mapping[Path, Place]

    def at(self, path: Path) -> Position:
        """Position of the value at `path`, or of the deepest enclosing value that the text has."""
        return self._place(path).value

    def key_at(self, path: Path) -> Position:
        """Position of the key at `path`; for an item of a list, of the item."""
        return self._place(path).key

    def _place(self, path: Path) -> Place:
        for length in range(len(path), -1, -1):
            place = self.places.get(path[:length])
            if place is not None:
                return place
        whole = Position(self.name)
        return Place(whole, whole)


def nearest(word: str, choices: Iterable[str]) -> str | None:
    """Find the choice that `word` was probably meant to be."""
    by_lower = {choice.lower(): choice for choice in choices}
    close = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[close[0]] if close else None


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """Make a remedy: the nearest choice, or the list of them where it is short."""
    known = sorted(choices)
    close = nearest(word, known)
    if close is not None:
        return f"did you mean {close!r}?"
    return "one of " + ", ".join(known) if 0 < len(known) <= _SHOWN_CHOICES else ""


def complaint(message: str, remedy: str = "") -> PydanticCustomError:
    """Make an error for a validator to raise, and `validate` to turn into a Problem.

    Name no input value that could be a secret.
    """
    return PydanticCustomError("complaint", "{message}", {"message": message, "remedy": remedy})


class _Mark(Protocol):
    """PyYAML's mark, of its scanner in Python or in C: both count from 0."""

    @property
    def line(self) -> int: ...
    @property
    def column(self) -> int: ...


class _Refused(Exception):  # noqa: N818 - never leaves this file
    def __init__(self, mark: _Mark | None, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.mark, self.message, self.remedy = mark, message, remedy


_RESOLVERS: dict[str, list[tuple[str, re.Pattern[str]]]] = {}
for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", "~nN"),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    (
        "float",
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        "-+.0123456789",
    ),
):
    for _character in [*_first, ""] if _tag == "null" else _first:
        _RESOLVERS.setdefault(_character, []).append(
            (f"tag:yaml.org,2002:{_tag}", re.compile(rf"(?:{_pattern})\Z"))
        )


class _Loader(yaml.SafeLoader):
    """Composes nodes, refusing on the way what would be lost in them (anchors, tags) or recurse."""

    yaml_implicit_resolvers = _RESOLVERS

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call] # typeshed's gap
        if isinstance(event, yaml.AliasEvent):
            raise _Refused(event.start_mark, "aliases are not read", "write the value out")
        if getattr(event, "anchor", None) is not None:
            raise _Refused(event.start_mark, "anchors are not read", "remove the &name")
        if getattr(event, "tag", None) is not None:
            raise _Refused(event.start_mark, "tags are not read", "remove the !tag")
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise _Refused(event.start_mark, f"nested more than {MAX_DEPTH} deep", "flatten it")
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


def load(text: str, name: str) -> Source:
    """Read one YAML document. An empty text is an empty mapping.

    Raises:
        ProblemsError: all duplicate, merge and non-text keys, or the first thing that can't be read.

    """
    if len(text) > MAX_CHARACTERS:
        raise ProblemsError([Problem(Position(name), f"longer than {MAX_CHARACTERS} characters", "split it")])
    loader: _Loader | None = None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
    except _Refused as refused:
        raise ProblemsError(
            [Problem(_position(name, refused.mark), refused.message, refused.remedy)]
        ) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise ProblemsError([Problem(_position(name, mark), _syntax_message(error))]) from None
    except yaml.YAMLError:  # a ReaderError: it has no mark and echoes the character
        raise ProblemsError(
            [Problem(_first_unreadable(text, name), "a character that YAML does not allow", "remove it")]
        ) from None
    except (ValueError, OverflowError):  # PyYAML turns "\UFFFFFFFF" and `%YAML 1111….1` into numbers unasked
        mark = loader.get_mark() if loader is not None else None
        raise ProblemsError(
            [Problem(_position(name, mark), "not YAML: an escape or a version that is out of range")]
        ) from None
    if node is None:
        start = Position(name, 1, 1)
        return Source(name, {}, {(): Place(start, start)})
    reader = _Reader(name)
    data = reader.read(node, (), None)
    if reader.problems:
        raise ProblemsError(reader.problems)
    return Source(name, data, reader.places)


def _position(name: str, mark: _Mark | None) -> Position:
    return Position(name) if mark is None else Position(name, mark.line + 1, mark.column + 1)


def _first_unreadable(text: str, name: str) -> Position:
    found = yaml.reader.Reader.NON_PRINTABLE.search(text)
    if found is None:
        return Position(name)
    before = text[: found.start()]
    return Position(name, before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1)


def _syntax_message(error: yaml.MarkedYAMLError) -> str:
    if (error.context or "").startswith("expected a single document"):
        return "a second document starts here; one file holds one document"
    # PyYAML's problem may quote one character of the text; it never quotes a value
    return "not YAML: " + " ".join(part for part in (error.context, error.problem) if part)


class _Reader:
    """Turns nodes into data, and gathers problems that leave the rest readable."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.places: dict[Path, Place] = {}
        self.problems: list[Problem] = []

    def read(self, node: yaml.Node, path: Path, key: Position | None) -> Json:
        here = _position(self._name, node.start_mark)
        self.places[path] = Place(here, key or here)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.read(item, (*path, index), None) for index, item in enumerate(node.value)]
        return self._scalar(node, here)

    def _mapping(self, node: yaml.MappingNode, path: Path) -> Json:
        result: dict[str, Json] = {}
        for key_node, value_node in node.value:
            here = _position(self._name, key_node.start_mark)
            key = key_node.value
            if key == "<<" and key_node.style is None:
                self._add(here, "merge keys are not read", "write the keys out")
            elif not isinstance(key_node, yaml.ScalarNode) or not key_node.tag.endswith(":str"):
                self._add(here, "a key that is not text", "write it in quotes")
            elif key in result:
                first = self.places[*path, key].key
                self._add(here, f"the key {key!r} stands twice; first in line {first.line}", "remove one")
            else:
                result[key] = self.read(value_node, (*path, key), here)
        return result

    def _scalar(self, node: yaml.Node, here: Position) -> Json:
        text: str = node.value
        kind = node.tag.rpartition(":")[2]
        if kind == "null":
            return None
        if kind == "bool":
            return text.lower() == "true"
        if kind == "str":
            if any("\ud800" <= character <= "\udfff" for character in text):
                self._add(here, "half of a surrogate pair", "write the character itself")
            return text
        try:
            number = _integer(text) if kind == "int" else float(text.replace(".inf", "inf"))
            is_finite = math.isfinite(number)
        except (ValueError, OverflowError):  # over Python's limit of digits, over a float's range, or .nan
            is_finite = False
        if not is_finite:
            self._add(here, "a number that is too large or not finite", "write a smaller one, or quote it")
            return None
        return number

    def _add(self, position: Position, message: str, remedy: str) -> None:
        self.problems.append(Problem(position, message, remedy))


def _integer(text: str) -> int:
    return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))


def validate[M: BaseModel](model: type[M], source: Source) -> M:
    """Make a `model` of the data of `source`; its lists become tuples.

    Raises:
        ProblemsError: with every problem that pydantic sees. Checks across keys run where the keys are well.

    """
    try:
        return model.model_validate(_frozen(source.data))
    except ValidationError as error:
        problems = [
            _problem(model, source, details)
            for details in error.errors(include_url=False)
            # items that failed are not counted, so a list of bad items looks empty as well
            if not (details["type"] == "too_short" and details["input"])
        ]
        raise ProblemsError(problems) from None


def _frozen(data: Json) -> object:
    if isinstance(data, dict):
        return {key: _frozen(value) for key, value in data.items()}
    if isinstance(data, list):
        return tuple(_frozen(item) for item in data)
    return data


def _problem(model: type[BaseModel], source: Source, details: ErrorDetails) -> Problem:
    kind, location = details["type"], details["loc"]
    context: Mapping[str, object] = details.get("ctx", {})
    path = _path_in(source.data, location)
    name = _dotted(path) or "the document"
    if kind == "extra_forbidden":
        keys = _keys_beside(model, location)
        return Problem(source.key_at(path), f"unknown key {path[-1]!r}", did_you_mean(str(path[-1]), keys))
    if kind == "missing":
        parent = _dotted(path)
        missing = f"{parent}.{location[-1]}" if parent else str(location[-1])
        return Problem(source.key_at(path), f"{missing!r} is missing", "add it")
    if kind == "complaint":
        # pydantic marks a key that its own validator refused with a step "[key]"
        position = source.key_at(path) if location[-1:] == ("[key]",) else source.at(path)
        return Problem(position, f"{name}: {context['message']}", str(context["remedy"]))
    if kind in {"literal_error", "enum"}:
        choices = [choice for _, choice in _QUOTED.findall(str(context.get("expected", "")))]
        value = details["input"]
        remedy = did_you_mean(value, choices) if isinstance(value, str) and choices else ""
        remedy = remedy or f"must be {context.get('expected', '')}"
        return Problem(source.at(path), f"{name}: not one of the values it can have", remedy)
    message, remedy = _MESSAGES.get(kind, ("", ""))
    if not message:
        message = details["msg"].removeprefix("Value error, ").removeprefix("Input should ")
    return Problem(source.at(path), f"{name}: {message}", remedy)


_QUOTED = re.compile(r"(['\"])(.*?)\1")
_MESSAGES = {
    "string_type": ("must be text", "write it in quotes"),
    "bool_type": ("must be true or false", ""),
    "int_type": ("must be a whole number", ""),
    "float_type": ("must be a number", ""),
    "tuple_type": ("must be a list", "write [a, b] or one '- item' a line"),
    "dict_type": ("must be a mapping", "write 'key: value' lines"),
    "mapping_type": ("must be a mapping", "write 'key: value' lines"),
    "model_type": ("must be a mapping", "write 'key: value' lines"),
    "model_attributes_type": ("must be a mapping", "write 'key: value' lines"),
    "too_short": ("must not be empty", "add an item, or leave the key out"),
    "string_too_short": ("must not be empty", "write a value, or leave the key out"),
}


def _path_in(data: Json, location: Iterable[str | int]) -> Path:
    """Find the part of a pydantic location that is a path in `data`.

    Validators and unions add steps of their own, and a missing key isn't there.
    """
    path: list[str | int] = []
    for step in location:
        if (isinstance(data, dict) and isinstance(step, str) and step in data) or (
            isinstance(data, list) and isinstance(step, int) and step < len(data)
        ):
            data = data[step]  # type: ignore[index] # both pairs are checked above
            path.append(step)
    return tuple(path)


def _dotted(path: Path) -> str:
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def _keys_beside(model: type[BaseModel], location: tuple[str | int, ...]) -> list[str]:
    """List the keys that the model at the end of `location` knows."""
    models = {model}
    for step in location[:-1]:
        inner = {
            found
            for candidate in models
            for field_name, field in candidate.model_fields.items()
            if step == (field.alias or field_name)
            for found in _models_in(field.annotation)
        }
        models = inner or models  # an index or a key of a mapping leaves the model as it is
    return [field.alias or name for each in models for name, field in each.model_fields.items()]


def _models_in(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in getattr(annotation, "__args__", ()):
        yield from _models_in(argument)
    value = getattr(annotation, "__value__", None)  # a `type X = …` alias
    if value is not None:
        yield from _models_in(value)
