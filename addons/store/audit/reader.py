"""A connection that stays open, for looking at what lies in the audit log's file while others write it."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

from addons.store.audit.problems import AuditLogUnusable, explain
from addons.store.audit.schema import check_version
from addons.store.audit.schema_parts import SchemaPart
from addons.store.sqlite_text import lenient_text

_BUSY_SECONDS = 3.0


class LogReader:
    """Reads one part of the file at `path`. Every method blocks for a short while, may be called by several
    threads, and raises `AuditLogUnusable` for a file that can't be read.
    """

    def __init__(self, path: Path, part: SchemaPart) -> None:
        self._path = path
        self._part = part
        self._lock = threading.Lock()  # guards all below
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._opened = 0
        self._has_part = False

    def close(self) -> None:
        with self._lock:
            self._disconnect()

    def data_version(self) -> int:
        """Give a number that is another one whenever anybody has committed anything since."""
        return self.look(
            self._opened << 32,
            lambda connection: (
                (self._opened << 32) + int(connection.execute("PRAGMA data_version").fetchone()[0])
            ),
        )

    def look[T](self, nothing: T, look: Callable[[sqlite3.Connection], T]) -> T:
        """Give what `look` finds; `nothing` while there is no file, or the part isn't in it."""
        with self._lock:
            try:
                connection = self._connected()
                return nothing if connection is None else look(connection)
            except AuditLogUnusable:
                self._disconnect()
                raise
            except (OSError, sqlite3.Error) as error:
                self._disconnect()
                raise explain(self._path, error) from None

    def _connected(self) -> sqlite3.Connection | None:
        """Give a connection to the file that is there now, if it has the part."""
        try:
            found = self._path.stat()
        except FileNotFoundError:
            self._disconnect()
            return None
        if self._file != (found.st_dev, found.st_ino):
            self._disconnect()
        if self._connection is None:
            connection = sqlite3.connect(
                f"{self._path.absolute().as_uri()}?mode=ro",
                uri=True,
                timeout=_BUSY_SECONDS,
                isolation_level=None,
                check_same_thread=False,
            )
            self._connection, self._file = connection, (found.st_dev, found.st_ino)
            self._opened += 1
            connection.text_factory = lenient_text
            check_version(self._path, connection)
        self._has_part = self._has_part or self._part.is_in(self._connection)
        return self._connection if self._has_part else None

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        self._file, self._has_part = None, False
        if connection is not None:
            connection.close()
