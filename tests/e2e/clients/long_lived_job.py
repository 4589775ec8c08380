# mypy: ignore-errors
# The official client's methods have no types.
"""One process that calls Datadog for SECONDS with two pools of connections. Prints what each call came to."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter

import requests
from datadog_api_client import ApiClient, Configuration
from datadog_api_client.v1.api.monitors_api import MonitorsApi

came_to = Counter()
session = requests.Session()
with ApiClient(Configuration()) as client:
    end = time.monotonic() + float(sys.argv[1])
    while time.monotonic() < end:
        for name, ask in (
            ("client", lambda: type(MonitorsApi(client).list_monitors()).__name__),
            ("session", lambda: session.get("https://api.datadoghq.com/api/v1/validate", timeout=10).text),
        ):
            try:
                came_to[f"{name}: {ask()}"] += 1
            except Exception as error:  # noqa: BLE001 - told to the test, whatever it is
                came_to[f"{name}: {error!r}"] += 1
        time.sleep(0.05)
print(json.dumps(came_to))  # noqa: T201 - what the test reads
