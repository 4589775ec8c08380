"""Counts of what limits have let through: kept across restarts, shared by all gateway processes.

One SQLite file, WAL, synchronous=NORMAL. A count that was acknowledged survives `kill -9`, since it is with
the operating system by then. A power cut may lose the last counts, up to those since SQLite last moved its
log into the file, so that as many calls could be made once more; it never damages the file.

A window slides: time is cut into buckets of a sixtieth of the window, and the bucket in which the window
begins counts whole. So in no window is more let through than the limit says, and what is let through waits
a sixtieth longer than it would have to. All times are those that the caller gives. Buckets of the future,
where a clock was put back, count as well; those too far ahead are moved nearer, so that no clock that was
wrong once shuts anybody out for longer than two windows and a minute. A clock that runs ahead makes counts
old before their time.
"""

from __future__ import annotations

import contextlib
import json
import math
import sqlite3
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from addons.core.policy.request import LimitUse
from addons.core.start_problems import StartProblem
from addons.store.state_dir import StateDir, create_private_file

FILE_NAME = "limits.db"
SCHEMA_VERSION = 1
APPLICATION_ID = 0x6464676C  # "ddgl": tells our file from another program's SQLite
BUCKETS = 60
GRACE = 60 * 1_000_000
"""How late, in microseconds, a caller's time may be: one can have looked at the clock before another, and
come after it. Nothing is forgotten or moved that such a caller needs."""

_SECOND = 1_000_000
_LATEST = 1e11  # seconds: the year 5138, and far from what SQLite's integers can't hold
_PRUNED_AT_ONCE = 50

_SCHEMA = f"""
CREATE TABLE counters (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    key TEXT NOT NULL,
    window INTEGER NOT NULL,  -- microseconds
    buckets TEXT NOT NULL,    -- JSON: [[number, calls], ...] in order
    expires INTEGER NOT NULL, -- microseconds since the epoch, when nothing of it counts any more
    UNIQUE (name, key, window)
);
CREATE INDEX counters_expires ON counters (expires);
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {SCHEMA_VERSION};
"""

_EXPLANATIONS = {
    "SQLITE_BUSY": "is locked by another process for too long; end the program that holds it open",
    "SQLITE_FULL": "can't grow; free space on the disk of the state directory",
    "SQLITE_READONLY": "is read-only; make the file and its directory writable for ddgate",
    "SQLITE_CANTOPEN": "can't be opened; check that the file is there and belongs to ddgate's user",
    "SQLITE_IOERR": "can't be written or read; check the disk of the state directory",
}
_BEGIN_ANEW = "stop the gateways and move it away: all counts begin anew"


