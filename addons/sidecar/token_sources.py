"""Where tokens come from: a file, a command, an environment variable."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

_MAX_BYTES = 65536
_PIPE_SECONDS = 10.0
_LOOK_AGAIN = 0.02
_KILLED_SECONDS = 2.0  # that a killed command may take to be gone


class TokenError(Exception):
    """There is no token to be had; the text says from where and why, and holds nothing of the token."""


class TokenSource(Protocol):
    async def fetch(self) -> str:
        """Get a token, as new as there is one; surrounding white space doesn't matter. Raises TokenError."""
        ...


@runtime_checkable
class WatchedSource(TokenSource, Protocol):
    """A source that can tell cheaply that there is something new."""

    def has_changed(self) -> bool: ...


@dataclass(slots=True)
class FileSource:
    """A file that somebody else renews, a projected service account token for example."""

    path: Path
    _seen: tuple[int, int, int] | None = None

    async def fetch(self) -> str:
        try:
            # Not to wait for who writes into a pipe, with everything else waiting too.
            file = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                status = os.fstat(file)
                if stat.S_ISFIFO(status.st_mode):
                    data = await _read_pipe(file)
                    status = os.fstat(file)  # that nobody has written into it since
                else:
                    data = os.read(file, _MAX_BYTES + 1)
            finally:
                os.close(file)
        except TimeoutError:
            text = f"nothing comes out of the token file {self.path}, a pipe, within {_PIPE_SECONDS:.0f} s"
            raise TokenError(text) from None
        except OSError as error:
            raise TokenError(f"the token file {self.path} can't be read: {error.strerror}") from None
        self._seen = (status.st_ino, status.st_mtime_ns, status.st_size)
        return _as_text(data, f"the token file {self.path}")

    def has_changed(self) -> bool:
        try:
            status = self.path.stat()
        except OSError:
            return False  # it is being replaced, or gone: fetch says so when a token is due
        return self._seen != (status.st_ino, status.st_mtime_ns, status.st_size)


@dataclass(frozen=True, slots=True)
class CommandSource:
    """A shell command that prints a token. What it says on standard error goes to the caller's."""

    command: str
    timeout: float = 30.0

    async def fetch(self) -> str:
        try:
            process = await asyncio.create_subprocess_exec(
                "/bin/sh",
                "-c",
                self.command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                start_new_session=True,  # Ctrl-C is for the agent, not for this
            )
        except OSError as error:
            raise TokenError(f"the token command can't be started: {error.strerror}") from None
        try:
            async with asyncio.timeout(self.timeout):
                assert process.stdout is not None  # noqa: S101 - as asked above
                data = await _read_all(process.stdout)
                if len(data) <= _MAX_BYTES:
                    await process.wait()
        except TimeoutError:
            raise TokenError(f"the token command took longer than {self.timeout:.0f} s") from None
        finally:
            if process.returncode is None:
                await _kill(process)
        if process.returncode != 0 and len(data) <= _MAX_BYTES:
            raise TokenError(f"the token command failed with status {process.returncode}")
        return _as_text(data, "the token command's output")


@dataclass(frozen=True, slots=True)
class EnvironmentSource:
    """A token that was given once and can't be renewed. `name` is the variable it came from."""

    name: str
    value: str = field(repr=False)

    async def fetch(self) -> str:
        if not self.value.strip():
            raise TokenError(f"{self.name} is empty; put a token there")
        return self.value.strip()


async def _kill(process: asyncio.subprocess.Process) -> None:
    """End it with all that it has started, unless that has left its group. asyncio waits for the end of what
    it prints, too, and as long as too much of that lies unread it doesn't look for the end.
    """
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    assert process.stdout is not None  # noqa: S101 - as asked when it was started
    with suppress(TimeoutError):
        async with asyncio.timeout(_KILLED_SECONDS):
            while await process.stdout.read(_MAX_BYTES):
                pass
            await process.wait()


async def _read_pipe(file: int) -> bytes:
    """What a shell's `<(command)` prints, to its end. Raises TimeoutError and OSError."""
    data = b""
    async with asyncio.timeout(_PIPE_SECONDS):
        while len(data) <= _MAX_BYTES:
            try:
                piece = os.read(file, _MAX_BYTES + 1)
            except BlockingIOError:
                await asyncio.sleep(_LOOK_AGAIN)
                continue
            if not piece:
                break
            data += piece
    return data


async def _read_all(reader: asyncio.StreamReader) -> bytes:
    """To the end, or until it is too much for a token."""
    data = b""
    while len(data) <= _MAX_BYTES and (piece := await reader.read(_MAX_BYTES)):
        data += piece
    return data


def _as_text(data: bytes, origin: str) -> str:
    if len(data) > _MAX_BYTES:
        raise TokenError(f"{origin} is longer than {_MAX_BYTES} bytes: that isn't a token")
    try:
        text = data.decode("ascii").strip()
    except UnicodeDecodeError:
        raise TokenError(f"{origin} isn't a token: it has characters that no token has") from None
    if not text:
        raise TokenError(f"{origin} is empty")
    return text
