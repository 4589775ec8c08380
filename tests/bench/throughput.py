"""Requests per second of the full chain against stock mitmdump without addons, in one run on one machine.

    .venv/bin/python -m tests.bench.throughput [--rounds 5] [--seconds 5]

4 kB log posts over 16 kept TLS tunnels. The two take turns, round by round, so that the machine's mood hits
both alike; the figure to quote is the median of the rounds' ratios.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.bench.load import Measured
from tests.e2e.gateway_process import Gateway, accepts, free_port, wait_until
from tests.sandbox_processes import start_datadog, start_issuer

HOST = "http-intake.logs.datadoghq.com"
BIN = Path(sys.executable).parent


def load(proxy_port: int, host: str, port: int, ca: Path, token: str, seconds: float) -> Measured:
    arguments = [str(proxy_port), host, str(port), str(ca), token, str(seconds)]
    out = subprocess.run(
        [sys.executable, "-m", "tests.bench.load", *arguments], check=True, capture_output=True, text=True
    ).stdout
    return Measured(**json.loads(out))


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
            _compare(
                directory, issuer.url, issuer.token("demo-agent", ttl=3000), datadog.dir, datadog.keys, chosen
            )


def _compare(
    directory: Path, issuer: str, token: str, tls: Path, keys: dict[str, str], chosen: argparse.Namespace
) -> None:
    # The stand-in's certificate, for a server that does less than the stand-in.
    ca = tls / "sandbox-ca.pem"
    certificate, key = next(tls.glob("*leaf*.pem")), next(tls.glob("*leaf*.key"))
    port = free_port()
    upstream = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.upstream", str(port), str(certificate), str(key)]
    )
    gateway = Gateway(directory / "gateway", issuer, port, ca, keys)
    stock_port = free_port()
    stock = subprocess.Popen(
        [
            str(BIN / "mitmdump"), "-q", "--listen-host", "127.0.0.1", "--listen-port", str(stock_port),
            "--set", f"confdir={directory / 'stock'}", "--set", f"ssl_verify_upstream_trusted_ca={ca}",
        ],
    )  # fmt: skip
    try:
        gateway.start()
        wait_until(lambda: accepts(port) and accepts(stock_port))
        stock_ca = directory / "stock" / "mitmproxy-ca-cert.pem"
        ratios = []
        for number in range(chosen.rounds):
            plain = load(stock_port, "localhost", port, stock_ca, "", chosen.seconds)
            full = load(gateway.port, HOST, 443, gateway.ca, token, chosen.seconds)
            ratios.append(full.per_second / plain.per_second)
            print(
                f"round {number + 1}: stock {plain.per_second:7.0f}/s (median {plain.median_ms:5.1f} ms)   "
                f"ddgate {full.per_second:7.0f}/s (median {full.median_ms:5.1f} ms)   ratio {ratios[-1]:.2f}"
            )
        print(f"ratio: median {statistics.median(ratios):.2f}, min {min(ratios):.2f}, max {max(ratios):.2f}")
    finally:
        gateway.stop()
        for process in (stock, upstream):
            process.terminate()
            process.wait()


if __name__ == "__main__":
    main()
