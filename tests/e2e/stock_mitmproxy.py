"""mitmproxy's own programs, as anyone has them: no addon, no configuration of ours."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mitmproxy import http
from mitmproxy.io import FlowReader, FlowWriter

from tests.e2e.gateway_process import Gateway

BIN = Path(sys.executable).parent


def read_flows(path: Path) -> list[http.HTTPFlow]:
    found = list(FlowReader(io.BytesIO(path.read_bytes())).stream())
    assert all(isinstance(flow, http.HTTPFlow) for flow in found)
    return [flow for flow in found if isinstance(flow, http.HTTPFlow)]


def write_flow(path: Path, flow: http.HTTPFlow) -> Path:
    with path.open("wb") as file:
        FlowWriter(file).add(flow)
    return path


@dataclass(frozen=True)
class Mitmdump:
    """Runs mitmdump with `home` as its configuration directory, where its own CA is made."""

    home: Path

    def run(self, *arguments: str, seconds: float = 40) -> str:
        command = [str(BIN / "mitmdump"), "--set", f"confdir={self.home}", *arguments]
        done = subprocess.run(
            command,
            env={"PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def read(self, path: Path, *arguments: str) -> str:
        return self.run("-nr", str(path), *arguments)

    def matching(self, path: Path, expression: str) -> list[http.HTTPFlow]:
        """The flows that a filter leaves, by mitmdump's own reading and writing."""
        out = self.home / "matching.mitm"
        out.unlink(missing_ok=True)
        self.read(path, "-w", str(out), expression)
        return read_flows(out) if out.exists() else []

    def replay(self, path: Path, gateway: Gateway, *, token: str | None) -> Sequence[http.HTTPFlow]:
        """`mitmdump -C`; the flows with the answers that the replays got, none for those without one.

        mitmproxy sends a replay upstream where its own mode says so; the recorded `proxy_mode` must say it
        too, or its HTTP layer fails.
        """
        out = self.home / "replayed.mitm"
        out.unlink(missing_ok=True)
        login = ["--set", f"upstream_auth=agent:{token}"] if token else []
        trust = ["--set", f"ssl_verify_upstream_trusted_ca={gateway.ca}"]
        self.run("-n", "--mode", f"upstream:{gateway.url}", *login, *trust, "-w", str(out), "-C", str(path))
        return read_flows(out) if out.exists() else []
