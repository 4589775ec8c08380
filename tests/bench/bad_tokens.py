"""What a flood of bad tokens from one client costs another: the ratio of the other's median latencies.

    .venv/bin/python -m tests.bench.bad_tokens [--requests 10000] [--rounds 9] [--connections 16]

One client calls through its tunnel, one call after the other. Another, at an address of its own, logs in with
bad tokens as fast as it is answered: each is new, of the right issuer and with a wrong signature, which takes
longest to refuse. Quiet and flooded stretches take turns, so that the machine's mood hits both alike.
A round's two medians make one ratio; the figure to quote is the median of the ratios.
"""

from __future__ import annotations

import argparse
import multiprocessing
import socket
import statistics
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.sharedctypes import Synchronized
from multiprocessing.synchronize import Event
from pathlib import Path

from tests.e2e import raw_client
from tests.e2e.gateway_process import Gateway
from tests.e2e.open_policy import write_open_policy
from tests.sandbox_processes import start_datadog, start_issuer

HOST = "api.datadoghq.com"
GOAL = 1.2
ATTACKER = "127.0.0.2"
SETTLING = 1.5  # seconds in which what the flood left behind is answered


@dataclass(frozen=True)
class Flood:
    """An attacking process: sends all tokens, each in a CONNECT of its own, while `going`."""

    port: int
    tokens: Sequence[str]
    connections: int
    going: Event
    done: Synchronized[int]

    def run(self) -> None:
        left, lock = iter(self.tokens), threading.Lock()

        def send() -> None:
            while self.going.wait():
                with lock:
                    token = next(left, None)
                if token is None:
                    return
                self._send(token)

        threads = [threading.Thread(target=send, daemon=True) for _ in range(self.connections)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _send(self, token: str) -> None:
        address = ("127.0.0.1", self.port)
        with socket.create_connection(address, 60, source_address=(ATTACKER, 0)) as connection:
            login = [("Host", HOST), raw_client.bearer(token)]
            connection.sendall(raw_client.head(f"CONNECT {HOST}:443 HTTP/1.1", login))
            assert raw_client.read_answer(connection).status == 407
        with self.done.get_lock():
            self.done.value += 1


def latencies(tunnel: raw_client.Tunnel, seconds: float) -> list[float]:
    taken: list[float] = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        began = time.perf_counter()
        assert tunnel.request("GET", "/api/v1/monitor", [("Host", HOST)]).status == 200
        taken.append(1000 * (time.perf_counter() - began))
    return taken


def compare(gateway: Gateway, good: str, bad: list[str], chosen: argparse.Namespace) -> None:
    tunnel = raw_client.tunnel(gateway.port, gateway.ca, HOST, [raw_client.basic(good)], timeout=60)
    flood = Flood(
        gateway.port, bad, chosen.connections, multiprocessing.Event(), multiprocessing.Value("i", 0)
    )
    attacker = multiprocessing.Process(target=flood.run, daemon=True)
    attacker.start()
    latencies(tunnel, 2)
    pairs: list[tuple[float, float]] = []
    for _ in range(chosen.rounds):
        quiet = statistics.median(latencies(tunnel, chosen.seconds))
        flood.going.set()
        pairs.append((quiet, statistics.median(latencies(tunnel, chosen.seconds))))
        flood.going.clear()
        latencies(tunnel, SETTLING)
    attacker.kill()
    ratio = statistics.median(during / before for before, during in pairs)
    print("quiet and flooded, ms:", ", ".join(f"{before:.1f} {during:.1f}" for before, during in pairs))
    print(f"{flood.done.value} bad tokens were answered in {chosen.rounds * chosen.seconds:g} s")
    print(f"median of the rounds' ratios {ratio:.2f}, goal {GOAL}: {'reached' if ratio < GOAL else 'MISSED'}")


def _spoiled(token: str, number: int) -> str:
    """The token with the beginning of its signature overwritten."""
    signed, _, signature = token.rpartition(".")
    mark = f"{number:08d}"
    return f"{signed}.{mark}{signature[len(mark) :]}"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=3.0)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        for part in ("issuer", "datadog"):
            (directory / part).mkdir()
        with start_issuer(directory / "issuer") as issuer, start_datadog(directory / "datadog") as datadog:
            gateway = Gateway(
                directory / "gateway",
                issuer.url,
                datadog.port,
                datadog.ca,
                datadog.keys,
                config={"policy": [write_open_policy(directory)]},
            ).start()
            good = issuer.token("demo-agent", ttl=3000)
            bad = [_spoiled(good, number) for number in range(chosen.requests)]
            try:
                compare(gateway, good, bad, chosen)
            finally:
                gateway.stop()


if __name__ == "__main__":
    main()
