"""What each process knows of the blocklist: soon after it changed, and nothing that isn't so any more."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from time import monotonic

import pytest

from addons.core.blocklist import TokenLimits
from addons.core.model import Principal
from addons.store.blocking.blocks import Blocks, PutBlock
from addons.store.blocking.watch import BlockKeeper, BlockWatch
from addons.store.moment import Moment
from addons.store.state_dir import StateDir
from addons.store.writing.journal import Journal
from tests.e2e.gateway_process import wait_until
from tests.store.approval_samples import START, Store, later
from tests.store.blocking.test_blocks import BY, HOUR, lift, stored

LIMITS = TokenLimits(lifetime=HOUR, leeway=30.0)
AGENT = Principal("https://i", "agent", frozenset(), 2e9)


@dataclass
class Clock:
    now: Moment = START

    def __call__(self) -> Moment:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def watch(state: StateDir, store: Store, clock: Clock) -> Iterator[BlockWatch]:
    """Of a log that is there; it looks when it is told to."""
    opened = BlockWatch(Blocks(state.audit_log), LIMITS, clock)
    yield opened
    opened.close()


def is_stopped(watch: BlockWatch) -> bool:
    assert watch.current is not None
    return watch.current.find(AGENT) is not None


def test_before_the_first_look_whoever_asks_looks(watch: BlockWatch, store: Store) -> None:
    store.do(PutBlock(stored(), BY))
    assert watch.problem
    assert is_stopped(watch)
    assert watch.problem is None


def test_a_change_is_known_with_the_next_look_and_its_end_too(watch: BlockWatch, store: Store) -> None:
    watch.look()
    assert not is_stopped(watch)
    store.do(PutBlock(stored(), BY))
    watch.look()
    assert is_stopped(watch)
    store.do(lift())
    watch.look()
    assert not is_stopped(watch)
    assert watch.problem is None


def test_other_commits_leave_the_list_as_it_is(watch: BlockWatch, store: Store) -> None:
    store.do(PutBlock(stored(), BY))
    watch.look()
    known = watch.current
    store.ask()
    watch.look()
    assert watch.current is known


def test_a_block_that_is_over_stops_nobody_though_it_is_on_the_list(
    watch: BlockWatch, store: Store, clock: Clock
) -> None:
    store.do(PutBlock(stored(seconds=HOUR), BY))
    watch.look()
    assert is_stopped(watch)
    assert not watch.has_ended
    clock.now = later(HOUR)
    watch.look()
    assert not is_stopped(watch)
    assert watch.has_ended


def test_a_list_that_cannot_be_read_is_none_until_it_can(watch: BlockWatch, store: Store) -> None:
    store.do(PutBlock(stored(), BY))
    watch.look()
    store.sql("ALTER TABLE blocklist RENAME TO hidden")
    for _ in range(2):
        watch.look()
        assert watch.current is None
        assert watch.problem
    store.sql("ALTER TABLE hidden RENAME TO blocklist")
    watch.look()
    assert is_stopped(watch)
    assert watch.problem is None


def test_a_log_that_is_gone_is_no_empty_list(watch: BlockWatch, store: Store, state: StateDir) -> None:
    watch.look()
    state.audit_log.rename(state.path / "aside")
    watch.look()
    assert watch.current is None


def test_what_nobody_has_looked_at_for_a_second_is_looked_at_anew(
    watch: BlockWatch, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch.look()
    store.do(PutBlock(stored(), BY))
    assert not is_stopped(watch)
    later_on = monotonic() + 60
    monkeypatch.setattr("addons.store.blocking.watch.monotonic", lambda: later_on)
    assert "looked" in (watch.problem or "")
    assert is_stopped(watch)


def test_a_look_that_comes_to_no_end_lets_nobody_pass(watch: BlockWatch) -> None:
    """As on a disk that hangs."""
    with watch._looking:
        assert watch.current is None
    assert not is_stopped(watch)


def test_it_goes_on_by_itself_and_ends_when_it_is_told(watch: BlockWatch, store: Store) -> None:
    watch.start()
    assert not is_stopped(watch)
    store.do(PutBlock(stored(), BY))
    wait_until(lambda: is_stopped(watch), what="the freeze")
    watch.close()
    assert watch._thread is not None
    assert not watch._thread.is_alive()


def test_everyone_frozen_is_a_warning(watch: BlockWatch, store: Store) -> None:
    watch.look()
    assert not watch.warnings()
    store.do(PutBlock(stored(), BY))
    store.do(PutBlock(stored(""), BY))
    watch.look()
    (warning,) = watch.warnings()
    assert "everyone is frozen, by ops" in warning


async def test_the_keeper_takes_off_what_is_over(state: StateDir, clock: Clock) -> None:
    journal = Journal.open(state)
    blocks = Blocks(state.audit_log)
    watch = BlockWatch(blocks, LIMITS, clock)
    keeper = BlockKeeper(watch, journal, LIMITS, clock)
    await journal.change(PutBlock(stored(seconds=HOUR), BY))
    await journal.change(PutBlock(stored("agent-2"), BY))
    watch.look()
    await keeper.look(thorough=True)
    assert len(blocks.all()) == 2
    clock.now = later(HOUR)
    watch.look()
    await keeper.look(thorough=False)
    assert [each.block.name for each in blocks.all()] == ["agent-2"]
    watch.close()
    journal.close()
    with sqlite3.connect(state.audit_log) as connection:
        kinds = [kind for (kind,) in connection.execute("SELECT kind FROM records ORDER BY idx")]
    connection.close()
    assert kinds == ["frozen", "frozen", "unfrozen"]
