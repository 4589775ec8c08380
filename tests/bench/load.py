"""Load over kept TLS tunnels: each connection sends the next request when the last was answered."""

from __future__ import annotations

import asyncio
import json
import random
import ssl
import statistics
import string
import sys
import time
from dataclasses import asdict, dataclass

TUNNELS = 16
BODY_SIZE = 4096


def log_body(seed: int) -> bytes:
    """A batch of plausible log lines without a secret, of `BODY_SIZE` bytes at most."""
    choose = random.Random(seed)
    lines: list[dict[str, str]] = []
    while len(json.dumps(lines)) < BODY_SIZE - 300:
        trace = "".join(choose.choices(string.digits, k=18))
        lines.append(
            {
                "ddsource": "python",
                "ddtags": "env:prod,service:checkout,version:1.14.2",
                "hostname": f"ip-10-2-{choose.randrange(255)}-{choose.randrange(255)}",
                "message": f"GET /api/orders/{choose.randrange(10**6)} 200 in {choose.randrange(900)}ms "
                f"trace_id={trace} user_agent=Mozilla/5.0 cache=hit items={choose.randrange(40)}",
                "service": "checkout",
                "status": "info",
            }
        )
    return json.dumps(lines).encode()


@dataclass(frozen=True)
class Measured:
    requests: int
    seconds: float
    median_ms: float
    p99_ms: float

    @property
    def per_second(self) -> float:
        return self.requests / self.seconds


async def _tunnel(
    proxy_port: int, host: str, port: int, ca: str, token: str | None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy_port)
    identity = f"Proxy-Authorization: Bearer {token}\r\n" if token else ""
    writer.write(f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n{identity}\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    assert b" 200 " in head.split(b"\r\n")[0], head
    context = ssl.create_default_context(cafile=ca)
    await writer.start_tls(context, server_hostname=host)
    return reader, writer


async def _client(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    host: str,
    seed: int,
    until: float,
    taken: list[float],
) -> None:
    body = log_body(seed)
    request = (
        f"POST /api/v2/logs HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body
    while time.perf_counter() < until:
        start = time.perf_counter()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 202"), head
        await reader.readexactly(2)
        taken.append(time.perf_counter() - start)


async def run(proxy_port: int, host: str, port: int, ca: str, token: str | None, seconds: float) -> Measured:
    tunnels = [await _tunnel(proxy_port, host, port, ca, token) for _ in range(TUNNELS)]
    warm: list[float] = []
    until = time.perf_counter() + min(1.0, seconds / 4)
    await asyncio.gather(*(_client(r, w, host, n, until, warm) for n, (r, w) in enumerate(tunnels)))
    taken: list[float] = []
    start = time.perf_counter()
    await asyncio.gather(
        *(_client(r, w, host, n, start + seconds, taken) for n, (r, w) in enumerate(tunnels))
    )
    elapsed = time.perf_counter() - start
    for _, writer in tunnels:
        writer.close()
    taken.sort()
    return Measured(
        len(taken), elapsed, statistics.median(taken) * 1000, taken[int(len(taken) * 0.99)] * 1000
    )


if __name__ == "__main__":
    proxy_port, host, port, ca, token, seconds = sys.argv[1:]
    measured = asyncio.run(run(int(proxy_port), host, int(port), ca, token or None, float(seconds)))
    print(json.dumps(asdict(measured)))
