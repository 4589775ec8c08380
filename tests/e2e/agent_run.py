"""An agent's command under `ddgate run`, and what its client scripts (tests/e2e/clients) printed."""

from __future__ import annotations

import base64
import json
import os
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.e2e import forked
from tests.e2e.gateway_process import ROOT, Gateway
from tests.sandbox_processes import Issuer

CLIENTS = Path(__file__).parent / "clients"
_STEERING = ("DDGATE_", "DD_", "DATADOG_", "SSL_CERT", "PYTHONPATH")


@dataclass(frozen=True)
class Said:
    """One call as a client script saw it: `status` and `body` as received, `error` names an exception."""

    call: str
    status: int | None
    body: bytes
    error: str
    kind: str


@dataclass(frozen=True)
class Ran:
    exit_code: int
    out: str
    err: str

    @property
    def said(self) -> list[Said]:
        assert self.exit_code == 0, self.err
        lines = [json.loads(line) for line in self.out.splitlines()]
        return [
            Said(
                line["call"],
                line.get("status"),
                base64.b64decode(line.get("body", "")),
                line.get("error", ""),
                line.get("kind", ""),
            )
            for line in lines
        ]


@dataclass(frozen=True)
class Agent:
    """Runs commands as `client_id`, each token asked for anew by `--token-command` and living `ttl` seconds.

    `directory` takes the list of the tokens that were handed out.
    """

    gateway: Gateway
    issuer: Issuer
    directory: Path
    client_id: str = "sre-agent"
    ttl: int = 600

    @property
    def tokens(self) -> list[str]:
        path = self.directory / "tokens"
        return path.read_text().split() if path.exists() else []

    @property
    def token_command(self) -> str:
        mint = [sys.executable, str(CLIENTS / "mint_token.py"), str(self.issuer.dir), self.client_id]
        return f"PYTHONPATH={ROOT} " + shlex.join([*mint, str(self.ttl), str(self.directory / "tokens")])

    def run(self, *command: str, more: Mapping[str, str] | None = None, timeout: float = 60) -> Ran:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_STEERING)}
        environment = {name: value for name, value in kept.items() if not name.lower().endswith("_proxy")}
        environment |= {"PYTHONDONTWRITEBYTECODE": "1", **(more or {})}
        arguments = ["--gateway", self.gateway.url, "--ca", str(self.gateway.ca)]
        arguments += ["--token-command", self.token_command]
        given = ["run", *arguments, "--", *command]
        done = forked.run(given, env=environment, cwd=ROOT, timeout=timeout)
        return Ran(done.returncode, done.stdout, done.stderr)

    def client(
        self, script: str, *arguments: str, more: Mapping[str, str] | None = None, timeout: float = 60
    ) -> Ran:
        """Run one of the scripts in tests/e2e/clients."""
        return self.run(sys.executable, str(CLIENTS / script), *arguments, more=more, timeout=timeout)
