"""Forks processes of `ddgate` for `forked`, with everything loaded.

    python -m tests.e2e.fork_server NAME FD

NAME is that of an abstract Unix socket; whoever connects sends arguments, environment and working directory,
with a file for the output, and is told the child's number and, in the end, its exit status. When FD closes,
all ends.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import select
import signal
import socket
import sys

# Loaded for what is forked: the commands load these themselves otherwise.
import addons.control.server
import addons.gateway
import addons.runtime  # noqa: F401 - as above
from addons.cli.main import main

_BYTES = 1 << 20


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
            asked, files, _, _ = socket.recv_fds(connection, _BYTES, 1)
            if not asked:  # it only looked whether somebody is here
                connection.close()
                continue
            pid = os.fork()
            if pid == 0:
                for other in (listener, connection, *children.values()):
                    other.close()
                for number in (woken, wake, end):
                    os.close(number)
                arguments, environment, directory = json.loads(asked)
                _become(arguments, environment, directory, files[0])
            os.close(files[0])
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


def _become(arguments: list[str], environment: dict[str, str], directory: str, log: int) -> None:
    """Run the command; the interpreter ends as after any other `main`."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["ddgate", *arguments]
    main()


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
