"""Tables that lie in the audit log's file beside its own, so that what happens to them and its audit record
are one transaction. A log of a time before them gets them when it is opened.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

_TABLE = "CREATE TABLE IF NOT EXISTS schema_parts (part TEXT PRIMARY KEY, version INTEGER NOT NULL)"


class NewerSchema(Exception):  # noqa: N818 - named after what is wrong, as the other refusals are
    """A newer ddgate made the tables."""


@dataclass(frozen=True, slots=True)
class SchemaPart:
    """`statements` make what is missing, and leave alone what is there."""

    name: str
    version: int
    statements: Sequence[str]

    def ensure(self, connection: sqlite3.Connection) -> None:
        """Make the tables where they are missing, in one transaction; several processes may do so at once.

        Raises `NewerSchema`, sqlite3.Error.
        """
        if not self.is_in(connection):
            connection.execute("BEGIN IMMEDIATE")
            try:
                for statement in (_TABLE, *self.statements):
                    connection.execute(statement)
                connection.execute(
                    "INSERT OR IGNORE INTO schema_parts VALUES (?, ?)", (self.name, self.version)
                )
                connection.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
                raise
        found = connection.execute("SELECT version FROM schema_parts WHERE part = ?", (self.name,))
        (version,) = found.fetchone()
        if version != self.version:
            raise NewerSchema(f"has {self.name} of version {version}; this ddgate uses {self.version}")

    def is_in(self, connection: sqlite3.Connection) -> bool:
        """Whether the tables are there. Raises sqlite3.Error."""
        found = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'schema_parts'").fetchone()
        mine = "SELECT 1 FROM schema_parts WHERE part = ?"
        return found is not None and connection.execute(mine, (self.name,)).fetchone() is not None
