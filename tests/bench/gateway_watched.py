"""A gateway whose event loop is watched: each connection to the socket is told, as JSON, the longest
time since the last one that something kept the loop from all else, in milliseconds. For benchmarks alone.

    python -m tests.bench.gateway_watched SOCKET [WHERE]

WHERE, a file, gets the stacks of what held the loop for longer than that.
"""

from __future__ import annotations

import asyncio
import faulthandler
import json
import sys
import time
from pathlib import Path

from addons.cli.main import app
from addons.lifecycle import Lifecycle

_TICK = 0.001
_STACKS_AFTER = 0.004


class Watch:
    """A gap counts by the smaller of two clocks: the wall's, less the tick, and the processor time that the
    whole process used meanwhile. So neither a thread that holds the interpreter's lock is missed, nor counts
    what other processes took of the machine.
    """

    def __init__(self, where: Path | None) -> None:
        self._longest = 0.0
        self._where = where.open("w") if where is not None else None

    async def run(self, path: str) -> None:
        await asyncio.start_unix_server(self._tell, path)
        while True:
            if self._where is not None:
                faulthandler.dump_traceback_later(_TICK + _STACKS_AFTER, file=self._where)
            wall, used = time.perf_counter(), time.process_time()
            await asyncio.sleep(_TICK)
            gap = min(time.perf_counter() - wall - _TICK, time.process_time() - used)
            self._longest = max(self._longest, gap)

    async def _tell(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(json.dumps(self._longest * 1000).encode())
        self._longest = 0.0
        writer.close()


def main() -> None:
    path, where = sys.argv[1], Path(sys.argv[2]) if len(sys.argv) > 2 else None
    running = Lifecycle.running
    tasks: list[asyncio.Task[None]] = []

    def watched(self: Lifecycle) -> None:
        running(self)
        tasks.append(asyncio.create_task(Watch(where).run(path)))

    Lifecycle.running = watched  # type: ignore[method-assign]
    app(["gateway"])


if __name__ == "__main__":
    main()
