"""Agent runs: all calls that one session claim, or else one token, made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from addons.core.model import Json
from addons.store.audit.question import RUN, Question
from addons.store.audit.record import RecordKind
from addons.store.trail.query import OLDEST_FIRST, AuditTrail
from addons.store.trail.story import read_or_tell

_LAST = "\U0010ffff"  # sorts behind whatever goes on after a prefix
_CANDIDATES = 5

# From one run to the next through the index: grouping would read it all, which takes seconds of a large log.
_RUNS = f"""
WITH RECURSIVE runs(run) AS (
    SELECT min({RUN}) FROM records WHERE {RUN} IS NOT NULL
    UNION ALL
    SELECT (SELECT min({RUN}) FROM records WHERE {RUN} > run) FROM runs WHERE run IS NOT NULL
)
SELECT run, (SELECT max(time) FROM records WHERE {RUN} = run) AS last
FROM runs WHERE run IS NOT NULL ORDER BY last DESC
"""  # noqa: S608 - constants

# What stands alone for a whole call: a refusal, or an answer of the gateway's own.
_ALONE = frozenset({RecordKind.REFUSED, RecordKind.TUNNEL_REFUSED, RecordKind.READ})


@dataclass(slots=True)
class Session:
    """One agent run. Times are in seconds since the epoch; the counters count calls, `findings` what was
    masked.

    `unfinished` calls have no outcome on record: they run, or their gateway ended.
    `who`, `on_behalf_of` and `issuers` have more than one member where several used the same session.
    `lookups` counts what the gateway read of Datadog in order to decide on calls. `effects` counts calls that
    no rule decided on under `refused`.
    """

    id: str
    first: float | None = None
    last: float | None = None
    calls: int = 0
    answered: int = 0
    unfinished: int = 0
    lookups: int = 0
    records: int = 0
    who: dict[str, None] = field(default_factory=dict)
    issuers: dict[str, None] = field(default_factory=dict)
    on_behalf_of: dict[str, None] = field(default_factory=dict)
    operations: Counter[str] = field(default_factory=Counter)
    effects: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    findings: Counter[str] = field(default_factory=Counter)
    approvals: dict[str, None] = field(default_factory=dict)

    def to_json(self) -> dict[str, Json]:
        """Make the form that `ddgate sessions --json` gives."""
        return {
            "session": self.id,
            "who": list[Json](self.who),
            "issuers": list[Json](self.issuers),
            "on_behalf_of": list[Json](self.on_behalf_of),
            "first": self.first,
            "last": self.last,
            "seconds": None if self.first is None or self.last is None else round(self.last - self.first, 6),
            "calls": self.calls,
            "answered": self.answered,
            "unfinished": self.unfinished,
            "lookups": self.lookups,
            "records": self.records,
            "operations": dict[str, Json](self.operations),
            "effects": dict[str, Json](self.effects),
            "statuses": {str(status): count for status, count in sorted(self.statuses.items())},
            "findings": dict[str, Json](self.findings),
            "approvals": list[Json](self.approvals),
        }


def list_sessions(
    trail: AuditTrail, *, who: str | None = None, since: float | None = None
) -> Iterator[Session]:
    """Those that did something after `since` and that `who` took part in, latest first.

    Raises `AuditLogUnusable`.
    """
    for run, last in list(trail.each(_RUNS)):
        if since is not None and not (isinstance(last, int | float) and last >= since):
            return
        mine = f"SELECT 1 FROM records WHERE {RUN} = ? AND subject = ? LIMIT 1"  # noqa: S608 - constants
        if who is None or list(trail.each(mine, [run, who])):
            yield session_of(trail, str(run))


def names_of(trail: AuditTrail, name: str) -> list[str]:
    """The session of that id, or some of those whose ids begin so; empty if there is none."""
    if list(trail.each(f"SELECT 1 FROM records WHERE {RUN} = ? LIMIT 1", [name])):  # noqa: S608 - constants
        return [name]
    sql = f"SELECT DISTINCT {RUN} FROM records WHERE {RUN} >= ? AND {RUN} < ? LIMIT {_CANDIDATES}"  # noqa: S608 - constants
    return [str(row[0]) for row in trail.each(sql, [name, name + _LAST])]


def session_of(trail: AuditTrail, run: str) -> Session:
    """Add up one session, record by record. Raises `AuditLogUnusable`.

    What is held are the calls that have begun and not ended, without their requests.
    """
    session = Session(run)
    begun: dict[Json, dict[str, Json]] = {}
    for stored in trail.find(Question(session=run), OLDEST_FIRST):
        body = read_or_tell(trail, stored)
        if body is None:
            continue
        session.records += 1
        _add_who(session, body)
        kind, call = body.get("kind"), body.get("call")
        if not isinstance(call, str):
            continue
        if kind == RecordKind.ATTEMPTED:
            attributes = {"purpose": _part(body, "attributes").get("purpose")}
            begun[call] = {**body, "attributes": attributes}
        elif kind == RecordKind.OUTCOME or kind in _ALONE:
            begun.pop(call, None)
            session.unfinished += _part(body, "attributes").get("outcome") == "unknown"
            _add_call(session, body)
    for body in begun.values():
        _add_call(session, body)
    session.unfinished += len(begun)
    return session


def _add_who(session: Session, body: dict[str, Json]) -> None:
    actor, time = _part(body, "actor"), body.get("time")
    if isinstance(time, int | float):
        session.first = time if session.first is None else min(session.first, time)
        session.last = time if session.last is None else max(session.last, time)
    for names, name in (
        (session.who, actor.get("subject")),
        (session.on_behalf_of, body.get("on_behalf_of")),
        (session.issuers, actor.get("issuer")),
        (session.approvals, body.get("approval")),
    ):
        if isinstance(name, str):
            names[name] = None


def _add_call(session: Session, body: dict[str, Json]) -> None:
    attributes = _part(body, "attributes")
    if attributes.get("purpose") == "target":
        session.lookups += 1
        return
    operation, effect = _part(body, "api").get("operation"), _part(body, "decision").get("effect")
    status = _part(body, "http_response").get("status")
    session.calls += 1
    session.operations[operation if isinstance(operation, str) else "unknown"] += 1
    session.effects[effect if isinstance(effect, str) else "refused"] += 1
    session.answered += attributes.get("outcome") == "answered"
    if isinstance(status, int):
        session.statuses[status] += 1
    for detector, count in _part(body, "findings").items():
        if isinstance(count, int):
            session.findings[detector] += count


def _part(body: dict[str, Json], name: str) -> dict[str, Json]:
    found = body.get(name)
    return found if isinstance(found, dict) else {}
