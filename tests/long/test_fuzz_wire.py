"""Hostile bytes at the listener and inside a tunnel: the gateway stays up, answers in its own form, and what
reaches the upstream was decided on, is on record and carries the gateway's key.

Two hundred cases always run, the same ones each time; `--long` runs twenty thousand from another seed, or as
many as ten minutes take. DDGATE_FUZZ_SEED, DDGATE_FUZZ_FROM and DDGATE_FUZZ_CASES choose others; a failure
says which to give to see it again.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.gateway_process import Gateway, wait_until
from tests.e2e.open_policy import write_open_policy
from tests.long.wire_run import BATCH, Fuzzer
from tests.sandbox_processes import Issuer, StandIn

type MakeGateway = Callable[..., Gateway]

_LIMITS = {"body": "64KiB", "decoded_body": "1MiB", "head": "8KiB"}
_SPARE_DESCRIPTORS = 8  # the log's database and a segment come and go


@pytest.fixture
def tight(make_gateway: MakeGateway, tmp_path: Path) -> Gateway:
    """A gateway that permits everything and has little room."""
    return make_gateway(config={"policy": [write_open_policy(tmp_path)], "limits": _LIMITS}).start()


def fuzz(gateway: Gateway, issuer: Issuer, datadog: StandIn, seed: int, count: int, seconds: float) -> str:
    datadog.reset()
    fuzzer = Fuzzer(gateway, datadog, issuer.token("demo-agent", ttl=3600), seed)
    before = fuzzer.descriptors()
    began = time.monotonic()
    number = first = int(os.environ.get("DDGATE_FUZZ_FROM", "0"))
    while number < first + count and time.monotonic() - began < seconds:
        until = min(number + BATCH, first + count)
        fuzzer.run(range(number, until))
        number = until
    wait_until(lambda: fuzzer.descriptors() <= before + _SPARE_DESCRIPTORS, 20, "its connections to close")
    fuzzer.finish()
    return f"seed {seed}, {number - first} cases in {time.monotonic() - began:.0f} s: {dict(fuzzer.counts)}"


def _environment(name: str, default: int) -> int:
    return int(os.environ.get(f"DDGATE_FUZZ_{name}", default))


def test_two_hundred_cases(tight: Gateway, issuer: Issuer, datadog: StandIn) -> None:
    fuzz(tight, issuer, datadog, seed=1, count=BATCH, seconds=60)


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_many_cases(tight: Gateway, issuer: Issuer, datadog: StandIn) -> None:
    seed = _environment("SEED", random.SystemRandom().randrange(1 << 32))
    print(fuzz(tight, issuer, datadog, seed, _environment("CASES", 20_000), seconds=600))  # noqa: T201 - the figures
