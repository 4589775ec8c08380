"""Processes of `ddgate` that begin with everything loaded.

Loading takes most of a start's time, and the tests make some hundreds of starts. So one process for each of
pytest's workers loads it once and forks (see `fork_server`): what it forks is a process of its own, which
runs the command's own `main` with its own arguments, environment and files. Starts as a shell makes them are
tested besides, wherever a test names its command.
"""

from __future__ import annotations

import array
import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parents[2]
_BYTES = 1 << 20


class Forked:
    """What tests use of subprocess.Popen, for a process that is another one's child."""

    def __init__(self, connection: socket.socket, pid: int) -> None:
        self._connection = connection
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        return self._ended(0)

    def wait(self, timeout: float | None = None) -> int:
        if self._ended(timeout) is None:
            raise subprocess.TimeoutExpired(["ddgate"], timeout or 0.0)
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):  # it ended just now
                os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _ended(self, timeout: float | None) -> int | None:
        if self.returncode is None and select.select([self._connection], [], [], timeout)[0]:
            self.returncode = int(self._connection.recv(_BYTES) or b"-9")
            self._connection.close()
        return self.returncode


def start(arguments: Sequence[str], environment: Mapping[str, str], log: IO[bytes]) -> Forked:
    """Start `ddgate` with these arguments; both its outputs go to `log`, and it reads nothing."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection.connect(_server())
    asked = json.dumps([list(arguments), dict(environment), str(Path.cwd())]).encode()
    files = array.array("i", [log.fileno()])
    connection.sendmsg([asked], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, files)])
    return Forked(connection, int(connection.recv(_BYTES)))


@cache
def _server() -> bytes:
    """The address of this process's own server, which ends with it."""
    address = f"\0ddgate-tests-{os.getpid()}-{time.monotonic_ns()}".encode()
    end, kept = os.pipe()
    subprocess.Popen(
        [sys.executable, "-m", "tests.e2e.fork_server", address[1:].decode(), str(end)],
        cwd=ROOT,
        pass_fds=[end],
        stdin=subprocess.DEVNULL,
    )
    os.close(end)
    _KEPT.append(kept)
    deadline = time.monotonic() + 60
    while True:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as probe:
            if probe.connect_ex(address) == 0:
                return address
        assert time.monotonic() < deadline, "the server of forked processes doesn't answer"
        time.sleep(0.05)


_KEPT: list[int] = []  # open as long as this process lives
