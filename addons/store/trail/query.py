"""Searching the audit log while gateways write it, also where it is damaged.

What is found comes in pages, each a short statement of its own: a reader that takes its time keeps no writer
from trimming the write-ahead log, and what is held is one page of numbers and one record. Where an index or a
page of the table can't be read, the log is gone through by the numbers of its records instead, and what
can't be had is told.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from addons.store.audit.problems import AuditLogUnusable, as_damage, explain
from addons.store.audit.question import Question, Value, joined
from addons.store.audit.record import StoredRecord
from addons.store.audit.schema import check_version
from addons.store.sqlite_text import lenient_text

_PAGE = 500
_LONGEST = 256 * 1024 * 1024  # of one value, in bytes; a hostile file may claim more than the memory holds
_STEPS = 100_000  # of SQLite's machine between two looks whether somebody pressed Ctrl-C: some milliseconds
_BUSY_SECONDS = 3.0

type Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Order:
    """In which order records come: by these columns, of which the last is `idx`."""

    columns: str
    descending: bool

    def sql(self) -> str:
        direction = " DESC" if self.descending else ""
        return ", ".join(f"{column}{direction}" for column in self.columns.split(", "))

    def after(self, row: Sequence[Value]) -> tuple[str, Sequence[Value]]:
        sign = "<" if self.descending else ">"
        return f"({self.columns}) {sign} ({', '.join('?' * len(row))})", row


NEWEST_FIRST = Order("time, idx", descending=True)
OLDEST_FIRST = Order("time, idx", descending=False)


class AuditTrail:
    """The log as a reader has it. Make one with `open_trail`; `tell` hears of what is damaged.

    `is_torn`: the file itself is damaged, not only the text of records.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection, tell: Tell) -> None:
        self._path = path
        self._connection = connection
        self._tell = tell
        self.is_torn = False

    def tell(self, sentence: str) -> None:
        """Say that something is damaged."""
        self._tell(sentence)

    def add_function(self, name: str, function: Callable[[object], bool]) -> None:
        self._connection.create_function(name, 1, function, deterministic=True)

    def find(self, question: Question, order: Order = NEWEST_FIRST) -> Iterator[StoredRecord]:
        """Yield what fits, in order. Raises `AuditLogUnusable` where nothing can be had at all."""
        for idx in self.indices(*question.where(), order):
            record = self.record(idx)
            if record is not None:
                yield record

    def find_after(self, question: Question, after_idx: int) -> Iterator[StoredRecord]:
        """Yield what fits and has a larger index, by index. Raises `AuditLogUnusable`."""
        where, values = question.where()
        # A plus keeps SQLite from going by time and sorting: what is found must come at once, and by index.
        by_index = where.replace("time ", "+time ")
        for idx in self.indices(
            f"idx > ? AND {by_index}", [after_idx, *values], Order("idx", descending=False)
        ):
            record = self.record(idx)
            if record is not None:
                yield record

    def count(self, question: Question) -> int:
        """How many fit. Raises `AuditLogUnusable`."""
        where, values = question.where()
        try:
            return int(self.rows(f"SELECT count(*) FROM records WHERE {where}", values)[0][0])  # noqa: S608 - made here
        except sqlite3.DatabaseError as error:
            self._check_bearable(error)
            self._tell_of(error)
            return sum(1 for _ in self._salvage(where, values, descending=True))

    def record(self, idx: int) -> StoredRecord | None:
        """Read one record; None where there is none, or where it can't be had, which is told."""
        try:
            found = self.rows("SELECT body FROM records WHERE idx = ?", [idx])
        except (sqlite3.DatabaseError, OverflowError) as error:
            self.tell(f"Record #{idx} of the audit log can't be read ({_named(error)}).")
            return None
        return StoredRecord(idx, cast(str, found[0][0])) if found else None

    def last_index(self) -> int:
        """The index of the newest record, 0 for none. Raises `AuditLogUnusable`."""
        try:
            return int(self.rows("SELECT max(idx) FROM records")[0][0] or 0)
        except sqlite3.DatabaseError as error:
            self._check_bearable(error)
            return self._last_by_sequence(error)

    def rows(self, sql: str, values: Sequence[Value] = ()) -> list[tuple[Value, ...]]:
        """All rows of a short statement. Raises sqlite3.Error."""
        with as_damage():
            return self._connection.execute(sql, _bindable(values)).fetchall()

    def each(self, sql: str, values: Sequence[Value] = ()) -> Iterator[tuple[Value, ...]]:
        """The rows of a longer statement, one by one; damage ends it and is told.

        Raises `AuditLogUnusable`.
        """
        try:
            with as_damage():
                yield from self._connection.execute(sql, _bindable(values))
        except sqlite3.DatabaseError as error:
            self._check_bearable(error)
            self._tell_of(error)

    def indices(self, where: str, values: Sequence[Value], order: Order) -> Iterator[int]:
        """Indices of the records for which `where` holds. Raises `AuditLogUnusable`."""
        begin: tuple[str, Sequence[Value]] | None = None
        columns = order.columns
        while True:
            term, bound = joined((where, values), *([begin] if begin else []))
            sql = f"SELECT {columns} FROM records WHERE {term} ORDER BY {order.sql()} LIMIT {_PAGE}"  # noqa: S608 - made here
            try:
                page = self.rows(sql, bound)
            except sqlite3.DatabaseError as error:
                self._check_bearable(error)
                self._tell_of(error)
                yield from self._salvage(term, bound, descending=order.descending)
                return
            for row in page:
                yield int(row[-1])
            if len(page) < _PAGE:
                return
            begin = order.after(page[-1])

    def _salvage(self, where: str, values: Sequence[Value], *, descending: bool) -> Iterator[int]:
        """By index, without any other index, around whatever can't be read."""
        lost = _Lost()
        last = self.last_index()
        starts = range(1, last + 1, _PAGE)
        for low in reversed(starts) if descending else starts:
            yield from self._around(
                where, values, (low, min(low + _PAGE - 1, last)), lost, descending=descending
            )
        for first, end in lost.ranges():
            which = f"Record #{first}" if first == end else f"What lies between records #{first} and #{end}"
            self.tell(f"{which} of the audit log can't be read ({lost.why}).")

    def _around(
        self,
        where: str,
        values: Sequence[Value],
        between: tuple[int, int],
        lost: _Lost,
        *,
        descending: bool,
    ) -> Iterator[int]:
        low, high = between
        term, bound = joined(("idx BETWEEN ? AND ?", between), (where, values))
        direction = "DESC" if descending else ""
        sql = f"SELECT idx FROM records NOT INDEXED WHERE {term} ORDER BY idx {direction}"  # noqa: S608 - made here
        try:
            found = self.rows(sql, bound)
        except sqlite3.DatabaseError as error:
            self._check_bearable(error)
            if low == high:
                lost.add(low, _named(error))
                return
            middle = (low + high) // 2
            halves = [(low, middle), (middle + 1, high)]
            for half in reversed(halves) if descending else halves:
                yield from self._around(where, values, half, lost, descending=descending)
            return
        for row in found:
            yield int(row[0])

    def _last_by_sequence(self, error: sqlite3.Error) -> int:
        with contextlib.suppress(sqlite3.DatabaseError, IndexError, ValueError, TypeError):
            return int(self.rows("SELECT seq FROM sqlite_sequence WHERE name = 'records'")[0][0])
        raise explain(self._path, error) from None

    def _check_bearable(self, error: sqlite3.Error) -> None:
        """Raise `AuditLogUnusable` for what has nothing to do with single records."""
        name = getattr(error, "sqlite_errorname", "") or ""
        if not name.startswith(("SQLITE_CORRUPT", "SQLITE_IOERR", "SQLITE_TOOBIG", "SQLITE_ERROR")):
            raise explain(self._path, error) from None

    def _tell_of(self, error: sqlite3.Error) -> None:
        self.is_torn = True
        self.tell(
            f"The audit log {self._path} is damaged ({_named(error)}). "
            "What can still be read of it follows by number; keep the file, and restore it from a backup."
        )