class CountersUnavailable(StartProblem):
    """Nothing can be counted, so nothing that is limited may pass. `why` says what to do as well."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class LimitKind(StrEnum):
    RATE = "rate"
    QUOTA = "quota"


@dataclass(frozen=True, slots=True)
class Exceeded:
    """The limit that a call has to wait for the longest; after `retry_after` seconds it has room for one."""

    name: str
    kind: LimitKind
    retry_after: float


@dataclass(frozen=True, slots=True)
class _Count:
    """One count that a call needs room in: at most `most` calls in `window` microseconds."""

    name: str
    key: str
    window: int
    most: int
    kind: LimitKind

    def bucket_at(self, time: int) -> int:
        return time * BUCKETS // self.window

    def begin_of(self, bucket: int) -> int:
        """The first microsecond of a bucket."""
        return -(-bucket * self.window // BUCKETS)


type _Buckets = dict[int, int]


class LimitCounters:
    """One process's counters. `take` may be called by several threads at once; they go one by one."""

    def __init__(self, path: Path, busy_seconds: float) -> None:
        self._path = path
        self._busy_seconds = busy_seconds
        self._lock = threading.Lock()  # guards the two below
        self._connection: sqlite3.Connection | None = None
        self._files: tuple[tuple[int, int], ...] = ()

    @staticmethod
    def open(state: StateDir, *, busy_seconds: float = 2.0) -> LimitCounters:
        """Open the counters, and make them (mode 0600) where there are none.

        `busy_seconds` bounds each of two waits of a `take`: for other threads and for other processes.

        Raises:
            CountersUnavailable: the file can't be made, read or written, or holds something else.

        """
        path = state.path / FILE_NAME
        counters = LimitCounters(path, busy_seconds)
        with _explained(path):
            if not path.exists():
                create_private_file(path, _empty_counters(path.parent))
            counters._connect()
        return counters

    def take(self, uses: Sequence[LimitUse], at: float) -> Exceeded | None:
        """Count one call against all of `uses`, or, where one has no room for it, against none.

        `at` is in seconds since the epoch. Of uses that are the same the call counts once. Blocks.

        Raises:
            CountersUnavailable: nothing was let through. The next `take` tries anew.

        """
        counts = _counts(uses)
        if not counts:
            return None
        if not 0 <= at <= _LATEST:
            raise CountersUnavailable("Calls can't be counted at this time; set the machine's clock.")
        if not self._lock.acquire(timeout=self._busy_seconds):
            raise CountersUnavailable("Too many calls wait to be counted; the disk is too slow for them.")
        try:
            with _explained(self._path):
                return self._take(self._connection or self._connect(), counts, math.floor(at * _SECOND))
        except CountersUnavailable:
            self._disconnect()
            raise
        finally:
            self._lock.release()

    def close(self) -> None:
        with self._lock:
            self._disconnect()

    def _take(self, connection: sqlite3.Connection, counts: Sequence[_Count], now: int) -> Exceeded | None:
        connection.execute("BEGIN IMMEDIATE")
        try:
            stored = [_load(connection, count) for count in counts]
            recent = [_recent(each, count, now) for each, count in zip(stored, counts, strict=True)]
            exceeded = _exceeded([(_wait(each, c, now), c) for each, c in zip(recent, counts, strict=True)])
            for before, buckets, count in zip(stored, recent, counts, strict=True):
                if exceeded is None:
                    bucket = count.bucket_at(now)
                    buckets[bucket] = buckets.get(bucket, 0) + 1
                # a refusal writes nothing but what was moved; without that each would move it further on
                if exceeded is None or _was_moved(before, buckets):
                    _store(connection, count, buckets)
            if exceeded is None:
                _forget_expired(connection, now)
            connection.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise
        self._check_in_place()
        return exceeded

    def _check_in_place(self) -> None:
        """SQLite goes on writing to a file that was deleted or replaced, where no other process sees it."""
        if _inodes(self._path) != self._files:
            raise CountersUnavailable(
                f"The counters {self._path} were replaced or removed while in use; restart the gateway."
            )

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"{self._path.absolute().as_uri()}?mode=rw",
            uri=True,
            timeout=self._busy_seconds,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            _prepare(self._path, connection)
            self._files = _inodes(self._path)
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):  # what it could not do, the next opening does
                connection.close()


def _counts(uses: Sequence[LimitUse]) -> list[_Count]:
    """One for each count that is touched; the strictest, where two are about the same calls and time."""
    counts: dict[tuple[str, str, int], _Count] = {}
    for use in uses:
        for kind, allowance in ((LimitKind.RATE, use.rate), (LimitKind.QUOTA, use.quota)):
            if allowance is None:
                continue
            count = _Count(use.name, use.key, round(allowance.seconds * _SECOND), allowance.count, kind)
            place = (count.name, count.key, count.window)
            if place not in counts or count.most < counts[place].most:
                counts[place] = count
    return list(counts.values())


def _load(connection: sqlite3.Connection, count: _Count) -> _Buckets:
    found = connection.execute(
        "SELECT buckets FROM counters WHERE name = ? AND key = ? AND window = ?",
        (count.name, count.key, count.window),
    ).fetchone()
    if found is None:
        return {}
    pairs = json.loads(found[0])
    if not all(type(each) is int for pair in pairs for each in pair):
        raise ValueError("not a list of counts")
    return {bucket: calls for bucket, calls in pairs}  # noqa: C416 - a pair of another length is refused so


def _recent(buckets: _Buckets, count: _Count, now: int) -> _Buckets:
    """Leave out what no call can need any more, and move what lies too far in the future as far as it may."""
    oldest = count.bucket_at(now - count.window - GRACE)
    newest = count.bucket_at(now + count.window + GRACE)
    recent: _Buckets = {}
    for bucket, calls in sorted(buckets.items()):
        if bucket >= oldest:
            recent[min(bucket, newest)] = recent.get(min(bucket, newest), 0) + calls
    return recent


