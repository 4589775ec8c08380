"""`ddgate recordings serve` as a real process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tests.e2e.forked import Forked
from tests.e2e.gateway_process import ROOT


@dataclass(frozen=True)
class Served:
    """`https` and `http` are its URLs, `calls` how many it knows, `log` what it says beside."""

    https: str
    http: str
    ca: Path
    calls: int
    log: Path

    @property
    def https_port(self) -> int:
        return int(urlsplit(self.https).port or 0)

    @property
    def http_port(self) -> int:
        return int(urlsplit(self.http).port or 0)


@contextmanager
def served(directory: Path, *arguments: str) -> Iterator[Served]:
    """Until the block ends; then it must end well when it is told to."""
    command = ["recordings", "serve", "--json", *arguments]
    log = directory / "serve.log"
    with log.open("wb") as errors:
        process = Forked(
            command,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
        )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, log.read_text()
        said = json.loads(line)
        yield Served(said["https"], said["http"], Path(said["ca"]), said["calls"], log)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0, log.read_text()
        assert "Traceback" not in log.read_text()
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
