"""An agent's job with curl, unmodified: one process for each call. Prints as api_client_job.py does."""

from __future__ import annotations

import base64
import gzip
import json
import os
import subprocess
import tempfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import zstandard

API = "https://api.datadoghq.com"
SECRETS: dict[str, str] = json.loads(os.environ.get("JOB_SECRETS", "{}"))
ENCODERS: Mapping[str, Callable[[bytes], bytes]] = {
    "": bytes,
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "zstd1": zstandard.ZstdCompressor().compress,
}


def call(name: str, method: str, path: str, body: object = None, encoding: str = "", *more: str) -> Any:
    with tempfile.TemporaryDirectory() as place:
        sent, answer = Path(place) / "sent", Path(place) / "answer"
        command = ["curl", "-sS", "-o", str(answer), "-w", "%{http_code}", "-X", method, *more]
        command += ["-H", f"X-Deploy-Note: {SECRETS.get('header', 'none')}", API + path]
        if body is not None:
            sent.write_bytes(ENCODERS[encoding](json.dumps(body).encode()))
            command += ["--data-binary", f"@{sent}", "-H", "Content-Type: application/json"]
        if encoding:
            command += ["-H", f"Content-Encoding: {encoding}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        content = answer.read_bytes() if answer.exists() else b""
        line = {"call": name, "status": int(done.stdout or 0), "body": base64.b64encode(content).decode()}
        print(json.dumps(line | {"error": done.stderr}))  # noqa: T201 - what the test reads
        return json.loads(content) if content[:1] in {b"{", b"["} else None


def main() -> None:
    log = {
        "message": f"login failed {SECRETS.get('log', 'for alice')}",
        "ddtags": f"env:prod,{SECRETS.get('tag', 'team:sre')}",
    }
    metric = f"shop.{SECRETS.get('metric', 'orders')}"
    series = {"series": [{"metric": metric, "type": 3, "points": [{"timestamp": 1700000000, "value": 7.5}]}]}
    call("validate", "GET", "/api/v1/validate")
    for encoding in ENCODERS:
        call(f"log {encoding}", "POST", "/api/v2/logs", [log], encoding)
        call(f"series {encoding}", "POST", "/api/v2/series", series, encoding)
    call("series v1", "POST", "/api/v1/series", {"series": [{"metric": metric, "points": [[1.7e9, 1]]}]})
    monitor = {
        "name": "prod latency",
        "type": "metric alert",
        "query": "avg(last_5m):avg:prod.latency{*} > 500",
        "message": f"page @sre {SECRETS.get('monitor', 'now')}",
    }
    number = call("create monitor", "POST", "/api/v1/monitor", monitor)["id"]
    call("update monitor", "PUT", f"/api/v1/monitor/{number}", {"query": "avg(last_5m):avg:a{*} > 9"})
    call("read monitor", "GET", f"/api/v1/monitor/{number}")
    call("read monitor, gzip", "GET", f"/api/v1/monitor/{number}", None, "", *asked("gzip"))
    call("read monitor, zstd", "GET", f"/api/v1/monitor/{number}", None, "", *asked("zstd"))
    call("list monitors", "GET", f"/api/v1/monitor?name={SECRETS.get('query', 'prod')}")
    call("delete monitor", "DELETE", f"/api/v1/monitor/{number}")
    board = {"title": f"shop {SECRETS.get('dashboard', 'all')}", "layout_type": "ordered", "widgets": []}
    identifier = call("create dashboard", "POST", "/api/v1/dashboard", board)["id"]
    call("read dashboard", "GET", f"/api/v1/dashboard/{identifier}")
    call("update dashboard", "PUT", f"/api/v1/dashboard/{identifier}", board)
    call("read no dashboard", "GET", f"/api/v1/dashboard/{SECRETS.get('path', 'abc-def-ghi')}")
    call("delete dashboard", "DELETE", f"/api/v1/dashboard/{identifier}")
    call("create api key", "POST", "/api/v2/api_keys", {"data": {"type": "api_keys"}})


def asked(encoding: str) -> tuple[str, ...]:
    """An encoded answer, which curl leaves as it came."""
    return ("-H", f"Accept-Encoding: {encoding}", "-H", f"X-Sandbox-Encoding: {encoding}")


main()
