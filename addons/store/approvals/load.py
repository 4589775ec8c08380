"""How much one principal asks of people."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass

from addons.core.approvals.states import State
from addons.store.sqlite_text import storable

_HOUR = 3600.0  # seconds

LOAD = f"""SELECT
    (SELECT count(*) FROM approvals WHERE issuer = :issuer AND subject = :subject
        AND state = '{State.PENDING}') AS waiting,
    (SELECT count(*) FROM approvals WHERE issuer = :issuer AND subject = :subject
        AND requested_at > :since AND requested_at <= :now) AS lately"""  # noqa: S608 - a constant


@dataclass(frozen=True, slots=True)
class Load:
    """Requests of one principal: how many wait, and how many were made in the last hour, whatever became of
    them.
    """

    waiting: int
    lately: int

    @staticmethod
    def of(row: Mapping[str, object] | sqlite3.Row) -> Load:
        return Load(int(str(row["waiting"])), int(str(row["lately"])))


def parameters(issuer: str, subject: str, now: float) -> Mapping[str, object]:
    """`now` is in seconds since the epoch."""
    return {"issuer": storable(issuer), "subject": storable(subject), "since": now - _HOUR, "now": now}
