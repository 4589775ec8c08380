"""Changes of state that commit together with audit records: see `Journal.change`."""

from __future__ import annotations

import logging
import sqlite3
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from addons.store.audit.record import AuditRecord, RecordRefused

_log = logging.getLogger(__name__)

_OF_THIS_CHANGE = (
    sqlite3.IntegrityError,
    sqlite3.ProgrammingError,
    sqlite3.DataError,
    sqlite3.InterfaceError,
)


class RefusedBecause(StrEnum):
    """Why a change did not happen."""

    TOO_MANY = "too_many"
    NO_SUCH_APPROVAL = "no_such_approval"
    NOT_APPROVED = "not_approved"
    NOT_EXECUTING = "not_executing"
    NOT_WAITING = "not_waiting"
    UNREADABLE = "unreadable"
    FAILED = "failed"


class ChangeRefused(Exception):  # noqa: N818 - named after what happened, as the other refusals are
    """Nothing of the append that brought the change was stored. `text` is for a person."""

    def __init__(self, reason: RefusedBecause, text: str) -> None:
        super().__init__(text)
        self.reason = reason
        self.text = text

    def __reduce__(self) -> tuple[type[ChangeRefused], tuple[RefusedBecause, str]]:
        return ChangeRefused, (self.reason, self.text)


@dataclass(frozen=True, slots=True)
class Applied[T]:
    """What a change gives its caller, and the audit records that say what it did."""

    result: T
    records: tuple[AuditRecord, ...] = ()


class Change[T](Protocol):
    """What happens to the tables beside the audit records.

    `apply` runs where the journal commits, inside the transaction and a savepoint of its own, while no other
    process writes; it may run twice, and then the first run is undone. So it changes nothing but the
    database, and looks at nothing that may have changed meanwhile but there. It may raise `ChangeRefused`.
    Where that is another process than the caller's, the change goes there pickled, and so comes its result.
    """

    def apply(self, connection: sqlite3.Connection) -> Applied[T]: ...


def run[T](change: Change[T], connection: sqlite3.Connection) -> Applied[T]:
    """Apply it. What goes wrong with this change alone becomes `ChangeRefused`; errors of the database as a
    whole (locked, full, damaged) are raised as they are.
    """
    try:
        return change.apply(connection)
    except (ChangeRefused, RecordRefused):
        raise
    except sqlite3.Error as error:
        if not isinstance(error, _OF_THIS_CHANGE):
            raise
        _log.exception("A %s could not be applied.", type(change).__name__)
    except Exception:  # noqa: BLE001 - it is refused and undone; the others of its group go on
        _log.exception("A %s could not be applied.", type(change).__name__)
    raise ChangeRefused(RefusedBecause.FAILED, "It failed unexpectedly; see ddgate's log.")
