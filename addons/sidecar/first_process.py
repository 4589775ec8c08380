"""What a container's first process owes the others: to pass signals on, and to reap orphans."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Collection

_PASSED_ON = (
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
)
_BY_SIGNAL = 128


def leave_first_place(first: int = 1) -> None:
    """Return in a child where this process is the first one, which stays behind, passes signals on to that
    child, reaps every orphan that becomes its own, and ends with the child's exit status. Elsewhere do
    nothing.

    Call it before there are threads or an event loop. `first` is the id of a first process.
    """
    if os.getpid() != first:
        return
    awaited = {*_PASSED_ON, signal.SIGCHLD}
    signal.pthread_sigmask(signal.SIG_BLOCK, awaited)  # none is lost between here and sigwait
    child = os.fork()
    if child == 0:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, awaited)
        return
    os._exit(_wait_for(child, awaited))


def _wait_for(child: int, awaited: Collection[signal.Signals]) -> int:
    while True:
        number = signal.sigwait(awaited)
        if number != signal.SIGCHLD:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, number)
            continue
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                if ended[0] == child:
                    status = os.waitstatus_to_exitcode(ended[1])
                    return status if status >= 0 else _BY_SIGNAL - status
