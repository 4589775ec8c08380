"""How `ddgate approvals` gets to control, and whose word it carries there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from addons.sandbox.issuer_client import fetch_token
from tests.cli.approvals_desk import Desk
from tests.cli.scripted_control import Answer, ScriptedControl, problem
from tests.e2e.gateway_process import free_port
from tests.sidecar.fake_gateway import make_certificates

TOKEN = "aaaa.bbbb.cccc"
DEAD = "http://127.0.0.1:9"


@pytest.fixture
def control() -> ScriptedControl:
    return ScriptedControl([Answer()])


def token_for(desk: Desk, person: str) -> str:
    return desk.issuer.token(person, audience="ddgate-control")


def test_a_token_comes_from_a_file_a_command_or_a_variable(desk: Desk, tmp_path: Path) -> None:
    one, token = desk.ask(), token_for(desk, "alice")
    file = tmp_path / "token"
    file.write_text(token + "\n")
    for options, more in (
        (("--token-file", str(file)), {}),
        (("--token-command", f"cat {file}"), {}),
        (("--token-env", "MINE"), {"MINE": token}),
        ((), {"DDGATE_TOKEN": token}),
        ((), {"DDGATE_TOKEN_FILE": str(file)}),
    ):
        ran = desk.run("show", one.id, *options, person=None, **more)
        assert ran.status == 0, (options, ran.err)
        assert token not in ran.out + ran.err


def test_nobody_or_several_named_is_misuse(desk: Desk, tmp_path: Path) -> None:
    nobody = desk.run("list", person=None)
    assert (nobody.status, "--as alice" in nobody.err) == (2, True)
    several = desk.run("list", "--token-file", str(tmp_path / "t"))
    assert (several.status, "not several" in several.err) == (2, True)
    outside = desk.run("list", "--state", str(tmp_path), person=None, DDGATE_CONTROL=desk.url)
    assert (outside.status, "no sandbox runs" in outside.err) == (2, True)


@pytest.mark.parametrize(
    "options",
    [
        ("--token-file", "/nonexistent/token"),
        ("--token-command", "exit 3"),
        ("--token-command", "echo one two"),
        ("--token-command", "printf 'a\\nb: c'"),
        ("--token-env", "NOWHERE"),
    ],
)
def test_a_token_that_can_not_be_had_is_told_in_a_line(desk: Desk, options: tuple[str, ...]) -> None:
    ran = desk.run("list", *options, person=None)
    assert (ran.status, ran.out) == (2, "")
    assert ran.err.count("\n") == 1, ran.err


def test_control_takes_no_agents_token_and_no_delegated_one(desk: Desk) -> None:
    one = desk.ask()
    for token, reason in (
        (desk.issuer.token("sre-agent"), "bad_token"),
        (desk.issuer.token("alice"), "bad_token"),
        (
            fetch_token(desk.issuer.dir, "sre-agent", on_behalf_of="alice", audience="ddgate-control"),
            "delegated_token",
        ),
        (
            desk.issuer.mint(sub="alice", aud="ddgate-control", groups=["sre-leads"], ttl=-600),
            "token_expired",
        ),
        (TOKEN, "bad_token"),
    ):
        ran = desk.run("approve", one.id, "--yes", person=None, DDGATE_TOKEN=token)
        assert (ran.status, ran.out) == (1, ""), ran.err
        assert f"({reason})" in ran.err
        assert token not in ran.err
    assert desk.run("show", one.id, "--json").json()["state"] == "pending"


def test_control_that_is_not_there_is_status_3(desk: Desk) -> None:
    ran = desk.run("list", "--control", f"http://127.0.0.1:{free_port()}")
    assert (ran.status, ran.out) == (3, "")
    assert ran.err.count("\n") == 1
    assert "--control URL" in ran.err


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (Answer(200, b"<html>hello</html>"), 3),
        (Answer(200, {"approvals": [{"id": 1}], "before": None, "version": 1}), 3),
        (Answer(200, [1, 2]), 3),
        (Answer(404, b"not here"), 3),
        (Answer(302, b"", {"Location": "/elsewhere"}), 3),
        (problem(503, "cannot_write"), 3),
        (problem(500, "internal_error"), 3),
        (problem(403, "cross_site"), 1),
        (problem(422, "invalid_request"), 1),
        (problem(401, "bad_token", "evil\x1b[2J\u202e"), 1),
    ],
)
def test_every_answer_that_is_no_yes_ends_in_a_line(desk: Desk, answer: Answer, status: int) -> None:
    with ScriptedControl([answer]).running() as control:
        ran = desk.run("list", "--control", control.url, person=None, DDGATE_TOKEN=TOKEN)
    assert (ran.status, ran.out) == (status, "")
    assert ran.err.count("\n") == 1
    assert "\x1b" not in ran.err
    assert TOKEN not in ran.err


def test_a_redirect_is_not_followed_so_the_token_goes_nowhere_else(
    desk: Desk, control: ScriptedControl
) -> None:
    with control.running(), ScriptedControl([Answer(307, b"", {"Location": control.url})]).running() as first:
        assert desk.run("list", "--control", first.url, person=None, DDGATE_TOKEN=TOKEN).status == 3
    assert control.asked == []


def test_no_proxy_of_the_environment_sees_it(desk: Desk, control: ScriptedControl) -> None:
    proxies = dict.fromkeys(("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"), DEAD)
    with control.running():
        ran = desk.run("list", "--control", control.url, person=None, DDGATE_TOKEN=TOKEN, **proxies)
    assert ran.status == 0, ran.err
    assert [(method, authorization) for method, _, authorization in control.asked] == [
        ("GET", f"Bearer {TOKEN}")
    ]


@pytest.mark.parametrize(
    "url",
    [
        "http://control.example.com:8081",
        "http://10.0.0.1",
        "https://user:secret@127.0.0.1",
        "http://127.0.0.1:8081/approvals",
        "http://127.0.0.1:99999",
        "ftp://127.0.0.1",
        "127.0.0.1:8081",
        "http://[",
    ],
)
def test_an_address_that_gives_the_token_away_or_is_none_is_misuse(desk: Desk, url: str) -> None:
    ran = desk.run("list", "--control", url, person=None, DDGATE_TOKEN=TOKEN)
    assert (ran.status, ran.out) == (2, "")
    assert ran.err.count("\n") == 1
    assert "secret" not in ran.err


def test_a_certificate_is_verified_by_the_ca_that_is_named(desk: Desk, tmp_path: Path) -> None:
    certificates = make_certificates(tmp_path)
    with ScriptedControl([Answer()], certificates.server()).running() as control:
        options = ("list", "--control", control.url)
        untrusted = desk.run(*options, person=None, DDGATE_TOKEN=TOKEN)
        assert (untrusted.status, "certificate isn't trusted" in untrusted.err) == (3, True)
        assert control.asked == []
        trusted = desk.run(*options, "--control-ca", str(certificates.ca), person=None, DDGATE_TOKEN=TOKEN)
        assert trusted.status == 0, trusted.err
    absent = desk.run(*options, "--control-ca", str(tmp_path / "no"), person=None, DDGATE_TOKEN=TOKEN)
    assert absent.status == 2


def test_a_token_that_expires_in_between_is_fetched_anew_and_a_new_one_is_not(
    desk: Desk, tmp_path: Path
) -> None:
    one = desk.ask()
    page = desk.run("list", "--limit", "1", "--json").json() | {"before": None}
    count = tmp_path / "count"
    command = f"echo x >> {count}; echo token.$(wc -l < {count})"
    expired, gone = problem(401, "token_expired"), problem(404, "no_such_approval")

    def asked(*script: Answer, approval: str) -> list[str]:
        count.unlink(missing_ok=True)
        with ScriptedControl([*script]).running() as control:
            options = ("--token-command", command, "--control", control.url)
            assert desk.run("show", approval, *options, person=None).status == 1
        return [authorization.removeprefix("Bearer token.") for _, _, authorization in control.asked]

    assert asked(Answer(200, page), expired, gone, approval=one.id[-8:]) == ["1", "1", "2"]
    assert asked(expired, gone, approval=one.id) == ["1"]


def test_where_control_is_comes_from_the_configuration(desk: Desk, tmp_path: Path) -> None:
    one, token = desk.ask(), token_for(desk, "alice")
    config = desk.state.path / "sandbox" / "ddgate.yaml"
    ran = desk.run("show", one.id, "--config", str(config), person=None, DDGATE_TOKEN=token)
    assert ran.status == 0, ran.err
    broken = tmp_path / "ddgate.yaml"
    broken.write_text(json.dumps({"version": 1, "contol": {}}))
    ran = desk.run("list", "--config", str(broken), person=None, DDGATE_TOKEN=token)
    assert (ran.status, ran.out) == (2, "")
    assert "contol" in ran.err
    ran = desk.run("list", "--config", str(tmp_path / "none.yaml"), person=None, DDGATE_TOKEN=token)
    assert ran.status == 2
