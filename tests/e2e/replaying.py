"""`ddgate replay` as a real command, and what it printed."""

from __future__ import annotations

import json
import os
import pty
import select
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.e2e import forked
from tests.e2e.forked import Forked
from tests.e2e.gateway_process import ROOT, Gateway


@dataclass(frozen=True)
class Done:
    status: int
    lines: Sequence[dict[str, Any]]
    out: str
    error: str

    @property
    def used(self) -> dict[str, Any]:
        used: dict[str, Any] = self.lines[0]["used"]
        return used

    @property
    def calls(self) -> list[dict[str, Any]]:
        return [line for line in self.lines if "result" in line]

    @property
    def results(self) -> list[str]:
        return [call["result"] for call in self.calls]


def command(gateway: Gateway, *arguments: str) -> list[str]:
    """What `ddgate` is given. Of two options of one name the last counts, so `arguments` may replace any."""
    made = ["replay", "--state", str(gateway.state)]
    made += ["--config", str(gateway.config_path), "--gateway", gateway.url, "--ca", str(gateway.ca)]
    return [*made, *arguments]


def environment(token: str | None) -> Mapping[str, str]:
    made = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    return made if token is None else {**made, "DDGATE_TOKEN": token}


def replay(gateway: Gateway, token: str | None, *arguments: str, text: bool = False) -> Done:
    """Without a terminal; with JSON lines, unless the `text` for people is asked for."""
    given = [*command(gateway, *arguments), *([] if text else ["--json"])]
    done = forked.run(given, env=environment(token))
    assert "Traceback" not in done.stderr, done.stderr
    assert token is None or token not in done.stdout + done.stderr
    lines = [] if text else [json.loads(line) for line in done.stdout.splitlines()]
    return Done(done.returncode, lines, done.stdout, done.stderr)


def on_terminal(gateway: Gateway, token: str, *arguments: str, answers: bytes) -> tuple[int, str]:
    """With somebody at a terminal who types `answers`; the exit status, and all that was shown."""
    ours, theirs = pty.openpty()
    process = Forked(
        command(gateway, *arguments), env=environment(token), stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    shown = b""
    typed = False
    deadline = time.monotonic() + 60
    try:
        while time.monotonic() < deadline:
            if select.select([ours], [], [], 0.1)[0]:
                try:
                    read = os.read(ours, 65536)
                except OSError:  # Linux's way to say that the other side is closed
                    break
                shown += read
            if not typed and b"[y/N]" in shown:
                os.write(ours, answers)
                typed = True
        return process.wait(20), shown.decode()
    finally:
        process.kill()
        process.wait()
        os.close(ours)
