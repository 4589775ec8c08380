"""What can be asked of the audit log, as SQL.

The names of the columns are those of the log's schema. What has no column is read out of the body. A body
that isn't JSON ends a statement with an error rather than being passed over in silence: `trail.query` goes
on around it, and tells.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from addons.core.model import Effect, Reason
from addons.store.audit.record import RecordKind


def in_body(path: str) -> str:
    """The SQL of one value of the body, NULL where there is none. `path` is SQLite's, `$.decision.reason`."""
    return f"json_extract(body, '{path}')"


# The text of these two is also that of the indexes over them: SQLite knows an expression again by its text.
RUN = f"coalesce(session, {in_body('$.actor.token_id')})"
"""The agent run: the token's `session` claim, else its id (`jti`, RFC 7519 section 4.1.7)."""
APPROVAL = in_body("$.approval")

MASS = (RecordKind.ATTEMPTED, RecordKind.OUTCOME, RecordKind.REFUSED)
RARE = f"kind NOT IN ({', '.join(f"'{kind}'" for kind in MASS)})"
"""Of which a log has few beside its calls: an index over these alone costs the calls nothing."""

LOOKS = f"kind IN ('{RecordKind.READ}', '{RecordKind.REPLAYED}')"
"""Somebody read, or played again, what is on record."""

HAS_TEXT = "ddgate_has_text"
"""Name of the function that `trail.text` gives a connection, of a body: whether it has what is searched."""

_GLOB = frozenset("*?[")

type Value = str | float | int
type _Term = tuple[str, Sequence[Value]]


@dataclass(frozen=True, slots=True)
class Question:
    """Which records are meant; what is None doesn't matter. All that is given must hold.

    `since` and `until` are in seconds since the epoch, `until` is exclusive. `status` is (lowest, highest).
    `operation`, `host` and `path` may have `*` (any text, slashes too), `?` (one character) and `[…]` (one of
    these); a path is meant with its query or without. `session` is the agent run, see `RUN`.
    """

    who: str | None = None
    on_behalf_of: str | None = None
    operation: str | None = None
    rule: str | None = None
    effect: Effect | None = None
    reason: Reason | None = None
    kind: RecordKind | None = None
    since: float | None = None
    until: float | None = None
    status: tuple[int, int] | None = None
    approval: str | None = None
    session: str | None = None
    call: str | None = None
    host: str | None = None
    path: str | None = None
    has_text: bool = False

    def where(self) -> tuple[str, list[Value]]:
        """Make the condition and its values."""
        terms: list[_Term] = [("time IS NOT NULL", ()), *self._columns(), *self._times(), *self._of_body()]
        if self.has_text:
            terms.append((f"{HAS_TEXT}(body)", ()))
        return " AND ".join(term for term, _ in terms), [value for _, values in terms for value in values]

    def _columns(self) -> Iterator[_Term]:
        for column, value in (
            ("subject", self.who),
            ("on_behalf_of", self.on_behalf_of),
            ("rule", self.rule),
            ("effect", self.effect),
            ("kind", self.kind),
            ("call", self.call),
        ):
            if value is not None:
                yield f"{column} = ?", (str(value),)
        if self.kind is not None and self.kind not in MASS:
            yield RARE, ()
        if self.operation is not None:
            yield f"operation {_like(self.operation)} ?", (self.operation,)

    def _times(self) -> Iterator[_Term]:
        if self.since is not None:
            yield "time >= ?", (self.since,)
        if self.until is not None:
            yield "time < ?", (self.until,)
        if self.status is not None:
            yield "status BETWEEN ? AND ?", self.status

    def _of_body(self) -> Iterator[_Term]:
        if self.session is not None:
            yield f"{RUN} = ?", (self.session,)
        if self.approval is not None:  # the first half is what the partial index asks for
            yield f"{APPROVAL} IS NOT NULL AND {APPROVAL} = ?", (self.approval,)
        if self.reason is not None:
            yield f"{in_body('$.decision.reason')} = ?", (str(self.reason),)
        if self.host is not None:
            yield f"{in_body('$.http_request.host')} {_like(self.host)} ?", (self.host,)
        if self.path is not None:
            path, sign = in_body("$.http_request.path"), _like(self.path)
            bare = f"substr({path}, 1, instr({path} || '?', '?') - 1)"
            yield f"({path} {sign} ? OR {bare} {sign} ?)", (self.path, self.path)


def _like(pattern: str) -> str:
    return "GLOB" if _GLOB.intersection(pattern) else "="


def joined(*parts: tuple[str, Sequence[Value]]) -> tuple[str, list[Value]]:
    """One condition of several, all of which must hold."""
    return " AND ".join(f"({term})" for term, _ in parts), [value for _, values in parts for value in values]


INDEXES = (
    f"CREATE INDEX IF NOT EXISTS records_run ON records ({RUN}, time)",
    f"CREATE INDEX IF NOT EXISTS records_approval ON records ({APPROVAL}) WHERE {APPROVAL} IS NOT NULL",
    f"CREATE INDEX IF NOT EXISTS records_rare ON records (kind, time) WHERE {RARE}",
)
"""What searches here need beside the indexes by call, by time and by subject."""
