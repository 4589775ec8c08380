"""Bytes both ways between the child and whoever it talks to."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Callable
from enum import Enum, auto
from typing import NamedTuple

from addons.sidecar.limits import Limits

_CHUNK = 65536
_LONGEST_NAP = 5.0


class Stream(NamedTuple):
    """One connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


class Direction(Enum):
    """UP is away from the child."""

    UP = auto()
    DOWN = auto()


async def close(writer: asyncio.StreamWriter) -> None:
    """Close without waiting for a peer that doesn't."""
    writer.close()
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(1):
            await writer.wait_closed()


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, moved: Callable[[], None]) -> None:
    """Copy until the sender's end, reading no faster than the receiver takes, and hand the end on.

    Raises OSError.
    """
    while data := await reader.read(_CHUNK):
        moved()
        writer.write(data)
        await writer.drain()
        moved()
    if writer.can_write_eof():
        writer.write_eof()


class Tunnel:
    """An opened CONNECT. `retire_at` (epoch seconds) is from when it should not carry another call.

    A tunnel that is to be retired closes once it is quiet: the last bytes were an answer, and nothing moved
    since. A pooled client then opens a new tunnel, with a new token, instead of being refused in this one.
    """

    def __init__(self, child: Stream, far: Stream, limits: Limits, retire_at: float = math.inf) -> None:
        self._child = child
        self._far = far
        self._limits = limits
        self._retire_at = retire_at
        self._last = Direction.DOWN
        self._last_at = time.monotonic()
        self._ended: Direction | None = None
        self._side_ended = asyncio.Event()

    async def run(self) -> None:
        """Return when both sides are done, one broke, or the tunnel was closed; both are closed then."""
        up = asyncio.create_task(self._pump(Direction.UP))
        down = asyncio.create_task(self._pump(Direction.DOWN))
        watch = asyncio.create_task(self._watch())
        running: set[asyncio.Task[bool]] = {up, down}
        try:
            while running and not watch.done():
                done, _ = await asyncio.wait({*running, watch}, return_when=asyncio.FIRST_COMPLETED)
                if any(task is not watch and not task.result() for task in done if task in running):
                    break
                running -= done
        finally:
            tasks = (up, down, watch)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.gather(close(self._far.writer), close(self._child.writer))

    async def _pump(self, direction: Direction) -> bool:
        source, sink = (self._child, self._far) if direction is Direction.UP else (self._far, self._child)
        try:
            await pump(source.reader, sink.writer, lambda: self._moved(direction))
        except OSError:
            return False
        self._moved(direction)
        self._ended = direction
        self._side_ended.set()
        return True

    def _moved(self, direction: Direction) -> None:
        self._last, self._last_at = direction, time.monotonic()

    async def _watch(self) -> bool:
        while (left := self._seconds_left()) > 0:
            self._side_ended.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(left, _LONGEST_NAP)):
                    await self._side_ended.wait()
        return True

    def _seconds_left(self) -> float:
        silent = time.monotonic() - self._last_at
        if self._ended is not None:
            can_tell = self._ended is Direction.DOWN or self._far.writer.can_write_eof()
            limit = self._limits.half_closed_time if can_tell else self._limits.half_closed_tls_time
            return limit - silent
        to_retirement = self._retire_at - time.time()
        quiet = self._limits.quiet_time
        # While a call waits for its answer it is looked at again after a while.
        return max(to_retirement, quiet - silent if self._last is Direction.DOWN else quiet)
