"""What was seen of agents' calls, gathered so that habits show: who did what, on which days, and how.

A habit is told by days and not by numbers of calls: a burst of a hundred calls in a minute is one occasion.
What is kept is bounded by how many identities and operations there are, not by how many calls.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from addons.core.model import Json, Operation, Principal, Risk
from addons.core.policy.request import Evidence, PolicyRequest, Seen

SECONDS_A_DAY = 86_400
MAX_EXAMPLES = 3
_MAX_MARKS = 512
# Objects further down (the thresholds of a monitor) have too many forms to be told apart.
_DEPTH = 1
JSON_API = ("data", "attributes")
"""Where a resource's own fields stand in JSON:API; its depth is counted from there."""

type ObjectPath = tuple[str, ...]
type OperationKey = tuple[str, str]

NOTIFYING = frozenset({"message", "escalation_message", "text", "description", "comment", "content"})
"""Keys whose texts Datadog searches for @handles to notify."""

HANDLE_CHARACTERS = r"A-Za-z0-9_.+/\-"
_AT = re.compile(rf"(?P<before>[{HANDLE_CHARACTERS}]?)@(?P<name>[{HANDLE_CHARACTERS}]*)(?P<address>@?)")


@dataclass(frozen=True, slots=True, order=True)
class Who:
    """One identity, with the groups that it had."""

    issuer: str
    subject: str
    groups: tuple[str, ...]

    @staticmethod
    def of(principal: Principal) -> Who:
        return Who(principal.issuer, principal.subject, tuple(sorted(principal.groups)))


@dataclass(frozen=True, slots=True)
class Sighting:
    """One call. `counts` is False for one that shows no need, because Datadog refused it; `refused` is why
    ddgate did. `held_secrets`: in the request, not in the answer. `body` is None where nobody holds it.
    """

    call: str
    request: PolicyRequest
    counts: bool = True
    refused: str = ""
    held_secrets: bool = False
    body: Evidence | None = None


@dataclass(frozen=True, slots=True, order=True)
class Mark:
    """One detail of a request: a query key (`query`), a field of an object in its body (`field`), or whom a
    text in its body notifies (`handle`, `domain`). `path` is the object's, or the text's.
    """

    kind: str
    path: ObjectPath
    name: str


