"""The blocklist in the audit log's file: what is on it, how it ends, and what is on record of it."""

from __future__ import annotations

import contextlib
import json
import math
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from addons.core.blocklist import Block, BlockKind, Named
from addons.store.audit.problems import AuditLogUnusable
from addons.store.audit.record import new_id
from addons.store.blocking.blocks import Blocks, EndDue, LiftBlocks, PutBlock, StoredBlock
from addons.store.moment import Moment
from addons.store.state_dir import StateDir
from addons.store.upkeep.successor import begin_new_log
from tests.store.approval_samples import START, Store, later

HOUR = 3600.0
BY = {"os_user": "ops"}


def stored(
    name: str = "agent",
    kind: BlockKind = BlockKind.FREEZE,
    *,
    issuer: str | None = None,
    seconds: float | None = None,
    at: Moment = START,
) -> StoredBlock:
    named = Named.SUBJECT if name else Named.EVERYONE
    until = None if seconds is None else at.wall + seconds
    block = Block(new_id(), kind, named, name, issuer, "a loop", "ops", at.wall, until)
    return StoredBlock(block, at, seconds)


def lift(name: str = "agent", issuer: str | None = None, kind: BlockKind = BlockKind.FREEZE) -> LiftBlocks:
    named = Named.SUBJECT if name else Named.EVERYONE
    return LiftBlocks(kind, named, name, issuer, "all is well", BY, START.wall + 5)


@pytest.fixture
def blocks(state: StateDir) -> Iterator[Blocks]:
    opened = Blocks(state.audit_log)
    yield opened
    opened.close()


def names(blocks: Blocks) -> list[tuple[str, str | None]]:
    return [(each.block.name, each.block.issuer) for each in blocks.all()]


def records(store: Store) -> list[dict[str, Any]]:
    rows = store.sql("SELECT body FROM records ORDER BY idx")
    return [json.loads(str(body)) for (body,) in rows]


def test_what_is_put_is_what_is_read_and_who_put_it_is_on_record(store: Store, blocks: Blocks) -> None:
    before = blocks.version()
    one, all_of_them = stored(issuer="https://i", seconds=HOUR), stored("", at=later(1))
    store.do(PutBlock(one, BY))
    store.do(PutBlock(all_of_them, BY))
    assert blocks.all() == [one, all_of_them]
    assert blocks.version() > before
    first, second = records(store)
    assert first["kind"] == "frozen"
    assert first["message"] == "agent of https://i is frozen: a loop"
    assert first["attributes"] == {
        "block": one.block.id,
        "named": "subject",
        "name": "agent",
        "issuer": "https://i",
        "reason": "a loop",
        "until": START.wall + HOUR,
        "os_user": "ops",
    }
    assert second["message"] == "everyone is frozen: a loop"


@pytest.mark.parametrize(
    ("change", "left"),
    [
        (lift(), [("", None), ("agent-2", None)]),
        (lift(issuer="https://i"), [("", None), ("agent", None), ("agent-2", None)]),
        (lift(""), [("agent", None), ("agent", "https://i"), ("agent-2", None)]),
        (lift("nobody"), [("", None), ("agent", None), ("agent", "https://i"), ("agent-2", None)]),
        (
            lift(kind=BlockKind.REVOCATION),
            [("", None), ("agent", None), ("agent", "https://i"), ("agent-2", None)],
        ),
    ],
)
def test_what_is_lifted_is_what_was_named(
    store: Store, blocks: Blocks, change: LiftBlocks, left: list[tuple[str, str | None]]
) -> None:
    for one in (stored(), stored(issuer="https://i"), stored("agent-2"), stored("")):
        store.do(PutBlock(one, BY))
    before, known = blocks.version(), len(records(store))
    lifted = store.do(change)
    assert sorted(names(blocks), key=str) == sorted(left, key=str)
    told = records(store)[known:]
    assert [each["attributes"]["block"] for each in told] == [block.id for block in lifted]
    assert (blocks.version() > before) == bool(lifted)
    for each in told:
        assert (each["kind"], each["attributes"]["os_user"]) == ("unfrozen", "ops")
        assert each["message"].endswith("no longer frozen: all is well")


FREEZE, REVOCATION = BlockKind.FREEZE, BlockKind.REVOCATION
OTHER_BOOT = replace(later(HOUR), boot=1.0, boot_id="boot-2")


@pytest.mark.parametrize(
    ("kind", "seconds", "now", "is_over"),
    [
        (FREEZE, None, later(1e9), False),
        (FREEZE, HOUR, later(HOUR - 1), False),
        (FREEZE, HOUR, later(HOUR), True),
        (FREEZE, HOUR, replace(START, wall=START.wall + 2 * HOUR), False),  # the clock was set forward
        (FREEZE, HOUR, replace(START, boot=START.boot + 2 * HOUR), False),  # and back
        (FREEZE, HOUR, OTHER_BOOT, True),
        (FREEZE, HOUR, replace(START, wall=math.nan, boot_id="boot-2"), False),
        (REVOCATION, None, later(HOUR - 1), False),
        (REVOCATION, None, later(HOUR), True),  # as long as tokens live here
        (REVOCATION, 60.0, later(59), False),
        (REVOCATION, 60.0, later(60), True),
        (REVOCATION, 2 * HOUR, later(HOUR), False),
    ],
)
def test_a_block_is_over_when_both_clocks_say_so(
    kind: BlockKind, seconds: float | None, now: Moment, is_over: bool
) -> None:
    assert stored(kind=kind, seconds=seconds).is_over(now, HOUR) is is_over


