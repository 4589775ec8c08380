"""One issuer, one Datadog stand-in and one gateway for the whole run; who breaks one starts its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import approving
from tests.e2e.gateway_process import Gateway
from tests.sandbox_processes import Issuer, StandIn, start_datadog, start_issuer


@pytest.fixture(scope="session")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Issuer]:
    process = start_issuer(tmp_path_factory.mktemp("issuer"))
    yield process
    process.stop()


@pytest.fixture(scope="session")
def datadog(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    process = start_datadog(tmp_path_factory.mktemp("datadog"))
    yield process
    process.stop()


type MakeGateway = Callable[..., Gateway]


def _maker(directory: Path, issuer: Issuer, datadog: StandIn, made: list[Gateway]) -> MakeGateway:
    keys = json.loads((datadog.dir / "keys.json").read_text())

    def make(name: str = "gateway", **options: Any) -> Gateway:
        gateway = Gateway(
            directory / name, issuer.url, datadog.port, datadog.dir / "sandbox-ca.pem", keys, **options
        )
        made.append(gateway)
        return gateway

    return make


@contextmanager
def _making(directory: Path, issuer: Issuer, datadog: StandIn) -> Iterator[MakeGateway]:
    made: list[Gateway] = []
    yield _maker(directory, issuer, datadog, made)
    for gateway in made:
        if gateway.process is not None and gateway.process.poll() is None:
            gateway.process.kill()
            gateway.process.wait()


@pytest.fixture
def make_gateway(tmp_path: Path, issuer: Issuer, datadog: StandIn) -> Iterator[MakeGateway]:
    """Makes gateways that this test alone uses; whatever still runs at its end is killed."""
    with _making(tmp_path, issuer, datadog) as make:
        yield make


@pytest.fixture(scope="module")
def asking(
    tmp_path_factory: pytest.TempPathFactory, issuer: Issuer, datadog: StandIn
) -> Iterator[approving.Place]:
    """A gateway that asks people, and control, for all tests of a module."""
    directory = tmp_path_factory.mktemp("asking")
    with (
        _making(directory, issuer, datadog) as make,
        approving.people_are_asked(make, issuer, directory) as place,
    ):
        yield place


@pytest.fixture
def place(asking: approving.Place, fresh: StandIn) -> Iterator[approving.Place]:
    """`asking`, where nothing waits for an answer. What was answered before still stands: each test makes
    calls of its own.
    """
    yield asking
    control = asking[1]
    for one in control.listed("pending"):
        assert control.decide(one["id"], "deny", reason="the test is over").status_code == 200


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory, issuer: Issuer, datadog: StandIn) -> Iterator[Gateway]:
    made: list[Gateway] = []
    process = _maker(tmp_path_factory.mktemp("shared"), issuer, datadog, made)().start()
    yield process
    process.stop()


@pytest.fixture
def fresh(datadog: StandIn) -> StandIn:
    """The stand-in, having received nothing yet."""
    datadog.reset()
    return datadog
