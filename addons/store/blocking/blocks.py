"""The blocklist, as it is kept: freezes and revocations, in the audit log's file.

Each change of it is a `Change` for the journal or the log, and on record with who made it and why. What is in
the way of reading one entry makes the whole list unreadable: a list that lacks one can't be relied on.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from addons.core.blocklist import Block, BlockKind, Named
from addons.core.model import Json
from addons.store.audit.blocklist_schema import BLOCKLIST
from addons.store.audit.changes import Applied
from addons.store.audit.problems import AuditLogUnusable
from addons.store.audit.reader import LogReader
from addons.store.audit.record import AuditRecord, RecordKind
from addons.store.moment import Moment
from addons.store.sqlite_text import storable

_COLUMNS = "id, kind, named, name, issuer, reason, said_by, at, at_boot, boot_id, seconds"
_BEGUN = {BlockKind.FREEZE: RecordKind.FROZEN, BlockKind.REVOCATION: RecordKind.REVOKED}
_ENDED = {BlockKind.FREEZE: RecordKind.UNFROZEN, BlockKind.REVOCATION: RecordKind.UNREVOKED}


@dataclass(frozen=True, slots=True)
class StoredBlock:
    """A block, when it began by both clocks, and for how many seconds it was asked for."""

    block: Block
    begun: Moment
    seconds: float | None

    def is_over(self, now: Moment, longest: float) -> bool:
        """Whether both clocks say so: one that was set forward lets nobody in. `longest` is for how many
        seconds a token can be alive, and so a revocation that says no time of its own is needed.
        """
        seconds = self.seconds
        if seconds is None and self.block.kind is BlockKind.REVOCATION:
            seconds = longest
        if seconds is None or not now.wall >= self.begun.wall + seconds:
            return False
        same_boot = self.begun.boot_id != "" and self.begun.boot_id == now.boot_id
        return not same_boot or now.boot >= self.begun.boot + seconds


@dataclass(frozen=True, slots=True)
class PutBlock:
    """Begin one; `by` are the facts of who did, for the record."""

    stored: StoredBlock
    by: Mapping[str, Json]

    def apply(self, connection: sqlite3.Connection) -> Applied[Block]:
        _insert(connection, (self.stored,))
        block = self.stored.block
        return Applied(block, (_record(_BEGUN[block.kind], block, block.at, "", block.reason, self.by),))


@dataclass(frozen=True, slots=True)
class LiftBlocks:
    """End those of this kind and name, of one issuer or of any; gives them."""

    kind: BlockKind
    named: Named
    name: str
    issuer: str | None
    reason: str
    by: Mapping[str, Json]
    at: float

    def apply(self, connection: sqlite3.Connection) -> Applied[Sequence[Block]]:
        wanted = (self.kind, self.named, self.name)
        found = [
            one
            for one in (each.block for each in _select(connection))
            if (one.kind, one.named, one.name) == wanted and self.issuer in {None, one.issuer}
        ]
        return _end(connection, found, self.at, self.reason, self.by)


@dataclass(frozen=True, slots=True)
class EndDue:
    """End those whose time is over; gives them. `longest`: see `StoredBlock.is_over`."""

    now: Moment
    longest: float

    def apply(self, connection: sqlite3.Connection) -> Applied[Sequence[Block]]:
        found = [each.block for each in _select(connection) if each.is_over(self.now, self.longest)]
        return _end(connection, found, self.now.wall, "its time is over", {})


@dataclass(frozen=True, slots=True)
class PutBlocksBack:
    """Take over those of another log, where they are on record."""

    stored: Sequence[StoredBlock]

    def apply(self, connection: sqlite3.Connection) -> Applied[None]:
        _insert(connection, self.stored)
        return Applied(None)


class Blocks:
    """One process's reader; for its methods see `LogReader`."""

    def __init__(self, path: Path) -> None:
        """`path` is that of the audit log."""
        self._log = LogReader(path, BLOCKLIST)

    def close(self) -> None:
        self._log.close()

    def data_version(self) -> int:
        """Give a number that is another one whenever anybody has committed anything to the file since."""
        return self._log.data_version()

    def version(self) -> int:
        """Give a number that is another one after each change of the list."""
        found = self._log.look(None, _version)
        if found is None:
            raise _gone()
        return found

    def all(self, before_there_were: Sequence[StoredBlock] | None = None) -> Sequence[StoredBlock]:
        """Give every entry, those included whose time is over and that nobody has ended yet.

        `before_there_were` is what a log of a time before them is taken to hold; else that is an error.
        """
        found = self._log.look(before_there_were, _select)
        if found is None:
            raise _gone()
        return found


