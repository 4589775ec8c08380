"""An index of the recordings, beside them: which calls there are, by whom, and where their bytes lie.

Derived from the segments and brought up to date by whoever reads; it says nothing that they don't. Several
processes may open it at once: the folder of the segments is locked (flock) while one of them adds to it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from addons.store.audit.record import SegmentRef
from addons.store.recordings import index_file
from addons.store.recordings.entry import Entry
from addons.store.recordings.index_file import TELLS_OF_DAMAGE, IndexUntrusted
from addons.store.recordings.sealing import NO_KEYS, SealKeys
from addons.store.recordings.selection import Selection, Value
from addons.store.recordings.sync import Progress, Sync, Unread, unread
from addons.store.state_dir import StateDir

_NAME = "recordings-index.sqlite3"
_PAGE = 500
_MAX_FOUND = 20
_FACTS = tuple(each.name for each in fields(Entry) if each.name != "ref")
_PLACE = ("segment", "offset", "length", "sha256")
_COLUMNS = ", ".join((*_FACTS, *_PLACE))
_NUMBERS: dict[str, type] = {
    **dict.fromkeys(("time", "duration"), float),
    **dict.fromkeys(
        ("refused", "status", "findings", "request_size", "answer_size", "offset", "length"), int
    ),
}
_MAY_MISS = frozenset(
    {"duration", "issuer", "subject", "on_behalf_of", "session", "operation", "rule", "effect", "reason"}
    | {"approval", "status"}
)


class IndexUnusable(Exception):  # noqa: N818 - named after what is wrong, as the other refusals are
    """The recordings can't be indexed: `what` is wrong, `remedy` helps."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what} {remedy}")
        self.what = what
        self.remedy = remedy


