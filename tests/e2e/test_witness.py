"""A log that was put back to an older state by whoever has its key: without a witness nobody would know."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx

from tests.e2e import forked
from tests.e2e.gateway_process import Gateway, curl, free_port, wait_until
from tests.e2e.test_fail_closed import control_of
from tests.sandbox_processes import Issuer
from tests.witness.witness_process import WitnessProcess

URL = "https://api.datadoghq.com/api/v1/monitor"

type MakeGateway = Callable[..., Gateway]


def ddgate(*words: object) -> subprocess.CompletedProcess[str]:
    return forked.run([str(word) for word in words], timeout=60)


def own_state(port: int) -> dict[str, Any]:
    answer: dict[str, Any] = httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=10, trust_env=False).json()
    own: dict[str, Any] = answer["control"]
    return own


def cosigned(gateway: Gateway) -> int:
    with closing(sqlite3.connect(gateway.state / "audit.sqlite3")) as connection:
        return int(connection.execute("SELECT max(size) FROM log_cosignatures").fetchone()[0] or 0)


def test_i12_a_witness_sees_that_the_log_was_put_back(
    make_gateway: MakeGateway, issuer: Issuer, tmp_path: Path
) -> None:
    port, witness_port, directory = free_port(), free_port(), tmp_path / "witness"
    key = ddgate("witness", "key", "--dir", directory).stdout.strip()
    witnesses = [{"url": f"http://127.0.0.1:{witness_port}", "key": key}]
    gateway = make_gateway(config={"control": {"port": port}, "audit": {"witnesses": witnesses}}).start()
    token = issuer.token("demo-agent")
    state = ("--state", gateway.state)
    log_key = ddgate("audit", "key", *state).stdout.strip()
    log, older = gateway.state / "audit.sqlite3", tmp_path / "older"

    with control_of(gateway, port):
        wait_until(
            lambda: "witnesses" in own_state(port)["warnings"], what="a word of the witness that is away"
        )
        assert own_state(port)["ready"], "a witness that is away stops nothing"
        assert curl(gateway, URL, token=token).status == 200
        with WitnessProcess.start(directory, [log_key], witness_port):
            wait_until(lambda: cosigned(gateway), 75, "a cosignature")  # it backed off meanwhile
            verified = ddgate("audit", "verify", *state, "--witness-key", key)
            assert verified.returncode == 0, verified.stderr
            assert "has cosigned the first" in verified.stdout
            gateway.stop()
    with closing(sqlite3.connect(log)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copy(log, older)

    with WitnessProcess.start(directory, [log_key], witness_port):
        gateway.start()
        with control_of(gateway, port):
            before = cosigned(gateway)
            assert curl(gateway, URL, token=token).status == 200
            wait_until(lambda: cosigned(gateway) > before, 20, "the next cosignature")
            gateway.stop()

        for name in ("audit.sqlite3-wal", "audit.sqlite3-shm", "audit-checkpoint"):
            (gateway.state / name).unlink(missing_ok=True)
        shutil.copy(older, log)
        assert ddgate("audit", "verify", *state, "--key", log_key).returncode == 0, "by itself it is whole"
        gateway.start()
        with control_of(gateway, port):
            wait_until(lambda: not own_state(port)["ready"], 20, "the witness's word")
            assert "Its past was changed" in json.dumps(own_state(port)["problems"])
            wait_until(lambda: [r for r in gateway.records() if r["kind"] == "witness_refused"])
    evidence = ddgate("witness", "evidence", "--dir", directory)
    assert evidence.returncode in {0, 1}
