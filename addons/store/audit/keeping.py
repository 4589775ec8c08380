"""What is done to the audit log beside appending: heads are kept, cosignatures come, and old texts go. Each
is a `Change` for the journal.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from addons.core.model import Json
from addons.core.transparency.merkle import STORED_LEVELS
from addons.core.transparency.signed_note import NoteSignature
from addons.store.audit.changes import Applied
from addons.store.audit.question import RARE
from addons.store.audit.record import AuditRecord, RecordKind

_TILE = 1 << STORED_LEVELS[0]
_AT_ONCE = 32 * _TILE
_STAY = ", ".join(f"'{kind}'" for kind in (RecordKind.LOG_BEGUN, RecordKind.KEY_CHANGED, RecordKind.PRUNED))
_PRUNED = f"SELECT body FROM records WHERE kind = '{RecordKind.PRUNED}' AND {RARE} ORDER BY time DESC"  # noqa: S608 - constants
_DROP = f"""UPDATE records SET body = NULL
    WHERE idx BETWEEN ? AND ? AND body IS NOT NULL AND kind NOT IN ({_STAY})"""  # noqa: S608 - constants


@dataclass(frozen=True, slots=True)
class KeepHead:
    """Make the newest head a checkpoint, unless it is one: what the next record would do if one came. Gives
    the size of the newest checkpoint. `at` is in seconds since the epoch.
    """

    at: float

    def apply(self, connection: sqlite3.Connection) -> Applied[int]:
        size, kept, note = connection.execute("SELECT size, kept_size, note FROM log_head").fetchone()
        if size != kept:
            connection.execute("INSERT OR REPLACE INTO log_checkpoints VALUES (?, ?)", (size, note))
            connection.execute("UPDATE log_head SET kept_size = ?, kept_at = ?", (size, self.at))
        return Applied(int(size))


@dataclass(frozen=True, slots=True)
class KeepCosignatures:
    """Store what witnesses say of the checkpoint of this size; gives whether there is such a checkpoint."""

    size: int
    signatures: Sequence[NoteSignature]

    def apply(self, connection: sqlite3.Connection) -> Applied[bool]:
        known = "SELECT 1 FROM log_checkpoints WHERE size = ?"
        if connection.execute(known, (self.size,)).fetchone() is None:
            return Applied(result=False)
        connection.executemany(
            "INSERT OR REPLACE INTO log_cosignatures VALUES (?, ?, ?)",
            [(self.size, one.name, one.line()) for one in self.signatures],
        )
        return Applied(result=True)


@dataclass(frozen=True, slots=True)
class Prune:
    """Drop the texts of records from before `before` (seconds since the epoch), in whole tiles of 256 from
    the beginning; hashes and checkpoints stay. Gives through which index texts are gone now, or None where
    there was nothing to do. `by` says who asked for it. It takes a bounded time, since nobody else writes
    meanwhile: ask again until there is nothing to do.
    """

    before: float
    at: float
    by: Mapping[str, Json]

    def apply(self, connection: sqlite3.Connection) -> Applied[int | None]:
        ((size,),) = connection.execute("SELECT size FROM log_head").fetchall()
        first = _pruned_through(connection) + 1
        last = min(first + _AT_ONCE, self._first_needed(connection, size), size + 1) - 1
        young = "SELECT min(idx) FROM records WHERE idx BETWEEN ? AND ? AND time >= ?"
        ((kept,),) = connection.execute(young, (first, last, self.before)).fetchall()
        through = (last if kept is None else int(kept) - 1) // _TILE * _TILE
        gone = connection.execute(_DROP, (first, through)).rowcount
        if gone < 1:
            return Applied(None)
        record = AuditRecord(
            RecordKind.PRUNED,
            self.at,
            message=f"{gone} texts of records up to {through} were dropped",
            attributes={"through": through, "records": gone, "before": self.before, **self.by},
        )
        return Applied(through, (record,))

    def _first_needed(self, connection: sqlite3.Connection, size: int) -> int:
        """What an approval that may still run, or must still be settled, has on record stays."""
        row = connection.execute(
            "SELECT min(records.idx) FROM approval_history JOIN approvals ON approvals.id = approval "
            "JOIN records ON records.id = approval_history.record "
            "WHERE approvals.state IN ('pending', 'approved', 'executing', 'unknown') "
            "OR review_due IS NOT NULL"
        ).fetchone()
        return int(row[0]) if row[0] is not None else size + 1


def _pruned_through(connection: sqlite3.Connection) -> int:
    """The last index whose text is gone, as the newest records of pruning say."""
    for (body,) in connection.execute(_PRUNED):
        try:
            return int(json.loads(body)["attributes"]["through"])
        except (ValueError, TypeError, KeyError):
            continue
    return 0
