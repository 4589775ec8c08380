"""A gateway that seals what it records: nothing readable at rest, and every program of ours reads it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import forked
from tests.e2e.gateway_process import Gateway, curl
from tests.e2e.stock_mitmproxy import Mitmdump
from tests.sandbox_processes import Issuer, StandIn

API = "https://api.datadoghq.com"
MARK = "a-name-that-stands-nowhere-else"


@pytest.fixture(scope="module")
def sealing(tmp_path_factory: pytest.TempPathFactory, issuer: Issuer, datadog: StandIn) -> Iterator[Gateway]:
    """A gateway whose key was changed between two calls."""
    directory = tmp_path_factory.mktemp("sealing") / "gateway"
    second = {"command": ["cat", str(directory / "second")]}
    settings: list[dict[str, object]] = [
        {"encryption_key": {"file": "first"}},
        {"encryption_key": second, "old_encryption_keys": [{"file": "first"}]},
    ]
    for number, wanted in enumerate(settings):
        gateway = Gateway(
            directory, issuer.url, datadog.port, datadog.ca, datadog.keys, config={"recordings": wanted}
        )
        (directory / "first").write_text("0a" * 32)
        (directory / "second").write_text("0b" * 32)
        gateway.start()
        try:
            monitor = {"type": "metric alert", "query": "a > 1", "name": f"{MARK}-{number}", "message": "m"}
            answer = curl(
                gateway, f"{API}/api/v1/monitor", "-d", json.dumps(monitor), token=issuer.token("sre-agent")
            )
            assert answer.status == 200
            if number:
                yield gateway
        finally:
            gateway.stop()


def ddgate(gateway: Gateway, *arguments: str, config: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "DDGATE_CONFIG": str(config or gateway.config_path)}
    return forked.run([*arguments, "--state", str(gateway.state)], env=environment)


def test_the_segments_hold_nothing_that_can_be_read(sealing: Gateway) -> None:
    segments = sorted((sealing.state / "recordings").iterdir())
    assert [path.name.partition(".")[2] for path in segments] == ["sealed", "sealed.open"]
    assert all(word not in path.read_bytes() for path in segments for word in (MARK.encode(), b"monitor"))
    assert "0a" * 32 not in sealing.log.read_text()


def test_recordings_of_both_keys_are_found_proven_and_handed_on(sealing: Gateway, tmp_path: Path) -> None:
    found = ddgate(sealing, "recordings", "search", MARK, "--json")
    calls = [json.loads(line)["call"] for line in found.stdout.splitlines()]
    assert len(calls) == 2, found.stderr
    for call in calls:
        shown = ddgate(sealing, "recordings", "show", call)
        assert shown.returncode == 0, shown.stderr
        assert "these bytes are what was recorded (audit record " in shown.stdout
        assert MARK in shown.stdout
    out = tmp_path / "out.mitm"
    assert ddgate(sealing, "recordings", "export", "-o", str(out)).returncode == 0
    assert Mitmdump(tmp_path).read(out).count(f"POST {API}/api/v1/monitor") == 2


def test_policy_is_tried_on_them(sealing: Gateway) -> None:
    policy = json.loads(sealing.config_path.read_text())["policy"][0]
    done = ddgate(sealing, "policy", "backtest", policy, "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["judged"], told["damage"]) == (2, [])


def test_without_the_key_it_says_which_is_missing(sealing: Gateway, tmp_path: Path) -> None:
    done = ddgate(sealing, "recordings", "reindex", config=tmp_path / "none.yaml")
    assert done.returncode == 0
    assert done.stderr.count("sealed with key ") == 2
    assert "Traceback" not in done.stderr
    assert "2 calls in 2 segments" in ddgate(sealing, "recordings", "reindex").stdout
