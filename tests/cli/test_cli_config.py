from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from addons.cli.config import app
from addons.core.config import load_config

TEXT = """version: 1
policy: [p.yaml]
issuers: [{issuer: https://issuer.example.com, audience: ddgate}]
credentials:
  default: {api_key: {file: api.secret}, application_key: {env: APP_KEY}}
  vault: {api_key: {command: [vault, read, --token=s3cret]}}
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "api.secret").write_text("s3cret")
    (tmp_path / "p.yaml").write_text("version: 1\n")
    (tmp_path / "ddgate.yaml").write_text(TEXT)
    monkeypatch.setenv("APP_KEY", "s3cret")
    return str(tmp_path / "ddgate.yaml")


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, list(arguments))
    assert not isinstance(result.exception, Exception)
    return result.exit_code, result.stdout, result.stderr


def test_check_says_what_is_well(file: str) -> None:
    code, out, err = run("check", file)
    assert (code, err) == (0, "")
    assert "nothing wrong; 0 rules, sha256:" in out


def test_check_lists_every_problem(file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DDGATE__LISTEN__PROT", "1")
    monkeypatch.setenv("DDGATE__DRAIN", "soon")
    code, _, err = run("check", file)
    assert code == 1
    assert "environment variable DDGATE__LISTEN__PROT: unknown key 'prot' (did you mean 'port'?)" in err
    assert "environment variable DDGATE__DRAIN: drain: must be a duration" in err


def test_check_reads_the_policy_as_well(file: str) -> None:
    (Path(file).parent / "p.yaml").write_text("version: 1\nrules: [{id: a, effect: allow, credential: x}]\n")
    code, _, err = run("check", file)
    assert code == 1
    assert "p.yaml:2:" in err
    assert "'x', which is not configured" in err


def test_show_is_what_is_in_effect_without_a_secret(file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DDGATE__LISTEN__PORT", "9090")
    code, out, _ = run("show", file)
    assert code == 0
    assert "s3cret" not in out
    shown = yaml.safe_load(out)
    assert shown["listen"]["port"] == 9090
    assert shown["issuers"][0]["max_lifetime"] == "1h"
    assert shown["credentials"]["default"]["api_key"] == {"file": "api.secret"}
    assert shown["credentials"]["default"]["application_key"] == {"env": "APP_KEY"}
    assert shown["credentials"]["vault"]["api_key"] == {"command": ["vault", "…"]}
    assert json.loads(run("show", "--json", file)[1]) == shown


def test_show_tells_no_secret_of_control_either(file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK", "s3cret")
    commanded = "{command: [vault, read, --token=s3cret]}"
    control = f"""control:
  login: {{issuer: 'https://people.example.com', client_id: page, client_secret: {commanded}}}
  notify:
    - {{name: ops, url: {{env: HOOK}}, secret: {commanded}}}
    - {{name: chat, url: {commanded}, format: slack}}
"""
    Path(file).write_text(TEXT + control)
    code, out, err = run("show", file)
    assert (code, err) == (0, "")
    assert "s3cret" not in out
    shown = yaml.safe_load(out)["control"]
    assert shown["login"]["client_secret"] == {"command": ["vault", "…"]}
    assert [one["url"] for one in shown["notify"]] == [{"env": "HOOK"}, {"command": ["vault", "…"]}]
    assert load_config(out, "shown", {}).control.login is not None


def test_what_is_shown_is_a_configuration_again(file: str) -> None:
    out = run("show", file)[1]
    again = load_config(out, "shown", {})
    assert again.issuers == load_config(TEXT, "f", {}).issuers


def test_no_file_is_told_without_a_traceback(tmp_path: Path) -> None:
    for command in ("check", "show"):
        code, _, err = run(command, str(tmp_path / "ddgate.yaml"))
        assert code == 1
        assert "no such file" in err


def test_help_teaches_with_examples() -> None:
    for command in ("check", "show"):
        assert f"ddgate config {command}" in run(command, "--help")[1]
