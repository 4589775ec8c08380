"""Forks processes of `ddgate` for `forked`, with everything loaded.

    python -m tests.e2e.fork_server NAME FD

NAME is that of an abstract Unix socket; whoever connects sends a program, its arguments, environment and
working directory, with its three standard files, and is told the child's number and, in the end, its exit
status. When FD closes, all ends.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import io
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from addons.cli.main import _Ddgate
from addons.store.policy.files import read_catalogue
from tests.e2e.forked import PIPES, start_asked

_BYTES = 1 << 20

# What may be asked for: the module and its function.
_PROGRAMS = {
    "ddgate": ("addons.cli.main", "main"),
    "mitmdump": ("mitmproxy.tools.main", "mitmdump"),
    "inspector": ("addons.inspector.main", "main"),
}

# What the commands load themselves otherwise, once they run.
_LOADED_LATER = ("addons.control.server", "addons.gateway", "addons.runtime")


def serve(name: str, end: int) -> None:
    gc.freeze()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(f"\0{name}".encode())
    listener.listen(64)
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    children: dict[int, socket.socket] = {}
    while end not in (ready := select.select([listener.fileno(), woken, end], [], [])[0]):
        if woken in ready:
            os.read(woken, _BYTES)
            _tell(children)
        if listener.fileno() in ready:
            connection, _ = listener.accept()
            asked, files, _, _ = socket.recv_fds(connection, _BYTES, 3)
            if not asked:  # it only looked whether somebody is here
                connection.close()
                continue
            pid = os.fork()
            if pid == 0:
                for other in (listener, connection, *children.values()):
                    other.close()
                for number in (woken, wake, end):
                    os.close(number)
                _become(**json.loads(asked), files=files)
            for number in files:
                os.close(number)
            children[pid] = connection
            connection.send(str(pid).encode())
            _tell(children)
    for pid in children:
        os.kill(pid, signal.SIGKILL)


def _tell(children: dict[int, socket.socket]) -> None:
    while children:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        connection = children.pop(pid)
        with contextlib.suppress(OSError):  # whoever asked is gone
            connection.send(str(os.waitstatus_to_exitcode(status)).encode())
        connection.close()


def _become(
    program: str,
    arguments: list[str],
    environment: dict[str, str],
    directory: str,
    *,
    start_new_session: bool,
    files: list[int],
) -> None:
    """Run the program, to its end."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    if start_new_session:
        os.setsid()
    for standard, number in enumerate(files):
        os.dup2(number, standard)
        os.close(number)
    assert isinstance(sys.stdout, io.TextIOWrapper)
    sys.stdout.reconfigure(line_buffering=os.isatty(1))
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    if arguments[:1] == ["replay"]:
        _Spared.spare = _Spare.wait()
        subprocess.Popen = _Spared  # type: ignore[misc]
    sys.argv = [program, *arguments]
    sys.modules["__main__"].__package__ = None  # a command's usage is told under its own name
    module, function = _PROGRAMS[program]
    try:
        status = getattr(import_module(module), function)()
    except SystemExit as end:
        if isinstance(end.code, str):
            raise
        status = end.code
    _end(status or 0)


@dataclass(frozen=True)
class _Spare:
    """A child, with everything loaded, that waits to be told what to become. It ends if nobody tells it."""

    pid: int
    connection: socket.socket

    @staticmethod
    def wait() -> _Spare:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        pid = os.fork()
        if pid == 0:
            ours.close()
            asked, files, _, _ = socket.recv_fds(theirs, _BYTES, 3)
            theirs.close()
            if not asked:
                os._exit(0)
            _become(**json.loads(asked), files=files)
        theirs.close()
        return _Spare(pid, ours)


class _Spared(subprocess.Popen[Any]):
    """How a rehearsal starts its gateway, `python -m addons.cli.main ...`: its first becomes the spare."""

    spare: _Spare | None = None

    def _execute_child(self, args: list[str], *rest: Any) -> None:
        spare, (begin, again) = _Spared.spare, (args[:3], [sys.executable, "-m", "addons.cli.main"])
        if spare is None or begin != again:
            super()._execute_child(args, *rest)  # type: ignore[misc]
            return
        _Spared.spare = None
        asked, files = start_asked("ddgate", args[3:], *rest)
        socket.send_fds(spare.connection, [asked], files)
        spare.connection.close()
        self.pid = spare.pid
        self._child_created = True
        self._close_pipe_fds(*rest[PIPES])  # type: ignore[attr-defined]


def _end(status: int) -> None:
    """Do what Python does at its end, but for taking apart all that was loaded before the fork."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _load() -> None:
    for module in (*_Ddgate.modules.values(), *_LOADED_LATER, *(module for module, _ in _PROGRAMS.values())):
        import_module(module)
    read_catalogue()  # and is there for all that is forked


if __name__ == "__main__":
    _load()
    serve(sys.argv[1], int(sys.argv[2]))