def test_where_the_machines_clock_is_not_known_the_walls_says_when_it_is_over() -> None:
    unknown = Moment(START.wall, 7.0, "")
    one = stored(seconds=HOUR, at=unknown)
    assert one.is_over(replace(unknown, wall=START.wall + HOUR, boot=8.0), HOUR)


def test_what_is_over_is_taken_off_once_and_that_is_on_record(store: Store, blocks: Blocks) -> None:
    for one in (stored(seconds=HOUR), stored("agent-2"), stored("agent-3", REVOCATION)):
        store.do(PutBlock(one, BY))
    known = len(records(store))
    ended = [len(store.do(EndDue(later(HOUR), 2 * HOUR))) for _ in range(2)]
    assert ended == [1, 0]
    assert sorted(names(blocks)) == [("agent-2", None), ("agent-3", None)]
    store.do(EndDue(later(2 * HOUR), 2 * HOUR))
    assert names(blocks) == [("agent-2", None)]
    said = [(each["kind"], each["message"]) for each in records(store)[known:]]
    assert said == [
        ("unfrozen", "agent is no longer frozen: its time is over"),
        ("unrevoked", "the tokens of agent-3 are no longer revoked: its time is over"),
    ]


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE blocks SET kind = 'thaw'",
        "UPDATE blocks SET named = 'planet'",
        "UPDATE blocks SET at = 'yesterday'",
        "UPDATE blocks SET seconds = x'00'",
        "DROP TABLE blocks",
    ],
)
def test_a_list_with_an_entry_that_cannot_be_read_is_not_read(
    store: Store, blocks: Blocks, damage: str
) -> None:
    store.do(PutBlock(stored(), BY))
    store.do(PutBlock(stored("agent-2"), BY))
    store.sql(damage)
    for _ in range(2):
        with pytest.raises(AuditLogUnusable):
            blocks.all()


@pytest.mark.parametrize(
    "damage", ["DELETE FROM blocklist", "DELETE FROM schema_parts WHERE part = 'blocklist'"]
)
def test_a_list_that_is_not_there_is_not_empty(store: Store, blocks: Blocks, damage: str) -> None:
    store.sql(damage)
    with pytest.raises(AuditLogUnusable, match="isn't there"):
        blocks.version()


def test_without_a_file_there_is_no_list(blocks: Blocks) -> None:
    for look in (blocks.version, blocks.all):
        with pytest.raises(AuditLogUnusable, match="isn't there"):
            look()


def test_a_log_of_a_time_before_freezes_gets_the_list(state: StateDir, blocks: Blocks) -> None:
    Store(state.audit_log).log.close()
    with contextlib.closing(sqlite3.connect(state.audit_log, isolation_level=None)) as connection:
        connection.execute("DROP TABLE blocks")
        connection.execute("DROP TABLE blocklist")
        connection.execute("DELETE FROM schema_parts WHERE part = 'blocklist'")
    store = Store(state.audit_log)
    store.do(PutBlock(stored(), BY))
    assert names(blocks) == [("agent", None)]
    store.log.close()


def test_who_is_frozen_stays_so_in_a_new_log(state: StateDir, blocks: Blocks) -> None:
    store = Store(state.audit_log)
    kept = [stored(seconds=HOUR), stored("agent-2", REVOCATION)]
    for one in kept:
        store.do(PutBlock(one, BY))
    store.sql("UPDATE records SET body = '{}' WHERE idx = 1")  # why a new one is begun
    store.log.close()
    assert not begin_new_log(state, "it was edited", BY).froze
    assert sorted(blocks.all(), key=lambda one: one.block.name) == kept


@pytest.mark.parametrize("damage", ["gone", "no database", "an entry"])
def test_where_nobody_can_tell_who_was_frozen_everyone_is(
    state: StateDir, blocks: Blocks, damage: str
) -> None:
    store = Store(state.audit_log)
    store.do(PutBlock(stored(), BY))
    if damage == "an entry":
        store.sql("UPDATE blocks SET kind = 'thaw'")
    store.log.close()
    if damage == "gone":
        state.audit_log.unlink()
    elif damage == "no database":
        state.audit_log.write_bytes(b"no database " * 1000)
    assert begin_new_log(state, "it was damaged", BY).froze
    (one,) = blocks.all()
    assert (one.block.named, one.block.kind, one.seconds) == (Named.EVERYONE, BlockKind.FREEZE, None)
    store = Store(state.audit_log)
    assert [each["kind"] for each in records(store)] == ["log_begun", "frozen"]
    store.log.close()
