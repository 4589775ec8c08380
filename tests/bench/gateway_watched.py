"""A gateway whose event loop is watched: each connection to the socket is told, as JSON, the longest
time since the last one that something kept the loop from all else, in milliseconds. For benchmarks alone.

    python -m tests.bench.gateway_watched SOCKET
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

from addons.cli.main import app
from addons.lifecycle import Lifecycle

_TICK = 0.001


def _waited() -> float:
    """For how many seconds this thread was ready to run, and did not (Linux' schedstats)."""
    try:
        return int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e9
    except OSError:
        return 0.0


class Watch:
    """A gap counts by the smaller of two clocks: the wall's, less the tick and less what the loop's thread
    waited for a processor, and the processor time that the whole process used meanwhile. So neither a thread
    that holds the interpreter's lock is missed, nor counts what other processes took of the machine.
    """

    def __init__(self) -> None:
        self._longest = 0.0

    async def run(self, path: str) -> None:
        await asyncio.start_unix_server(self._tell, path)
        while True:
            wall, used, waited = time.perf_counter(), time.process_time(), _waited()
            await asyncio.sleep(_TICK)
            wall, used, waited = time.perf_counter() - wall, time.process_time() - used, _waited() - waited
            gap = min(wall - _TICK - waited, used)
            self._longest = max(self._longest, gap)

    async def _tell(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(json.dumps(self._longest * 1000).encode())
        self._longest = 0.0
        writer.close()


def main() -> None:
    running = Lifecycle.running
    tasks: list[asyncio.Task[None]] = []

    def watched(self: Lifecycle) -> None:
        running(self)
        tasks.append(asyncio.create_task(Watch().run(sys.argv[1])))

    Lifecycle.running = watched  # type: ignore[method-assign]
    app(["gateway"])


if __name__ == "__main__":
    main()
