"""When `ddgate replay` doesn't begin, and what it leaves behind when it is broken off."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from addons.core.model import Json
from tests.core.token_minting import AUDIENCE, Signer
from tests.e2e.gateway_process import Gateway, curl, wait_until
from tests.e2e.replaying import command, environment, replay
from tests.sandbox_processes import Issuer, StandIn
from tests.store.loopback_issuer import LoopbackIssuer

API = "https://api.datadoghq.com"


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory, issuer: Issuer, datadog: StandIn) -> Iterator[Gateway]:
    directory = tmp_path_factory.mktemp("replayed") / "gateway"
    gateway = Gateway(directory, issuer.url, datadog.port, datadog.ca, datadog.keys).start()
    try:
        for _ in range(3):
            curl(gateway, f"{API}/api/v1/monitor?name=one", token=issuer.token("sre-agent"))
        yield gateway
    finally:
        gateway.stop()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "say which calls"),
        (["01AAAAAAAA"], "no recorded call has the id"),
        (["--session", "nobodys"], "no recorded call fits"),
        (["--who", "sre-agent", "--limit", "2"], "more than 2 calls fit"),
        (["--who", "sre-agent", "--ignore", "modified"], "does not begin with $"),
        (["--who", "sre-agent", "--config", "/nowhere.yaml"], "there is none at /nowhere.yaml"),
        (["--who", "sre-agent", "--stand-in", "sandbox"], "no sandbox runs"),
        (["--who", "sre-agent", "--live", "--gateway", "http://192.0.2.1:8080"], "unencrypted"),
        (["--who", "sre-agent", "--live", "--ca", "/nowhere.pem"], "can't be read"),
        (["/no/such/file.mitm"], "no recorded call has the id"),
    ],
)
def test_what_cant_begin_is_told_with_status_2(
    recorded: Gateway, issuer: Issuer, fresh: StandIn, arguments: list[str], words: str
) -> None:
    before = len(recorded.records())
    done = replay(recorded, issuer.token("sre-agent"), *arguments)
    assert done.status == 2, done.out
    assert words in " ".join(done.error.split())
    assert len(recorded.records()) == before
    assert fresh.requests() == []


def test_without_a_token_nothing_begins(recorded: Gateway) -> None:
    done = replay(recorded, None, "--who", "sre-agent")
    assert done.status == 2
    assert "no token: name one with" in done.error


def test_i2_what_cant_be_put_on_record_is_not_sent(
    recorded: Gateway, issuer: Issuer, fresh: StandIn, tmp_path: Path
) -> None:
    copy = tmp_path / "state"
    shutil.copytree(recorded.state, copy, ignore=shutil.ignore_patterns("audit.sqlite3*", "processes"))
    (copy / "audit.sqlite3").write_bytes(b"not a log")
    (copy / "audit.sqlite3").chmod(0o600)
    before = len(recorded.records())
    done = replay(recorded, issuer.token("sre-agent"), "--who", "sre-agent", "--live", "--state", str(copy))
    assert done.status == 2, done.out
    assert "can't be put on record" in done.error
    assert len(recorded.records()) == before
    assert fresh.requests() == []


def test_a_rehearsal_that_is_broken_off_leaves_no_gateway_and_no_keys(
    recorded: Gateway, issuer: Issuer
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "addons.cli.main", *command(recorded, "--who", "sre-agent")],
        env=environment(issuer.token("sre-agent")),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        wait_until(lambda: list(recorded.state.glob(".rehearsal-*/state/gateways/*.json")), 30, "its gateway")
        (status,) = recorded.state.glob(".rehearsal-*/state/gateways/*.json")
        child = int(status.stem)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) != 0
    finally:
        process.kill()
        process.wait()
    wait_until(lambda: not _lives(child), 15, "the end of its gateway")
    assert not list(recorded.state.glob(".*"))


def _lives(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    return True


def test_what_a_killed_rehearsal_left_goes_with_the_next_and_a_running_ones_stays(
    recorded: Gateway, issuer: Issuer
) -> None:
    left, held = recorded.state / ".rehearsal-left", recorded.state / ".rehearsal-held"
    for directory in (left, held):
        directory.mkdir()
        (directory / "mask.key").write_bytes(b"k")
    lock = os.open(held, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert replay(recorded, issuer.token("sre-agent"), "--who", "sre-agent").status == 0
        assert (left.exists(), held.exists()) == (False, True)
    finally:
        os.close(lock)
        shutil.rmtree(held)


def test_real_issuers_can_be_rehearsed_with_and_no_real_key_is_read(
    recorded: Gateway, datadog: StandIn, tmp_path: Path
) -> None:
    """The configuration of a real installation, whose keys the person who rehearses can't read."""
    signer = Signer()
    with LoopbackIssuer(signer) as real:
        keys = {"api_key": "0" * 32, "application_key": "0" * 40}
        installed = Gateway(
            tmp_path / "real",
            real.url,
            datadog.port,
            datadog.ca,
            keys,
            config={"upstream": {}, "credentials": {"default": {"api_key": {"file": "/nowhere/key"}}}},
        )
        now = int(time.time())
        claims: dict[str, Json] = {
            "iss": real.url,
            "aud": AUDIENCE,
            "sub": "eve",
            "iat": now,
            "nbf": now,
            "exp": now + 300,
        }
        token = signer.token({**claims, "groups": ["agents"]})
        asked = ("--who", "sre-agent", "--state", str(recorded.state))
        done = replay(installed, token, *asked)
        assert (done.status, done.results) == (0, ["same"] * 3), done.out + done.error
        (*_, told) = [each for each in recorded.records_of("replayed") if "result" in each["attributes"]]
        assert told["actor"]["subject"] == "eve"
        sandbox = replay(installed, token, *asked, "--stand-in", "sandbox")
        assert sandbox.status == 2
        assert "names real issuers" in sandbox.error
