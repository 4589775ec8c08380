"""One line that says what a call would do: `set monitor 1234 "prod latency": options.thresholds.critical 500
-> 900`. What was found in the request or the resource stands in quotes in it, or is an id.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from urllib.parse import unquote

from addons.core.approvals.changes import Change, ChangeKind, key_path
from addons.core.approvals.counterpart import attributes_path, views
from addons.core.approvals.operation_words import words_of
from addons.core.approvals.written import Number, Written, text_of
from addons.core.model import Operation
from addons.core.redact.masking.mask import MASK

MAX_SUMMARY = 240

_ROOM = 200

_MASK = re.compile(MASK.pattern.decode("ascii"))
_NAMES = ("name", "title", "display_name", "handle", "email", "summary", "query", "scope", "key", "url")
_SETTING = frozenset({"update", "edit", "patch", "set", "upsert", "create or update"})
_IDS = ("id", "public_id", "name")
_ENVELOPE = frozenset({("data", "id"), ("data", "type")})
_REFERENCE = frozenset({"id", "type"})
_UPDATES = frozenset({"PUT", "PATCH"})
_LONGEST_NAME = 48
_LONGEST_PATH = 48
_LONGEST_VALUE = 30
_MOST_SHOWN = 4
_LONGEST_MASK = 60
_ELLIPSIS = "…"
_ESCAPED = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_JOINERS = frozenset(
    "\u200c\u200d"
)  # within emoji and words of some scripts; shown to people for what they are


@dataclass(frozen=True, slots=True)
class Told:
    """What a summary is made of, redacted. `changes` is None where nothing was compared; `body` and
    `resource` are None where there is no document.
    """

    operation: Operation | None
    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    body: Written
    resource: Written
    changes: Sequence[Change] | None


@dataclass(frozen=True, slots=True)
class _Field:
    """A field of the body, by the keys on the way to it."""

    keys: tuple[str, ...]
    value: Written


def summarise(told: Told) -> str:
    """Make the line: at most 240 characters, all of them visible. A mask is kept whole, and may go beyond."""
    query = [f"{_short_text(key)}={_short_text(value)}" for key, value in told.query]
    if told.operation is None:
        return _line(f"{told.method} {shortened(told.path, _ROOM)}", query, ())
    words, name = words_of(told.operation), _name_of(told.resource) or _name_of(told.body)
    sets = told.operation.method in _UPDATES and words.verb in _SETTING
    parts: list[Change | _Field | str] = [] if sets else [*_items(told.body)]
    if told.changes is not None:
        parts = parts or [*told.changes] or ["nothing that is not so already"]
    else:
        parts = parts or [each for each in _fields(told.body, ()) if _is_news(each, name)]
    quoted = _quoted(name, _LONGEST_NAME) if name is not None else ""
    known = ["set" if sets and parts else words.verb, words.noun, _id(told), quoted]
    return _line(" ".join(filter(None, known)), [*parts, *query], attributes_path(told.body))


def shortened(text: str, most: int) -> str:
    """At most `most` characters, the last of them `…` where something is missing; a mask that would be cut
    stays whole, and may go beyond.
    """
    if len(text) <= most:
        return text
    end = most - 1
    for mask in _MASK.finditer(text, 0, end + _LONGEST_MASK):
        if mask.start() < end < mask.end():
            end = mask.end()
    return text if end >= len(text) else f"{text[:end]}{_ELLIPSIS}"


def one_line(text: str) -> str:
    """Escape what would not show, or show as something else: controls, line ends, what turns the direction of
    writing round and other characters without a form of their own.
    """
    if text.isprintable():
        return text
    return "".join(_escaped(character) for character in text)


def _escaped(character: str) -> str:
    if character in _JOINERS or unicodedata.category(character) not in _ESCAPED:
        return character
    return json.dumps(character)[1:-1] if ord(character) != 0x7F else "\\u007f"  # noqa: PLR2004 - DEL


def _line(head: str, parts: Sequence[Change | _Field | str], wrapper: tuple[str, ...]) -> str:
    """As many parts as there is room for, the first in any case, and how many are left out."""
    line = head
    for place, part in enumerate(parts):
        more = len(parts) - place - 1
        longer = line + (": " if place == 0 else ", ") + _said(part, wrapper)
        reserve = len(_and_more(more)) if more else 0
        if place and (place >= _MOST_SHOWN or len(longer) + reserve > _ROOM):
            line += _and_more(more + 1)
            break
        line = longer
    return shortened(one_line(line), MAX_SUMMARY)


def _and_more(count: int) -> str:
    return f" and {count} more"


def _id(told: Told) -> str:
    """The resource's own, out of the path; empty where there is none."""
    assert told.operation is not None  # noqa: S101 - the caller has looked
    parts, segments = told.operation.template.rstrip("/").split("/"), told.path.rstrip("/").split("/")
    ids = [
        segment for part, segment in zip(parts, segments, strict=False) if part.startswith("{") and segment
    ]
    return shortened(_readable(ids[-1]), _LONGEST_NAME) if ids else ""


