"""Running the command: its signals, its exit status, and what can't be done for it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

NOT_FOUND = 127
NOT_EXECUTABLE = 126
_BY_SIGNAL = 128
# A terminal sends these to its whole foreground process group, so to the child too.
_FROM_TERMINAL = (signal.SIGINT, signal.SIGQUIT)
_FORWARDED = (*_FROM_TERMINAL, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
_PYTHON = re.compile(r"python[0-9.]*(?:\.exe)?")
_TAKES_ARGUMENT = "cmWXQ"
_LONGEST_FIRST_LINE = 256


class CannotStartError(Exception):
    """`status` as a shell has it: 127 for no such command, 126 for one that can't be executed."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


async def run_child(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run to the end and return its exit status, 128 + n where signal n ended it. Raises CannotStartError.

    The child shares terminal, process group and standard streams; it gets the signals that come meanwhile.
    """
    with _forwarding() as child:
        try:
            process = await asyncio.create_subprocess_exec(*command, env=environment)
        except FileNotFoundError:
            raise CannotStartError(NOT_FOUND, f"{command[0]}: command not found") from None
        except OSError as error:
            raise CannotStartError(
                NOT_EXECUTABLE, f"{command[0]}: can't be executed: {error.strerror}"
            ) from None
        except ValueError:
            raise CannotStartError(NOT_EXECUTABLE, "the command has a NUL character") from None
        child.started(process)
        status = await process.wait()
    return status if status >= 0 else _BY_SIGNAL - status


@dataclass(slots=True)
class _Child:
    """The receiver of forwarded signals, from before it exists: none is lost while it starts."""

    process: asyncio.subprocess.Process | None = None
    waiting: list[signal.Signals] = field(default_factory=list)

    def started(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        for number in self.waiting:
            self.forward(number)

    def forward(self, number: signal.Signals) -> None:
        if number in _FROM_TERMINAL and _in_foreground():
            return  # the child has it already; twice would look like an impatient user
        if self.process is None:
            self.waiting.append(number)
            return
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)


@contextlib.contextmanager
def _forwarding() -> Iterator[_Child]:
    loop = asyncio.get_running_loop()
    child = _Child()
    # What the caller ignores (nohup) stays ignored, here and in the child.
    wanted = [number for number in _FORWARDED if signal.getsignal(number) is not signal.SIG_IGN]
    for number in wanted:
        loop.add_signal_handler(number, child.forward, number)
    try:
        yield child
    finally:
        for number in wanted:
            loop.remove_signal_handler(number)


def _in_foreground() -> bool:
    """Whether this process group has the terminal."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)


def _is_python(command: Sequence[str]) -> bool:
    return _PYTHON.fullmatch(Path(command[0]).name) is not None


def _interpreter(program: str) -> tuple[str, ...]:
    """The words of a script's first line (execve(2)), without env(1) in front; none for another program."""
    try:
        with Path(shutil.which(program) or "").open("rb") as file:
            first = file.readline(_LONGEST_FIRST_LINE)
    except (OSError, ValueError):
        return ()
    if not first.startswith(b"#!"):
        return ()
    words = first[2:].decode(errors="replace").split()
    if words and Path(words[0]).name == "env":
        words = words[2:] if words[1:2] == ["-S"] else words[1:]
    return tuple(words)


def unreached(command: Sequence[str]) -> str | None:
    """Say why a command's Python API clients won't find the gateway (`python -I`, `-E`, `-S`), or None.

    A script counts as what its first line has it run by.
    """
    if not _is_python(command):
        command = (*_interpreter(command[0]), *command)
    if not _is_python(command):
        return None
    arguments = iter(command[1:])
    for argument in arguments:
        if not argument.startswith("-") or argument.startswith("--") or argument == "-":
            return None
        for position, letter in enumerate(argument[1:], 2):
            if letter in "IES":
                return (
                    f"python -{letter} ignores what ddgate run sets up: Datadog's Python API clients won't "
                    f"use the gateway, and their calls will fail; leave out -{letter}"
                )
            if letter in "cm":
                return None
            if letter in _TAKES_ARGUMENT:
                if position == len(argument):
                    next(arguments, None)
                break
    return None
