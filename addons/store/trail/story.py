"""Everything that is on record about one call, one approval, or one other event."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from addons.core.model import Json
from addons.store.audit.question import APPROVAL, LOOKS, RARE, Value, in_body
from addons.store.audit.record import RecordKind, StoredRecord
from addons.store.trail.body import BodyUnreadable, read_body
from addons.store.trail.query import OLDEST_FIRST, AuditTrail, Order

_MOST = 1000  # records of one part of a story
_CANDIDATES = 5
_SHORTEST_PREFIX = 4
_LAST = "\U0010ffff"  # sorts behind whatever goes on after a prefix
_BY_INDEX = Order("idx", descending=False)
_HAS_APPROVAL = f"{APPROVAL} IS NOT NULL AND {APPROVAL} = ?"


class NotFound(Exception):  # noqa: N818 - named after what is wrong, as the other refusals are
    """Nothing, or more than one thing, goes by that name; `candidates` are some of the latter."""

    def __init__(self, what: str, candidates: Sequence[str] = ()) -> None:
        super().__init__(what)
        self.candidates = tuple(candidates)


@dataclass(frozen=True, slots=True)
class Told:
    """One record and what it says."""

    idx: int
    body: dict[str, Json]


@dataclass(frozen=True, slots=True)
class Story:
    """What is on record, each part by index.

    `call` and `approvals` are ids, where the story has them. `own` are the records of the call, or the one
    that was asked for; `steps` those of the approvals; `lookups` what the gateway read of Datadog in order to
    decide; `policy` the activation of the policy revision that decided; `looks` who has read or replayed it
    since.
    """

    call: str | None
    approvals: tuple[str, ...]
    own: tuple[Told, ...]
    steps: tuple[Told, ...] = ()
    lookups: tuple[Told, ...] = ()
    policy: Told | None = None
    looks: tuple[Told, ...] = ()

    def every(self) -> list[Told]:
        """All of them, each once, by index."""
        parts = (*self.own, *self.steps, *self.lookups, *self.looks, *((self.policy,) if self.policy else ()))
        return sorted({told.idx: told for told in parts}.values(), key=lambda told: told.idx)

    def names(self) -> frozenset[str]:
        """By what the records of the story are known to others."""
        ids = {text for told in (*self.own, *self.steps) if isinstance(text := told.body.get("id"), str)}
        return frozenset(ids | set(self.approvals) | ({self.call} if self.call else set()))


@dataclass(slots=True)
class _Teller:
    trail: AuditTrail
    seen: set[int] = field(default_factory=set)

    def told(self, indices: Iterator[int], most: int = _MOST) -> list[Told]:
        """Read those that haven't been read; what can't be is told."""
        found: list[Told] = []
        for idx in indices:
            if idx in self.seen:
                continue
            self.seen.add(idx)
            stored = self.trail.record(idx)
            body = None if stored is None else read_or_tell(self.trail, stored)
            if body is not None:
                found.append(Told(idx, body))
            if len(found) >= most:
                self.trail.tell(f"There is more than these {most} records of one kind; the rest is left out.")
                break
        return sorted(found, key=lambda told: told.idx)

    def where(self, term: str, *values: Value, order: Order = _BY_INDEX) -> list[Told]:
        return self.told(self.trail.indices(term, values, order))


def read_or_tell(trail: AuditTrail, stored: StoredRecord) -> dict[str, Json] | None:
    """Parse a record; None if that can't be, which is told."""
    try:
        return read_body(stored)
    except BodyUnreadable as error:
        trail.tell(str(error))
        return None


def find_story(trail: AuditTrail, name: str) -> Story:
    """Tell about the call, approval or record that `name` names: its id or a prefix that no other has, or `#`
    and an index. Of an approval the end of its id is enough.

    Raises `NotFound`, and `AuditLogUnusable` where nothing can be read.
    """
    if name.startswith("#"):
        return _story_of_record(trail, _by_index(trail, name))
    kind, found = _resolve(trail, name)
    match kind:
        case "call":
            story = _story_of_call(trail, found)
        case "approval":
            story = _story_of_approval(trail, found)
        case _:
            indices = [int(row[0]) for row in trail.each("SELECT idx FROM records WHERE id = ?", [found])]
            story = _story_of_record(trail, indices[0]) if indices else Story(None, (), ())
    if not (story.own or story.steps):
        raise NotFound(f"What goes by {name!r} can't be shown.")
    return story


