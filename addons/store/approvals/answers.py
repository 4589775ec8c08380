"""Answers of approved calls, kept for a while for whoever repeats such a call. They are redacted."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """An answer as the agent got it, given again until `expires` (seconds since the epoch).

    `reason` is the phrase of the status line. Who keeps it bounds its size.
    """

    status: int
    reason: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    content: bytes
    expires: float


def keep_answer(connection: sqlite3.Connection, approval: str, answer: KeptAnswer) -> None:
    headers = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in answer.headers]
    connection.execute(
        "INSERT OR REPLACE INTO approval_answers VALUES (?, ?, ?, ?, ?, ?)",
        (approval, answer.status, answer.reason, json.dumps(headers), answer.content, answer.expires),
    )


def read_answer(connection: sqlite3.Connection, approval: str) -> KeptAnswer | None:
    """Give the kept one. One that is damaged is none: the call is not answered with it."""
    row = connection.execute(
        "SELECT status, reason, headers, content, expires FROM approval_answers WHERE approval = ?",
        (approval,),
    ).fetchone()
    try:
        match row:
            case (int(status), bytes(reason), str(headers), bytes(content), float(expires)):
                fields = tuple(
                    (name.encode("latin-1"), value.encode("latin-1")) for name, value in json.loads(headers)
                )
                return KeptAnswer(status, reason, fields, content, expires)
    except (ValueError, TypeError, AttributeError):
        return None
    return None


def forget_answers(connection: sqlite3.Connection, at: float) -> None:
    """Drop those that are no longer given."""
    connection.execute("DELETE FROM approval_answers WHERE expires <= ?", (at,))
