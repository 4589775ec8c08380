"""Runs each command of a JSON object in this environment: COMMANDS. Prints their exit status, output, errors.

Two at once: most of the time passes in waiting for the gateway and for interpreters to load.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

COMMANDS: dict[str, tuple[list[str], dict[str, str]]] = json.loads(sys.argv[1])


def run(entry: tuple[list[str], dict[str, str]]) -> list[object]:
    command, more = entry
    environment = {**os.environ, **more}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100, check=False)
    return [done.returncode, done.stdout, done.stderr]


with ThreadPoolExecutor(2) as threads:
    results = dict(zip(COMMANDS, threads.map(run, COMMANDS.values()), strict=True))
print(json.dumps(results))  # noqa: T201 - what the test reads