@dataclass(slots=True)
class RecordingIndex:
    """Open with `open`; use from one thread.

    `notes` are sentences about the index itself: that it was damaged and made anew, or that it can't be kept.
    """

    state: StateDir
    keys: SealKeys = NO_KEYS
    notes: list[str] = field(default_factory=list)
    _connection: sqlite3.Connection | None = None

    @staticmethod
    def open(
        state: StateDir, *, keys: SealKeys = NO_KEYS, anew: bool = False, progress: Progress | None = None
    ) -> RecordingIndex:
        """Open the index of a state directory, and add what was recorded since.

        With `anew` it is deleted first. A file that is damaged or isn't ours is put aside, and where it can't
        be written (a copy that is read-only, a full disk) the index is made for this process alone.
        `progress` hears how many bytes of how many are read; `keys` are for what is sealed.

        Raises `IndexUnusable` where there are no recordings, or nothing can be read.
        """
        index = RecordingIndex(state, keys)
        with index._explained(), _locked(state.recordings):
            if anew:
                with contextlib.suppress(OSError):  # then it can't be written either, and that is told
                    index_file.remove(index.path)
            index._update(progress)
        return index

    @property
    def path(self) -> Path:
        return self.state.path / _NAME

    def unread(self) -> list[Unread]:
        """What of the segments can't be read, and where."""
        return self._trusted(
            lambda: unread(
                self._rows("SELECT name, read, problem, unread, unread_at FROM segments ORDER BY name")
            )
        )

    def counts(self) -> tuple[int, int]:
        """Give the numbers of calls and of segments."""
        calls, segments = self._trusted(
            lambda: [self._rows(f"SELECT count(*) FROM {table}")[0][0] for table in ("calls", "segments")]  # noqa: S608 - constants
        )
        return calls, segments

    def select(self, selection: Selection, *, oldest_first: bool = False) -> Iterator[Entry]:
        """Hand out the calls that are meant, by time; those of the same moment as they were indexed.

        Read in pages, so that nobody who takes his time keeps others from writing.
        """
        where, values = selection.where()
        order, beyond = ("ASC", ">") if oldest_first else ("DESC", "<")
        ending = f"ORDER BY time {order}, number {order} LIMIT {_PAGE}"
        page = self._calls(f"WHERE {where} {ending}", values)
        while page:
            for _, entry in page:
                yield entry
            number, last = page[-1]
            page = self._calls(
                f"WHERE {where} AND (time, number) {beyond} (?, ?) {ending}", [*values, last.time, number]
            )

    def find(self, identifier: str) -> list[Entry]:
        """Give the calls with that id (ddgate's, or the flow's) or, where there is none, whose call id begins
        with it, the newest first; no more than some.
        """
        wanted = identifier.strip()
        if not wanted:
            return []
        upper, last = wanted.upper(), chr(0x10FFFF)
        found = (
            self._calls(f"WHERE call IN (?, ?) ORDER BY number LIMIT {_MAX_FOUND}", [wanted, upper])
            or self._calls(
                "WHERE (call >= ? AND call < ?) OR (call >= ? AND call < ?) "
                f"ORDER BY call DESC LIMIT {_MAX_FOUND}",
                [wanted, wanted + last, upper, upper + last],
            )
            or self._calls(f"WHERE flow = ? ORDER BY number LIMIT {_MAX_FOUND}", [wanted])
        )
        return [entry for _, entry in found]

    def close(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()

    def _calls(self, clauses: str, values: list[Value]) -> list[tuple[int, Entry]]:
        statement = f"SELECT number, {_COLUMNS} FROM calls {clauses}"  # noqa: S608 - constants; values are bound
        return self._trusted(
            lambda: [(int(number), _entry(row)) for number, *row in self._rows(statement, values)]
        )

    def _trusted[T](self, ask: Callable[[], T]) -> T:
        """Ask once more of an index that was made anew, where damage shows only now."""
        with self._explained():
            try:
                return ask()
            except TELLS_OF_DAMAGE as error:
                if not index_file.blames_the_file(error):
                    raise
            with _locked(self.state.recordings):
                self._put_aside()
                self._update(None)
            return ask()

    def _rows(self, statement: str, values: Sequence[Value] = ()) -> list[tuple[Any, ...]]:
        assert self._connection is not None  # noqa: S101 - open() opened it
        return self._connection.execute(statement, values).fetchall()

    def _update(self, progress: Progress | None) -> None:
        """Open and synchronise; aside, for this process alone, where the file can't be kept."""
        try:
            for _ in range(2):
                try:
                    self._connection = self._connection or index_file.open_file(self.path)
                    Sync(self._connection, self.state.recordings, self.keys, progress).run()
                except TELLS_OF_DAMAGE as error:
                    if not index_file.blames_the_file(error):
                        raise
                    self._put_aside()
                else:
                    return
            why = "damaged as soon as it was made"
        except sqlite3.Error as error:
            why = getattr(error, "sqlite_errorname", None) or str(error)
        except OSError as error:
            why = error.strerror or str(error)
        self.close()
        self._connection = index_file.open_aside()
        Sync(self._connection, self.state.recordings, self.keys, progress).run()
        self.notes.append(f"The index {self.path} can't be kept ({why}); this command reads every recording.")

    def _put_aside(self) -> None:
        self.close()
        self._connection = None
        index_file.put_aside(self.path)
        self.notes.append(
            f"The index {self.path} was damaged, or not of this ddgate; it was put aside and made anew."
        )

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise IndexUnusable(
                f"There are no recordings at {self.state.recordings}.",
                "Start a gateway, or name its state directory with --state or DDGATE_STATE.",
            ) from None
        except OSError as error:
            raise IndexUnusable(
                f"The recordings at {self.state.recordings} can't be read ({error.strerror}).",
                "Run this as the user that ddgate runs as.",
            ) from None
        except TELLS_OF_DAMAGE:
            raise IndexUnusable(
                f"The index {self.path} can't be made or read.", "Delete it, and look at the disk."
            ) from None


def _entry(row: Sequence[object]) -> Entry:
    """Raises `IndexUntrusted`: a damaged page gives what its column's type forbids."""
    facts: dict[str, Any] = dict(zip((*_FACTS, *_PLACE), row, strict=True))
    for name, value in facts.items():
        if value is None and name in _MAY_MISS:
            continue
        negative = isinstance(value, int | float) and value < 0
        if negative or not isinstance(value, _NUMBERS.get(name, str)):
            raise IndexUntrusted
    facts["refused"] = bool(facts["refused"])
    return Entry(
        **{name: facts[name] for name in _FACTS},
        ref=SegmentRef(*(facts[name] for name in _PLACE)),
    )


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[None]:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
