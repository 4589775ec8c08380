"""Mixed traffic, good and bad, for a while: every call gets the answer that it should, nothing piles up in
the process, and every call that was attempted has its outcome.

Five seconds always run, ten minutes with `--long`. DDGATE_SOAK_SECONDS gives another length.
"""

from __future__ import annotations

import os
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.e2e.gateway_process import Gateway, wait_until
from tests.e2e.open_policy import write_open_policy
from tests.long.evidence import OpenCalls, assert_log_is_calm, descriptors_of, resident_mib
from tests.long.soak_traffic import Traffic
from tests.sandbox_processes import Issuer, StandIn

type MakeGateway = Callable[..., Gateway]

WORKERS = 6
SAMPLE_SECONDS = 0.5
# MiB that the process may take more at the end than once it was warm. What leaks a kilobyte a call takes
# fifty in ten minutes.
GROWTH = 24.0
_SPARE_DESCRIPTORS = 4  # the log's database, a segment


@dataclass
class Watched:
    """The process from outside, sampled while the traffic runs."""

    pid: int
    resident: list[float] = field(default_factory=list)
    descriptors: list[int] = field(default_factory=list)

    def sample(self) -> None:
        self.resident.append(resident_mib(self.pid))
        self.descriptors.append(descriptors_of(self.pid))

    def growth(self) -> float:
        """Of the median: the last quarter against the second, since the first is the warm-up."""
        quarter = max(1, len(self.resident) // 4)
        warm, last = self.resident[quarter : 2 * quarter], self.resident[-quarter:]
        return statistics.median(last) - statistics.median(warm)


def soak(gateway: Gateway, issuer: Issuer, datadog: StandIn, seconds: float) -> tuple[Watched, str]:
    datadog.reset()
    token = issuer.token("demo-agent", ttl=3600)
    traffic = [Traffic(gateway, token, seed) for seed in range(WORKERS)]
    traffic[0].once()  # what is opened at first use is open
    traffic[0].leave()
    assert gateway.process is not None
    watched = Watched(gateway.process.pid)
    idle = descriptors_of(watched.pid)
    calls, deadline = OpenCalls(gateway), time.monotonic() + seconds
    done = threading.Event()
    threads = [threading.Thread(target=one.run, args=(done,), daemon=True) for one in traffic]
    for thread in threads:
        thread.start()
    while time.monotonic() < deadline and all(thread.is_alive() for thread in threads):
        done.wait(SAMPLE_SECONDS)
        watched.sample()
        calls.read()
        datadog.reset()
    done.set()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    counts, wrong = Counter[str](), [each for one in traffic for each in one.wrong]
    for one in traffic:
        counts.update(one.counts)
    assert not wrong, f"{len(wrong)} of {counts.total()} went wrong, first: {wrong[:5]}"
    wait_until(lambda: not calls.read(), 20, "the outcome of every attempted call")
    wait_until(lambda: descriptors_of(watched.pid) <= idle + _SPARE_DESCRIPTORS, 20, "descriptors to close")
    wait_until(lambda: gateway.status()["calls_in_flight"] == 0, 10, "no call to be in flight")
    assert max(watched.descriptors) < idle + 2 * WORKERS + 20, watched.descriptors
    assert_log_is_calm(gateway)
    assert gateway.stop() == 0
    said = (
        f"{counts.total()} calls in {seconds:.0f} s, {calls.attempted} attempted, {calls.refused} refused; "
        f"{watched.resident[0]:.0f} MiB at first, {max(watched.resident):.0f} at most, "
        f"{watched.growth():+.1f} after the warm-up; "
        f"descriptors {idle} idle, {max(watched.descriptors)} at most; "
        f"{dict(counts)}"
    )
    return watched, said


@pytest.fixture
def soaked(make_gateway: MakeGateway, tmp_path: Path) -> Gateway:
    masks = {"forward": {"detect": ["secrets"]}, "response": {"detect": ["secrets"]}}
    config = {"policy": [write_open_policy(tmp_path, mask=masks)], "limits": {"body": "1MiB"}}
    return make_gateway(config=config).start()


def test_five_seconds(soaked: Gateway, issuer: Issuer, datadog: StandIn) -> None:
    soak(soaked, issuer, datadog, seconds=5)


@pytest.mark.long
@pytest.mark.timeout(1500)
def test_ten_minutes(soaked: Gateway, issuer: Issuer, datadog: StandIn) -> None:
    seconds = float(os.environ.get("DDGATE_SOAK_SECONDS", "600"))
    watched, said = soak(soaked, issuer, datadog, seconds)
    print(said)  # noqa: T201 - the figures
    assert watched.growth() <= GROWTH, said
