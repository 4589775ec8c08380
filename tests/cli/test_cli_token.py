"""`ddgate token`, by the configuration of a gateway and an issuer on loopback."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from addons.cli.main import app as ddgate
from addons.cli.token import app
from addons.core.blocklist import BlockKind
from addons.store import moment
from addons.store.blocking.blocks import PutBlock
from addons.store.state_dir import StateDir
from addons.store.writing.audit_log import Wish
from tests.core.token_minting import Signer
from tests.store.approval_samples import Store
from tests.store.blocking.test_blocks import stored
from tests.store.loopback_issuer import KEYS, LoopbackIssuer, send

SIGNER = Signer()


@pytest.fixture
def issuer() -> Iterator[LoopbackIssuer]:
    with LoopbackIssuer(SIGNER) as running:
        yield running


@pytest.fixture(autouse=True)
def config(tmp_path: Path, issuer: LoopbackIssuer, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Secrets are not there: whoever asks why a token is refused needn't have them."""
    path = tmp_path / "ddgate.yaml"
    path.write_text(
        "version: 1\ncredentials: {default: {api_key: {file: nowhere}}}\n"
        f"issuers: [{{issuer: '{issuer.url}', audience: ddgate, require: {{team: [sre]}}}}]\n"
    )
    monkeypatch.setenv("DDGATE_CONFIG", str(path))
    monkeypatch.delenv("DDGATE_TOKEN", raising=False)
    monkeypatch.setenv("DDGATE_STATE", str(tmp_path / "state"))
    return path


def minted(issuer: LoopbackIssuer, **claims: Any) -> str:
    now = time.time()
    times = {"iat": now - 5, "nbf": now - 5, "exp": now + 300}
    return SIGNER.token({"iss": issuer.url, "team": "sre", **times, **claims})


def run(*arguments: str, given: str | None = None, **environment: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, list(arguments), input=given, env=environment)
    assert not isinstance(result.exception, Exception), result.exception
    return result.exit_code, result.stdout, result.stderr


def told(*arguments: str, given: str | None = None) -> tuple[int, dict[str, Any], dict[str, str]]:
    code, out, err = run("--json", *arguments, given=given)
    assert err == ""
    explained = json.loads(out)
    return code, explained, {each["check"]: each["outcome"] for each in explained["checks"]}


@pytest.mark.usefixtures("state")
def test_a_good_token_says_who_one_would_be(issuer: LoopbackIssuer) -> None:
    token = minted(issuer, act={"sub": "relay", "groups": ["agents"]})
    code, explained, outcomes = told("-", given=f"Bearer {token}\n")
    assert (code, explained["accepted"]) == (0, True)
    assert set(outcomes.values()) == {"ok"}
    who = explained["principal"]
    assert (who["subject"], who["on_behalf_of"], who["groups"]) == ("relay", "agent-1", ["agents"])
    code, out, _ = run("-", given=token)
    assert code == 0
    assert "on behalf of  agent-1" in out


def test_each_way_of_giving_a_token(issuer: LoopbackIssuer, tmp_path: Path) -> None:
    token = minted(issuer)
    (tmp_path / "token").write_text(token + "\n")
    assert run(token)[0] == 0
    assert run("--file", str(tmp_path / "token"))[0] == 0
    assert run(DDGATE_TOKEN=token)[0] == 0
    for code, _, err in (run(), run("-", given=" \n"), run(token, "--file", str(tmp_path / "token"))):
        assert code == 1
        assert "--file" in err
    assert "No such file" in run("--file", str(tmp_path / "absent"))[2]


def test_all_that_is_wrong_is_told_at_once_with_what_was_expected(issuer: LoopbackIssuer) -> None:
    token = minted(issuer, aud="other", exp=time.time() - 7200, iat=time.time() - 7500, team="ops")
    code, out, err = run("-", given=token)
    assert (code, err) == (1, "")
    for said in (
        "made for another audience",
        'the token\'s: "other"; expected: ddgate',
        "has expired",
        "exp 2 h ago",
        'the token\'s: "ops"; admitted: sre',
        "Fetch a fresh token",
    ):
        assert said in out, out
    failed = {check for check, outcome in told("-", given=token)[2].items() if outcome == "failed"}
    assert failed == {"audience", "times", "require team"}


def test_the_signature_is_never_shown(issuer: LoopbackIssuer) -> None:
    good = minted(issuer)
    stranger = Signer(kind="p256/other").token({"iss": issuer.url, "team": "sre"})
    for token in (good, stranger, minted(issuer, aud="x"), good + ".more", good[:-1], "eyJ" + good):
        for options in ([], ["--json"], ["--offline"]):
            shown = "".join(map(str, run(*options, "-", given=token)))
            assert token.rsplit(".", 1)[1] not in shown or "more" in token
            assert good.rsplit(".", 1)[1][:20] not in shown
            assert token not in shown


