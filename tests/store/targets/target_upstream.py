"""An upstream that does as a test says, and a fixture that puts a target reader before it."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from addons.core.model import Json
from addons.core.policy.request import Unreadable
from addons.store.state_dir import StateDir
from addons.store.writing.journal import Journal
from tests.e2e.raw_upstream import Exchange, RawUpstream, ok
from tests.store.targets.target_reading import Reading

GITHUB = "ghp_16C7e42F292c6912E7710c838347Ae178B4a"
SHOWING = """
version: 1
rules:
  - id: all
    effect: allow
    op: {risk: [destructive]}
    target: {tags: {absent: false}, token: {absent: false}}
"""
MONITOR: dict[str, Json] = {"id": 7, "name": "disk", "tags": ["env:prod", "team:a"]}
PATH = "/api/v1/monitor/7"
OTHER = "/api/v1/monitor/8"
NO_CALL = "Datadog has no call that reads it"

type Make = Callable[..., Reading]
type Script = Callable[[Exchange], Any]


def answering(document: Json, status: int = 200) -> Script:
    body = json.dumps(document).encode()
    whole = ok(body, "Content-Type: application/json").replace(b" 200 OK", f" {status} X".encode(), 1)
    return lambda exchange: exchange.send(whole)


class Gate:
    """Answers when the test says so, with the document of that moment."""

    def __init__(self, document: Json) -> None:
        self.document = document
        self.reached = threading.Semaphore(0)
        self.opened = threading.Semaphore(0)

    def __call__(self, exchange: Exchange) -> None:
        document = self.document
        self.reached.release()
        self.opened.acquire()
        answering(document)(exchange)

    def open(self, times: int = 1) -> None:
        self.opened.release(times)

    async def wait(self) -> None:
        """Until a request is there."""
        assert await asyncio.to_thread(self.reached.acquire, timeout=10)


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Makes a reader before an upstream that does `script` at every path."""
    upstreams: list[RawUpstream] = []
    journals: list[Journal] = []

    def one(script: Script | None = None, *, journal: Journal | None = None, **options: Any) -> Reading:
        name = f"{len(upstreams)}"

        scripts = dict.fromkeys((PATH, OTHER), script or answering(MONITOR))
        upstream = RawUpstream(tmp_path / f"upstream-{name}", scripts)
        upstreams.append(upstream.__enter__())
        state = StateDir.open(tmp_path / f"state-{name}")
        if journal is None:
            journal = Journal.open(state)
            journals.append(journal)
        return Reading(upstream, state, journal, **options)

    yield one
    for upstream in upstreams:
        upstream.__exit__(None, None, None)
    for opened in journals:
        opened.close()


def unread(seen: Any) -> str:
    assert isinstance(seen.evidence, Unreadable), seen
    return seen.evidence.why
