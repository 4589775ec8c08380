"""`ddgate policy schema`, `ddgate policy test --coverage`, and what `check` warns of."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from addons.cli.policy.command import app
from addons.store.policy.files import POLICIES

RULES = """version: 1
rules:
  - {id: reads, effect: allow, who: {groups: [a]}, op: {risk: [read]}}
  - {id: keys, effect: deny, mode: shadow, op: {tags: [key-management]}}
tests:
  - {name: hit, given: {who: {groups: [a]}, op: GetMonitor}, expect: {effect: allow}}
"""
REST = """  - {name: near, given: {who: {groups: [b]}, op: GetMonitor}, expect: {effect: deny}}
  - {name: key, given: {op: v1.GetAPIKey}, expect: {effect: deny, shadow: [keys]}}
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


def test_the_schema_is_printed_or_written(tmp_path: Path) -> None:
    code, out, _ = run("schema")
    assert code == 0
    assert out == (POLICIES / "schema.json").read_text()
    assert run("schema", "-o", str(tmp_path / "s.json")) == (0, "", "")
    assert (tmp_path / "s.json").read_text() == out


def test_a_schema_that_can_not_be_written_is_told_without_a_traceback(tmp_path: Path) -> None:
    code, _, err = run("schema", "-o", str(tmp_path / "gone" / "s.json"))
    assert code == 1
    assert "s.json: No such file or directory" in err


def test_coverage_says_of_each_rule_what_is_missing_and_fails(file: Path) -> None:
    file.write_text(RULES)
    code, out, _ = run("test", "--coverage", str(file))
    assert code == 1
    assert out.splitlines() == [
        "ok      hit     allow   reads",
        "1 of 1 tests pass",
        "MISSING reads   allow   1       0",
        "MISSING keys    deny (shadow)   0       1 (op)",
        (
            "p.yaml:3:10: the rule 'reads' has no near miss: no test makes a call that one field keeps out "
            "(copy 'hit' in line 6, and change op or who.groups)"
        ),
        (
            "p.yaml:4:10: the rule 'keys' has no hit: no test makes a call that it fits "
            "(the nearest, 'hit' in line 6, differs in op)"
        ),
        "0 of 2 rules have a hit and a near miss",
    ]


def test_coverage_is_satisfied_by_a_hit_and_a_near_miss_of_each_rule(file: Path) -> None:
    file.write_text(RULES + REST)
    code, out, _ = run("test", "--coverage", str(file))
    assert code == 0
    assert out.splitlines()[-1] == "2 of 2 rules have a hit and a near miss"
    assert run("test", str(file))[0] == 0


def test_coverage_fails_where_a_test_does(file: Path) -> None:
    file.write_text((RULES + REST).replace("expect: {effect: allow}", "expect: {effect: deny}"))
    assert run("test", "--coverage", str(file))[0] == 1


def test_coverage_as_json(file: Path) -> None:
    file.write_text(RULES)
    code, out, _ = run("test", "--coverage", "--json", str(file))
    shown = json.loads(out)
    assert code == 1
    assert [test["passed"] for test in shown["tests"]] == [True]
    reads, keys = shown["coverage"]
    assert (reads["rule"], reads["file"], reads["line"], reads["complete"]) == ("reads", "p.yaml", 3, False)
    assert reads["fields"] == ["op", "who.groups"]
    assert reads["hits"] == [{"test": "hit", "file": "p.yaml", "line": 6}]
    assert reads["near_misses"] == []
    assert keys["shadow"] is True
    assert keys["near_misses"] == [{"test": "hit", "file": "p.yaml", "line": 6, "field": "op"}]
    assert keys["missing"][0]["remedy"] == "the nearest, 'hit' in line 6, differs in op"


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        (
            "version: 1\nprofile: observe\nobserve_until: 2999-12-31\nrules: [{id: a, effect: allow}]\n",
            "p.yaml:3:16: nothing is enforced until 2999-12-31",
        ),
        (
            "version: 1\nrules:\n  - {id: a, effect: allow, time: {until: 2020-01-01}}\n",
            "p.yaml:3:42: the rule 'a' has ended and matches nothing",
        ),
    ],
)
def test_check_warns_of_dates_and_does_not_fail(file: Path, text: str, warning: str) -> None:
    file.write_text(text)
    code, _, err = run("check", str(file))
    assert code == 0
    assert err.startswith(warning)
    assert err.endswith("[warning]\n")
    (shown,) = json.loads(run("check", "--json", str(file))[1])["problems"]
    assert shown["warning"] is True


def test_help_teaches_with_examples() -> None:
    assert "yaml-language-server" in run("schema", "--help")[1]
    assert "ddgate policy test --coverage" in run("test", "--help")[1]
    assert "ddgate policy test --coverage" in run("check", "--help")[1]
