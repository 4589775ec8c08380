"""Reading approvals, while gateways and control write them."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from addons.core.approvals.approval import Approval, Person
from addons.core.approvals.states import WAITING, State
from addons.store.approvals.answers import KeptAnswer, read_answer
from addons.store.approvals.load import LOAD, Load
from addons.store.approvals.load import parameters as whose
from addons.store.approvals.rows import SELECT, SELECT_WITH_PREVIEW, ApprovalUnreadable, stored
from addons.store.approvals.standing import STANDING, parameters
from addons.store.approvals.table import rows
from addons.store.audit.approval_schema import APPROVALS
from addons.store.audit.reader import LogReader
from addons.store.audit.record import StoredRecord
from addons.store.sqlite_text import storable

_log = logging.getLogger(__name__)

_BUSY = ", ".join(f"'{state}'" for state in sorted(WAITING | {State.EXECUTING}))
_AT_ONCE = 500  # ids a statement: SQLite bounds parameters


@dataclass(frozen=True, slots=True)
class Changed:
    """An approval that has changed; versions ascend over all approvals."""

    id: str
    state: State
    version: int


class Approvals:
    """One process's reader. Every method blocks for a short while, may be called by several threads, and
    raises `AuditLogUnusable` for a file that can't be read.

    While there is no file, or it is of a time before approvals, there is nothing in it.
    """

    def __init__(self, path: Path) -> None:
        self._log = LogReader(path, APPROVALS)

    @staticmethod
    def open(path: Path) -> Approvals:
        """`path` is that of the audit log."""
        return Approvals(path)

    def close(self) -> None:
        self._log.close()

    def get(self, approval: str, *, preview: bool = True) -> Approval | None:
        """Give one; its preview, which may be large, only if asked. Raises `ApprovalUnreadable`."""
        select = SELECT_WITH_PREVIEW if preview else SELECT
        found = self._rows(f"{select} WHERE id = ?", (storable(approval),))
        return stored(found[0]).approval if found else None

    def standing(self, digest: str, at: float, window: float) -> Approval | None:
        """Give the one that an identical call belongs to, whole; see `approvals.standing`. Times in seconds.

        Raises `ApprovalUnreadable`.
        """
        found = self._rows(STANDING, parameters(digest, at, window))
        return stored(found[0]).approval if found else None

    def list(
        self,
        states: Collection[State] | None = None,
        limit: int = 50,
        before: str | None = None,
        *,
        previews: bool = False,
    ) -> Sequence[Approval]:
        """Give the newest first; `before` is the id of the last one of the page before.

        Without `previews` theirs are None: they may be large. One that can't be read is left out, and logged.
        """
        conditions, parameters = ["1"], list[object]()
        if states is not None:
            conditions.append(f"state IN ({', '.join('?' * len(states))})")
            parameters += sorted(states)
        if before is not None:
            conditions.append("id < ?")
            parameters.append(storable(before))
        select = SELECT_WITH_PREVIEW if previews else SELECT
        where = " AND ".join(conditions)
        return _readable(self._rows(f"{select} WHERE {where} ORDER BY id DESC LIMIT ?", (*parameters, limit)))

    def thread(self, thread: str, *, previews: bool = False, limit: int = 50) -> Sequence[Approval]:
        """Give what belongs together, as `list` does."""
        select = SELECT_WITH_PREVIEW if previews else SELECT
        return _readable(
            self._rows(f"{select} WHERE thread = ? ORDER BY id DESC LIMIT ?", (storable(thread), limit))
        )

    def load_of(self, issuer: str, subject: str, now: float) -> Load:
        """How much this principal asks of people; `now` in seconds since the epoch."""
        found = self._rows(LOAD, whose(issuer, subject, now))
        return Load.of(found[0]) if found else Load(0, 0)

    def counts(self) -> Mapping[State, int]:
        """How many are in each state; every state is there."""
        found = self._rows("SELECT state, count(*) AS number FROM approvals GROUP BY state")
        known = {row["state"]: _number(row["number"]) for row in found}
        return {state: known.get(str(state), 0) for state in State}

    def busy_states(self) -> frozenset[State]:
        """Which states there are now that something may happen in by itself."""
        found = self._rows(f"SELECT DISTINCT state FROM approvals WHERE state IN ({_BUSY})")  # noqa: S608 - constants
        return frozenset(State(str(row["state"])) for row in found)

    def oldest_pending(self) -> float | None:
        """Since when the one waits that waits the longest, in seconds since the epoch."""
        found = self._rows(
            "SELECT min(requested_at) AS oldest FROM approvals WHERE state = ?", (State.PENDING,)
        )
        oldest = found[0]["oldest"] if found else None
        return oldest if isinstance(oldest, float) else None

    def states(self, approvals: Collection[str]) -> Mapping[str, tuple[State, int]]:
        """Give state and version of those that there are."""
        wanted = [storable(approval) for approval in approvals]
        found: dict[str, tuple[State, int]] = {}
        for start in range(0, len(wanted), _AT_ONCE):
            part = wanted[start : start + _AT_ONCE]
            places = ", ".join("?" * len(part))
            some = self._rows(f"SELECT id, state, version FROM approvals WHERE id IN ({places})", part)  # noqa: S608 - question marks
            found |= {each.id: (each.state, each.version) for each in _changed(some)}
        return found

    def changed_after(self, version: int, limit: int = 1000) -> Sequence[Changed]:
        """Give what changed after that version, in order, each once, as it is now."""
        return _changed(
            self._rows(
                "SELECT id, state, version FROM approvals WHERE version > ? ORDER BY version LIMIT ?",
                (version, limit),
            )
        )

    def last_version(self) -> int:
        found = self._rows("SELECT max(version) AS last FROM approvals")
        return _number(found[0]["last"]) if found else 0

    def answer(self, approval: str, at: float | None = None) -> KeptAnswer | None:
        """Give the answer that is kept, unless it has expired at `at`."""
        kept = self._log.look(None, lambda connection: read_answer(connection, approval))
        return None if kept is not None and at is not None and kept.expires <= at else kept

    def reviews_due(self) -> Sequence[Approval]:
        """Give those whose glass was broken and that nobody has reviewed, the soonest due first."""
        return _readable(self._rows(f"{SELECT} WHERE review_due IS NOT NULL ORDER BY review_due"))

    def has_seen(self, approval: str, person: Person) -> bool:
        return bool(
            self._rows(
                "SELECT 1 FROM approval_seen WHERE approval = ? AND issuer = ? AND subject = ?",
                (storable(approval), storable(person.issuer), storable(person.subject)),
            )
        )

    def history(self, approval: str) -> Sequence[StoredRecord]:
        """Give the audit records of its steps, in order."""
        found = self._rows(
            "SELECT records.idx, records.body FROM approval_history "
            "JOIN records ON records.id = approval_history.record "
            "WHERE approval_history.approval = ? ORDER BY records.idx",
            (storable(approval),),
        )
        return [StoredRecord(_number(row["idx"]), str(row["body"])) for row in found]

    def data_version(self) -> int:
        """Give a number that is another one whenever anybody has committed anything since."""
        return self._log.data_version()

    def _rows(
        self, sql: str, values: Sequence[object] | Mapping[str, object] = ()
    ) -> Sequence[dict[str, object]]:
        return self._log.look([], lambda connection: rows(connection, sql, values))


def _readable(found: Sequence[dict[str, object]]) -> list[Approval]:
    every: list[Approval] = []
    for row in found:
        try:
            every.append(stored(row).approval)
        except ApprovalUnreadable as error:
            _log.warning("%s It is left out.", error)
    return every


def _changed(found: Sequence[dict[str, object]]) -> Sequence[Changed]:
    known = {str(state): state for state in State}
    return [
        Changed(str(row["id"]), known[str(row["state"])], _number(row["version"]))
        for row in found
        if row["state"] in known
    ]


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0