def approval_named(trail: AuditTrail, name: str) -> str:
    """The id of the approval that `name` is, begins or ends. Raises `NotFound`, `AuditLogUnusable`."""
    for candidates in (_exact, _beginning):
        found = sorted({each for kind, each in candidates(trail, name) if kind == "approval"})
        if len(found) > 1:
            raise NotFound(f"{name!r} is part of more than one approval's id.", found)
        if found:
            return found[0]
    raise NotFound(f"No approval goes by {name!r}.")


def _by_index(trail: AuditTrail, name: str) -> int:
    digits = name[1:]
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 18:  # noqa: PLR2004 - SQLite's are 64 bits
        raise NotFound(f"{name} is no index of a record: it is # and a number.")
    last = trail.last_index()
    if not 1 <= int(digits) <= last:
        raise NotFound(
            f"There is no record {name}: the log has #1 to #{last}." if last else "The log is empty."
        )
    return int(digits)


def _resolve(trail: AuditTrail, name: str) -> tuple[str, str]:
    if len(name) < _SHORTEST_PREFIX:
        raise NotFound(
            f"{name!r} is too short to name something by: give at least {_SHORTEST_PREFIX} characters."
        )
    forms = dict.fromkeys((name, name.upper(), name.lower()))
    for candidates in (_exact, _beginning):
        found = {match for form in forms for match in candidates(trail, form)}
        if len(found) == 1:
            return found.pop()
        if found:
            shown = sorted(f"{kind} {each}" for kind, each in found)
            raise NotFound(f"{name!r} is the beginning of more than one id.", shown[:_CANDIDATES])
    raise NotFound(f"Nothing on record goes by {name!r}: no call, no approval, no record.")


def _exact(trail: AuditTrail, name: str) -> Iterator[tuple[str, str]]:
    for kind, term in (
        ("call", "call = ?"),
        ("record", "id = ?"),
        ("approval", _HAS_APPROVAL),
    ):
        if list(trail.each(f"SELECT 1 FROM records WHERE {term} LIMIT 1", [name])):  # noqa: S608 - constants
            yield kind, name


def _beginning(trail: AuditTrail, name: str) -> Iterator[tuple[str, str]]:
    for kind, column in (("call", "call"), ("record", "id")):
        sql = (
            f"SELECT DISTINCT {column} FROM records WHERE {column} >= ? AND {column} < ? LIMIT {_CANDIDATES}"  # noqa: S608 - constants
        )
        for row in trail.each(sql, [name, name + _LAST]):
            yield kind, str(row[0])
    sql = (
        f"SELECT DISTINCT {APPROVAL} FROM records WHERE {APPROVAL} IS NOT NULL "  # noqa: S608 - constants
        f"AND (substr({APPROVAL}, 1, ?) = ? OR substr({APPROVAL}, -?) = ?) LIMIT {_CANDIDATES}"
    )
    for row in trail.each(sql, [len(name), name, len(name), name]):
        yield "approval", str(row[0])


def _story_of_record(trail: AuditTrail, idx: int) -> Story:
    found = _Teller(trail).told(iter([idx]))
    if not found:
        raise NotFound(f"Record #{idx} can't be shown.")
    call, approval = found[0].body.get("call"), found[0].body.get("approval")
    story = Story(None, (), ())
    if isinstance(call, str) and call:
        story = _story_of_call(trail, call)
    elif isinstance(approval, str) and approval:
        story = _story_of_approval(trail, approval)
    if any(told.idx == idx for told in (*story.own, *story.steps)):
        return story
    return _with_looks(
        trail, Story(None, (), tuple(found))
    )  # no call or approval, or none to be found by name


