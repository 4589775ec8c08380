"""Messages about approvals that are to go out.

They are put in with the change that they tell of, so none is lost and none tells of what did not happen.
Which receivers get a message is settled later, when it is planned: each gets a delivery of its own, which is
claimed for a while, sent, and marked; whoever claims next after a crash sends it again, under the same id.
"""

from __future__ import annotations

import contextlib
import secrets
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from addons.core.approvals.approval import Approval
from addons.core.config_approvals import EventName
from addons.store.approvals.rows import ApprovalUnreadable, from_snapshot, snapshot
from addons.store.approvals.table import rows
from addons.store.audit.problems import AuditLogUnusable, explain
from addons.store.audit.record import new_id
from addons.store.audit.schema import check_version
from addons.store.sqlite_text import lenient_text

_BUSY_SECONDS = 3.0
_TOLD_TO_ALL = "glass_broken"


@dataclass(frozen=True, slots=True)
class Target:
    """A receiver, and the events it wants to hear of; None for all."""

    name: str
    events: frozenset[str] | None = None

    def takes(self, event: str) -> bool:
        """A broken glass is told to everyone."""
        return self.events is None or event in self.events or event == _TOLD_TO_ALL


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message to one receiver, claimed. `message` is its id, the same at every attempt; `at` is when it
    happened, `approval` what it was then; `attempts` counts this one.
    """

    id: int
    message: str
    target: str
    event: str
    at: float
    attempts: int
    approval: Approval
    lease: str


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that a receiver didn't take, and that isn't tried again by itself."""

    id: int
    message: str
    target: str
    event: str
    approval: str
    at: float
    attempts: int
    error: str


@dataclass(frozen=True, slots=True)
class OutboxFigures:
    """`oldest` is when the oldest happened of what is not sent yet, in seconds since the epoch."""

    queued: int
    dead: int
    oldest: float | None


def enqueue(connection: sqlite3.Connection, approval: Approval, event: EventName, at: float) -> None:
    """Put a message in, within a change; it tells of the approval as it is now. Raises sqlite3.Error."""
    connection.execute(
        "INSERT INTO outbox (id, approval, event, thread, at, body) VALUES (?, ?, ?, ?, ?, ?)",
        (new_id(), approval.id, event, approval.thread, at, snapshot(approval)),
    )