def test_without_the_network_the_rest_is_checked(issuer: LoopbackIssuer) -> None:
    code, explained, outcomes = told("--offline", "-", given=minted(issuer))
    assert (code, explained["principal"]) == (0, None)
    assert {check for check, outcome in outcomes.items() if outcome == "skipped"} == {"key", "signature"}
    assert told("--offline", "-", given=minted(issuer, aud="x"))[0] == 1
    assert not issuer.asked


def test_keys_that_cannot_be_fetched_leave_it_open(issuer: LoopbackIssuer) -> None:
    issuer.spoiled[KEYS] = send(500, b"")
    code, explained, outcomes = told("-", given=minted(issuer))
    assert (code, outcomes["signature"], explained["accepted"]) == (1, "skipped", False)
    assert "HTTP status 500" in str(explained["checks"])


def test_keys_are_fetched_of_no_issuer_but_a_configured_one(issuer: LoopbackIssuer) -> None:
    code, explained, outcomes = told("-", given=minted(issuer, iss="https://evil.example"))
    assert (code, outcomes["issuer"], outcomes["signature"]) == (1, "failed", "skipped")
    assert issuer.url in str(explained["checks"])
    assert not issuer.asked


@pytest.mark.parametrize("junk", ["x", "é", "a.b.c", "e30.e30.", "a" * 100_000, "....", "\x1b[2J"])
def test_what_is_no_token_is_told_so(junk: str) -> None:
    code, out, err = run("-", given=junk)
    assert (code, err) == (1, "")
    assert "refused" in out
    assert "\x1b" not in out


def test_what_a_stranger_wrote_does_not_reach_the_terminal(issuer: LoopbackIssuer) -> None:
    token = SIGNER.token({"iss": issuer.url, "x": "\x1b[2J\u202e"}, header={"kid": "\x1b[31m"})
    for options in ([], ["--json"]):
        out = run(*options, "-", given=token)[1]
        assert "\x1b" not in out
        assert "\u202e" not in out


def test_a_missing_configuration_is_told(tmp_path: Path, issuer: LoopbackIssuer) -> None:
    code, _, err = run("--config", str(tmp_path / "absent.yaml"), "-", given=minted(issuer))
    assert code == 1
    assert "absent.yaml: no such file" in err
    assert "--config" in err


@pytest.fixture
def state(tmp_path: Path) -> Path:
    place = StateDir.open(tmp_path / "state")
    Store(place.audit_log).log.close()
    return place.path


FROZEN = ("freeze", "demo-agent", "--reason", "INC-42")
BLOCKED = {
    "frozen": (FROZEN, "frozen"),
    "everybody frozen": (("freeze", "--all"), "everyone is frozen"),
    "as the owner": (("freeze", "owner"), "owner is frozen"),
    "its token revoked": (("revoke", "--jti", "t-1"), "the token t-1 is revoked"),
    "its run revoked": (("revoke", "--session", "run-1"), "the session run-1 is revoked"),
}


@pytest.mark.parametrize("kind", BLOCKED)
def test_who_is_frozen_or_revoked_is_told_so(issuer: LoopbackIssuer, state: Path, kind: str) -> None:
    arguments, words = BLOCKED[kind]
    token = minted(issuer, sub="owner", act={"sub": "demo-agent"}, jti="t-1", session_id="run-1")
    code, _, checks = told(token, "--state", str(state))
    assert (code, checks["blocklist"]) == (0, "ok")
    assert CliRunner().invoke(ddgate, [*arguments, "--state", str(state)]).exit_code == 0
    code, explained, checks = told(token, "--state", str(state))
    assert (code, checks["blocklist"]) == (1, "failed")
    assert (explained["accepted"], explained["principal"]) == (False, None)
    (check,) = [each for each in explained["checks"] if each["check"] == "blocklist"]
    assert words in check["detail"]
    assert check["remedy"]


def test_a_revocation_whose_time_is_over_is_none(issuer: LoopbackIssuer, state: Path) -> None:
    by = {"os_user": "x"}
    long_ago = replace(moment.now(), wall=1000.0, boot=0.0)
    with closing(Store(StateDir(state).audit_log).log) as log:
        log.append_with_changes(
            [Wish((), PutBlock(stored("demo-agent", BlockKind.REVOCATION, at=long_ago), by))]
        )
    assert told(minted(issuer, sub="demo-agent"), "--state", str(state))[2]["blocklist"] == "ok"


@pytest.mark.parametrize("state", ["nowhere", "damaged"])
def test_where_nobody_can_say_who_is_frozen_it_says_that(
    issuer: LoopbackIssuer, tmp_path: Path, state: str
) -> None:
    (tmp_path / "damaged").mkdir(mode=0o700)
    (tmp_path / "damaged" / "audit.sqlite3").write_bytes(b"no database at all" * 100)
    code, out, err = run(minted(issuer), "--state", str(tmp_path / state))
    assert (code, err) == (0, "")
    assert "not known whether it is frozen or revoked" in out
