"""What a configuration says of people: logins, and who is told."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from addons.core.yaml_source import ProblemsError
from addons.store.config_file import read_config
from tests.store.test_config_file import TEXT, write_pair

LOGIN = "issuer: https://people.example.com, client_id: page, audience: ddgate-control"


def _problems(folder: Path, control: str, environment: Mapping[str, str] | None = None) -> str:
    """Every problem of a configuration with that section; "" where there is none."""
    (folder / "policy.yaml").write_text("version: 1\n")
    (folder / "api.secret").write_text("s3cret\n")
    (folder / "ddgate.yaml").write_text(f"{TEXT}control: {control}\n")
    try:
        read_config(folder / "ddgate.yaml", {"APP_KEY": "x", **(environment or {})})
    except ProblemsError as error:
        return str(error)
    return ""


def test_a_login_is_good_without_files(tmp_path: Path) -> None:
    assert _problems(tmp_path, f"{{login: {{{LOGIN}}}}}") == ""


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ("ca: missing.pem", "missing.pem"),
        ("ca: api.secret", "no PEM certificates"),
        ("client_secret: {file: missing}", "missing"),
        ("client_secret: {file: empty}", "empty"),
        ("client_secret: {env: NOT_SET}", "NOT_SET is not set"),
        ("client_secret: hunter2hunter2", "never stands in the configuration"),
    ],
)
def test_what_a_login_names_must_be_there(tmp_path: Path, more: str, told: str) -> None:
    (tmp_path / "empty").write_text("\n")
    problems = _problems(tmp_path, f"{{login: {{{LOGIN}, {more}}}}}")
    assert told in problems
    assert "ddgate.yaml:5:" in problems
    assert "hunter2hunter2" not in problems


def test_what_a_login_names_may_be_there(tmp_path: Path) -> None:
    write_pair(tmp_path, "one")
    more = "ca: one.pem, client_secret: {env: CLIENT_SECRET}"
    assert _problems(tmp_path, f"{{login: {{{LOGIN}, {more}}}}}", {"CLIENT_SECRET": "x"}) == ""


@pytest.mark.parametrize(
    "login",
    [
        "issuer: https://people.example.com, client_id: page, audience: ddgate",
        "issuer: https://people.example.com, client_id: ddgate",
        "issuer: https://issuer.example.com, client_id: ddgate, audience: ddgate-control",
    ],
)
def test_abuse_33_an_audience_of_agents_tokens_is_none_of_peoples(tmp_path: Path, login: str) -> None:
    problems = _problems(tmp_path, f"{{login: {{{login}}}}}")
    assert "an agent could pass for a person" in problems
    assert "ddgate-control" in problems


def test_real_agents_are_not_approved_in_the_sandbox(tmp_path: Path) -> None:
    login = "issuer: http://127.0.0.1:1/ddgate-sandbox, client_id: page, audience: ddgate-control"
    assert "anybody can log in as anybody" in _problems(tmp_path, f"{{login: {{{login}}}}}")


@pytest.mark.parametrize(
    ("receiver", "told"),
    [
        ("name: a, format: slack, url: {file: missing}", "missing"),
        ("name: a, format: slack, url: {env: NOT_SET}", "NOT_SET is not set"),
        ("name: a, url: {env: URL}, secret: {file: missing}", "missing"),
        ("name: a, url: {env: URL}, secret: {env: URL}, ca: api.secret", "no PEM certificates"),
        ("name: a, url: {env: URL}, secret: {env: URL}", ""),
    ],
)
def test_what_a_receiver_names_must_be_there(tmp_path: Path, receiver: str, told: str) -> None:
    environment = {"URL": "https://hooks.example.com/secret-path"}
    problems = _problems(tmp_path, f"{{notify: [{{{receiver}}}]}}", environment)
    assert told in problems
    assert bool(problems) is bool(told)
    assert "secret-path" not in problems
