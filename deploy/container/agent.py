"""An agent that knows nothing of ddgate."""

from __future__ import annotations

from datadog_api_client import ApiClient, Configuration
from datadog_api_client.v1.api.monitors_api import MonitorsApi

with ApiClient(Configuration()) as client:
    for monitor in MonitorsApi(client).list_monitors():
        print(monitor.id, monitor.name)  # noqa: T201 - what it is for
