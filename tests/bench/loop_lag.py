"""For how long bodies of 1 MB stop the gateway's event loop: the longest gap while they pass, by kind of
body, as requests and as answers.

    .venv/bin/python -m tests.bench.loop_lag [--rounds 5] [--size 1000000]

`secrets` are masked in what is forwarded and answered, too, and in answers what stands at one path. See
`gateway_watched` for what a gap is.
"""

from __future__ import annotations

import argparse
import base64
import gzip
import json
import random
import socket
import string
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.e2e.gateway_process import Gateway, wait_until
from tests.e2e.open_policy import write_open_policy
from tests.e2e.raw_client import Tunnel, bearer, tunnel
from tests.e2e.raw_upstream import KEYS, Exchange, RawUpstream, ok
from tests.sandbox_processes import start_issuer

HOST = "api.datadoghq.com"
MASKS = {"forward": {"detect": ["secrets"]}, "response": {"detect": ["secrets"], "json": ["$.data[*].name"]}}
_JSON = ("Content-Type", "application/json")

type Body = Callable[[int], tuple[bytes, tuple[tuple[str, str], ...]]]


def logs(size: int, dirty: float) -> bytes:
    """A batch of plausible log lines; `dirty` of them hold a password."""
    choose = random.Random(size)
    lines: list[dict[str, str]] = []
    while size > 0:
        message = (
            f"GET /api/orders/{choose.randrange(10**6)} 200 in {choose.randrange(900)}ms "
            f"trace_id={''.join(choose.choices(string.digits, k=18))} user_agent=Mozilla/5.0 cache=hit"
        )
        if choose.random() < dirty:
            message += f" password={''.join(choose.choices(string.ascii_letters + string.digits, k=14))}"
        lines.append({"ddsource": "python", "ddtags": "env:prod,version:1.14.2", "message": message})
        size -= len(message) + 74
    return json.dumps({"data": lines}).encode()


def nested(size: int) -> bytes:
    """Sixty levels, again and again."""
    one = b'{"a":' * 58 + json.dumps({"message": "password=" + "Ab3$" * 4}).encode() + b"}" * 58
    return b'{"data":[' + b",".join([one] * (size // len(one))) + b"]}"


def wrapped(size: int) -> bytes:
    """Log lines, base64 inside JSON."""
    return json.dumps({"data": [{"message": base64.b64encode(logs(size * 3 // 4, 0.01)).decode()}]}).encode()


BODIES: Mapping[str, Body] = {
    "clean": lambda size: (logs(size, 0), (_JSON,)),
    "1 % dirty": lambda size: (logs(size, 0.01), (_JSON,)),
    "20 % dirty": lambda size: (logs(size, 0.2), (_JSON,)),
    "nested": lambda size: (nested(size), (_JSON,)),
    "base64": lambda size: (wrapped(size), (_JSON,)),
    "gzip, 1 % dirty": lambda size: (
        gzip.compress(logs(size, 0.01), 6),
        (_JSON, ("Content-Encoding", "gzip")),
    ),
    "text, 20 % dirty": lambda size: (logs(size, 0.2)[1:], (("Content-Type", "text/plain"),)),
}


def longest_gap(path: Path) -> float:
    """Milliseconds since it was asked last."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))
        return float(json.loads(connection.recv(100)))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", type=int, default=1_000_000)
    parser.add_argument("--only", default="")
    chosen = parser.parse_args()
    bodies = {name: make(chosen.size) for name, make in BODIES.items() if chosen.only in name}
    current: list[str] = []

    def answer(exchange: Exchange) -> None:
        body, headers = bodies[current[0]]
        exchange.send(ok(body, *(f"{name}: {value}" for name, value in headers)))

    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        (directory / "issuer").mkdir()
        upstream = RawUpstream(directory / "tls", {"/api/v1/monitor": answer})
        with start_issuer(directory / "issuer") as issuer, upstream:
            watch = directory / "watch"
            gateway = Gateway(
                directory / "gateway", issuer.url, upstream.port, upstream.ca, KEYS,
                config={"policy": [write_open_policy(directory, mask=MASKS)]},
                command=(sys.executable, "-m", "tests.bench.gateway_watched", str(watch)),
            ).start()  # fmt: skip
            try:
                wait_until(watch.exists)
                opened = tunnel(
                    gateway.port, gateway.ca, HOST, [bearer(issuer.token("demo-agent", ttl=3000))], timeout=60
                )
                opened.request(
                    "POST", "/api/v2/logs", [("Host", HOST), _JSON], logs(20_000, 0.5)
                )  # all is made
                for kind, body in bodies.items():
                    current[:] = [kind]
                    _measure(kind, body, opened, watch, chosen.rounds)
            finally:
                gateway.stop()


def _measure(
    kind: str, body: tuple[bytes, tuple[tuple[str, str], ...]], opened: Tunnel, watch: Path, rounds: int
) -> None:
    content, headers = body
    for what, method, path, sent in (
        ("request", "POST", "/api/v2/logs", content),
        ("answer", "GET", "/api/v1/monitor", b""),
    ):
        gaps: list[float] = []
        taken: list[float] = []
        statuses: set[int] = set()
        for _ in range(rounds):
            longest_gap(watch)
            start = time.perf_counter()
            answer = opened.request(method, path, [("Host", HOST), *(headers if sent else ())], sent)
            taken.append(time.perf_counter() - start)
            statuses.add(answer.status)
            gaps.append(longest_gap(watch))
        gaps.sort()
        print(
            f"{kind:18} {what:8} longest gap {max(gaps):7.1f} ms, median {gaps[len(gaps) // 2]:7.1f} ms   "
            f"call {min(taken) * 1000:7.0f} ms   {sorted(statuses)}",
            flush=True,
        )


if __name__ == "__main__":
    main()
