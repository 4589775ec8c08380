"""ABUSE 29: the issuer is down at the start, and `ddgate up` stays, says so, and serves once it answers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.e2e import raw_client
from tests.e2e.conftest import MakeGateway
from tests.e2e.gateway_process import ROOT, free_port, wait_until
from tests.sandbox_processes import Issuer

HOST = "api.datadoghq.com"


@pytest.mark.long
def test_abuse_29_up_stays_where_an_issuer_is_down_and_serves_when_it_answers(
    tmp_path: Path, issuer: Issuer, make_gateway: MakeGateway
) -> None:
    control = free_port()
    config = {"control": {"port": control}, "inspector": {"enabled": False}}
    made = make_gateway(config=config)
    said = tmp_path / "said"
    issuer.outage("error")
    with said.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "addons.cli.main", "up", "-c", made.config_path, "--state", made.state],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=out,
            stderr=out,
        )
    try:
        wait_until(lambda: "Ctrl-C stops it." in said.read_text() or process.poll() is not None, 60, "up")
        assert f"not ready: no keys of {issuer.url}" in " ".join(said.read_text().split())
        issuer.outage("ok")
        url = f"http://127.0.0.1:{control}/readyz"
        wait_until(lambda: httpx.get(url, trust_env=False).status_code == 200, 60, "ready")
        login = [raw_client.bearer(issuer.mint(sub="demo-agent", aud="ddgate", groups=["agents"]))]
        assert (
            raw_client.tunnel(made.port, made.ca, HOST, login)
            .request("GET", "/api/v1/monitor", [("Host", HOST)])
            .status
            == 200
        )
    finally:
        issuer.outage("ok")
        process.send_signal(signal.SIGTERM)
        process.wait(30)
