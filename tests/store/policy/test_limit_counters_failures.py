"""Where nothing can be counted nothing that is limited passes, and nobody counts apart from the others."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from addons.store.policy.limit_counters import CountersUnavailable, LimitCounters
from addons.store.state_dir import StateDir
from tests.store.policy.limit_uses import NOW, counted, use


@pytest.fixture
def counters(state: StateDir) -> Iterator[LimitCounters]:
    opened = LimitCounters.open(state)
    yield opened
    opened.close()


def test_a_file_that_is_no_database_is_named_and_kept(state: StateDir) -> None:
    path = state.path / "limits.db"
    path.write_bytes(b"no database at all, and longer than the header of one" * 40)
    content = path.read_bytes()
    with pytest.raises(
        CountersUnavailable, match=r"limits\.db are damaged, or no database .* counts begin anew"
    ):
        LimitCounters.open(state)
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    "change", ["PRAGMA application_id = 1", "PRAGMA user_version = 99", "PRAGMA journal_mode = DELETE"]
)
def test_another_programs_or_versions_file_is_left_alone(state: StateDir, change: str) -> None:
    LimitCounters.open(state).close()
    with contextlib.closing(sqlite3.connect(state.path / "limits.db", isolation_level=None)) as connection:
        connection.execute(change).fetchall()
    with pytest.raises(CountersUnavailable, match="not a file of this ddgate's counters"):
        LimitCounters.open(state)


@pytest.mark.parametrize(
    "buckets", ["", "no", "1", "[1]", "[[1]]", "[[1,2,3]]", '[["a",1]]', "[[1,1.5]]", "{}x"]
)
def test_a_row_that_is_no_count_refuses(state: StateDir, counters: LimitCounters, buckets: str) -> None:
    assert counters.take([use()], NOW) is None
    with contextlib.closing(sqlite3.connect(state.path / "limits.db", isolation_level=None)) as connection:
        connection.execute("UPDATE counters SET buckets = ?", (buckets,))
    for _ in range(2):
        with pytest.raises(CountersUnavailable, match="what is no count"):
            counters.take([use()], NOW)
    assert counters.take([use(key="other")], NOW) is None


def test_a_file_damaged_while_in_use_refuses(state: StateDir) -> None:
    counters = LimitCounters.open(state)
    for n in range(200):
        counters.take([use(key=str(n))], NOW)
    counters.close()
    path = state.path / "limits.db"
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xa5" * (len(content) - 4096)
    path.write_bytes(content)
    with pytest.raises(CountersUnavailable, match="damaged"):
        LimitCounters.open(state).take([use(key="5")], NOW)


def test_a_file_that_vanished_is_not_followed_by_an_empty_one(
    state: StateDir, counters: LimitCounters
) -> None:
    assert counters.take([use()], NOW) is None
    (state.path / "limits.db").unlink()
    with pytest.raises(CountersUnavailable, match="can't be reached"):
        counters.take([use()], NOW)
    with pytest.raises(CountersUnavailable, match="can't be opened"):
        counters.take([use()], NOW)
    assert not (state.path / "limits.db").exists()


def test_a_replaced_file_refuses_once_and_is_then_shared(state: StateDir, counters: LimitCounters) -> None:
    assert counters.take([use(1)], NOW) is None
    for path in state.path.glob("limits.db*"):
        path.unlink()
    other = LimitCounters.open(state)
    assert other.take([use(1)], NOW) is None
    with pytest.raises(CountersUnavailable, match="replaced or removed"):
        counters.take([use(1)], NOW)
    assert counters.take([use(1)], NOW) is not None
    other.close()


def test_a_file_that_another_holds_locked_refuses_after_the_time_out_and_recovers(state: StateDir) -> None:
    counters = LimitCounters.open(state, busy_seconds=0.05)
    with contextlib.closing(sqlite3.connect(state.path / "limits.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(CountersUnavailable, match="locked"):
            counters.take([use()], NOW)
        other.execute("ROLLBACK")
    assert counters.take([use(1)], NOW) is None
    counters.close()


def test_a_thread_that_waits_too_long_for_the_others_is_refused(state: StateDir) -> None:
    counters = LimitCounters.open(state, busy_seconds=0.05)
    with counters._lock, pytest.raises(CountersUnavailable, match="wait to be counted"):
        counters.take([use()], NOW)
    assert counters.take([use()], NOW) is None
    counters.close()


@pytest.mark.parametrize(
    ("pragma", "why"), [("max_page_count = 1", "can't grow"), ("query_only = ON", "read-only")]
)
def test_a_file_that_cant_be_written_refuses(
    state: StateDir, counters: LimitCounters, pragma: str, why: str
) -> None:
    assert counters._connection is not None
    counters._connection.execute(f"PRAGMA {pragma}")

    def fill() -> None:
        for n in range(500):
            counters.take([use(key=f"{n}" * 200)], NOW)

    with pytest.raises(CountersUnavailable, match=why):
        fill()
    kept = counted(state)
    assert counters.take([use(name="after")], NOW) is None
    assert counted(state) == kept + 1


def test_a_directory_in_its_place_is_named(state: StateDir) -> None:
    (state.path / "limits.db").mkdir()
    with pytest.raises(CountersUnavailable, match="can't be opened"):
        LimitCounters.open(state)


def test_a_state_directory_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(CountersUnavailable, match="can't be reached"):
        LimitCounters.open(StateDir(tmp_path / "nowhere"))
