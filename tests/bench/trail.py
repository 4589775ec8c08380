"""What the audit trail costs the gateway, in requests per second.

    .venv/bin/python -m tests.bench.trail [--rounds 5] [--seconds 5]

The same load as `throughput`, on three gateways in turn: as it is, without the signed tree, and without any
records and recordings. The figures to quote are the medians of the rounds' ratios to the last one.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.bench.throughput import HOST, load
from tests.e2e.gateway_process import Gateway, accepts, free_port, wait_until
from tests.sandbox_processes import start_datadog, start_issuer

WITHOUT = ("nothing", "tree", "trail")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5.0)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        for part in ("issuer", "datadog"):
            (directory / part).mkdir()
        with start_issuer(directory / "issuer") as issuer, start_datadog(directory / "datadog") as datadog:
            port, ca = free_port(), datadog.dir / "sandbox-ca.pem"
            certificate, key = next(datadog.dir.glob("*leaf*.pem")), next(datadog.dir.glob("*leaf*.key"))
            command = [sys.executable, "-m", "tests.bench.upstream", str(port), str(certificate), str(key)]
            upstream = subprocess.Popen(command)
            gateways = {
                without: Gateway(
                    directory / without,
                    issuer.url,
                    port,
                    ca,
                    datadog.keys,
                    command=(sys.executable, "-m", "tests.bench.gateway_without", without),
                )
                for without in WITHOUT
            }
            try:
                for gateway in gateways.values():
                    gateway.start()
                wait_until(lambda: accepts(port))
                _measure(gateways, issuer.token("demo-agent", ttl=3000), chosen)
            finally:
                for gateway in gateways.values():
                    gateway.stop()
                upstream.terminate()
                upstream.wait()


def _measure(gateways: dict[str, Gateway], token: str, chosen: argparse.Namespace) -> None:
    ratios: dict[str, list[float]] = {without: [] for without in WITHOUT}
    for number in range(chosen.rounds):
        rates = {
            without: load(gateway.port, HOST, 443, gateway.ca, token, chosen.seconds).per_second
            for without, gateway in gateways.items()
        }
        for without, rate in rates.items():
            ratios[without].append(rate / rates["trail"])
        told = "   ".join(f"without {without} {rate:6.0f}/s" for without, rate in rates.items())
        print(f"round {number + 1}: {told}")
    for without in ("nothing", "tree"):
        found = ratios[without]
        print(
            f"without {without}, of what it does without trail: "
            f"median {statistics.median(found):.2f}, min {min(found):.2f}, max {max(found):.2f}"
        )


if __name__ == "__main__":
    main()