class _Lost:
    """Which indices can't be read, as ranges."""

    def __init__(self) -> None:
        self._indices: list[list[int]] = []
        self.why = ""

    def add(self, idx: int, why: str) -> None:
        self.why = self.why or why
        for one in self._indices[-1:]:
            if one[0] - 1 <= idx <= one[1] + 1:
                one[0], one[1] = min(one[0], idx), max(one[1], idx)
                return
        self._indices.append([idx, idx])

    def ranges(self) -> list[tuple[int, int]]:
        return [(first, last) for first, last in sorted(self._indices)]


@contextlib.contextmanager
def open_trail(path: Path, tell: Tell) -> Iterator[AuditTrail]:
    """Open the log for reading; `tell` is called with a sentence for each thing that is damaged.

    Raises `AuditLogUnusable` for a file that is missing, or no audit log of this version, also from within.
    """
    if not path.exists():
        raise AuditLogUnusable(
            f"There is no audit log at {path}.",
            "Start a gateway, or name its state directory with --state or DDGATE_STATE.",
        )
    try:
        with contextlib.closing(_connected(path)) as connection:
            yield AuditTrail(path, connection, tell)
    except sqlite3.Error as error:
        raise explain(path, error) from None


def _connected(path: Path) -> sqlite3.Connection:
    try:
        return _checked(path, "mode=ro")
    except sqlite3.OperationalError:
        # A copy on a read-only disk has no place for the files that write-ahead logging needs beside it.
        wal = path.with_name(f"{path.name}-wal")
        if wal.exists() and wal.stat().st_size > 0:
            raise
        return _checked(path, "mode=ro&immutable=1")


def _checked(path: Path, options: str) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?{options}"
    connection = sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS, isolation_level=None)
    try:
        connection.text_factory = lenient_text
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST)
        connection.set_progress_handler(lambda: 0, _STEPS)  # Python looks for Ctrl-C when it is called
        with as_damage():
            check_version(path, connection)
            _check_table(path, connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _check_table(path: Path, connection: sqlite3.Connection) -> None:
    """A view of that name could answer anything, or never."""
    found = connection.execute("SELECT type FROM sqlite_master WHERE name = 'records'").fetchall()
    if found != [("table",)]:
        raise AuditLogUnusable(
            f"{path} is not an audit log of ddgate's: it has no table of records.",
            "Move the file away, or name another state directory.",
        )


def _bindable(values: Sequence[Value]) -> list[Value]:
    """SQLite's text is UTF-8, which a lone surrogate is not: what has one is nobody's name."""
    return [
        value.encode("utf-8", "replace").decode() if isinstance(value, str) else value for value in values
    ]


def _named(error: Exception) -> str:
    return str(error) if isinstance(error, sqlite3.Error) else type(error).__name__
