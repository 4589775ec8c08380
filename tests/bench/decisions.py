"""How long a person's yes takes to reach a held call, on this machine.

    .venv/bin/python -m tests.bench.decisions [--rounds 20] [--held 1 50]

Gateway, control and the stand-in for Datadog are processes of their own. So many calls are held at once, each
on a connection of its own; then people approve them one after another through control's API. What is measured
begins when the API has answered, and ends when the call's client has Datadog's answer: the gateway has heard
of it, has asked identity and policy again, made the call, and written down that it did.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import ssl
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.e2e.approving import MONITOR, POLICY, Control, running, settings
from tests.e2e.gateway_process import Gateway
from tests.sandbox_processes import Issuer, start_datadog, start_issuer

GOAL_MS = 250
BUDGET = {"pending_per_principal": 10_000, "requests_per_hour": 100_000}


@dataclass(frozen=True)
class Measured:
    """Milliseconds, of each call: until control's API had answered, and from there to the client's answer."""

    voting: Sequence[float]
    reaching: Sequence[float]

    def __str__(self) -> str:
        late = sum(each > GOAL_MS for each in self.reaching)
        return (
            f"{len(self.reaching):5} {statistics.median(self.reaching):8.0f} {max(self.reaching):8.0f} "
            f"{late:12} {statistics.median(self.voting):12.0f}"
        )


@dataclass(frozen=True)
class Place:
    gateway: Gateway
    control: Control
    agent: str
    approver: str
    trusted: ssl.SSLContext

    async def call(self, name: str) -> float:
        """When its answer was there."""
        proxy = httpx.Proxy(self.gateway.url, headers={"Proxy-Authorization": f"Bearer {self.agent}"})
        body = {"name": name, "type": "metric alert", "query": "avg(last_5m):avg:system.cpu.user{*} > 90"}
        async with httpx.AsyncClient(
            proxy=proxy, verify=self.trusted, trust_env=False, timeout=120
        ) as client:
            answer = await client.post(MONITOR, json=body, headers={"Prefer": "wait=100"})
        assert answer.status_code == 200, answer.text
        assert answer.json()["name"] == name
        return time.perf_counter()

    async def hold(self, count: int) -> tuple[list[asyncio.Task[float]], list[str]]:
        """So many calls that wait, and their approvals' ids in the same order."""
        names = [f"{time.time_ns()}-{number}" for number in range(count)]
        calls = [asyncio.create_task(self.call(name)) for name in names]
        while True:
            found = await asyncio.to_thread(self.control.listed, "pending")
            ids = {one["summary"]: one["id"] for one in found}
            mine = [next((ids[text] for text in ids if name in text), None) for name in names]
            if all(mine) and self.gateway.status()["holding"] == count:
                return calls, [each for each in mine if each is not None]
            for call in calls:
                assert not call.done(), call.result()
            await asyncio.sleep(0.1)


async def measure(place: Place, held: int, rounds: int) -> Measured:
    voting: list[float] = []
    reaching: list[float] = []
    headers = {"Authorization": f"Bearer {place.approver}"}
    base = f"http://127.0.0.1:{place.control.port}/api/v1"
    async with httpx.AsyncClient(base_url=base, headers=headers, trust_env=False, timeout=60) as people:
        for _ in range(rounds):
            calls, ids = await place.hold(held)
            heard = []
            for one in ids:
                start = time.perf_counter()
                answer = await people.post(f"/approvals/{one}/approve", json={"reason": ""})
                heard.append(time.perf_counter())
                assert answer.status_code == 200, answer.text
                voting.append((heard[-1] - start) * 1000)
            answered = await asyncio.gather(*calls)
            reaching += [(end - start) * 1000 for start, end in zip(heard, answered, strict=True)]
    return Measured(voting, reaching)


def _config(directory: Path, issuer: Issuer) -> dict[str, Any]:
    policy = POLICY.replace("hold: 30s", "hold: 100s")
    return settings(directory, issuer, policy, longest_wait="100s", **BUDGET)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=20, help="of one held call; of more at least 2")
    parser.add_argument("--held", type=int, nargs="+", default=[1, 50])
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        for part in ("issuer", "datadog"):
            (directory / part).mkdir()
        with start_issuer(directory / "issuer") as issuer, start_datadog(directory / "datadog") as datadog:
            keys = json.loads((datadog.dir / "keys.json").read_text())
            gateway = Gateway(
                *(directory / "gateway", issuer.url, datadog.port, datadog.dir / "sandbox-ca.pem", keys),
                config=_config(directory, issuer),
            ).start()
            try:
                with running(gateway, issuer) as control:
                    trusted = ssl.create_default_context(cafile=str(gateway.ca))
                    agent, approver = issuer.token("demo-agent", ttl=3000), control.token("alice")
                    place = Place(gateway, control, agent, approver, trusted)
                    print("       ms from the API's answer to the client's      ms until the API's")
                    print("held   calls   median    worst   over 250 ms       median")
                    for held in chosen.held:
                        rounds = max(2, chosen.rounds // held)
                        print(f"{held:4}   {asyncio.run(measure(place, held, rounds))}", flush=True)
            finally:
                gateway.stop()


if __name__ == "__main__":
    main()