class Outbox:
    """One process's connection for sending. Its methods block, may be called by several threads, and raise
    `AuditLogUnusable`. Several processes may send.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection, file: tuple[int, int]) -> None:
        self._path = path
        self._connection = connection
        self._file = file
        self._lock = threading.Lock()

    @staticmethod
    def open(path: Path) -> Outbox:
        """`path` is that of the audit log, which is there. Raises `AuditLogUnusable`."""
        try:
            file = _identity(path)
            connection = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode=rw",
                uri=True,
                timeout=_BUSY_SECONDS,
                isolation_level=None,
                check_same_thread=False,
            )
        except (OSError, sqlite3.Error) as error:
            raise explain(path, error) from None
        try:
            connection.text_factory = lenient_text
            # A mark that a power cut takes back means that the message is sent again, under the same id.
            connection.execute("PRAGMA synchronous = NORMAL")
            check_version(path, connection)
        except AuditLogUnusable:
            connection.close()
            raise
        except sqlite3.Error as error:
            connection.close()
            raise explain(path, error) from None
        return Outbox(path, connection, file)

    def close(self) -> None:
        with self._lock, contextlib.suppress(sqlite3.Error):
            self._connection.close()

    def plan(self, targets: Sequence[Target], at: float) -> int:
        """Make deliveries of the messages that nobody has planned yet; give how many messages these were."""
        unplanned = "SELECT number, approval, event FROM outbox WHERE planned = 0 ORDER BY number"
        with self._explained() as connection:
            if not rows(connection, f"{unplanned} LIMIT 1"):
                return 0
            with _transaction(connection):
                fresh = rows(connection, unplanned)
                connection.executemany(
                    "INSERT OR IGNORE INTO deliveries (message, approval, target, state, next_at) "
                    "VALUES (?, ?, ?, 'queued', ?)",
                    [
                        (row["number"], row["approval"], target.name, at)
                        for row in fresh
                        for target in targets
                        if target.takes(str(row["event"]))
                    ],
                )
                connection.executemany(
                    "UPDATE outbox SET planned = 1 WHERE number = ?", [(row["number"],) for row in fresh]
                )
            return len(fresh)

    def claim(self, target: str, at: float, lease: float, most: int) -> list[Delivery]:
        """Take at most `most` deliveries to one receiver that are due, for `lease` seconds.

        Of one approval's messages the next comes when the one before is sent or dead.
        """
        due = {"target": target, "at": at, "lease": lease, "most": most}
        with self._explained() as connection:
            if not rows(connection, _DUE, due):
                return []
            with _transaction(connection):
                return [
                    delivery
                    for row in rows(connection, _DUE, due)
                    if (delivery := _claimed(connection, row, at + lease)) is not None
                ]

    def sent(self, delivery: Delivery, at: float) -> None:
        """The receiver has it, whoever else may have claimed it meanwhile."""
        with self._explained() as connection:
            connection.execute(
                "UPDATE deliveries SET state = 'sent', next_at = ?, lease = NULL, lease_until = NULL, "
                "last_error = NULL WHERE id = ?",
                (at, delivery.id),
            )

    def failed(self, delivery: Delivery, error: str, next_at: float | None) -> None:
        """Try again at `next_at`, or with None not any more; nothing happens if another has claimed it."""
        with self._explained() as connection:
            connection.execute(
                "UPDATE deliveries SET state = ?, next_at = coalesce(?, next_at), last_error = ?, "
                "lease = NULL, lease_until = NULL WHERE id = ? AND lease = ? AND state = 'queued'",
                ("dead" if next_at is None else "queued", next_at, error, delivery.id, delivery.lease),
            )

    def dead(self, limit: int = 100) -> list[DeadLetter]:
        """Give the newest first."""
        with self._explained() as connection:
            found = connection.execute(
                "SELECT deliveries.id, outbox.id, target, event, outbox.approval, at, attempts, "
                "coalesce(last_error, '') FROM deliveries JOIN outbox ON outbox.number = message "
                "WHERE state = 'dead' ORDER BY deliveries.id DESC LIMIT ?",
                (limit,),
            ).fetchall()
        return [DeadLetter(*row) for row in found]

    def retry(self, letter: int, at: float) -> bool:
        """Queue a dead letter anew, with all its attempts; False if there is none of this id."""
        with self._explained() as connection:
            queued = connection.execute(
                "UPDATE deliveries SET state = 'queued', attempts = 0, next_at = ? "
                "WHERE id = ? AND state = 'dead'",
                (at, letter),
            )
            return queued.rowcount == 1

    def figures(self) -> OutboxFigures:
        with self._explained() as connection:
            ((queued, dead, oldest),) = connection.execute(
                "SELECT coalesce(sum(state = 'queued'), 0), coalesce(sum(state = 'dead'), 0), "
                "min(CASE state WHEN 'queued' THEN at END) "
                "FROM deliveries JOIN outbox ON outbox.number = message WHERE state IN ('queued', 'dead')"
            ).fetchall()
            ((unplanned, since),) = connection.execute(
                "SELECT count(*), min(at) FROM outbox WHERE planned = 0"
            ).fetchall()
        return OutboxFigures(
            queued + unplanned, dead, min((at for at in (oldest, since) if at is not None), default=None)
        )

    def prune(self, before: float) -> int:
        """Forget what happened before that time and was sent; give how many messages these were.

        What has been due since then, and was taken by nobody, is for a receiver that is no longer there: it
        becomes a dead letter.
        """
        with self._explained() as connection, _transaction(connection):
            connection.execute(
                "UPDATE deliveries SET state = 'dead', last_error = 'no receiver of this name is configured' "
                "WHERE state = 'queued' AND next_at < ? AND coalesce(lease_until, 0) < ?",
                (before, before),
            )
            gone = connection.execute(
                "DELETE FROM outbox WHERE planned = 1 AND at < ? AND NOT EXISTS "
                "(SELECT 1 FROM deliveries WHERE message = outbox.number AND state != 'sent')",
                (before,),
            ).rowcount
            if gone:
                connection.execute("DELETE FROM deliveries WHERE message NOT IN (SELECT number FROM outbox)")
            return gone

    @contextlib.contextmanager
    def _explained(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                if _identity(self._path) != self._file:
                    raise AuditLogUnusable(
                        f"The audit log {self._path} was replaced while in use.",
                        "Put the original file (and its -wal) back, or restart control.",
                    )
                yield self._connection
            except (OSError, sqlite3.Error) as error:
                raise explain(self._path, error) from None


_DUE = """
    SELECT deliveries.id AS delivery, outbox.id AS message, target, event, at, attempts, outbox.approval,
        body, preview
    FROM deliveries
    JOIN outbox ON outbox.number = message
    LEFT JOIN approvals ON approvals.id = outbox.approval
    WHERE deliveries.state = 'queued' AND target = :target
        -- what is put off, or claimed, for longer than anybody does so, was by a clock that was wrong
        AND (next_at <= :at OR next_at > :at + 172800)
        AND (lease_until IS NULL OR lease_until <= :at OR lease_until > :at + 2 * :lease)
        AND NOT EXISTS (
            SELECT 1 FROM deliveries AS earlier
            WHERE earlier.approval = deliveries.approval AND earlier.target = deliveries.target
                AND earlier.message < deliveries.message AND earlier.state = 'queued'
        )
    ORDER BY deliveries.message
    LIMIT :most
"""


def _claimed(connection: sqlite3.Connection, row: dict[str, object], until: float) -> Delivery | None:
    preview = row["preview"]
    try:
        approval = from_snapshot(
            str(row["approval"]), str(row["body"]), preview if isinstance(preview, str) else None
        )
    except ApprovalUnreadable as error:
        connection.execute(
            "UPDATE deliveries SET state = 'dead', last_error = ? WHERE id = ?", (str(error), row["delivery"])
        )
        return None
    lease = secrets.token_hex(8)
    ((number, attempts, at),) = connection.execute(
        "UPDATE deliveries SET lease = ?, lease_until = ?, attempts = attempts + 1 WHERE id = ? "
        "RETURNING id, attempts, (SELECT at FROM outbox WHERE number = message)",
        (lease, until, row["delivery"]),
    ).fetchall()
    return Delivery(
        id=number,
        message=str(row["message"]),
        target=str(row["target"]),
        event=str(row["event"]),
        at=at,
        attempts=attempts,
        approval=approval,
        lease=lease,
    )


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


def _identity(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino
