from __future__ import annotations

import functools
import io
import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mitmproxy.io import FlowReader, FlowWriter
from mitmproxy.test import tflow

from addons.store.audit.record import AuditRecord, RecordKind
from addons.store.state_dir import StateDir
from tests.store.approval_samples import reader, store  # noqa: F401 - fixtures
from tests.store.targets.target_upstream import make  # noqa: F401 - a fixture

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def state(tmp_path: Path) -> StateDir:
    return StateDir.open(tmp_path / "state")


@pytest.fixture
def record() -> Callable[..., AuditRecord]:
    return lambda kind=RecordKind.ATTEMPTED, **fields: AuditRecord(kind, time.time(), **fields)


@pytest.fixture
def make_flow() -> Callable[[str], bytes]:
    @functools.cache  # mitmproxy's test flows have random parts
    def written(flow_id: str) -> bytes:
        file = io.BytesIO()
        flow = tflow.tflow(resp=True)
        flow.id = flow_id
        FlowWriter(file).add(flow)
        return file.getvalue()

    return written


@pytest.fixture
def flow_ids() -> Callable[[Path], list[str]]:
    """Ids of the flows in a segment, as stock mitmproxy reads them; raises if it can't."""

    def read(path: Path) -> list[str]:
        with path.open("rb") as file:
            return [flow.id for flow in FlowReader(file).stream()]

    return read


@pytest.fixture
def rows() -> Callable[[Path], list[tuple[int, dict[str, object]]]]:
    def read(path: Path) -> list[tuple[int, dict[str, object]]]:
        connection = sqlite3.connect(path)
        try:
            found = connection.execute("SELECT idx, body FROM records ORDER BY idx").fetchall()
        finally:
            connection.close()
        return [(idx, json.loads(body)) for idx, body in found]

    return read


@pytest.fixture
def worker() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts tests/store/journal_worker.py; what is left of it is killed at the end."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("journal_worker.py")), *map(str, arguments)],
            stdout=subprocess.PIPE,
            text=True,
            env={"PYTHONPATH": str(ROOT)},
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
