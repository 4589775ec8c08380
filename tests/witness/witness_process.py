"""`ddgate witness serve` as a real process."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from addons.core.transparency.signed_note import VerifierKey
from addons.store.upkeep.witness_client import KnownWitness
from tests.e2e import forked
from tests.e2e.forked import Forked

REPOSITORY = Path(__file__).resolve().parents[2]
_SECONDS = 20.0
_LISTENS = re.compile(r"The witness (\S+) listens on http://127\.0\.0\.1:(\d+) ")


@dataclass(slots=True)
class WitnessProcess:
    """`log` is where its standard error goes. Give `stop` or use it as a context manager."""

    process: Forked
    log: Path
    vkey: str
    port: int

    @staticmethod
    def start(directory: Path, vkeys: Sequence[str], port: int = 0) -> WitnessProcess:
        log = directory.with_suffix(".log")
        logs = [option for vkey in vkeys for option in ("--log", vkey)]
        with log.open("ab") as errors:
            begins = errors.tell()
            listen = ("--listen", f"127.0.0.1:{port}")
            process = Forked(["witness", "serve", "--dir", str(directory), *logs, *listen], stderr=errors)
        deadline = time.monotonic() + _SECONDS
        while not (found := _LISTENS.search(log.read_text()[begins:])):
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                raise AssertionError(f"the witness doesn't start: {log.read_text()}")
            time.sleep(0.02)
        return WitnessProcess(process, log, found[1], int(found[2]))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def known(self) -> KnownWitness:
        return KnownWitness(self.url, VerifierKey.parse(self.vkey))

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(_SECONDS)

    def kill(self) -> None:
        """As by a crash."""
        self.process.kill()
        self.process.wait(_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.stop()


def ran(*arguments: str) -> subprocess.CompletedProcess[str]:
    """One of the other commands, to its end."""
    return forked.run(["witness", *arguments])
