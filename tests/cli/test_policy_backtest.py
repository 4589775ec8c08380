"""`ddgate policy backtest`, on recordings that the recorder wrote."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from addons.cli.policy.command import app
from addons.core.model import Effect, Reason
from addons.store.policy.files import read_catalogue
from tests.recorded_calls import MadeCall, write_recording

READS = "version: 1\nrules: [{id: reads, effect: allow, who: {groups: [agents]}, op: {risk: [read]}}]\n"
CALLS = [
    MadeCall("GET", "/api/v1/monitor", id="01" + "A" * 24),
    MadeCall("PUT", "/api/v1/monitor/1", subject="writer", body=b'{"name": "x"}', rule="writes"),
    MadeCall("PUT", "/api/v1/monitor/2", subject="writer", body=b'{"name": "y"}', rule="writes"),
    MadeCall(
        "GET",
        "/api/v1/dashboard",
        effect=Effect.DENY,
        reason=Reason.NO_RULE,
        rule=None,
        refused=Reason.NO_RULE,
        status=403,
    ),
    MadeCall("GET", "/api/v1/monitor", effect=None, refused=Reason.TOKEN_EXPIRED, status=401),
]


@pytest.fixture
def week(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DDGATE_STATE", raising=False)
    write_recording(tmp_path / "state" / "recordings", CALLS, read_catalogue())
    (tmp_path / "new.yaml").write_text(READS)
    return tmp_path


@pytest.fixture
def backtest(week: Path) -> Callable[..., tuple[int, str, str]]:
    def run(*arguments: str) -> tuple[int, str, str]:
        result = CliRunner().invoke(app, ["backtest", *arguments])
        assert not isinstance(result.exception, Exception), result.exception
        return result.exit_code, result.stdout, result.stderr

    return run


type Run = Callable[..., tuple[int, str, str]]


def report(backtest: Run, *arguments: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(backtest("new.yaml", "state", "--json", *arguments)[1])
    return loaded


def test_what_ran_and_would_be_denied_fails_and_is_shown_by_rule_and_identity(backtest: Run) -> None:
    code, out, err = backtest("new.yaml", "state")
    assert (code, err) == (1, "")
    lines = out.splitlines()
    assert lines[0].startswith("new.yaml (sha256:")
    assert lines[1] == "5 calls, 4 judged: 1 as before, 3 otherwise"
    denied = lines.index("would now be denied: 2 calls, 2 of which ran")
    assert lines[denied + 2].split("\t")[:5] == [
        "2",
        "allow writes",
        "deny no_rule",
        "v1.UpdateMonitor (2)",
        "writer (https://issuer.example) (2)",
    ]
    assert "would now be let through: 1 call, 0 of which ran" in out
    assert "writer (https://issuer.example)\t2\t-\t-\t-\t-" in lines
    assert "1\tit was refused before policy saw it: token_expired" in out
    assert lines[-1] == "Limits are not applied."


def test_as_json(backtest: Run) -> None:
    loaded = report(backtest)
    assert (loaded["calls"], loaded["judged"], loaded["failed"]) == (5, 4, True)
    assert loaded["limits_applied"] is False
    denied, permitted = loaded["changes"]
    assert (denied["change"], denied["was"], denied["would_be"], denied["ran"]) == (
        "denied",
        "allow writes",
        "deny no_rule",
        2,
    )
    assert len(denied["examples"]) == 2
    assert (permitted["change"], permitted["operations"]) == ("permitted", {"v1.ListDashboards": 1})
    assert [each["identity"] for each in loaded["by_identity"]] == [
        "agent (https://issuer.example)",
        "writer (https://issuer.example)",
    ]
    (unjudged,) = loaded["not_judged"]
    assert "token_expired" in unjudged["why"]


@pytest.mark.parametrize(
    ("rule", "fail_on", "code"),
    [
        ("effect: deny", "denied", 1),
        ("effect: deny", "never", 0),
        ("effect: require_approval, approval: {need: [{group: g}]}", "denied", 0),
        ("effect: require_approval, approval: {need: [{group: g}]}", "asked", 1),
        ("effect: allow", "denied", 0),
        ("effect: allow", "asked", 0),
    ],
)
def test_what_fails_is_chosen(backtest: Run, week: Path, rule: str, fail_on: str, code: int) -> None:
    whole = READS.replace("]\n", f", {{id: writes, {rule}, op: {{name: UpdateMonitor}}}}]\n")
    (week / "new.yaml").write_text(whole)
    assert backtest("new.yaml", "state", "--fail-on", fail_on)[0] == code


def test_a_change_that_permits_is_a_change(backtest: Run, week: Path) -> None:
    (week / "new.yaml").write_text("version: 1\nrules: [{id: all, effect: allow}]\n")
    assert backtest("new.yaml", "state", "--fail-on", "asked")[0] == 0
    assert backtest("new.yaml", "state", "--fail-on", "changed")[0] == 1


def test_two_policies_are_compared_with_their_masks(backtest: Run, week: Path) -> None:
    (week / "old.yaml").write_text(READS.replace("op:", "mask: {response: {detect: [secrets]}}, op:"))
    loaded = report(backtest, "--against", "old.yaml")
    assert [(each["change"], each["calls"]) for each in loaded["changes"]] == [("obligations", 2)]
    assert loaded["against"].startswith("sha256:")
    assert loaded["failed"] is False


def test_calls_whose_body_is_not_held_are_counted_where_it_matters(backtest: Run, week: Path) -> None:
    call = MadeCall("PUT", "/api/v1/monitor/1", body=b"x" * 99, stored=False, id="01" + "B" * 24)
    write_recording(week / "more", [call], read_catalogue())
    (week / "new.yaml").write_text(
        "version: 1\nrules: [{id: a, effect: allow, op: {name: UpdateMonitor}, body: {name: x}}]\n"
    )
    loaded = json.loads(backtest("new.yaml", "more", "--json")[1])
    (unjudged,) = loaded["not_judged"]
    assert unjudged["why"] == "a rule reads its body, and the recording doesn't hold that"
    assert unjudged["examples"] == ["01" + "B" * 24]


def test_claims_that_are_not_held_are_told_where_rules_read_them(backtest: Run, week: Path) -> None:
    call = MadeCall("GET", "/api/v1/monitor", claims={"deep": {"team": "x"}})
    write_recording(week / "more", [call], read_catalogue())
    assert json.loads(backtest("new.yaml", "more", "--json")[1])["judged"] == 1
    (week / "new.yaml").write_text(READS.replace("groups:", "claims: {team: x}, groups:"))
    assert json.loads(backtest("new.yaml", "more", "--json")[1])["judged"] == 0


def test_verdicts_that_rest_on_masks_are_told(backtest: Run, week: Path) -> None:
    body = b'{"name": "[REDACTED:password:0123abcd]"}'
    write_recording(week / "more", [MadeCall("PUT", "/api/v1/monitor/1", body=body)], read_catalogue())
    (week / "new.yaml").write_text(
        "version: 1\nrules: [{id: a, effect: allow, op: {name: UpdateMonitor}, body: {name: '*'}}]\n"
    )
    assert "Of 1 call the body was judged with masks" in backtest("new.yaml", "more")[1]


def test_damage_is_told_and_the_rest_judged(backtest: Run, week: Path) -> None:
    (path,) = (week / "state" / "recordings").glob("*.mitm")
    path.write_bytes(path.read_bytes() + b"garbage\x1b[31m")
    code, out, err = backtest("new.yaml", "state")
    assert code == 1
    assert "5 calls" in out
    assert "no flow begins here" in err
    assert "\x1b" not in err
    assert report(backtest)["damage"][0]["offset"] > 0


def test_what_is_wrong_is_told_without_a_traceback(backtest: Run, week: Path) -> None:
    for arguments, text in (
        (("new.yaml", "gone"), "gone: no such file"),
        (("gone.yaml", "state"), "gone.yaml: no such file"),
        (("new.yaml", "state", "--against", "gone.yaml"), "gone.yaml: no such file"),
        (("new.yaml", "--state", "nowhere"), "nowhere: no such file"),
    ):
        code, out, err = backtest(*arguments)
        assert (code, out) == (1, "")
        assert text in err


def test_without_recordings_named_it_is_the_state_directorys(backtest: Run) -> None:
    assert "5 calls" in backtest("new.yaml", "--state", "state")[1]


def test_help_teaches_with_examples(backtest: Run) -> None:
    assert "ddgate policy backtest new.yaml" in backtest("--help")[1]