@dataclass(slots=True)
class Occasions:
    """How often, and on which days since the epoch."""

    calls: int = 0
    days: set[int] = field(default_factory=set)

    def add(self, at: float) -> None:
        self.calls += 1
        self.days.add(int(at // SECONDS_A_DAY))


@dataclass(slots=True)
class Bodies:
    """The forms of bodies. `objects` and `texts` count, by path, how often an object or a notifying text
    stood there, `not_objects` and `not_texts` how often something else did. `others` counts bodies that are
    no JSON object, `not_held` those that the recording doesn't hold.
    """

    objects: Counter[ObjectPath] = field(default_factory=Counter)
    texts: Counter[ObjectPath] = field(default_factory=Counter)
    not_objects: Counter[ObjectPath] = field(default_factory=Counter)
    not_texts: Counter[ObjectPath] = field(default_factory=Counter)
    others: int = 0
    not_held: int = 0

    def add(self, body: Evidence | None) -> set[Mark]:
        marks: set[Mark] = set()
        if body is None:
            self.not_held += 1
        elif isinstance(body, Seen) and isinstance(body.value, dict):
            self._add_object(body.value, (), marks)
        else:
            self.others += 1
        return marks

    def _add_object(self, value: Mapping[str, Json], path: ObjectPath, marks: set[Mark]) -> None:
        self.objects[path] += 1
        for key, item in value.items():
            inner = (*path, key)
            if len(marks) >= _MAX_MARKS or len(self.objects) + len(self.not_objects) >= _MAX_MARKS:
                return
            marks.add(Mark("field", path, key))
            if not isinstance(item, dict):
                self.not_objects[inner] += 1
            elif _depth(inner) <= _DEPTH:
                self._add_object(item, inner, marks)
            if key in NOTIFYING and isinstance(item, str):
                self.texts[inner] += 1
                marks.update(Mark(kind, inner, name) for kind, name in mentions(item))
            elif key in NOTIFYING:
                self.not_texts[inner] += 1

    def merge(self, other: Bodies) -> None:
        self.objects.update(other.objects)
        self.texts.update(other.texts)
        self.not_objects.update(other.not_objects)
        self.not_texts.update(other.not_texts)
        self.others += other.others
        self.not_held += other.not_held


@dataclass(slots=True)
class Use:
    """What one identity did with one operation. Marks past a bound are not kept: they were not seen."""

    occasions: Occasions = field(default_factory=Occasions)
    first: float = float("inf")
    last: float = float("-inf")
    examples: list[str] = field(default_factory=list)
    marks: dict[Mark, Occasions] = field(default_factory=dict)
    bodies: Bodies = field(default_factory=Bodies)

    def add(self, sighting: Sighting, *, in_detail: bool) -> None:
        at = sighting.request.at
        self.occasions.add(at)
        self.first, self.last = min(self.first, at), max(self.last, at)
        if len(self.examples) < MAX_EXAMPLES:
            self.examples.append(sighting.call)
        if in_detail:
            self._mark({Mark("query", (), key) for key, _ in sighting.request.query}, at)
            self._mark(self.bodies.add(sighting.body), at)

    def _mark(self, marks: Iterable[Mark], at: float) -> None:
        for mark in marks:
            if mark in self.marks or len(self.marks) < _MAX_MARKS:
                self.marks.setdefault(mark, Occasions()).add(at)


@dataclass(slots=True)
class Sightings:
    """Uses by operation and identity, out of the calls that show a need."""

    uses: dict[OperationKey, dict[Who, Use]] = field(default_factory=dict)
    operations: dict[OperationKey, Operation] = field(default_factory=dict)
    members: dict[tuple[str, str], set[Who]] = field(default_factory=dict)
    """By issuer and group, those that were let through nothing included."""
    issuers: set[str] = field(default_factory=set)
    calls: int = 0
    first: float = float("inf")
    last: float = float("-inf")

    def add(self, sighting: Sighting) -> None:
        self.calls += 1
        at, operation = sighting.request.at, sighting.request.operation
        self.first, self.last = min(self.first, at), max(self.last, at)
        who = Who.of(sighting.request.principal)
        if who.subject and _can_be_written(who):
            self.issuers.add(who.issuer)
            for group in who.groups:
                self.members.setdefault((who.issuer, group), set()).add(who)
        if why_left_out(sighting) or operation is None:
            return
        key = (operation.version, operation.name)
        self.operations[key] = operation
        use = self.uses.setdefault(key, {}).setdefault(who, Use())
        use.add(sighting, in_detail=operation.risks == {Risk.WRITE})

    def twins(self) -> list[tuple[str, ...]]:
        """List groups that have the same members, so that nothing tells which of them a habit is of."""
        groups: dict[tuple[str, frozenset[Who]], list[str]] = {}
        for (issuer, group), members in sorted(self.members.items()):
            groups.setdefault((issuer, frozenset(members)), []).append(group)
        return [tuple(names) for names in groups.values() if len(names) > 1]


def why_left_out(sighting: Sighting) -> str:
    """Say why a call shows no need of a permission; empty for one that does."""
    operation = sighting.request.operation
    if sighting.refused:
        return f"refused then: {sighting.refused}"
    if operation is None:
        return "none of Datadog's operations that the gateway knows"
    if not sighting.counts:
        return "refused by Datadog, or failed there"
    if sighting.held_secrets and Risk.INGEST not in operation.risks:
        return "a secret was in the request"
    if not _can_be_written(Who.of(sighting.request.principal)):
        return "the identity has a name that no policy can hold"
    return ""


def mentions(text: str) -> Iterator[tuple[str, str]]:
    """List whom a text notifies: (`handle`, its name), or (`domain`, that of a mail address)."""
    at, after_local_part = 0, False
    while (found := _AT.search(text, at)) is not None:
        name = found["name"].rstrip(".")
        if found["address"] and name:
            at, after_local_part = found.end() - 1, True
            continue
        at = found.end() - len(found["address"])
        is_domain = bool(found["before"]) or after_local_part
        after_local_part = False
        yield ("domain", name.lower()) if is_domain else ("handle", name)


def _depth(path: ObjectPath) -> int:
    return len(path) - len(JSON_API) if path[: len(JSON_API)] == JSON_API[: len(path)] else len(path)


def _can_be_written(who: Who) -> bool:
    names = (who.issuer, who.subject, *who.groups)
    return all(name.isprintable() and not name.startswith("lists.") for name in names)
