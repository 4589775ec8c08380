"""What a suggested rule asks of a write beyond its operation: parameters and fields as they were seen, and
nobody notified but those who were.

A set holds what was seen on enough days. Where that would turn much of what was seen away, it holds all that
was seen more than once. What varies too much to be a set isn't asked about, and the rule's comment says so.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from addons.core.policy.suggesting.sightings import (
    HANDLE_CHARACTERS,
    Bodies,
    Mark,
    ObjectPath,
    Occasions,
    Use,
)

MAX_SET = 40
MANY_HANDLES = 20
MAX_CHARACTERS = 3800  # of an expression; the compiler takes a little more
_MUCH = 1 / 3
# The gateway takes a client's own keys out of the query, but policy has seen them by then.
_KEYS_IN_QUERY = ("api_key", "application_key")
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_RESERVED = frozenset(
    {
        "as", "break", "const", "continue", "else", "false", "for", "function", "if", "import", "in", "let",
        "loop", "namespace", "null", "package", "return", "true", "var", "void", "while",
    }
)  # fmt: skip

type Seen = Mapping[str, list[Occasions]]


@dataclass(frozen=True, slots=True)
class Enough:
    """How much is a habit: `days` on which it was done, each identity's counted by themselves, and unless
    that is one, on two different days at least.
    """

    days: int

    def is_met(self, each: Iterable[Occasions]) -> bool:
        days = [one.days for one in each]
        return sum(map(len, days)) >= self.days and len(set().union(*days)) >= min(self.days, 2)


@dataclass(slots=True)
class Conditions:
    """CEL expressions, all of which have to hold; and `notes` on what they don't ask."""

    expressions: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def conditions(uses: Collection[Use], enough: Enough) -> Conditions:
    marks: dict[Mark, list[Occasions]] = {}
    bodies = Bodies()
    for use in uses:
        bodies.merge(use.bodies)
        for mark, occasions in use.marks.items():
            marks.setdefault(mark, []).append(occasions)
    calls = sum(use.occasions.calls for use in uses)
    found = Conditions()
    _ask_of_query(found, marks, calls, enough)
    if bodies.not_held + bodies.others > calls * _MUCH:
        found.notes.append("Its body is not asked about: in many calls it is no JSON object, or not held.")
    else:
        _ask_of_body(found, marks, bodies, enough)
    while len(" && ".join(found.expressions)) > MAX_CHARACTERS:
        found.expressions.pop()
        found.notes.append("Not all of its body is asked about: the expression would be too long.")
    return found


def _ask_of_query(
    found: Conditions, marks: Mapping[Mark, list[Occasions]], calls: int, enough: Enough
) -> None:
    names = _chosen({mark.name: each for mark, each in marks.items() if mark.kind == "query"}, calls, enough)
    if len(names) > MAX_SET:
        found.notes.append("Its parameters are not asked about: they vary too much.")
    else:
        listed = _texts([*names, *_KEYS_IN_QUERY])
        found.expressions.append(f"request.query.all(key, key in {listed})")


def _ask_of_body(
    found: Conditions, marks: Mapping[Mark, list[Occasions]], bodies: Bodies, enough: Enough
) -> None:
    closed: dict[ObjectPath, list[str]] = {}
    for path, count in sorted(bodies.objects.items()):
        if not _is_reached(path, closed) or bodies.not_objects.get(path, 0) > count * _MUCH:
            continue
        seen = {mark.name: each for mark, each in marks.items() if (mark.kind, mark.path) == ("field", path)}
        names = _chosen(seen, count, enough)
        if len(names) > MAX_SET:
            found.notes.append(f"The fields of {_place(path)} are not asked about: they vary too much.")
            continue
        closed[path] = names
        found.expressions.append(_guarded(path, f"{_place(path)}.all(field, field in {_texts(names)})"))
    for path, count in sorted(bodies.texts.items()):
        if _is_reached(path, closed) and bodies.not_texts.get(path, 0) <= count * _MUCH:
            handles = _chosen(_of_text(marks, path, "handle"), count, enough)
            domains = _chosen(_of_text(marks, path, "domain"), count, enough)
            found.expressions.append(_guarded(path, _notifies_only(path, handles, domains)))


def _of_text(marks: Mapping[Mark, list[Occasions]], path: ObjectPath, kind: str) -> Seen:
    return {mark.name: each for mark, each in marks.items() if (mark.kind, mark.path) == (kind, path)}


def _is_reached(path: ObjectPath, closed: Mapping[ObjectPath, list[str]]) -> bool:
    """Whether the rule lets the field through at all, and asks about what it stands in."""
    return not path or path[-1] in closed.get(path[:-1], ())


def _chosen(seen: Seen, calls: int, enough: Enough) -> list[str]:
    usual = {name for name, each in seen.items() if enough.is_met(each)}
    rare = sum(one.calls for name, each in seen.items() if name not in usual for one in each)
    if rare > calls * _MUCH:
        usual = {name for name, each in seen.items() if sum(one.calls for one in each) > 1}
    return sorted(name for name in usual if name.isprintable())


def _notifies_only(path: ObjectPath, handles: list[str], domains: list[str]) -> str:
    if not handles and not domains:
        return f'!{_place(path)}.contains("@")'
    choices = [re.escape(name) for name in handles]
    if len(handles) > MANY_HANDLES:  # all of slack-… rather than each channel
        stems = sorted({name.partition("-")[0] for name in handles})
        choices = [rf"{re.escape(stem)}(?:-[{HANDLE_CHARACTERS}]*)?" for stem in stems]
    if domains:
        listed = "|".join(re.escape(name) for name in domains)
        choices.append(rf"(?:[{HANDLE_CHARACTERS}]+@)*(?i:{listed})")
    rest = rf"\.*(?:[^@{HANDLE_CHARACTERS}][^@]*)?"
    return f"{_place(path)}.matches(r'^[^@]*(?:@(?:{'|'.join(choices)}){rest})*$')"


def _guarded(path: ObjectPath, test: str) -> str:
    """Let what isn't there pass."""
    missing = [_missing(path[:length]) for length in range(1, len(path) + 1)]
    return f"({' || '.join([*missing, test])})" if missing else test


def _missing(path: ObjectPath) -> str:
    *_, name = path
    outer = _place(path[:-1])
    return f"!has({outer}.{name})" if _is_plain(name) else f"!({_text(name)} in {outer})"


def _place(path: ObjectPath) -> str:
    return "body" + "".join(f".{name}" if _is_plain(name) else f"[{_text(name)}]" for name in path)


def _is_plain(name: str) -> bool:
    return _IDENTIFIER.fullmatch(name) is not None and name not in _RESERVED


def _texts(names: Iterable[str]) -> str:
    return f"[{', '.join(_text(name) for name in names)}]"


def _text(name: str) -> str:
    """A CEL string literal: of printable text, JSON's escapes are CEL's too."""
    return json.dumps(name, ensure_ascii=False)