def _readable(segment: str) -> str:
    """Undo escapes, but where a space or a quote would make one id look like more."""
    text = unquote(segment, errors="strict") if "%" in segment and _is_utf8(segment) else segment
    return segment if any(character.isspace() or character == '"' for character in text) else text


def _is_utf8(segment: str) -> bool:
    try:
        unquote(segment, errors="strict")
    except UnicodeDecodeError:
        return False
    return True


def _name_of(document: Written) -> str | None:
    if not isinstance(document, dict):
        return None
    for view in views(document):
        for key in _NAMES:
            if isinstance(value := view.get(key), str) and value.strip():
                return value
    return None


def _fields(value: Written, keys: tuple[str, ...]) -> Iterator[_Field]:
    """The fields of objects within objects; a list is one value."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _fields(inner, (*keys, key))
    elif keys:
        yield _Field(keys, value)


def _is_news(field: _Field, name: str | None) -> bool:
    return field.keys not in _ENVELOPE and not (isinstance(field.value, str) and field.value == name)


def _items(body: Written) -> Iterator[str]:
    """What a body lists, if it is no more than a list, or names by its id: what is deleted at once, who is
    taken out of a role.
    """
    if isinstance(body, dict) and len(body) == 1:
        body = next(iter(body.values()))
    one = [body] if isinstance(body, dict) and body.keys() <= _REFERENCE else []
    for item in body if isinstance(body, list) else one:
        if isinstance(item, dict):
            item = next((item[key] for key in _IDS if key in item), None)  # noqa: PLW2901 - what stands for it
        if isinstance(item, str):
            yield _quoted(item, _LONGEST_VALUE)
        elif isinstance(item, Number):
            yield _short_text(item.text)


def _said(part: Change | _Field | str, wrapper: tuple[str, ...]) -> str:
    match part:
        case str():
            return part
        case _Field(keys, value):
            inner = keys[len(wrapper) :] if keys[: len(wrapper)] == wrapper else keys
            path = reduce(key_path, (shortened(key, _LONGEST_PATH) for key in inner), "")
            return f"{shortened(path, _LONGEST_PATH)} {_short_value(text_of(value))}"
        case Change(path, kind, before, after):
            path = shortened(path.removeprefix(".".join((*wrapper, ""))), _LONGEST_PATH) or "all of it"
            old, new = _short_value(before or ""), _short_value(after or "")
            ends = {ChangeKind.ADDED: f"{new} (new)", ChangeKind.REMOVED: f"{old} removed"}
            return f"{path} {ends.get(kind, f'{old} -> {new}')}"


def _short_value(text: str) -> str:
    """A JSON text in brief. The quote at the end of a text that was cut stays, so that one sees its end."""
    plain = re.sub(r"\n\s*", " ", text)
    short = shortened(plain, _LONGEST_VALUE)
    return f'{short}"' if short != plain and short.startswith('"') and not short.endswith('"') else short


def _short_text(text: str) -> str:
    return shortened(text, _LONGEST_VALUE)


def _quoted(text: str, most: int) -> str:
    return json.dumps(shortened(text, most), ensure_ascii=False)
