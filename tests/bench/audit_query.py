"""How long questions to a large audit log take, and what their indexes cost each commit.

    .venv/bin/python -m tests.bench.audit_query [--records 1000000] [--keep DIR]

The log is made by the gateway's own writer, in groups as under load. With --keep it stays in DIR for the next
run. Figures are milliseconds, the median and the worst of several runs; each opens the log anew.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import resource
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from addons.core.model import Effect, Json, Operation, Principal, Reason, Risk
from addons.store.audit.question import INDEXES, Question
from addons.store.audit.record import AuditRecord, CallFacts, RecordKind
from addons.store.state_dir import StateDir
from addons.store.trail.query import AuditTrail, open_trail
from addons.store.trail.sessions import list_sessions, session_of
from addons.store.trail.story import find_story
from addons.store.writing.audit_log import AuditLog

BEGIN = 1_790_000_000.0
SECOND = 0.05  # between two calls
GROUP = 256
ROUNDS = 5
OPERATIONS = [
    Operation(f"{verb}{thing}", "v1", method, f"/api/v1/{thing.lower()}/{{id}}", (thing,), risk)
    for thing in ("Monitor", "Dashboard", "Notebook", "Slo", "Downtime")
    for verb, method, risk in (
        ("Get", "GET", Risk.READ),
        ("Update", "PUT", Risk.WRITE),
        ("Delete", "DELETE", Risk.DESTRUCTIVE),
    )
]


def records(count: int) -> Iterator[list[AuditRecord]]:
    """Calls of 200 agents in runs of 500 calls; every twentieth is refused, every thousandth approved."""
    rng = random.Random(7)
    for number in range(count // 2):
        agent, at = rng.randrange(200), BEGIN + number * SECOND
        operation = rng.choice(OPERATIONS)
        known = CallFacts(
            principal=Principal(
                "https://issuer.example", f"agent-{agent}", frozenset({"agents", "sre"}), 2e9,
                on_behalf_of=f"person-{agent % 40}", session=f"run-{agent}-{number // 100_000}",
                token_id=f"{rng.getrandbits(128):032x}",
            ),
            operation=operation, effect=Effect.ALLOW, reason=Reason.ALLOWED, rule=f"rule-{agent % 30}",
            policy_revision="5f1c2d3e", method=operation.method, host="api.datadoghq.com",
            path=f"/api/v1/monitor/{rng.randrange(10_000)}?group=all", request_length=230,
            request_sha256=f"{rng.getrandbits(256):064x}", client=("10.0.0.7", 40000),
            approval=f"{number:032x}" if number % 1000 == 0 else None,
        )  # fmt: skip
        call = f"01{number:024d}"
        request: dict[str, Json] = {
            "headers": [["Host", "api.datadoghq.com"], ["User-Agent", "agent/1"]],
            "body_base64": "eyJhIjoxfQ==" * 20,
        }
        yield [
            AuditRecord(RecordKind.ATTEMPTED, at, call, known, attributes={"request": request}),
            AuditRecord(RecordKind.OUTCOME, at + 0.2, call, known, attributes={"outcome": "answered"}),
        ]


def write(state: StateDir, count: int) -> float:
    """Microseconds a record, of writing alone."""
    log = AuditLog.open(state.audit_log, busy_seconds=5, create=True)
    source, spent, done = records(count), 0.0, 0
    while group := list(islice(source, GROUP // 2)):
        encoded = [[(record, record.encode()) for record in pair] for pair in group]
        begin = time.perf_counter()
        log.append(encoded)
        spent += time.perf_counter() - begin
        done += 2 * len(group)
    log.close()
    return spent / max(1, done) * 1e6


def add_indexes(state: StateDir) -> None:
    with contextlib.closing(sqlite3.connect(state.audit_log)) as connection:
        for statement in INDEXES:
            connection.execute(statement)
        connection.commit()


def cost(count: int) -> None:
    """Of writing, with the indexes and without, round by round."""
    ratios = []
    for number in range(ROUNDS):
        spent = {}
        for indexed in (False, True):
            with tempfile.TemporaryDirectory() as name:
                state = StateDir.open(Path(name) / "state")
                write(state, 0)
                if indexed:
                    add_indexes(state)
                else:
                    _drop(state)
                spent[indexed] = write(state, count)
        ratios.append(spent[True] / spent[False])
        print(
            f"round {number + 1}: {spent[False]:6.1f} us/record without, {spent[True]:6.1f} with the indexes"
        )
    print(f"ratio: median {statistics.median(ratios):.2f}\n")


def _drop(state: StateDir) -> None:
    with contextlib.closing(sqlite3.connect(state.audit_log)) as connection:
        for name in ("records_run", "records_approval", "records_rare"):
            connection.execute(f"DROP INDEX IF EXISTS {name}")
        connection.commit()


def ask(path: Path, name: str, question: Callable[[AuditTrail], object]) -> None:
    spent = []
    found: object = None
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        with open_trail(path, print) as trail:
            found = question(trail)
        spent.append((time.perf_counter() - begin) * 1000)
    print(f"{name:<44} {statistics.median(spent):9.1f} ms  worst {max(spent):9.1f} ms   {found}")


def first(question: Question, count: int = 50) -> Callable[[AuditTrail], int]:
    return lambda trail: sum(1 for _ in islice(trail.find(question), count))


def questions(path: Path, count: int) -> None:
    end = BEGIN + count / 2 * SECOND
    hour = (end - 3600, end)
    middle = (BEGIN + (end - BEGIN) / 2, BEGIN + (end - BEGIN) / 2 + 3600)
    ask(path, "identity and last hour, 50", first(Question(who="agent-7", since=hour[0], until=hour[1])))
    ask(
        path,
        "identity and an hour in the middle, all",
        first(Question(who="agent-7", since=middle[0], until=middle[1]), count),
    )
    ask(path, "identity alone, 50", first(Question(who="agent-7")))
    ask(
        path,
        "identity, time and operation, all",
        first(Question(who="agent-7", operation="Delete*", since=middle[0], until=middle[1]), count),
    )
    ask(path, "unknown identity", first(Question(who="nobody")))
    ask(path, "session, 50", first(Question(session="run-7-1")))
    ask(path, "approval", first(Question(approval=f"{1000:032x}")))
    ask(path, "call", first(Question(call=f"01{4711:024d}")))
    ask(path, "kind policy_activated", first(Question(kind=RecordKind.POLICY_ACTIVATED)))
    ask(path, "count of an identity", lambda trail: trail.count(Question(who="agent-7")))
    ask(path, "show a call", lambda trail: len(find_story(trail, f"01{4711:024d}").every()))
    ask(
        path,
        "show an approval by its end",
        lambda trail: len(find_story(trail, f"{4000:032x}"[-12:]).every()),
    )
    ask(path, "sessions, newest 20", lambda trail: len(list(islice(list_sessions(trail), 20))))
    ask(path, "one session added up", lambda trail: session_of(trail, "run-7-1").calls)
    ask(path, "rule that never matched (goes through all)", first(Question(rule="none")))
    ask(path, "reason that never matched (goes through all)", first(Question(reason=Reason.NO_RULE)))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--keep", type=Path)
    chosen = parser.parse_args()
    cost(20_000)
    with tempfile.TemporaryDirectory() as name:
        state = StateDir.open((chosen.keep or Path(name)) / "state")
        if not state.audit_log.exists():
            print(f"writing {chosen.records} records: {write(state, chosen.records):.1f} us each")
        add_indexes(state)
        print(f"{state.audit_log.stat().st_size / 2**20:.0f} MiB")
        questions(state.audit_log, chosen.records)
    print(f"most memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


if __name__ == "__main__":
    main()
