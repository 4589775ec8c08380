"""YAML text to data that knows where each value stands, and problems as `file:line:column`.

The subset of YAML is small on purpose: what two readers could read differently is refused. Two equal keys
(PyYAML keeps the last one: `deny` then `allow` would allow), anchors, aliases, merge keys, tags, keys that
are not text and several documents are problems. Plain scalars follow the core schema of YAML 1.2: `true` and
`false` are the only booleans (`on`, `yes` stay text), `12:30` and dates stay text.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import yaml
from pydantic import BaseModel, ConfigDict
from pydantic_core import PydanticCustomError

from addons.core.model import Json
from addons.core.start_problems import StartProblem
from addons.core.yaml_syntax import syntax_complaint
from addons.core.yaml_text import line_and_column, offset_in_raw

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


class ProblemsError(StartProblem):
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
    raw: Mapping[Path, str] = field(default_factory=dict)
    """Texts as the file has them, quotes and breaks included."""

    def at(self, path: Path) -> Position:
        """Position of the value at `path`, or of the deepest enclosing value that the text has."""
        return self._place(path).value

    def within(self, path: Path, offset: int) -> Position:
        """Position of the character at `offset` of the text at `path`."""
        start, value = self.at(path), self._text(path)
        raw = self.raw.get(path)
        if raw is None or value is None:
            return start
        lines, characters = line_and_column(raw, offset_in_raw(raw, value, offset))
        return Position(start.name, start.line + lines, characters + (1 if lines else start.column))

    def _text(self, path: Path) -> str | None:
        value: Json = self.data
        for step in path:
            if isinstance(value, dict) and isinstance(step, str):
                value = value.get(step)
            elif isinstance(value, list) and isinstance(step, int) and step < len(value):
                value = value[step]
            else:
                return None
        return value if isinstance(value, str) else None

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
            raise _Refused(
                event.start_mark,
                "aliases are not read",
                "write the value out; a glob that begins with '*' needs quotes",
            )
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
        where, message, remedy = syntax_complaint(error)
        raise ProblemsError([Problem(_position(name, where), message, remedy)]) from None
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
    reader = _Reader(name, text)
    data = reader.read(node, (), None)
    if reader.problems:
        raise ProblemsError(reader.problems)
    return Source(name, data, reader.places, reader.raw)


def _position(name: str, mark: _Mark | None) -> Position:
    return Position(name) if mark is None else Position(name, mark.line + 1, mark.column + 1)


def _first_unreadable(text: str, name: str) -> Position:
    found = yaml.reader.Reader.NON_PRINTABLE.search(text)
    if found is None:
        return Position(name)
    before = text[: found.start()]
    return Position(name, before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1)


class _Reader:
    """Turns nodes into data, and gathers problems that leave the rest readable."""

    def __init__(self, name: str, text: str) -> None:
        self._name = name
        self._text = text
        self.places: dict[Path, Place] = {}
        self.raw: dict[Path, str] = {}
        self.problems: list[Problem] = []

    def read(self, node: yaml.Node, path: Path, key: Position | None) -> Json:
        here = _position(self._name, node.start_mark)
        self.places[path] = Place(here, key or here)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.read(item, (*path, index), None) for index, item in enumerate(node.value)]
        self.raw[path] = self._text[node.start_mark.index : node.end_mark.index]
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
