from __future__ import annotations

import functools
import io
from collections.abc import Callable
from pathlib import Path

import pytest
from mitmproxy.io import FlowWriter
from mitmproxy.test import tflow

from addons.store.recordings.segments import SegmentLimits, SegmentWriter
from addons.store.state_dir import StateDir


@pytest.fixture
def state(tmp_path: Path) -> StateDir:
    return StateDir.open(tmp_path / "state")


@pytest.fixture
def writer(state: StateDir) -> SegmentWriter:
    return SegmentWriter(state.recordings, SegmentLimits(min_free_bytes=0))


@pytest.fixture
def make_flow() -> Callable[..., bytes]:
    @functools.cache  # mitmproxy's test flows have random parts
    def make(flow_id: str, *, answered: bool = True) -> bytes:
        file = io.BytesIO()
        flow = tflow.tflow(resp=answered)
        flow.id = flow_id
        FlowWriter(file).add(flow)
        return file.getvalue()

    return make
