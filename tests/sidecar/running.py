"""`ddgate run` as a process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.e2e import forked

REPOSITORY = Path(__file__).parents[2]
# A shell starts background jobs with these ignored, and ddgate run leaves ignored what its caller ignores.
_ENTRY = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "signal.signal(signal.SIGQUIT, signal.SIG_DFL); "
    "from addons.cli.run import app; app()"
)


def command_line(*arguments: str) -> list[str]:
    return [sys.executable, "-c", _ENTRY, *arguments]


def environment(**more: str) -> dict[str, str]:
    """The test's own, without what would steer the run."""
    steering = ("DDGATE_", "DD_", "DATADOG_", "SSL_CERT", "PYTHONPATH")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(steering)}
    kept = {name: value for name, value in kept.items() if not name.lower().endswith("_proxy")}
    return {**kept, "PYTHONDONTWRITEBYTECODE": "1", **more}


def ddgate_run(
    *arguments: str, more: dict[str, str] | None = None, timeout: float = 60, is_forked: bool = True
) -> subprocess.CompletedProcess[str]:
    """What is forked has its arguments, but no command line of its own that could be read from outside."""
    if not is_forked:
        return subprocess.run(
            command_line(*arguments),
            env=environment(**(more or {})),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            cwd=REPOSITORY,
        )
    return forked.run(["run", *arguments], env=environment(**(more or {})), timeout=timeout, cwd=REPOSITORY)
