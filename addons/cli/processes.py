"""Starts ddgate's processes, each with the same interpreter, and ends them with their parent."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

_PR_SET_PDEATHSIG = 1


_CHILD_MARK = "DDGATE_CHILD_OF"


def die_with_parent() -> None:
    """In a process that `Processes` started: asks Linux to end it when its parent ends, however that ends
    (prctl(2)). Elsewhere, and in a process that was started on its own, does nothing.
    """
    if _CHILD_MARK not in os.environ:
        return
    try:
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    except (OSError, AttributeError):
        return
    if str(os.getppid()) != os.environ[_CHILD_MARK]:  # it ended before we asked
        os.kill(os.getpid(), signal.SIGTERM)


@dataclass(slots=True)
class Child:
    name: str
    process: subprocess.Popen[bytes]

    @property
    def is_alive(self) -> bool:
        return self.process.poll() is None

    def hang_up(self) -> None:
        """SIGHUP: it reads anew what may have changed."""
        self.process.send_signal(signal.SIGHUP)


class ChildFailed(Exception):  # noqa: N818 - named after what happened
    """A process ended, or was not ready in time; the text says which."""


@dataclass(slots=True)
class Processes:
    """The children of one command, in the order of their start. They write to `log`, or where their parent
    does.
    """

    environment: Mapping[str, str]
    log: Path | None = None
    children: list[Child] = field(default_factory=list)

    def start(self, name: str, arguments: Sequence[str]) -> Child:
        with nullcontext() if self.log is None else self.log.open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", *arguments],
                env={**self.environment, _CHILD_MARK: str(os.getpid())},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C reaches the parent alone, which ends them in order
            )
        child = Child(name, process)
        self.children.append(child)
        return child

    def wait_until(self, child: Child, is_ready: Callable[[], bool], seconds: float = 20.0) -> None:
        """Raises ChildFailed."""
        deadline = time.monotonic() + seconds
        while not is_ready():
            if not child.is_alive:
                raise ChildFailed(f"{child.name} ended with status {child.process.returncode}")
            if time.monotonic() > deadline:
                raise ChildFailed(f"{child.name} was not ready within {seconds:.0f} s")
            time.sleep(0.03)

    def stop(self, seconds: float) -> None:
        """Ends them one by one, the last started first; the gateway gets `seconds` to drain."""
        for child in reversed(self.children):
            if not child.is_alive:
                continue
            child.process.terminate()
            try:
                child.process.wait(seconds)
            except subprocess.TimeoutExpired:
                child.process.kill()
                child.process.wait()
