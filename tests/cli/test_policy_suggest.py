"""`ddgate policy suggest`, and what its policy is worth: suggested from one part of a recorded week of mixed
calls, it lets the other part's ordinary calls through and none of the abuses."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from addons.cli.policy.command import app
from addons.core.policy.backtesting import judge
from addons.core.policy.policy_set import PolicySet
from addons.store.policy.files import parse_policy, read_catalogue
from addons.store.recordings.flows import Recordings, find_recordings
from addons.store.recordings.requests import RecordedCalls
from tests.cli.planted_abuses import ABUSES, make_week
from tests.cli.recorded_week import Labelled
from tests.recorded_calls import DAY, MONDAY, MadeCall, write_recording

CATALOGUE = read_catalogue()
SPLIT = 4  # Monday to Thursday make the policy, Friday to Sunday try it

type Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    for name in ("DDGATE_CONFIG", "DDGATE_STATE"):
        monkeypatch.delenv(name, raising=False)

    def invoke(*arguments: str) -> tuple[int, str, str]:
        result = CliRunner().invoke(app, list(arguments))
        assert not isinstance(result.exception, Exception), result.exception
        return result.exit_code, result.stdout, result.stderr

    return invoke


@dataclass(frozen=True)
class Figures:
    """How many calls of the second part there were and were permitted, by kind."""

    ordinary: int
    permitted: int
    abuses: Counter[str]
    abuses_permitted: Counter[str]


def figures(policy: PolicySet, directory: Path, calls: list[Labelled]) -> Figures:
    identifiers = write_recording(directory, [each.call for each in calls], CATALOGUE)
    labels = dict(zip(identifiers, calls, strict=True))
    seen, let_through = Counter[str](), Counter[str]()
    for call in RecordedCalls(Recordings(find_recordings([directory])), CATALOGUE).read():
        label = labels[call.id].label
        seen[label] += 1
        let_through[label] += judge(policy, call.request, call.evidence).decision.permitted
    ordinary, permitted = seen.pop("ordinary"), let_through.pop("ordinary")
    return Figures(ordinary, permitted, seen, +let_through)


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(2, 22))])
def test_a_week_of_mixed_calls(run: Run, tmp_path: Path, seed: int) -> None:
    week = make_week(seed, CATALOGUE, SPLIT)
    before, since = week.before(SPLIT), week.since(SPLIT)
    assert any(not each.is_ordinary for each in before)  # the week is not clean
    write_recording(tmp_path / "before", [each.call for each in before], CATALOGUE)
    code, out, err = run("suggest", "before", "-o", "suggested.yaml")
    assert (code, out) == (0, ""), err
    assert run("check", "suggested.yaml")[0] == 0
    assert run("test", "--coverage", "suggested.yaml")[0] == 0
    policy = parse_policy([Path("suggested.yaml")], CATALOGUE)
    found = figures(policy, tmp_path / "since", since)
    assert found.permitted >= 0.99 * found.ordinary
    assert not found.abuses_permitted
    assert set(found.abuses) == {abuse.name for abuse in ABUSES}  # each is there to be caught


def some_days(count: int = 3, **more: object) -> list[MadeCall]:
    return [
        MadeCall("GET", "/api/v1/monitor", at=MONDAY + day * DAY, **more)  # type: ignore[arg-type]
        for day in range(count)
    ]


def test_the_policy_is_printed_and_the_summary_beside_it(run: Run, tmp_path: Path) -> None:
    write_recording(tmp_path / "w", some_days(), CATALOGUE)
    code, out, err = run("suggest", "w")
    assert code == 0
    assert out.startswith("# Suggested by `ddgate policy suggest`")
    assert (
        "3 calls, 2026-03-02 00:00:00Z to 2026-03-04 00:00:00Z: 1 rule lets 3 of them through; 0 are" in err
    )
    (tmp_path / "p.yaml").write_text(out)
    assert run("check", "p.yaml")[0] == 0


def test_a_comment_says_what_a_rule_rests_on(run: Run, tmp_path: Path) -> None:
    identifiers = write_recording(tmp_path / "w", some_days(4), CATALOGUE)
    out = run("suggest", "w")[1]
    assert "# 4 calls on 4 days by agent; 2026-03-02 00:00:00Z to 2026-03-05 00:00:00Z; for example" in out
    assert identifiers[0] in out


def test_a_file_that_is_there_is_not_replaced_unasked(run: Run, tmp_path: Path) -> None:
    write_recording(tmp_path / "w", some_days(), CATALOGUE)
    (tmp_path / "p.yaml").write_text("mine")
    code, _, err = run("suggest", "w", "-o", "p.yaml")
    assert code == 1
    assert "p.yaml is there already" in err
    assert (tmp_path / "p.yaml").read_text() == "mine"
    assert run("suggest", "w", "-o", "p.yaml", "--force")[0] == 0
    assert run("check", "p.yaml")[0] == 0


def test_few_days_make_no_habit_and_that_is_said(run: Run, tmp_path: Path) -> None:
    write_recording(tmp_path / "w", some_days(2), CATALOGUE)
    _, out, err = run("suggest", "w")
    assert "rules: []" in out
    assert "--seen 1" in err
    assert "not done on enough days to be a habit" in out
    assert "- id: agents-reads" in run("suggest", "w", "--seen", "1")[1]


def test_who_approves_is_chosen(run: Run, tmp_path: Path) -> None:
    calls = [MadeCall("DELETE", "/api/v1/monitor/1", at=MONDAY + day * DAY) for day in range(3)]
    write_recording(tmp_path / "w", calls, CATALOGUE)
    assert "need: [{group: sre-leads, count: 1}]" in run("suggest", "w", "--approvers", "sre-leads")[1]


def test_recordings_of_nobodys_calls_need_a_group(run: Run, tmp_path: Path) -> None:
    write_recording(tmp_path / "w", some_days(subject=None), CATALOGUE)
    code, _, err = run("suggest", "w")
    assert code == 1
    assert "no call of a known agent" in err
    out = run("suggest", "w", "--groups", "agents")[1]
    assert "who: {groups: [agents]}" in out


def test_what_can_not_be_read_is_told_and_the_rest_used(run: Run, tmp_path: Path) -> None:
    write_recording(tmp_path / "w", some_days(), CATALOGUE)
    (path,) = (tmp_path / "w").glob("*.mitm")
    path.write_bytes(path.read_bytes() + b"x")
    code, out, err = run("suggest", "w")
    assert code == 0
    assert "- id: agents-reads" in out
    assert f"{path.relative_to(tmp_path)}, byte " in err


def test_without_recordings_it_says_so(run: Run) -> None:
    code, _, err = run("suggest", "gone")
    assert code == 1
    assert "gone: no such file" in err


def test_the_new_policy_can_be_tried_on_the_calls_it_was_made_of(run: Run, tmp_path: Path) -> None:
    write_recording(tmp_path / "w", some_days(), CATALOGUE)
    assert run("suggest", "w", "-o", "p.yaml")[0] == 0
    code, out, _ = run("backtest", "p.yaml", "w", "--json")
    assert code == 0
    assert json.loads(out)["changes"] == []


def test_help_teaches_with_examples(run: Run) -> None:
    assert "ddgate policy suggest week/*.mitm" in run("suggest", "--help")[1]
