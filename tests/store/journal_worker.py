"""A process that appends as fast as it can and prints a JSON line for each answer it got.

Usage: journal_worker.py STATE APPENDERS COUNT [FSIZE_LIMIT | apart]; COUNT 0 goes on for ever.
"""

from __future__ import annotations

import asyncio
import io
import itertools
import json
import os
import resource
import sys
import time
from pathlib import Path

from mitmproxy.io import FlowWriter
from mitmproxy.test import tflow

from addons.store.audit.record import AuditRecord, RecordKind, new_id
from addons.store.state_dir import StateDir
from addons.store.writing.journal import Journal, JournalUnavailable
from addons.store.writing.process_lock import ProcessLock


def recorded_flow() -> bytes:
    file = io.BytesIO()
    flow = tflow.tflow(resp=True)
    flow.id = new_id()
    FlowWriter(file).add(flow)
    return file.getvalue()


async def work(state: Path, appenders: int, count: int, *, apart: bool) -> None:
    opened = StateDir.open(state)
    journal = Journal.open(opened, apart=ProcessLock.take(opened) if apart else None)
    numbers = iter(range(count)) if count else itertools.count()

    async def append() -> None:
        for _ in numbers:
            flow = recorded_flow()
            record = AuditRecord(RecordKind.OUTCOME, time.time(), call=new_id())
            try:
                done = await journal.append([record], flow)
            except JournalUnavailable as error:
                answer: dict[str, object] = {"refused": record.id, "what": error.what}
            else:
                assert done.recording is not None
                answer = {"id": record.id, "idx": done.indices[0], "offset": done.recording.offset}
            # One write(2) a line: what was acknowledged is out before the next append.
            os.write(1, json.dumps(answer).encode() + b"\n")

    await asyncio.gather(*(append() for _ in range(appenders)))
    journal.close()


if __name__ == "__main__":
    apart = sys.argv[4:] == ["apart"]
    if sys.argv[4:] and not apart:
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[4]), int(sys.argv[4])))
    asyncio.run(work(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), apart=apart))