def _story_of_call(trail: AuditTrail, call: str) -> Story:
    teller = _Teller(trail)
    records = teller.where("call = ?", call)
    own = tuple(told for told in records if not _is_step(told))
    steps = [told for told in records if _is_step(told)]
    approvals = tuple(
        dict.fromkeys(each for told in records if isinstance(each := told.body.get("approval"), str))
    )
    for approval in approvals:
        steps += _steps_of(teller, approval)
    lookups = teller.told(_lookups(trail, call, own))
    story = Story(
        call,
        approvals,
        own,
        tuple(sorted(steps, key=lambda told: told.idx)),
        tuple(lookups),
        _policy(trail, own),
    )
    return _with_looks(trail, story)


def _story_of_approval(trail: AuditTrail, approval: str) -> Story:
    """An approval that was used is told with the call that used it."""
    teller = _Teller(trail)
    records = teller.where(_HAS_APPROVAL, approval)
    steps = [told for told in records if _is_step(told)]
    used = [told.body.get("call") for told in steps if told.body.get("kind") == RecordKind.APPROVAL_CONSUMED]
    if not steps:  # they are gone: the calls that name it are what is left
        used = [told.body.get("call") for told in records]
    if used and isinstance(used[-1], str):
        return _story_of_call(trail, used[-1])
    return _with_looks(trail, Story(None, (approval,), (), tuple(steps), (), _policy(trail, steps)))


def _steps_of(teller: _Teller, approval: str) -> list[Told]:
    return teller.where(f"{_HAS_APPROVAL} AND kind LIKE 'approval%'", approval)


def _is_step(told: Told) -> bool:
    return str(told.body.get("kind")).startswith("approval_")


def _lookups(trail: AuditTrail, call: str, own: Sequence[Told]) -> Iterator[int]:
    """What was read of Datadog while the call was decided on has calls of its own, which say for whom."""
    times = [time for told in own if isinstance(time := told.body.get("time"), int | float)]
    if times:
        term = f"time BETWEEN ? AND ? AND {in_body('$.attributes.for')} = ?"
        yield from trail.indices(term, [min(times), max(times), call], OLDEST_FIRST)


def _policy(trail: AuditTrail, records: Sequence[Told]) -> Told | None:
    """The latest activation, before the call, of the revision that decided."""
    for told in records:
        decision, time = told.body.get("decision"), told.body.get("time")
        revision = decision.get("policy_revision") if isinstance(decision, dict) else None
        if isinstance(revision, str) and isinstance(time, int | float):
            sql = (
                f"SELECT idx FROM records WHERE {RARE} AND kind = '{RecordKind.POLICY_ACTIVATED}' "  # noqa: S608 - constants
                f"AND time <= ? AND {in_body('$.decision.policy_revision')} = ? ORDER BY time DESC LIMIT 1"
            )
            rows = trail.each(sql, [time, revision])
            found = _Teller(trail).told(int(row[0]) for row in rows)
            return found[0] if found else None
    return None


def _with_looks(trail: AuditTrail, story: Story) -> Story:
    first = min((told.idx for told in (*story.own, *story.steps)), default=None)
    if first is None:
        return story
    names = story.names() | {f"#{told.idx}" for told in story.own}
    teller = _Teller(trail, {told.idx for told in story.own})
    candidates = trail.indices(f"{RARE} AND {LOOKS} AND idx > ?", [first], _BY_INDEX)
    looks: list[Told] = []
    for idx in candidates:
        looks += [told for told in teller.told(iter([idx])) if _mentions(told.body.get("attributes"), names)]
        if len(looks) >= _MOST:
            break
    return Story(
        story.call, story.approvals, story.own, story.steps, story.lookups, story.policy, tuple(looks)
    )


def _mentions(value: Json, names: frozenset[str]) -> bool:
    match value:
        case str():
            return value in names
        case list():
            return any(_mentions(item, names) for item in value)
        case dict():
            return any(_mentions(item, names) for item in value.values())
        case _:
            return False
