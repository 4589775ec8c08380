"""A command that was forked with everything loaded is, to whoever starts it, the one that a shell starts."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e import forked
from tests.e2e.forked import Forked
from tests.e2e.gateway_process import ROOT, wait_until

COMMANDS = [
    (["policy", "check", "policies/default.yaml"], 0),
    (["recordings", "list", "--state", "none"], 1),
    (["redact", "test", "-", "--state", "none"], 1),
    (["witness", "evidence", "--dir", "none"], 1),
    (["replay", "--no-such-option"], 2),
]


@pytest.mark.parametrize(("arguments", "status"), COMMANDS)
def test_it_says_and_returns_the_same(arguments: list[str], status: int) -> None:
    given = "password=Zx" + "0" * 8 + "qQ\n"
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "COLUMNS": "100"}
    started = subprocess.run(
        [Path(sys.executable).with_name("ddgate"), *arguments],
        input=given,
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    done = forked.run(arguments, input=given, env=environment, cwd=ROOT)
    assert (_said(done), done.stderr, done.returncode) == (_said(started), started.stderr, status)
    assert started.returncode == status


def _said(done: subprocess.CompletedProcess[str]) -> str:
    """Without what each try of redaction marks its masks with."""
    return re.sub(":[0-9a-f]{8}]", "]", done.stdout)


def test_it_has_its_own_directory_and_environment_and_a_signal_ends_it_alone(tmp_path: Path) -> None:
    told = forked.run(["audit", "query"], env={"DDGATE_STATE": "elsewhere"}, cwd=tmp_path)
    assert (told.returncode, "elsewhere" in told.stderr) == (1, True)
    (tmp_path / "mine.yaml").write_text("rules: [")
    told = forked.run(["policy", "check", "mine.yaml"], cwd=tmp_path)
    assert (told.returncode, "mine.yaml:" in told.stdout + told.stderr) == (1, True)
    waiting = Forked(["redact", "test", "-"], stdin=subprocess.PIPE, cwd=tmp_path)
    wait_until(lambda: Path(f"/proc/{waiting.pid}/cwd").readlink() == tmp_path)
    waiting.kill()
    assert waiting.wait(20) == -signal.SIGKILL
    waiting.communicate()
    assert forked.run(["policy", "check"], cwd=ROOT).returncode == 0
