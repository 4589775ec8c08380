"""What tests of the counters of limits share: a call to count, and what was counted."""

from __future__ import annotations

import contextlib
import sqlite3

from addons.core.policy.request import Allowance, LimitUse
from addons.store.state_dir import StateDir

NOW = 1_800_000_000.0


def use(count: int = 3, seconds: float = 60.0, *, name: str = "writes", key: str = '["a"]') -> LimitUse:
    return LimitUse(name, key, Allowance(count, seconds), None)


def counted(state: StateDir) -> int:
    with contextlib.closing(sqlite3.connect(state.path / "limits.db")) as connection:
        (ok,) = connection.execute("PRAGMA integrity_check").fetchone()
        assert ok == "ok"
        return int(
            connection.execute(
                "SELECT total(json_extract(value, '$[1]')) FROM counters, json_each(buckets)"
            ).fetchone()[0]
        )
