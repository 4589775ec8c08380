"""How a sandbox program starts and ends.

One at a time per directory, private files, a stable port on loopback, a ready file that says where it
listens, and a clean exit.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ctypes
import fcntl
import json
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from addons.sandbox.server import Json

LOOPBACK = "127.0.0.1"
PARENT_POLL_SECONDS = 0.5
_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


class SandboxError(Exception):
    """The program can't start or go on; the message is one line for a person."""


def drop_datadog_environment() -> None:
    """Forget every `DD_*` variable, so that nothing here can come to hold a real Datadog key."""
    for name in [name for name in os.environ if name.upper().startswith("DD_")]:
        del os.environ[name]


def parse_arguments(
    argv: Sequence[str] | None, program: str, about: str, ports: Sequence[str]
) -> argparse.Namespace:
    """Read what both programs take: `--dir`, `--exit-with-parent`, and one option for each of `ports`."""
    parser = argparse.ArgumentParser(prog=f"python -m addons.sandbox.{program}", description=about)
    parser.add_argument("--dir", type=Path, required=True, help="directory of keys and the ready file")
    for name in ports:
        parser.add_argument(
            f"--{name}", type=int, default=0, help="0 takes the one of the last run, or any that is free"
        )
    parser.add_argument("--exit-with-parent", action="store_true", help="end when the starting process ends")
    options = parser.parse_args(argv)
    for name in ports:
        value = getattr(options, name.replace("-", "_"))
        if not 0 <= value <= 65535:  # noqa: PLR2004 - the range of a TCP port
            parser.error(f"--{name} {value}: a port is 0 to 65535")
    return options


def write_private(path: Path, content: bytes) -> None:
    """Put `content` at `path` with mode 0600, whole or not at all."""
    descriptor, temporary = tempfile.mkstemp(
        dir=path.parent, prefix=f".{path.name}."
    )  # mkstemp makes it 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_private_json(path: Path, content: Json) -> None:
    write_private(path, json.dumps(content, indent=2).encode() + b"\n")


def read_json_object(path: Path) -> dict[str, Json] | None:
    """None where there is no file. Raises SandboxError where it isn't a JSON object."""
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError) as error:
        raise SandboxError(f"{path} isn't JSON; repair it, or delete it to have it made anew") from error
    if not isinstance(content, dict):
        raise SandboxError(f"{path} isn't a JSON object; repair it, or delete it to have it made anew")
    return content


@contextlib.contextmanager
def owned_directory(directory: Path, name: str) -> Iterator[None]:
    """Make `directory` (0700) and hold it for the program `name` until the block ends.

    A second start on the same directory would give out other keys than the first: it raises SandboxError. The
    lock goes with the process, so nothing is left to clean after a `kill -9`.
    """
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = os.open(directory / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise SandboxError(
                f"a sandbox {name} already runs on {directory}; stop it or take another --dir"
            ) from error
        yield
    finally:
        os.close(lock)


def listen(directory: Path, owner: str, option: str, port: int) -> socket.socket:
    """Listen on loopback at `port`; for 0, at the port of the last run where that is free.

    The port is kept in `directory`, because an issuer's URL and a gateway's configuration name it. Raises
    SandboxError where an explicitly given port is busy.
    """
    memory = directory / f"{owner}-{option}"
    if port:
        try:
            listener = _bind(port)
        except OSError as error:
            raise SandboxError(
                f"port {port} on {LOOPBACK} can't be taken ({error.strerror}); "
                f"choose another with --{option} N, or --{option} 0 for any that is free"
            ) from error
    else:
        listener = _bind_remembered(memory)
    write_private(memory, b"%d\n" % listener.getsockname()[1])
    return listener


def _bind_remembered(memory: Path) -> socket.socket:
    try:
        return _bind(int(memory.read_text()))
    except (OSError, ValueError, OverflowError):  # never ran, taken by another program, or not a port
        return _bind(0)


def _bind(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a restart meets its own TIME_WAIT
        listener.bind((LOOPBACK, port))
        listener.listen(512)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener


@contextlib.contextmanager
def ready_file(path: Path, content: Json) -> Iterator[None]:
    """Say at `path` that the program is ready, for as long as the block runs."""
    write_private_json(path, content)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


class StopSignal:
    """Waits for SIGTERM, SIGINT or the end of the process `parent`.

    Takes the signals from the moment it is made: make it before the ready file invites anybody to send one.
    """

    def __init__(self, parent: int | None) -> None:
        self._parent = parent
        self._stopped = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopped.set)
        if parent is not None:
            # Linux signals when the starting *thread* ends, too: hence a look at the parent, not a stop.
            loop.add_signal_handler(signal.SIGUSR1, self._look)
            _ask_for_signal_at_parents_death(signal.SIGUSR1)
            self._look()

    def _look(self) -> None:
        if os.getppid() != self._parent:
            self._stopped.set()

    async def wait(self) -> None:
        if self._parent is None:
            await self._stopped.wait()
        while not self._stopped.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopped.wait(), PARENT_POLL_SECONDS)
            self._look()


def _ask_for_signal_at_parents_death(number: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)


def run_program(program: Callable[[], None]) -> None:
    """Run `program`; what keeps it from running is one line on stderr and exit status 1."""
    try:
        program()
    except SandboxError as error:
        sys.exit(f"sandbox: {error}")
    except OSError as error:
        sys.exit(f"sandbox: {error.filename or 'system'}: {error.strerror or error}")
