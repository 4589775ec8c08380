"""Dotted paths into a JSON document, as `body:` and `target:` of a rule name its fields.

options.notify_no_data     a key within a key
data[0].type               an item of a list, counted from 0
data[*].attributes.tags    every item of a list
[*].message                every item of a document that is itself a list
options."a.b"              a key that holds dots, brackets, quotes, stars or spaces, written as JSON text
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal

from addons.core.json_document import fold_key
from addons.core.model import Json

MAX_CHARACTERS = 1024
MAX_STEPS = 64
"""As deep as a document may be nested."""

_STEP = re.compile(
    r'(?P<dot>\.)?(?:(?P<quoted>"(?:[^"\\]|\\.)*")|(?P<plain>[^\s.\[\]"*\\]+)|\[(?P<index>\*|[0-9]{1,6})\])',
    re.DOTALL,
)
_HABITS = {
    ".*": "every item of a list is [*]: data[*].id",
    "[]": "every item of a list is [*]: data[*].id",
    "[-": "items are counted from the front: [0]",
    "..": "name each key on the way",
}
_REMEDY = 'options.type, data[*].id, data[0].id; quote a key with other characters: options."a.b"'

# Normalising costs the square of a run of combining marks, so what is too long to be a key's other spelling
# isn't normalised. Characters are composed of four at most; none compose to ASCII, but for the i that
# `fold_key` makes of two.
_LONGEST_SPELLING = 4
_LONGEST_ASCII_SPELLING = 2


class BadFieldPath(ValueError):  # noqa: N818 - named after what is wrong, as the other refusals are
    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.message, self.remedy = message, remedy


class MisspeltKey(Exception):  # noqa: N818 - as above
    """An object on the way has a key that is the path's in another case, and can be read as that key.

    The text names the path's key, not the document's.
    """


@dataclass(frozen=True, slots=True)
class Found:
    """`values` are those that are there, in order. `lacking`: somewhere on the way, or at its end, there was
    none, or null (Datadog reads it as not given); a list without items lacks what its items should have.
    `misshapen`: somewhere on the way stood a list where the path has a key, an object where it has an index,
    or a plain value. Datadog takes one log entry where a list of them is usual, so what the path names may be
    there all the same.
    """

    values: list[Json]
    lacking: bool
    misshapen: bool = field(default=False, compare=False)


class _Every(Enum):
    ITEM = "[*]"


@dataclass(frozen=True, slots=True)
class _Key:
    """`longest` is how long another spelling of it can be."""

    name: str
    folded: str
    longest: int


type _Step = _Key | int | Literal[_Every.ITEM]


@dataclass(frozen=True, slots=True)
class FieldPath:
    """Make one with `parse_field_path`. `text` is the path as written."""

    text: str
    steps: tuple[_Step, ...]

    def values(self, document: Json) -> Found:
        """Find what the path names, in time linear in what it passes.

        Raises:
            MisspeltKey: see there. Datadog's decoders don't tell `Type` from `type`.

        """
        reached = [document]
        lacking = misshapen = False
        for step in self.steps:
            following: list[Json] = []
            for value in reached:
                if isinstance(step, _Key):
                    if isinstance(value, dict):
                        _check_spelling(value, step)
                        following.append(value.get(step.name))
                        continue
                elif isinstance(value, list):
                    if step is _Every.ITEM:
                        following += value
                        lacking = lacking or not value
                        continue
                    if step < len(value):
                        following.append(value[step])
                        continue
                lacking = True
                misshapen = misshapen or _is_misshapen(value, step)
            reached = following
        values: list[Json] = [value for value in reached if value is not None]
        return Found(values, lacking or len(values) < len(reached), misshapen)


def _is_misshapen(value: Json, step: _Step) -> bool:
    """Tell whether a value that the step can't be taken in has anything in it that could be meant."""
    if value is None or (isinstance(value, (dict, list)) and not value):
        return False
    return isinstance(step, _Key) or not isinstance(value, list)


def _check_spelling(found: dict[str, Json], step: _Key) -> None:
    folded = step.folded
    for key in found:
        if key == step.name:
            continue
        if key.isascii():
            same = len(key) == len(folded) and key.lower() == folded
        else:
            same = len(key) <= step.longest and fold_key(key) == folded
        if same:
            raise MisspeltKey(f"the document spells {step.name!r} in another case")


def parse_field_path(text: str) -> FieldPath:
    """Read a path.

    Raises:
        BadFieldPath: what is wrong, and what to write.

    """
    if not text:
        raise BadFieldPath("names no field", _REMEDY)
    if len(text) > MAX_CHARACTERS:
        raise BadFieldPath(f"longer than {MAX_CHARACTERS} characters", "no field of Datadog's lies so deep")
    if text == "$" or text.startswith(("$.", "$[")):
        raise BadFieldPath(f"{text!r} begins with '$'", "a path begins with the first key: leave '$.' out")
    steps: list[_Step] = []
    position = 0
    while position < len(text):
        found = _STEP.match(text, position)
        is_key = found is not None and found["index"] is None
        # a dot stands before each key but the first, and nowhere else
        if found is None or (found["dot"] is not None) != (is_key and bool(steps)):
            raise _unreadable(text, position)
        steps.append(_step(found, text))
        position = found.end()
    if len(steps) > MAX_STEPS:
        raise BadFieldPath(f"more than {MAX_STEPS} steps", "no document may be nested so deep")
    return FieldPath(text, tuple(steps))


def _step(found: re.Match[str], text: str) -> _Step:
    if found["index"] is not None:
        return _Every.ITEM if found["index"] == "*" else int(found["index"])
    if found["plain"] is not None:
        return _key(found["plain"])
    try:
        name: str = json.loads(found["quoted"])
    except ValueError:
        raise BadFieldPath(f"{text!r} has a quoted key that is no JSON text", 'write options."a.b"') from None
    return _key(name)


def _key(name: str) -> _Key:
    folded = fold_key(name)
    times = _LONGEST_ASCII_SPELLING if folded.isascii() else 2 * _LONGEST_SPELLING
    return _Key(name, folded, times * len(folded))


def _unreadable(text: str, position: int) -> BadFieldPath:
    around = text[max(position - 1, 0) : position + 3]
    habit = next((remedy for sign, remedy in _HABITS.items() if sign in around), _REMEDY)
    return BadFieldPath(f"{text!r} can't be read from character {position + 1} on", habit)
