"""What it costs each request to ask who is frozen or revoked, and how soon a freeze is known, on this
machine.

    .venv/bin/python -m tests.bench.blocklist [--questions 200000] [--freezes 50]

A gateway asks three times on a call's way, once for each token that the call relies on. The list is in
memory; a thread looks ten times a second whether it changed. Questions are measured by the processor's time.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from addons.core.blocklist import Block, BlockKind, Named, TokenLimits
from addons.core.model import Principal
from addons.store import moment
from addons.store.audit.record import new_id
from addons.store.blocking.blocks import Blocks, PutBlock, StoredBlock
from addons.store.blocking.watch import BlockWatch
from addons.store.state_dir import StateDir
from addons.store.writing.audit_log import AuditLog, Wish

AGENT = Principal(
    *("https://issuer", "agent", frozenset({"agents"}), 2e9),
    on_behalf_of="bob",
    session="run-7",
    token_id="t1",
    token_issuer="https://issuer",
    issued=1e9,
)
GOAL_SECONDS = 1.0


def freeze_of(name: str) -> PutBlock:
    begun = moment.now()
    block = Block(new_id(), BlockKind.FREEZE, Named.SUBJECT, name, None, "", "bench", begun.wall)
    return PutBlock(StoredBlock(block, begun, None), {})


def question_ns(watch: BlockWatch, count: int) -> float:
    """Nanoseconds of one question that finds nothing."""
    rounds = []
    for _ in range(5):
        begun = time.thread_time_ns()
        for _ in range(count // 5):
            current = watch.current
            assert current is not None
            current.find(AGENT)
        rounds.append((time.thread_time_ns() - begun) / (count // 5))
    return statistics.median(rounds)


def until_known(watch: BlockWatch, log: AuditLog, name: str) -> float:
    """Seconds from the commit of a freeze until it is in force here."""
    who = replace(AGENT, subject=name)
    log.append_with_changes([Wish((), freeze_of(name))])
    begun = time.perf_counter()
    while (current := watch.current) is None or current.find(who) is None:
        time.sleep(0.001)
    return time.perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=200_000)
    parser.add_argument("--freezes", type=int, default=50)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        state = StateDir.open(Path(directory) / "state")
        log = AuditLog.open(state.audit_log, busy_seconds=5, create=True)
        watch = BlockWatch(Blocks(state.audit_log), TokenLimits(3600, 30), moment.now)
        watch.start()
        print("entries   ns a question")
        entries = 0
        for wanted in (0, 1, 100, 10_000):
            log.append_with_changes([Wish((), freeze_of(f"other-{n}")) for n in range(entries, wanted)])
            entries = wanted
            watch.look()
            print(f"{entries:7} {question_ns(watch, given.questions):15.0f}")
        known = [until_known(watch, log, f"agent-{n}") for n in range(given.freezes)]
        print(
            f"a freeze is known after {statistics.median(known) * 1000:.0f} ms (median), "
            f"{max(known) * 1000:.0f} ms (longest); the goal is {GOAL_SECONDS * 1000:.0f} ms"
        )
        watch.close()
        log.close()


if __name__ == "__main__":
    main()
