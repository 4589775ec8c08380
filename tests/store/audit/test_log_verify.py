"""I12: changing, removing, inserting, swapping or truncating anything of the log is found, and named."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from addons.core.transparency import checkpoint
from addons.core.transparency.checkpoint import Checkpoint
from addons.core.transparency.merkle import Frontier, extended, leaf_hash
from addons.core.transparency.signed_note import SignerKey
from addons.store.audit import newest_checkpoint
from addons.store.audit.heads import Trust, extensions
from addons.store.audit.keys import LogKeys
from addons.store.audit.problems import AuditLogUnusable
from addons.store.audit.record import AuditRecord, RecordKind
from addons.store.audit.verify import LogInvalid, Verified, verify_log
from addons.store.state_dir import StateDir
from addons.store.writing.audit_log import AuditLog

RECORDS = 600
type Tamper = Callable[[sqlite3.Connection], object]


def trust(path: Path, **more: object) -> Trust:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        ((origin,),) = connection.execute("SELECT origin FROM log_head").fetchall()
    return Trust(LogKeys(StateDir(path.parent)).verifiers(origin), **more)  # type: ignore[arg-type]


def verified(path: Path, newest: int | None = None) -> Verified:
    return verify_log(path, trust(path), newest=newest)


def write(path: Path, count: int, group: int = 7) -> None:
    log = AuditLog.open(path, busy_seconds=5, create=True)
    records = [AuditRecord(RecordKind.ATTEMPTED, float(n), f"{n:032x}") for n in range(count)]
    for start in range(0, count, group):
        log.append([[(one, one.encode())] for one in records[start : start + group]])
    log.close()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of some tiles and checkpoints, folded into one file."""
    state = StateDir.open(tmp_path_factory.mktemp("whole") / "state")
    write(state.audit_log, RECORDS)
    with contextlib.closing(sqlite3.connect(state.audit_log)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return state.audit_log


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Iterator[Path]:
    shutil.copytree(whole.parent, tmp_path / "copy")
    yield tmp_path / "copy" / whole.name
    shutil.rmtree(tmp_path / "copy")


def tampered(path: Path, tamper: Tamper) -> None:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        tamper(connection)


def found(path: Path, trusted: Trust) -> LogInvalid:
    with pytest.raises(LogInvalid) as invalid:
        verify_log(path, trusted)
    return invalid.value


def test_a_whole_log_verifies(whole: Path) -> None:
    done = verified(whole)
    assert (done.size, done.bodies, done.pruned) == (RECORDS, RECORDS, 0)
    assert done.checkpoints >= RECORDS // 256
    assert verified(whole, newest=100).bodies == RECORDS - 256


def test_an_empty_log_verifies(tmp_path: Path) -> None:
    state = StateDir.open(tmp_path / "state")
    AuditLog.open(state.audit_log, busy_seconds=5, create=True).close()
    assert verified(state.audit_log).size == 0


@pytest.mark.parametrize("size", [1, 255, 256, 257, 511, 512, 513])
def test_every_size_around_a_tiles_edge_verifies(tmp_path: Path, size: int) -> None:
    state = StateDir.open(tmp_path / "state")
    write(state.audit_log, size, group=64)
    assert verified(state.audit_log).size == size
    assert verified(state.audit_log, newest=1).size == size


def put(path: Path, content: bytes) -> None:
    for name in ("-wal", "-shm"):
        path.with_name(path.name + name).unlink(missing_ok=True)
    path.write_bytes(content)


def execute(sql: str, *values: object) -> Tamper:
    return lambda connection: connection.execute(sql, values)


def delete_and_close_the_gap(connection: sqlite3.Connection) -> None:
    connection.execute("DELETE FROM records WHERE idx = 300")
    connection.execute("UPDATE records SET idx = idx - 1 WHERE idx > 300")


def swap(connection: sqlite3.Connection) -> None:
    rows = dict(connection.execute("SELECT idx, body FROM records WHERE idx IN (300, 400)").fetchall())
    connection.execute("UPDATE records SET body = '{}' WHERE idx = 300")
    connection.execute("UPDATE records SET body = ? WHERE idx = 400", (rows[300],))
    connection.execute("UPDATE records SET body = ? WHERE idx = 300", (rows[400],))


def rewrite_with_its_hash(connection: sqlite3.Connection) -> None:
    ((body,),) = connection.execute("SELECT body FROM records WHERE idx = 300").fetchall()
    changed = body.replace("attempted", "answered!")
    connection.execute(
        "UPDATE records SET body = ?, leaf = ? WHERE idx = 300", (changed, leaf_hash(changed.encode()))
    )


# Each with what is said, and the first record that is in doubt.
TAMPERED: list[tuple[str, Tamper, str, int | None]] = [
    (
        "a changed text",
        execute("UPDATE records SET body = replace(body, 'attempted', 'refused') WHERE idx = 300"),
        "not what was hashed",
        300,
    ),
    (
        "a changed hash",
        execute("UPDATE records SET leaf = zeroblob(32) WHERE idx = 300"),
        "not what was hashed",
        300,
    ),
    ("no hash", execute("UPDATE records SET leaf = 'x' WHERE idx = 300"), "hash is missing", 300),
    ("no text", execute("UPDATE records SET body = NULL WHERE idx = 300"), "no record says", 300),
    ("text and hash changed together", rewrite_with_its_hash, "not what", None),
    ("a record removed", execute("DELETE FROM records WHERE idx = 300"), "missing", 300),
    ("a record removed without a gap", delete_and_close_the_gap, "not what", None),
    ("the first removed", execute("DELETE FROM records WHERE idx = 1"), "missing", 1),
    ("the end cut off", execute("DELETE FROM records WHERE idx > 590"), "missing", 591),
    ("two swapped", swap, "not what was hashed", 300),
    (
        "one inserted before the first",
        execute("INSERT INTO records (idx, leaf, body) VALUES (-1, zeroblob(32), '{}')"),
        "601 records",
        None,
    ),
    ("another sequence", execute("UPDATE sqlite_sequence SET seq = 900"), "the next record", None),
    ("a trigger", execute("CREATE TRIGGER t AFTER INSERT ON records BEGIN SELECT 1; END"), "a trigger", None),
    ("a view", execute("CREATE VIEW v AS SELECT 1"), "a view", None),
    ("no index", execute("DROP INDEX records_subject"), "records_subject isn't", None),
    (
        "one inserted at the end",
        execute('INSERT INTO records (leaf, body) SELECT leaf, \'{"id":"x"}\' FROM records WHERE idx = 1'),
        "no signed head covers it",
        601,
    ),
    (
        "a node changed",
        execute("UPDATE log_nodes SET hash = zeroblob(32) WHERE number = 1"),
        "hash over them",
        None,
    ),
    ("a node removed", execute("DELETE FROM log_nodes WHERE number = 0"), "hash over them is missing", None),
    ("a node too many", execute("INSERT INTO log_nodes VALUES (8, 7, zeroblob(32))"), "3 hashes", None),
    ("no head", execute("DELETE FROM log_head"), "no head", None),
    ("a smaller head", execute("UPDATE log_head SET size = 3"), "can't be read", None),
    (
        "a frontier that was changed",
        execute("UPDATE log_head SET frontier = zeroblob(length(frontier))"),
        "keeps of its tree",
        None,
    ),
    (
        "an older head",
        execute(
            "UPDATE log_head SET note = (SELECT note FROM log_checkpoints WHERE size < 600 "
            "ORDER BY size DESC LIMIT 1)"
        ),
        "covers",
        None,
    ),
    ("a head of nobody's", execute("UPDATE log_head SET note = replace(note, '=', 'A')"), "head", None),
    (
        "a checkpoint changed",
        execute("UPDATE log_checkpoints SET note = replace(note, 'time 1', 'time 2')"),
        "doesn't hold",
        None,
    ),
    (
        "a checkpoint moved",
        execute("UPDATE log_checkpoints SET size = size + 1 WHERE size < 300"),
        "size",
        None,
    ),
    (
        "the first checkpoint removed",
        execute("DELETE FROM log_checkpoints WHERE size = (SELECT min(size) FROM log_checkpoints)"),
        "is missing",
        None,
    ),
    (
        "the last checkpoint removed",
        execute("DELETE FROM log_checkpoints WHERE size = (SELECT max(size) FROM log_checkpoints)"),
        "is missing",
        None,
    ),
]


@pytest.mark.parametrize(
    ("tamper", "said", "first"), [each[1:] for each in TAMPERED], ids=[t[0] for t in TAMPERED]
)
def test_i12_whatever_is_changed_is_found_and_named(
    copy: Path, tamper: Tamper, said: str, first: int | None
) -> None:
    trusted = trust(copy)
    tampered(copy, tamper)
    invalid = found(copy, trusted)
    assert said in str(invalid), invalid
    if first is not None:
        assert invalid.first == first
    elif invalid.first is not None:
        assert invalid.last is not None
        assert invalid.first <= invalid.last <= RECORDS


def test_what_is_rewritten_with_its_hash_is_narrowed_to_a_tile(copy: Path) -> None:
    tampered(copy, rewrite_with_its_hash)
    invalid = found(copy, trust(copy))
    assert invalid.first is not None
    assert invalid.last is not None
    assert invalid.first <= 300 <= invalid.last <= 512
    assert invalid.last - invalid.first < 256


@given(position=st.integers(0, 10_000_000), bit=st.integers(0, 7))
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_i12_any_bit_of_any_record_counts(whole: Path, position: int, bit: int) -> None:
    idx = position % RECORDS + 1
    with tempfile.TemporaryDirectory() as directory:
        copy = Path(directory) / "audit.sqlite3"
        shutil.copy(whole, copy)
        with contextlib.closing(sqlite3.connect(copy, isolation_level=None)) as connection:
            ((body,),) = connection.execute(
                "SELECT CAST(body AS BLOB) FROM records WHERE idx = ?", (idx,)
            ).fetchall()
            flipped = bytearray(body)
            flipped[position % len(flipped)] ^= 1 << bit
            indexes = connection.execute(
                "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
            ).fetchall()
            for name, _ in indexes:  # a text that is no JSON stands in no index
                connection.execute(f"DROP INDEX {name}")
            try:
                connection.execute(
                    "UPDATE records SET body = CAST(? AS TEXT) WHERE idx = ?", (bytes(flipped), idx)
                )
                for _, sql in indexes:
                    connection.execute(sql)
            except sqlite3.OperationalError:  # nor in the one that can't be dropped
                return
        assert found(copy, trust(whole)).first == idx


@given(at=st.integers(0, 10_000_000), bit=st.integers(0, 7))
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_i12_any_bit_of_the_file_is_found_or_means_nothing(
    whole: Path, copy: Path, at: int, bit: int
) -> None:
    """Free space within pages holds nothing. Any other bit is found, and told as it should be."""
    data = bytearray(whole.read_bytes())
    data[at % len(data)] ^= 1 << bit
    put(copy, bytes(data))
    trusted = trust(whole)
    try:
        verify_log(copy, trusted)
    except (LogInvalid, AuditLogUnusable):
        return
    with (
        contextlib.closing(sqlite3.connect(whole)) as one,
        contextlib.closing(sqlite3.connect(copy)) as other,
    ):
        for table in ("records", "log_nodes", "log_checkpoints"):
            rows = f"SELECT * FROM {table} ORDER BY 1, 2"  # noqa: S608 - a constant
            assert one.execute(rows).fetchall() == other.execute(rows).fetchall()


def test_a_log_that_was_put_back_is_shorter_than_a_checkpoint_that_was_kept(copy: Path) -> None:
    before = copy.parent / "before"
    shutil.copy(copy, before)
    write(copy, 10)
    newest = newest_checkpoint.read(copy)
    assert newest is not None
    put(copy, before.read_bytes())
    with pytest.raises(LogInvalid) as invalid:
        verify_log(copy, trust(copy, checkpoints=(("your checkpoint", newest),)))
    assert (invalid.value.first, invalid.value.last) == (601, 607)
    assert "your checkpoint" in str(invalid.value)


def test_a_checkpoint_of_another_log_is_refused(copy: Path, tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(copy)) as connection:
        ((note,),) = connection.execute(
            "SELECT note FROM log_checkpoints WHERE size > 300 LIMIT 1"
        ).fetchall()
    other = StateDir.open(tmp_path / "other")
    write(other.audit_log, RECORDS)
    trusted = trust(other.audit_log, checkpoints=(("yours", note.encode()),))
    with pytest.raises(LogInvalid, match="of another log"):
        verify_log(other.audit_log, trusted)


def forged(path: Path, key: SignerKey) -> None:
    """All of it rewritten consistently by somebody who has no key of the log, with a head signed by `key`."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        rewrite_with_its_hash(connection)
        leaves = [leaf for (leaf,) in connection.execute("SELECT leaf FROM records ORDER BY idx")]
        grown = extended(Frontier(), leaves)
        tree = grown.frontier
        connection.execute("DELETE FROM log_nodes")
        connection.executemany(
            "INSERT INTO log_nodes VALUES (?, ?, ?)", [(n.level, n.index, n.hash) for n in grown.completed]
        )
        connection.execute("DELETE FROM log_checkpoints")
        origin = key.verifier.name
        note = checkpoint.signed(Checkpoint(origin, tree.size, tree.root(), extensions(0, 0)), key)
        connection.execute(
            "UPDATE log_head SET note = ?, frontier = ?, kept_size = 0, kept_at = 0",
            (note, b"".join(tree.hashes)),
        )


def test_i12_a_log_forged_without_the_key_is_found_by_every_reader_and_signed_by_nobody(copy: Path) -> None:
    trusted = trust(copy)
    log = AuditLog.open(copy, busy_seconds=5, create=False)
    one = AuditRecord(RecordKind.ATTEMPTED, 2.0)
    log.append([[(one, one.encode())]])  # a gateway that runs meanwhile
    forged(copy, SignerKey(trusted.keys[0].name, b"f" * 32))
    assert "isn't signed by a key that is trusted" in str(found(copy, trusted))
    another = AuditRecord(RecordKind.ATTEMPTED, 2.0)
    with pytest.raises(AuditLogUnusable, match="not one that it signed"):
        log.append([[(another, another.encode())]])
    log.close()
    with contextlib.closing(sqlite3.connect(copy, isolation_level=None)) as connection:
        dummy = f"{trusted.keys[0].name}\n1000000\n{'A' * 43}=\nprevious 0\n\n\u2014 x AAAAAAAA\n"
        connection.execute("INSERT INTO log_checkpoints VALUES (1000000, ?)", (dummy,))
    found(copy, trusted)


def test_i12_a_running_gateway_goes_on_from_no_older_head(copy: Path) -> None:
    with contextlib.closing(sqlite3.connect(copy)) as connection:
        (head,) = connection.execute("SELECT note, frontier, kept_size, kept_at FROM log_head").fetchall()
    log = AuditLog.open(copy, busy_seconds=5, create=False)
    for _ in range(2):
        one = AuditRecord(RecordKind.ATTEMPTED, 2.0)
        log.append([[(one, one.encode())]])
    with contextlib.closing(sqlite3.connect(copy, isolation_level=None)) as connection:
        connection.execute("DELETE FROM records WHERE idx > 600")
        connection.execute("DELETE FROM log_checkpoints WHERE size > 600")
        connection.execute("UPDATE sqlite_sequence SET seq = 600 WHERE name = 'records'")
        connection.execute(
            "UPDATE log_head SET size = 600, note = ?, frontier = ?, kept_size = ?, kept_at = ?", head
        )
    one = AuditRecord(RecordKind.ATTEMPTED, 2.0)
    with pytest.raises(AuditLogUnusable, match="and there were 602"):
        log.append([[(one, one.encode())]])
    log.close()


def test_another_key_verifies_nothing(whole: Path) -> None:
    with contextlib.closing(sqlite3.connect(whole)) as connection:
        ((origin,),) = connection.execute("SELECT origin FROM log_head").fetchall()
    other = SignerKey(origin, b"x" * 32).verifier
    with pytest.raises(LogInvalid, match="isn't signed by a key that is trusted"):
        verify_log(whole, Trust((other,)))


def key_changed(key: str) -> AuditRecord:
    return AuditRecord(RecordKind.KEY_CHANGED, 1.0, attributes={"key": key})


def test_the_key_changes_and_the_old_one_vouches_for_the_new(copy: Path) -> None:
    (first,) = trust(copy).keys
    other = AuditLog.open(copy, busy_seconds=5, create=False)
    log = AuditLog.open(copy, busy_seconds=5, create=False)
    log.change_key(key_changed)
    for each in (log, other):  # a process that was running takes the new one, too
        one = AuditRecord(RecordKind.ATTEMPTED, 2.0)
        each.append([[(one, one.encode())]])
        each.close()
    done = verify_log(copy, Trust((first,)))
    assert done.size == RECORDS + 3
    assert done.key is not None
    assert done.key != first
    with pytest.raises(LogInvalid, match="isn't signed by a key that is trusted"):
        verify_log(copy, Trust((done.key,)))
    assert verified(copy).key == done.key


def test_the_old_key_signs_nothing_after_the_change(copy: Path) -> None:
    (first,) = trust(copy).keys
    log = AuditLog.open(copy, busy_seconds=5, create=False)
    log.change_key(key_changed)
    log._connection.execute("UPDATE log_head SET key_number = 1")
    log._tree.forget()
    one = AuditRecord(RecordKind.ATTEMPTED, 2.0)
    log.append([[(one, one.encode())]])
    log.close()
    with pytest.raises(LogInvalid, match="isn't signed by a key that is trusted"):
        verify_log(copy, Trust((first,)))


def test_a_key_that_is_gone_stops_the_log(copy: Path) -> None:
    (copy.parent / "keys" / "audit-signing.key").unlink()
    log = AuditLog.open(copy, busy_seconds=5, create=False)
    one = AuditRecord(RecordKind.ATTEMPTED, 2.0)
    with pytest.raises(AuditLogUnusable, match="is gone"):
        log.append([[(one, one.encode())]])
    log.close()
