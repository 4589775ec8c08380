# mypy: ignore-errors
# One of these clients has no types, and the others' don't matter here.
"""Creates a monitor with a plain HTTP client: `requests|httpx|aiohttp|urllib NAME`. Prints its name."""

from __future__ import annotations

import asyncio
import json
import sys
import urllib.request
from typing import Any

URL = "https://api.datadoghq.com/api/v1/monitor"
CLIENT, NAME = sys.argv[1:]
MONITOR = {"name": NAME, "type": "metric alert", "query": "avg(last_5m):avg:a{*} > 1"}


def with_requests() -> Any:
    import requests  # noqa: PLC0415 - each takes time to load

    return requests.post(URL, json=MONITOR, timeout=30).json()


def with_httpx() -> Any:
    import httpx  # noqa: PLC0415 - as above

    return httpx.post(URL, json=MONITOR, timeout=30).json()


def with_aiohttp() -> Any:
    import aiohttp  # noqa: PLC0415 - as above

    async def create() -> Any:
        session = aiohttp.ClientSession(trust_env=True)
        async with session, session.post(URL, json=MONITOR) as answer:
            return await answer.json()

    return asyncio.run(create())


def with_urllib() -> Any:
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(URL, json.dumps(MONITOR).encode(), headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


calls = {"requests": with_requests, "httpx": with_httpx, "aiohttp": with_aiohttp, "urllib": with_urllib}
print(calls[CLIENT]()["name"])  # noqa: T201 - what the test reads
