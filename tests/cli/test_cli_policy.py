from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from addons.cli.policy.command import app

RULES = "version: 1\nrules: [{id: a, effect: allow, op: {risk: [read]}}]\n"
TESTS = """tests:
  - {name: reads pass, given: {op: GetMonitor}, expect: {effect: allow}}
  - {name: wrong on purpose, given: {op: CreateMonitor}, expect: {effect: allow}}
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DDGATE_CONFIG", raising=False)
    return tmp_path / "p.yaml"


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, list(arguments))
    assert not isinstance(result.exception, Exception)
    return result.exit_code, result.stdout, result.stderr


def test_check_lists_every_problem_and_fails(file: Path) -> None:
    file.write_text("version: 1\nrules: [{id: a, effect: alow, op: {risk: [raed]}}]\ncolour: red\n")
    code, out, err = run("check", str(file))
    assert (code, out) == (1, "")
    assert err.splitlines() == [
        "p.yaml:2:25: rules[0].effect: not one of the values it can have (did you mean 'allow'?)",
        (
            "p.yaml:3:1: unknown key 'colour' (one of defaults, limits, lists, observe_until, profile, "
            "rules, tests, version)"
        ),
    ]


def test_check_runs_the_tests_too(file: Path) -> None:
    file.write_text(RULES + TESTS)
    code, _, err = run("check", str(file))
    assert code == 1
    assert err.startswith("p.yaml:5:5: the test 'wrong on purpose' fails: ")


def test_check_says_what_is_well(file: Path) -> None:
    file.write_text(RULES)
    code, out, err = run("check", str(file))
    assert (code, err) == (0, "")
    assert out.startswith("p.yaml: 1 rules, nothing wrong; sha256:")


def test_check_warns_where_credentials_can_meet_and_does_not_fail(file: Path) -> None:
    file.write_text(
        "version: 1\nrules:\n"
        "  - {id: a, effect: allow, credential: x}\n"
        "  - {id: b, effect: allow, credential: y}\n"
    )
    code, _, err = run("check", str(file))
    assert code == 0
    assert "different credentials" in err
    assert "[warning]" in err


def test_check_as_json(file: Path) -> None:
    file.write_text(RULES + "colour: red\n")
    code, out, err = run("check", "--json", str(file))
    assert (code, err) == (1, "")
    (problem,) = json.loads(out)["problems"]
    assert (problem["file"], problem["line"], problem["column"], problem["warning"]) == (
        "p.yaml",
        3,
        1,
        False,
    )


def test_test_shows_each_outcome_and_fails_on_one(file: Path) -> None:
    file.write_text(RULES + TESTS)
    code, out, _ = run("test", str(file))
    assert code == 1
    assert out.splitlines()[:2] == [
        "ok      reads pass      allow   a",
        "FAILED  wrong on purpose        deny    -",
    ]
    assert "1 of 2 tests pass" in out
    assert [entry["passed"] for entry in json.loads(run("test", "--json", str(file))[1])] == [True, False]


def test_a_file_that_is_not_there_is_told_without_a_traceback(file: Path) -> None:
    for command in ("check", "test"):
        code, _, err = run(command, str(file))
        assert code == 1
        assert "no such file" in err
        assert "Traceback" not in err


def test_without_files_it_is_the_configured_policy(file: Path) -> None:
    file.write_text(RULES.replace("op:", "credential: gone, op:"))
    (file.parent / "key").write_text("k")
    config = file.parent / "c.yaml"
    config.write_text(
        "version: 1\npolicy: [p.yaml]\nissuers: [{issuer: https://i, audience: a}]\n"
        "credentials: {default: {api_key: {file: key}}}\n"
    )
    code, _, err = run("check", "--config", str(config))
    assert code == 1
    assert "'gone', which is not configured" in err


def test_help_teaches_with_examples() -> None:
    for command in ("check", "test"):
        assert f"ddgate policy {command}" in run(command, "--help")[1]
