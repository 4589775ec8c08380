# mypy: ignore-errors
# The clients leave most of their functions without types.
"""Creates one monitor: `sync|async|datadogpy NAME`, the client unmodified and in one call.

Prints one JSON line: the monitor's name, or the exception that the client raised, and what it says.
"""

from __future__ import annotations

import asyncio
import json
import sys

QUERY = "avg(last_5m):avg:a{*} > 1"
CLIENT, NAME = sys.argv[1:]


def with_sync() -> str:
    from datadog_api_client import ApiClient, Configuration  # noqa: PLC0415 - each takes a second to load
    from datadog_api_client.v1.api.monitors_api import MonitorsApi  # noqa: PLC0415 - as above

    with ApiClient(Configuration()) as client:
        return MonitorsApi(client).create_monitor(body=monitor()).name


def with_async() -> str:
    from datadog_api_client import AsyncApiClient, Configuration  # noqa: PLC0415 - as above
    from datadog_api_client.v1.api.monitors_api import MonitorsApi  # noqa: PLC0415 - as above

    async def create() -> str:
        async with AsyncApiClient(Configuration()) as client:
            return (await MonitorsApi(client).create_monitor(body=monitor())).name

    return asyncio.run(create())


def monitor() -> object:
    from datadog_api_client.v1.model.monitor import Monitor  # noqa: PLC0415 - as above
    from datadog_api_client.v1.model.monitor_type import MonitorType  # noqa: PLC0415 - as above

    return Monitor(name=NAME, type=MonitorType("metric alert"), query=QUERY)


def with_datadogpy() -> str:
    import datadog  # noqa: PLC0415 - as above

    datadog.initialize(host_name="h", mute=False)
    return datadog.api.Monitor.create(type="metric alert", query=QUERY, name=NAME)["name"]


def main() -> None:
    create = {"sync": with_sync, "async": with_async, "datadogpy": with_datadogpy}[CLIENT]
    try:
        said = {"name": create()}
    except Exception as error:  # noqa: BLE001 - what the client raises is what the test asks
        said = {
            "error": type(error).__name__,
            "status": getattr(error, "status", None),
            "body": getattr(error, "body", None),
            "text": str(error),
        }
    print(json.dumps(said))  # noqa: T201 - what the test reads


main()
