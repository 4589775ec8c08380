"""A log that is damaged, foreign or hostile: what is wrong is told, and what is left is shown."""

from __future__ import annotations

import json
import os
import random
import shutil
import sqlite3
import tempfile
from pathlib import Path

import pytest

from addons.core.model import Json
from addons.store.audit.problems import AuditLogUnusable
from addons.store.audit.question import Question
from addons.store.audit.record import StoredRecord
from addons.store.state_dir import StateDir
from addons.store.trail.body import BodyUnreadable, read_body
from addons.store.trail.query import NEWEST_FIRST, OLDEST_FIRST, open_trail
from addons.store.trail.story import read_or_tell
from tests.store.audit_samples import BEGIN, BOB, GET, facts, outcome, write

COUNT = 1200
MARK = "call-0617-"
_NOBODY = 65534


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of calls, all of it in the one file."""
    state = StateDir.open(tmp_path_factory.mktemp("whole") / "state")
    known = facts(BOB, GET, "/api/v1/monitor/1")
    write(state, [outcome(f"call-{number:04}-", BEGIN + number, known) for number in range(COUNT)])
    with sqlite3.connect(state.audit_log) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return state.audit_log


@pytest.fixture
def log(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(whole, tmp_path / "audit.sqlite3"))


def calls_in(path: Path, question: Question, *, oldest_first: bool = False) -> tuple[list[str], list[str]]:
    """Which calls can be had, and what is told."""
    told: list[str] = []
    shown: list[str] = []
    with open_trail(path, told.append) as trail:
        for stored in trail.find(question, OLDEST_FIRST if oldest_first else NEWEST_FIRST):
            body = read_or_tell(trail, stored)
            if body is not None:
                shown.append(str(body.get("call")))
    return shown, told


def patch(path: Path, old: bytes, new: bytes) -> None:
    data = path.read_bytes()
    assert len(old) == len(new)
    assert data.count(old) == 1
    path.write_bytes(data.replace(old, new))


def of_body(path: Path, mark: str) -> bytes:
    """The stored text of the record with `mark` in it."""
    connection = sqlite3.connect(path)
    try:
        ((body,),) = connection.execute("SELECT body FROM records WHERE instr(body, ?)", (mark,))
    finally:
        connection.close()
    return str(body).encode()


@pytest.mark.parametrize(
    "question", [Question(), Question(who="bob-agent"), Question(operation="Get*"), Question(rule="all")]
)
@pytest.mark.parametrize("oldest_first", [True, False])
def test_a_body_that_is_no_json_is_named_and_the_rest_is_shown(
    log: Path, question: Question, oldest_first: bool
) -> None:
    body = of_body(log, MARK)
    patch(log, body, b"x" + body[1:])
    shown, told = calls_in(log, question, oldest_first=oldest_first)
    assert set(shown) == {f"call-{number:04}-" for number in range(COUNT) if number != 617}
    assert len(shown) == COUNT - 1
    assert any("#618" in sentence for sentence in told)


def test_a_body_that_was_changed_is_searched_as_it_is_now(log: Path) -> None:
    body = of_body(log, MARK)
    patch(log, body, body.replace(b'"GetMonitor"', b'"PutMonitor"'))
    assert calls_in(log, Question(operation="PutMonitor")) == ([MARK], [])


def test_pages_of_the_file_that_are_torn_cost_what_was_on_them(log: Path) -> None:
    data = bytearray(log.read_bytes())
    page = 4096
    torn = data.index(b"call-0617-") // page
    data[torn * page : (torn + 1) * page] = bytes(page)
    log.write_bytes(data)
    shown, told = calls_in(log, Question(rule="all"))
    assert len(shown) == len(set(shown))
    assert COUNT - 40 < len(shown) < COUNT
    assert any("is damaged" in sentence for sentence in told)
    assert any("#" in sentence and "can't be read" in sentence for sentence in told)


@pytest.mark.parametrize("seed", range(30))
def test_any_damage_is_told_or_harmless_and_never_a_traceback(log: Path, seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311 - damage, not a secret
    data = bytearray(log.read_bytes())
    for _ in range(rng.choice([1, 20, 400])):
        data[rng.randrange(len(data))] = rng.randrange(256)
    if seed % 3 == 0:
        del data[rng.randrange(len(data)) :]
    log.write_bytes(data)
    for question in (Question(), Question(who="bob-agent", since=BEGIN), Question(path="/api/*")):
        shown, told, refused = _shown_or_refused(log, question)
        if refused is None:
            assert len(shown) >= COUNT // 2 or told
        else:
            assert str(log) in refused.what
            assert refused.remedy


def _shown_or_refused(path: Path, question: Question) -> tuple[list[str], list[str], AuditLogUnusable | None]:
    try:
        shown, told = calls_in(path, question)
        with open_trail(path, told.append) as trail:
            trail.count(question)
    except AuditLogUnusable as error:
        return [], [], error
    return shown, told, None


def test_a_record_whose_body_was_dropped_is_not_found_and_is_told_of_by_its_index(log: Path) -> None:
    connection = sqlite3.connect(log)
    connection.execute("UPDATE records SET body = NULL WHERE idx <= 1000")
    connection.commit()
    connection.close()
    shown, told = calls_in(log, Question())
    assert (len(shown), told) == (COUNT - 1000, [])
    with open_trail(log, told.append) as trail:
        pruned = trail.record(5)
        assert pruned is not None
        assert read_or_tell(trail, pruned) is None
    assert told == ["Record #5 of the audit log can't be read: its body was dropped when the log was pruned."]


def test_a_file_that_is_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "audit.sqlite3"
    with pytest.raises(AuditLogUnusable, match="There is no audit log"), open_trail(path, pytest.fail):
        pass
    path.write_bytes(b"not a database" * 1000)
    with pytest.raises(AuditLogUnusable, match="not a SQLite database"), open_trail(path, pytest.fail):
        pass
    path.unlink()
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE records (idx INTEGER PRIMARY KEY, body TEXT)")
    connection.close()
    with pytest.raises(AuditLogUnusable, match="not an audit log"), open_trail(path, pytest.fail):
        pass


def test_a_view_in_place_of_the_records_is_refused(log: Path) -> None:
    connection = sqlite3.connect(log)
    connection.execute("ALTER TABLE records RENAME TO other")
    connection.execute(
        "CREATE VIEW records AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"
        " SELECT i AS idx, 'x' AS body, i AS time FROM n"
    )
    connection.commit()
    connection.close()
    with pytest.raises(AuditLogUnusable, match="no table of records"), open_trail(log, pytest.fail):
        pass


def test_reading_changes_nothing(log: Path) -> None:
    before = log.read_bytes()
    calls_in(log, Question())
    assert log.read_bytes() == before


def test_a_copy_where_nothing_can_be_written_is_read(whole: Path) -> None:
    """SQLite can't put the files beside it that write-ahead logging needs."""
    with tempfile.TemporaryDirectory() as name:  # pytest's own may be entered by its user alone
        directory = Path(name)
        copy = Path(shutil.copy(whole, directory / "audit.sqlite3"))
        copy.chmod(0o444)
        directory.chmod(0o555)
        child = os.fork()
        if child == 0:
            if os.geteuid() == 0:
                os.setuid(_NOBODY)  # root may write anywhere
            try:
                os._exit(0 if len(calls_in(copy, Question())[0]) == COUNT else 1)
            finally:
                os._exit(2)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        directory.chmod(0o755)
    assert status == 0


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (None, "dropped"),
        (b"{}", "no text"),
        (7, "no text"),
        ("", "no JSON at character 0"),
        ('{"a": 1', "no JSON"),
        ("[1]", "no object"),
        ('{"a": 1, "a": 2}', "a name twice"),
        ('{"a": {"b": 1, "b": 2}}', "a name twice"),
        ('{"a": NaN}', "no number"),
        ('{"a": -Infinity}', "no number"),
        ('{"a": 1e999}', "too large"),
        ("[" * 100_000 + "]" * 100_000, "too deep"),
        ('{"a": ' + "9" * 5000 + "}", "integer string conversion"),
    ],
)
def test_a_text_that_ddgate_would_not_write_is_refused(text: str, why: str) -> None:
    with pytest.raises(BodyUnreadable, match=why) as caught:
        read_body(StoredRecord(7, text))
    assert caught.value.idx == 7
    assert "#7" in str(caught.value)


def test_every_text_that_ddgate_writes_is_read_as_it_was_meant() -> None:
    body: dict[str, Json] = {"é\ud800": [1, 1.5, None, True, {"deep": []}], "big": 2**62}
    assert read_body(StoredRecord(1, json.dumps(body))) == body