def _select(connection: sqlite3.Connection) -> list[StoredBlock]:
    """Raises sqlite3.Error, `AuditLogUnusable` for an entry that can't be read."""
    return [_read(row) for row in connection.execute(f"SELECT {_COLUMNS} FROM blocks ORDER BY at, id")]  # noqa: S608 - constants


def _insert(connection: sqlite3.Connection, blocks: Iterable[StoredBlock]) -> None:
    """Raises sqlite3.IntegrityError for an id that is there."""
    for one in blocks:
        block = one.block
        texts = (block.id, block.kind, block.named, block.name, block.issuer, block.reason, block.by)
        values = (*map(storable, texts), one.begun.wall, one.begun.boot, one.begun.boot_id, one.seconds)
        connection.execute(
            f"INSERT INTO blocks ({_COLUMNS}) VALUES ({', '.join('?' * len(values))})",  # noqa: S608 - constants
            values,
        )
    _changed(connection)


def _end(
    connection: sqlite3.Connection, found: Sequence[Block], at: float, why: str, by: Mapping[str, Json]
) -> Applied[Sequence[Block]]:
    connection.executemany("DELETE FROM blocks WHERE id = ?", [(block.id,) for block in found])
    if found:
        _changed(connection)
    records = [_record(_ENDED[block.kind], block, at, " no longer", why, by) for block in found]
    return Applied(found, tuple(records))


def _changed(connection: sqlite3.Connection) -> None:
    connection.execute("UPDATE blocklist SET version = version + 1")


def _version(connection: sqlite3.Connection) -> int | None:
    row = connection.execute("SELECT version FROM blocklist").fetchone()
    return None if row is None else int(row[0])


def _read(row: Sequence[object]) -> StoredBlock:
    try:
        id_, kind, named, name, issuer, reason, by, at, boot, boot_id, seconds = row
        begun = Moment(_number(at), _number(boot), str(boot_id))
        lasts = None if seconds is None else _number(seconds)
        block = Block(
            id=str(id_),
            kind=BlockKind(str(kind)),
            named=Named(str(named)),
            name=str(name),
            issuer=None if issuer is None else str(issuer),
            reason=str(reason),
            by=str(by),
            at=begun.wall,
            until=None if lasts is None else begun.wall + lasts,
        )
    except ValueError:
        raise AuditLogUnusable(
            "An entry in the list of freezes and revocations can't be read.",
            "Use the newest ddgate on it, or `ddgate audit new-log`.",
        ) from None
    return StoredBlock(block, begun, lasts)


def _number(value: object) -> float:
    if not isinstance(value, int | float):
        raise ValueError("no number")  # noqa: TRY004 - bad data
    return float(value)


def _gone() -> AuditLogUnusable:
    return AuditLogUnusable(
        "The list of freezes and revocations isn't there.",
        "Put the audit log back, and start the gateway again.",
    )


def _record(  # noqa: PLR0913, PLR0917 - a record says all of this
    kind: RecordKind, block: Block, at: float, ended: str, why: str, by: Mapping[str, Json]
) -> AuditRecord:
    every: Mapping[str, Json] = {
        "block": block.id,
        "named": block.named,
        "name": block.name or None,
        "issuer": block.issuer,
        "reason": why or None,
        "until": block.until if not ended else None,
        "since": block.at if ended else None,
        **by,
    }
    attributes = {name: value for name, value in every.items() if value is not None}
    said = f"{words(block, ended)}: {why}" if why else words(block, ended)
    return AuditRecord(kind, at, message=said, attributes=attributes)


def words(block: Block, ended: str = "") -> str:
    """`demo-agent is frozen`, `everyone is no longer frozen`."""
    issuer = f" of {block.issuer}" if block.issuer else ""
    match block.named:
        case Named.EVERYONE:
            whom = "everyone is"
        case Named.SUBJECT if block.kind is BlockKind.FREEZE:
            whom = f"{block.name}{issuer} is"
        case Named.SUBJECT:
            whom = f"the tokens of {block.name}{issuer} are"
        case Named.TOKEN:
            whom = f"the token {block.name}{issuer} is"
        case Named.SESSION:
            whom = f"the session {block.name}{issuer} is"
    return f"{whom}{ended} {'frozen' if block.kind is BlockKind.FREEZE else 'revoked'}"
