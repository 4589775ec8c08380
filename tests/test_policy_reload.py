"""I10: the whole new set or none, on record before it decides; and whoever looks is told why not."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
import signal
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from addons import policy_reload
from addons.core.catalogue import Catalogue
from addons.core.policy.policy_set import PolicySet
from addons.policy_reload import PolicyReload
from addons.store.policy.files import (
    PolicyTexts,
    checked,
    parse_texts,
    read_catalogue,
    read_policy,
    read_texts,
)
from addons.store.state_dir import StateDir
from addons.store.writing.journal import Journal

GOOD = """\
version: 1
rules:
  - {id: reads, effect: allow, op: {risk: [read]}}
"""
BETTER = GOOD + "  - {id: no-keys, effect: deny, op: {tags: [key-management]}}\n"
FAILING = GOOD + "tests:\n  - {name: t, given: {op: GetMonitor}, expect: {effect: deny}}\n"
CREDENTIALS = ("default",)


@cache
def catalogue() -> Catalogue:
    return read_catalogue()


def load(texts: PolicyTexts) -> PolicySet:
    return checked(parse_texts(texts, catalogue()), CREDENTIALS)


@dataclass
class Holder:
    policy_set: PolicySet | None


@dataclass
class Reloading:
    """A policy file, the set that decides, and what keeps it current."""

    path: Path
    state: StateDir
    journal: Journal
    holder: Holder
    reload: PolicyReload
    seen: list[str] = field(default_factory=list)

    @property
    def revision(self) -> str:
        assert self.holder.policy_set is not None
        return self.holder.policy_set.revision

    def records(self, kind: str = "") -> list[dict[str, Any]]:
        with sqlite3.connect(f"file:{self.state.audit_log}?mode=ro", uri=True) as connection:
            rows = connection.execute("SELECT body FROM records ORDER BY idx").fetchall()
        return [body for (row,) in rows if kind in {"", (body := json.loads(row))["kind"]}]

    async def until(self, holds: Callable[[], object]) -> None:
        async with asyncio.timeout(20):
            while not holds():  # noqa: ASYNC110 - much of it is files, which tell nobody
                await asyncio.sleep(0.01)

    async def until_recorded(self, kind: str, count: int) -> list[dict[str, Any]]:
        await self.until(lambda: len(self.records(kind)) >= count)
        return self.records(kind)


type Make = Callable[..., Reloading]


@pytest.fixture(autouse=True)
def _as_a_gateway_logs(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level(logging.INFO, logger="addons.policy_reload"):
        yield


@pytest.fixture
async def make(tmp_path: Path) -> AsyncIterator[Make]:
    """Starts one on a file that holds GOOD."""
    made: list[Reloading] = []
    handled = signal.getsignal(signal.SIGHUP)

    def start(loader: Callable[[PolicyTexts], PolicySet] = load, **more: Any) -> Reloading:
        path = tmp_path / "policies" / "p.yaml"
        path.parent.mkdir()
        path.write_text(GOOD)
        state = StateDir.open(tmp_path / "state")
        holder = Holder(read_policy([path], catalogue(), CREDENTIALS))
        journal = Journal.open(state)
        reload = PolicyReload(holder, [path], loader, journal, **more)
        made.append(Reloading(path, state, journal, holder, reload))
        reload.running()
        return made[-1]

    yield start
    for one in made:
        one.reload.done()
        one.journal.close()
    signal.signal(signal.SIGHUP, handled)


def _replace(path: Path, text: str) -> None:
    new = path.with_suffix(".new")
    new.write_text(text)
    new.rename(path)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


async def test_i10_a_good_change_is_put_on_record_and_decides(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    one = make()
    before = one.revision
    _replace(one.path, BETTER)
    await one.until(lambda: one.revision != before)
    first, second = one.records()
    assert (first["kind"], second["kind"]) == ("policy_activated", "policy_activated")
    assert first["decision"] == {"policy_revision": before}
    assert second["decision"] == {"policy_revision": one.revision}
    assert "before" not in {name for name, value in first["attributes"].items() if value is not None}
    policy_set = one.holder.policy_set
    assert policy_set is not None
    assert second["attributes"] == {
        "pid": os.getpid(),
        "before": before,
        "digest": f"sha256:{policy_set.digest}",
        "rules": 2,
        "texts_sha256": _sha256(BETTER),
        "files": [{"name": str(one.path), "sha256": _sha256(BETTER)}],
    }
    assert f"policy {before} -> {one.revision}: 2 rules" in caplog.messages


BAD = [
    ("version: 1\nrules: [\n", ":3:1: not YAML"),
    (FAILING, ":5:5: the test 't' fails"),
    (GOOD.replace("risk: [read]}", "risk: [read]}, credential: other"), ":3:10: the rule 'reads' names"),
    (GOOD + "version: 1\n", ":4:1: the key 'version' stands twice; first in line 1"),
    (GOOD.replace("effect", "efect"), ":3:17: unknown key 'efect' (did you mean 'effect'?)"),
    (None, ": no such file"),
    ("", ":1:1: 'version' is missing"),
]


@pytest.mark.parametrize(("text", "told"), BAD, ids=[told for _, told in BAD])
async def test_i10_a_bad_change_is_refused_told_everywhere_and_forgotten_once_mended(
    make: Make, caplog: pytest.LogCaptureFixture, text: str | None, told: str
) -> None:
    one = make()
    before = one.holder.policy_set
    if text is None:
        one.path.unlink()
    else:
        _replace(one.path, text)
    (rejected,) = await one.until_recorded("policy_rejected", 1)
    assert one.holder.policy_set is before
    (line,) = [line for line in one.reload.warnings if f"{one.path}{told}" in line]
    assert one.revision in one.reload.warnings[0]
    assert {record.message for record in caplog.records if record.levelno == logging.ERROR} == set(
        one.reload.warnings
    )
    assert line in rejected["attributes"]["problems"]
    assert rejected["attributes"]["problem_count"] == len(rejected["attributes"]["problems"])
    assert rejected["attributes"]["texts_sha256"] == _sha256(text or "")
    assert rejected["decision"] == {"policy_revision": one.revision}
    _replace(one.path, BETTER)
    await one.until(lambda: one.holder.policy_set is not before)
    assert one.reload.warnings == ()
    assert [record["kind"] for record in one.records()][1:] == ["policy_rejected", "policy_activated"]


@pytest.mark.parametrize("again", [GOOD, "# the same in other words\n" + GOOD.replace("[read]", "read")])
async def test_what_says_the_same_is_no_activation_but_ends_the_warning(make: Make, again: str) -> None:
    one = make()
    before = one.holder.policy_set
    _replace(one.path, FAILING)
    await one.until(lambda: one.reload.warnings)
    _replace(one.path, again)
    await one.until(lambda: not one.reload.warnings)
    assert one.holder.policy_set is before
    assert len(await one.until_recorded("policy_activated", 1)) == 1


async def test_many_problems_and_long_ones_are_cut(make: Make) -> None:
    one = make()
    rules = "".join(f"  - {{id: r{n}, effect: allow, op: {{name: {'X' * 2000}}}}}\n" for n in range(70))
    _replace(one.path, "version: 1\nrules:\n" + rules)
    (rejected,) = await one.until_recorded("policy_rejected", 1)
    lines = rejected["attributes"]["problems"]
    assert lines[-1] == "and 20 more; `ddgate policy check` lists them all"
    assert (len(lines), rejected["attributes"]["problem_count"]) == (51, 70)
    assert max(map(len, lines)) <= 501


async def test_sighup_reads_anew_what_did_not_change(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    one = make()
    os.kill(os.getpid(), signal.SIGHUP)
    await one.until(lambda: any("say the same" in line for line in caplog.messages))
    _replace(one.path, FAILING)
    await one.until_recorded("policy_rejected", 1)
    os.kill(os.getpid(), signal.SIGHUP)
    await one.until_recorded("policy_rejected", 2)
    assert len(one.records("policy_activated")) == 1


async def test_i2_a_set_that_cannot_be_put_on_record_decides_nothing_until_it_can(make: Make) -> None:
    one = make()
    before = one.holder.policy_set
    await one.until_recorded("policy_activated", 1)
    away = one.state.path / "away"
    one.state.recordings.rename(away)
    one.state.recordings.write_text("")
    _replace(one.path, BETTER)
    await one.until(lambda: one.reload.warnings)
    assert "can't be put on record" in one.reload.warnings[0]
    assert one.holder.policy_set is before
    one.state.recordings.unlink()
    away.rename(one.state.recordings)
    await one.journal.probe()  # as the gateway does
    await one.until(lambda: one.holder.policy_set is not before)
    assert one.reload.warnings == ()
    assert len(one.records("policy_activated")) == 2


async def test_i2_the_set_of_the_start_is_on_record_as_soon_as_it_can_be(
    tmp_path: Path, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy_reload, "_LOOK_EVERY", 0.05)
    one = make()
    recordings, away = one.state.recordings, one.state.path / "away"
    recordings.rename(away)
    recordings.write_text("")
    await one.until(lambda: one.journal.failure() is not None)
    assert one.records() == []
    recordings.unlink()
    away.rename(recordings)
    (record,) = await one.until_recorded("policy_activated", 1)
    assert record["decision"] == {"policy_revision": one.revision}


async def test_what_is_out_of_date_once_it_is_compiled_never_decides(make: Make) -> None:
    began, go_on = threading.Event(), threading.Event()
    loaded: list[str] = []

    def slowly(texts: PolicyTexts) -> PolicySet:
        loaded.append(texts.files[0][1])
        began.set()
        assert go_on.wait(20)
        return load(texts)

    one = make(slowly)
    decided: list[PolicySet | None] = [one.holder.policy_set]
    middle = BETTER.replace("no-keys", "in-between")
    _replace(one.path, middle)
    await one.until(began.is_set)
    _replace(one.path, BETTER)
    go_on.set()
    await one.until(lambda: len(loaded) == 2)
    await one.until(lambda: one.holder.policy_set not in decided)
    assert loaded == [middle, BETTER]
    assert [record["attributes"]["texts_sha256"] for record in one.records()] == [
        _sha256(GOOD),
        _sha256(BETTER),
    ]


async def test_what_the_files_held_before_they_changed_and_hold_again_is_not_passed_over(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = make()
    before = one.revision
    other = BETTER.replace("no-keys", "in-between")
    looks: list[str] = []

    def turned_back(paths: Sequence[Path]) -> PolicyTexts:
        """Between the first looks, which find BETTER, and the next ones another text is there."""
        texts = read_texts(paths)
        if texts.files[0][1] != GOOD:
            looks.append(texts.files[0][1])
            if len(looks) == 2:
                _replace(one.path, other)
            elif looks[-1] == other:
                _replace(one.path, BETTER)
        return texts

    monkeypatch.setattr(policy_reload, "read_texts", turned_back)
    _replace(one.path, BETTER)
    await one.until(lambda: one.revision != before)
    assert looks[:3] == [BETTER, BETTER, other]
    assert one.records()[-1]["attributes"]["texts_sha256"] == _sha256(BETTER)


async def test_two_never_overlap_and_the_last_state_wins(make: Make) -> None:
    at_once = 0
    most = 0

    def counted(texts: PolicyTexts) -> PolicySet:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        try:
            return load(texts)
        finally:
            at_once -= 1

    one = make(counted)
    for n in range(30):
        _replace(one.path, BETTER.replace("no-keys", f"no-keys-{n}"))
        os.kill(os.getpid(), signal.SIGHUP)
        await asyncio.sleep(0)
    last = hashlib.sha256(one.path.read_bytes()).hexdigest()
    await one.until(lambda: one.records()[-1]["attributes"]["texts_sha256"] == last)
    await one.until(lambda: one.records()[-1]["decision"]["policy_revision"] == one.revision)
    assert most == 1


async def test_i10_a_load_that_fails_in_an_unknown_way_changes_nothing_and_the_next_one_runs(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    def fails_once(texts: PolicyTexts) -> PolicySet:
        if "fails" in texts.files[0][1]:
            raise ZeroDivisionError("a value of the policy")
        return load(texts)

    one = make(fails_once)
    before = one.holder.policy_set
    _replace(one.path, BETTER + "# fails\n")
    (rejected,) = await one.until_recorded("policy_rejected", 1)
    assert one.holder.policy_set is before
    assert any("in a way that ddgate does not know" in line for line in rejected["attributes"]["problems"])
    assert any(record.exc_info for record in caplog.records)
    _replace(one.path, BETTER)
    await one.until(lambda: one.holder.policy_set is not before)


async def test_a_set_is_prepared_in_a_thread_and_announced_on_the_loop_before_it_decides(make: Make) -> None:
    told: list[tuple[str, str, bool, bool]] = []
    holders: list[Holder] = []

    def note(name: str) -> Callable[[PolicySet], None]:
        def noted(policy_set: PolicySet) -> None:
            on_loop = threading.current_thread() is threading.main_thread()
            decides = bool(holders) and holders[0].policy_set is policy_set
            told.append((name, policy_set.revision, on_loop, decides))

        return noted

    one = make(prepare=[note("prepare")], announce=[note("announce")])
    holders.append(one.holder)
    first = one.revision
    _replace(one.path, BETTER)
    await one.until(lambda: one.revision != first)
    assert told == [
        ("announce", first, True, False),
        ("prepare", first, False, True),
        ("prepare", one.revision, False, False),
        ("announce", one.revision, True, False),
    ]


async def test_a_set_that_is_refused_is_announced_to_nobody(make: Make) -> None:
    told: list[str] = []
    one = make(announce=[lambda policy_set: told.append(policy_set.revision)])
    _replace(one.path, FAILING)
    await one.until_recorded("policy_rejected", 1)
    assert told == [one.revision]


async def test_a_change_is_found_where_nothing_tells_of_it(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Deaf:
        def __init__(self, *_: object) -> None: ...
        def start(self) -> None: ...
        def stop(self) -> None: ...

    monkeypatch.setattr(policy_reload, "PolicyWatch", Deaf)
    monkeypatch.setattr(policy_reload, "_LOOK_EVERY", 0.05)
    one = make()
    before = one.revision
    _replace(one.path, BETTER)
    await one.until(lambda: one.revision != before)


@pytest.mark.parametrize("at_last", [GOOD, BETTER])
async def test_files_that_never_rest_are_told_of_and_read_once_they_do(
    make: Make, monkeypatch: pytest.MonkeyPatch, at_last: str
) -> None:
    monkeypatch.setattr(policy_reload, "_RESTLESS", 2)
    one = make()
    before = one.revision
    numbers = iter(range(10**6))

    def restless() -> bool:
        _replace(one.path, f"{BETTER}# {next(numbers)}\n")
        return bool(one.reload.warnings)

    await one.until(restless)
    assert "change all the time" in one.reload.warnings[0]
    _replace(one.path, at_last)
    await one.until(lambda: not one.reload.warnings)
    assert (one.revision == before) is (at_last == GOOD)


async def test_a_closed_terminal_stops_and_asks_for_no_reload(
    make: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    terminal = True
    monkeypatch.setattr(policy_reload, "_has_terminal", lambda: terminal)
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    one = make()
    os.kill(os.getpid(), signal.SIGHUP)
    await one.until(lambda: any("say the same" in line for line in caplog.messages))
    assert not stopped.is_set()
    terminal = False
    os.kill(os.getpid(), signal.SIGHUP)
    async with asyncio.timeout(10):
        await stopped.wait()
    asyncio.get_running_loop().remove_signal_handler(signal.SIGTERM)
