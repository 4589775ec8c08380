"""Processes of `ddgate` that begin with everything loaded.

Loading takes most of a start's time, and the tests make some hundreds of starts. So one process for each of
pytest's workers loads it once and forks (see `fork_server`): what it forks is a process of its own, which
runs the command's own `main` with its own arguments, environment and files. Starts as a shell makes them are
tested besides, wherever a test names its command.
"""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parents[2]
_BYTES = 1 << 20


PIPES = slice(9, 15)  # where the pipes' ends are among what Popen hands to its `_execute_child`


def start_asked(program: str, arguments: Sequence[str], *rest: Any) -> tuple[bytes, Sequence[int]]:
    """What `fork_server` is sent, and with which files, for that which Popen hands to `_execute_child`."""
    given, _, _, out, _, error = rest[PIPES]
    directory, environment, new_session = rest[4], rest[5], rest[20]
    asked = {
        "program": program,
        "arguments": arguments,
        "environment": dict(os.environ if environment is None else environment),
        "directory": str(directory or Path.cwd()),
        "start_new_session": new_session,
    }
    files = [standard if file == -1 else file for standard, file in enumerate((given, out, error))]
    return json.dumps(asked).encode(), files


class Forked(subprocess.Popen[Any]):
    """`subprocess.Popen` on arguments of `ddgate`, or of another `program` that the server knows, for a
    process that is another one's child. What has to be set before Python starts can't be asked of it.
    """

    def __init__(self, arguments: Sequence[str], *, program: str = "ddgate", **options: Any) -> None:
        self._program = program
        super().__init__(list(arguments), **options)

    # These three are all of Popen that knows how a process is started and waited for.
    def _execute_child(self, args: list[str], *rest: Any) -> None:
        asked, files = start_asked(self._program, args, *rest)
        self._connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._connection.connect(_server())
        socket.send_fds(self._connection, [asked], files)
        self.pid = int(self._connection.recv(_BYTES))
        self._close_pipe_fds(*rest[PIPES])  # type: ignore[attr-defined]

    def _internal_poll(self, _deadstate: int | None = None) -> int | None:
        return self._ended(0)

    def _wait(self, timeout: float | None) -> int:
        ended = self._ended(timeout)
        if ended is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
        return ended

    def _ended(self, timeout: float | None) -> int | None:
        if self.returncode is None and select.select([self._connection], [], [], timeout)[0]:
            self.returncode = int(self._connection.recv(_BYTES) or b"-9")
            self._connection.close()
        return self.returncode


def run(
    arguments: Sequence[str],
    *,
    input: str | None = None,  # noqa: A002 - as subprocess.run names it
    timeout: float = 90,
    **options: Any,
) -> subprocess.CompletedProcess[str]:
    """As `subprocess.run` with its output captured as text; its standard input holds `input`, or nothing."""
    given = subprocess.DEVNULL if input is None else subprocess.PIPE
    pipes: dict[str, Any] = {"stdin": given, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with Forked(arguments, text=True, **pipes, **options) as process:
        try:
            out, error = process.communicate(input, timeout)
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess(list(arguments), process.returncode, out, error)


def start(
    arguments: Sequence[str], environment: Mapping[str, str], log: IO[bytes], *, program: str = "ddgate"
) -> Forked:
    """Start one with both its outputs going to `log`; it reads nothing."""
    return Forked(
        arguments, program=program, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
    )


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
