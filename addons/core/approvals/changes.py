"""What a request would change, field by field, against what Datadog holds now."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from addons.core.approvals.alignment import Gap, Key, align
from addons.core.approvals.written import Number, Prints, Written, leaves, text_of

_PLAIN_KEY = re.compile(r'[^\s.\[\]"*\\]+')
_ID = "id"
_NAME_KEYS = ("name", "title", "key", "type")
_MAX_CHANGES = 20_000
_MAX_TEXT = 4 * 1024 * 1024
_UNCHANGED, _REMOVED, _ADDED = " ", "-", "+"


class ChangeKind(StrEnum):
    ADDED = "added"
    CHANGED = "changed"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class Change:
    """One field. `path` is as in a policy (`options.thresholds.critical`, `tags[0]`), empty for the whole
    document; an index counts in the request, for what is removed in what is there now. `before` and `after`
    are JSON texts with numbers as they are written; None where there is nothing, while null is `null`.
    """

    path: str
    kind: ChangeKind
    before: str | None
    after: str | None


@dataclass(slots=True)
class Differences:
    """`unchanged` counts values of the request that are there already, `not_mentioned` are the paths of what
    is there and not in the request.
    """

    changes: list[Change] = field(default_factory=list)
    unchanged: int = 0
    not_mentioned: list[str] = field(default_factory=list)


def compare(current: Written, wanted: Written) -> Differences:
    """Say what `wanted` would change in `current`, each field of `wanted` being in a change or unchanged.

    What an object of `current` has beyond that of `wanted` stays, as far as one can tell, and is not
    mentioned. A list is replaced as a whole, so within one it is removed, but for the id that Datadog gives
    an item: items that belong together are found by being equal, by their id, by being equal but for it, and
    by their name. Raises TooMuchToCompare.
    """
    return _Comparison().of(current, wanted)


def key_path(path: str, key: str) -> str:
    """Go on from `path` to a key, in quotes where it could be taken for something else, or not be seen."""
    if not _PLAIN_KEY.fullmatch(key) or not key.isprintable():
        key = json.dumps(key, ensure_ascii=not key.isprintable())
    return f"{path}.{key}" if path else key


def line_changes(change: Change) -> tuple[tuple[str, str], ...] | None:
    """Compare two texts of several lines, a monitor's message for instance, line by line: (` `, `-` or `+`,
    line). None where the field isn't one before and after.
    """
    before, after = _lines(change.before), _lines(change.after)
    if before is None or after is None or len(before) + len(after) <= 2:  # noqa: PLR2004 - a line each
        return None
    pairs, _ = align(before, after, [lambda line: line])
    compared: list[tuple[str, str]] = []
    start = first = 0
    for ours, theirs in [*pairs, (len(before), len(after))]:
        compared += [(_REMOVED, line) for line in before[start:ours]]
        compared += [(_ADDED, line) for line in after[first:theirs]]
        if ours < len(before):
            compared.append((_UNCHANGED, before[ours]))
        start, first = ours + 1, theirs + 1
    return tuple(compared)


def _lines(text: str | None) -> list[str] | None:
    """The lines of a JSON text that is a string. Only a line feed ends one: what else might isn't hidden."""
    value = json.loads(text) if text is not None and text.startswith('"') else None
    return value.split("\n") if isinstance(value, str) else None


class TooMuchToCompare(Exception):  # noqa: N818 - an outcome that callers live with, not a fault
    """The differences are more than anybody can be shown."""


class _Comparison:
    def __init__(self) -> None:
        self._found = Differences()
        self._prints = Prints()
        self._room = _MAX_TEXT

    def of(self, current: Written, wanted: Written) -> Differences:
        self._walk("", current, wanted, in_list=False)
        return self._found

    def _walk(self, path: str, before: Written, after: Written, *, in_list: bool) -> None:
        self._spend(path)
        if self._prints.of(before) == self._prints.of(after):
            self._found.unchanged += leaves(after)
        elif isinstance(before, dict) and isinstance(after, dict) and after:
            self._walk_object(path, before, after, in_list=in_list)
        elif isinstance(before, list) and isinstance(after, list) and before and after:
            self._walk_list(path, before, after)
        else:
            self._add(path, ChangeKind.CHANGED, text_of(before), text_of(after))

    def _walk_object(
        self, path: str, before: dict[str, Written], after: dict[str, Written], *, in_list: bool
    ) -> None:
        for key, value in after.items():
            inner = key_path(path, key)
            if key in before:
                self._walk(inner, before[key], value, in_list=in_list)
            else:
                self._add(inner, ChangeKind.ADDED, None, text_of(value))
        for key in [key for key in before if key not in after]:
            inner = key_path(path, key)
            if in_list and key != _ID:
                self._add(inner, ChangeKind.REMOVED, text_of(before[key]), None)
            else:
                self._spend(inner)
                self._found.not_mentioned.append(inner)

    def _walk_list(self, path: str, before: list[Written], after: list[Written]) -> None:
        keys: list[Key[Written]] = [self._prints.of, _identifier, self._without_identifier, _name]
        pairs, gaps = align(before, after, keys)
        rest = [pair for gap in gaps for pair in _side_by_side(before, after, gap)]
        together = {theirs: ours for ours, theirs in [*pairs, *rest]}
        kept = set(together.values())
        for place, value in enumerate(before):
            if place not in kept:
                self._add(f"{path}[{place}]", ChangeKind.REMOVED, text_of(value), None)
        for place, value in enumerate(after):
            inner = f"{path}[{place}]"
            if place in together:
                self._walk(inner, before[together[place]], value, in_list=True)
            else:
                self._add(inner, ChangeKind.ADDED, None, text_of(value))

    def _without_identifier(self, item: Written) -> bytes | None:
        if not isinstance(item, dict) or not item.keys() - {_ID}:
            return None
        return self._prints.of({key: value for key, value in item.items() if key != _ID})

    def _add(self, path: str, kind: ChangeKind, before: str | None, after: str | None) -> None:
        self._spend(path, before or "", after or "")
        if len(self._found.changes) >= _MAX_CHANGES:
            raise TooMuchToCompare
        self._found.changes.append(Change(path, kind, before, after))

    def _spend(self, *texts: str) -> None:
        """A long key is in the path of each field under it."""
        self._room -= sum(map(len, texts))
        if self._room < 0:
            raise TooMuchToCompare


def _identifier(item: Written) -> str | None:
    found = item.get(_ID) if isinstance(item, dict) else None
    return found.text if isinstance(found, Number) else found if isinstance(found, str) else None


def _name(item: Written) -> tuple[str, ...] | None:
    """By name, title or key where it has one; the type too, lest another kind of thing is taken for it. A
    widget has them in its definition.
    """
    if not isinstance(item, dict):
        return None
    inner = item.get("definition")
    item = inner if isinstance(inner, dict) else item
    names = tuple(value if isinstance(value := item.get(key), str) else "" for key in _NAME_KEYS)
    return names if any(names[:-1]) else None


def _side_by_side(before: list[Written], after: list[Written], gap: Gap) -> Iterator[tuple[int, int]]:
    """Of items that nothing tells apart, as many on both sides, each is the other's counterpart."""
    ours, theirs = range(*gap.before), range(*gap.after)
    objects = all(isinstance(before[place], dict) for place in ours) and all(
        isinstance(after[place], dict) for place in theirs
    )
    if len(ours) == len(theirs) or objects:
        yield from zip(ours, theirs, strict=False)
