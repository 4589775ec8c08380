"""How fast the audit log is verified, and in how much memory.

    .venv/bin/python -m tests.bench.audit_verify [--records 100000 1000000]

The logs are made by the gateway's own writer, as `tests.bench.audit_query` makes them. Each is verified in a
process of its own, so that its peak memory is its own.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from itertools import batched, chain
from pathlib import Path

from addons.store.audit.check import own_trust
from addons.store.audit.verify import verify_log
from addons.store.state_dir import StateDir
from addons.store.writing.audit_log import AuditLog
from tests.bench.audit_query import records

GROUP = 64  # records a commit, as under load


def make(state: StateDir, count: int) -> float:
    """Returns records per second."""
    log = AuditLog.open(state.audit_log, busy_seconds=5, create=True)
    began = time.perf_counter()
    for group in batched(chain.from_iterable(records(count)), GROUP):
        log.append([[(one, one.encode())] for one in group])
    took = time.perf_counter() - began
    log.close()
    return count / took


def verify(path: Path) -> None:
    state = StateDir(path)
    trust = own_trust(state)
    began, cpu = time.perf_counter(), time.process_time()
    done = verify_log(state.audit_log, trust)
    took, spent = time.perf_counter() - began, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{done.size:,} records under {done.checkpoints:,} signed heads verified in {took:.1f} s: "
        f"{done.size / took:,.0f}/s, {done.size / spent:,.0f} per CPU second, peak {peak:.0f} MiB"
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--records", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--verify", type=Path)
    chosen = parser.parse_args()
    if chosen.verify:
        verify(chosen.verify)
        return
    for count in chosen.records:
        with tempfile.TemporaryDirectory() as name:
            state = StateDir.open(Path(name) / "state")
            print(f"{count:,} records written, {make(state, count):,.0f}/s", flush=True)
            command = [sys.executable, "-m", "tests.bench.audit_verify", "--verify", str(state.path)]
            subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