def _was_moved(before: _Buckets, after: _Buckets) -> bool:
    return bool(after) and max(before) > max(after)


def _wait(buckets: _Buckets, count: _Count, now: int) -> int | None:
    """Microseconds until the count has room for a call; None where it has."""
    first = count.bucket_at(now) - BUCKETS
    counted = [(bucket, calls) for bucket, calls in buckets.items() if bucket >= first]
    excess = sum(calls for _, calls in counted) + 1 - count.most
    if excess <= 0:
        return None
    bucket = first + BUCKETS
    for bucket, calls in counted:  # noqa: B007 - the last one that has to be over is what counts
        excess -= calls
        if excess <= 0:
            break
    return count.begin_of(bucket + BUCKETS + 1) - now


def _store(connection: sqlite3.Connection, count: _Count, buckets: _Buckets) -> None:
    expires = count.begin_of(max(buckets) + BUCKETS + 1) + GRACE
    pairs = json.dumps(sorted(buckets.items()), separators=(",", ":"))
    connection.execute(
        "INSERT INTO counters (name, key, window, buckets, expires) VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT (name, key, window) "
        "DO UPDATE SET buckets = excluded.buckets, expires = excluded.expires",
        (count.name, count.key, count.window, pairs, expires),
    )


def _forget_expired(connection: sqlite3.Connection, now: int) -> None:
    """A few with each call: faster than they come, and never a long transaction."""
    connection.execute(
        "DELETE FROM counters WHERE id IN (SELECT id FROM counters WHERE expires < ? LIMIT ?)",
        (now, _PRUNED_AT_ONCE),
    )


def _exceeded(waits: Sequence[tuple[int | None, _Count]]) -> Exceeded | None:
    real = [(wait, count) for wait, count in waits if wait is not None]
    if not real:
        return None
    wait, count = max(real, key=lambda each: each[0])
    # up to the next millisecond: a float of seconds since the epoch is no finer than a microsecond
    return Exceeded(count.name, count.kind, (wait // 1000 + 1) / 1000)


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Say what a person should hear of an error."""
    try:
        yield
    except OSError as error:
        raise CountersUnavailable(
            f"The counters {path} can't be reached ({error.strerror}); check the state directory."
        ) from None
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorname", "") or ""
        why = next((text for prefix, text in _EXPLANATIONS.items() if code.startswith(prefix)), None)
        why = why or f"are damaged, or no database ({code or 'no code'}); {_BEGIN_ANEW}"
        raise CountersUnavailable(f"The counters {path} {_plural(why)}.") from None
    except (ValueError, TypeError):  # what stands in a row is none of ours
        raise CountersUnavailable(f"The counters {path} hold what is no count; {_BEGIN_ANEW}.") from None


def _plural(text: str) -> str:
    return "are" + text.removeprefix("is") if text.startswith("is ") else text


def _empty_counters(directory: Path) -> bytes:
    """Make the bytes of a file without counts, aside, so that processes that start at once find it whole."""
    with tempfile.TemporaryDirectory(prefix=".new-limits-", dir=directory) as aside:
        path = Path(aside) / "limits"
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.executescript(_SCHEMA)
        return path.read_bytes()


def _prepare(path: Path, connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA journal_size_limit = 16777216")  # a log that once grew gives its space back
    found: Mapping[str, object] = {
        name: connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("application_id", "user_version", "journal_mode")
    }
    if found != {"application_id": APPLICATION_ID, "user_version": SCHEMA_VERSION, "journal_mode": "wal"}:
        raise CountersUnavailable(
            f"{path} is not a file of this ddgate's counters, or not on a local disk; {_BEGIN_ANEW}."
        )
    # WAL files appear with the first write; they must exist before their identity is noted
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("COMMIT")


def _inodes(path: Path) -> tuple[tuple[int, int], ...]:
    wal = path.with_name(f"{path.name}-wal")
    return tuple((found.st_dev, found.st_ino) for found in (path.stat(), wal.stat()))
