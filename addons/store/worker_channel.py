"""A worker process's own end: see `worker_process`.

It is started with one end of a socket pair as its standard input, no environment and no other descriptor, and
ends when that is closed, or with its parent.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from addons.store.worker_process import ANSWER_LENGTH, QUESTION_LENGTHS

_PR_SET_PDEATHSIG = 1


class Channel:
    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def receive(self) -> tuple[bytes, bytes]:
        """A message and the body that came with it. Raises EOFError."""
        head, body = QUESTION_LENGTHS.unpack(self._read(QUESTION_LENGTHS.size))
        return self._read(head), self._read(body)

    def send(self, *parts: bytes) -> None:
        self._connection.sendall(ANSWER_LENGTH.pack(sum(map(len, parts))))
        for part in parts:
            self._connection.sendall(part)

    def _read(self, size: int) -> bytes:
        data = bytearray(size)
        view = memoryview(data)
        while view:
            count = self._connection.recv_into(view)
            if not count:
                raise EOFError
            view = view[count:]
        return bytes(data)


def bound_time(seconds: float) -> None:
    """End this process once so much time has passed; 0 takes the bound away. The default action of SIGALRM
    does so in the middle of C++ code, too.
    """
    signal.setitimer(signal.ITIMER_REAL, seconds)


def bound_work(seconds: float) -> None:
    """As `bound_time`, in processor time of this process: a machine that is busy with other things makes no
    body too complex. SIGPROF ends a process by default, too.
    """
    signal.setitimer(signal.ITIMER_PROF, seconds)


def bound_memory(extra: int) -> None:
    """Let the address space grow by `extra` bytes from here; what is over it fails in this process alone."""
    statm = Path("/proc/self/statm")
    if not statm.exists():
        return  # not Linux: the size of a body is all that bounds it
    held = int(statm.read_text().split()[0]) * resource.getpagesize()
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = held + extra if hard == resource.RLIM_INFINITY else min(held + extra, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))


def run(serve: Callable[[Channel], None]) -> None:
    """Serve the process whose id is the first argument, until it is gone."""
    _die_with(int(sys.argv[1]))
    # The gateway still asks while it drains, and closes the socket when it is done.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a body is never written to disk
    with suppress(EOFError, ConnectionError), socket.socket(fileno=0) as connection:
        serve(Channel(connection))


def _die_with(parent: int) -> None:
    """Ask Linux to end this process when its parent ends (prctl(2)); a closed socket does so elsewhere."""
    prctl: Callable[..., int] | None = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        raise SystemExit(1)
