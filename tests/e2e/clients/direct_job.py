# mypy: ignore-errors
# The clients leave most of their functions without types.
"""Calls a stand-in directly, under its own address: `HTTPS_PORT CA HTTP_PORT MESSAGE`.

Prints one JSON object: what datadog-api-client over HTTPS and datadogpy over plain HTTP read.
"""

from __future__ import annotations

import json
import sys

import datadog
from datadog_api_client import ApiClient, Configuration
from datadog_api_client.exceptions import ApiException
from datadog_api_client.v1.api.monitors_api import MonitorsApi
from datadog_api_client.v1.model.monitor import Monitor
from datadog_api_client.v1.model.monitor_type import MonitorType
from datadog_api_client.v2.api.logs_api import LogsApi
from datadog_api_client.v2.model.content_encoding import ContentEncoding
from datadog_api_client.v2.model.http_log import HTTPLog
from datadog_api_client.v2.model.http_log_item import HTTPLogItem

HTTPS_PORT, CA, HTTP_PORT, MESSAGE = sys.argv[1:]
QUERY = "avg(last_5m):avg:a{*} > 1"

settings = Configuration(ssl_ca_cert=CA)
settings.api_key["apiKeyAuth"], settings.api_key["appKeyAuth"] = "f" * 32, "f" * 40
for operation in (None, "v2.submit_log"):
    if operation is None:
        settings.server_index = 1
    else:
        settings.server_operation_index[operation] = 1
settings.server_variables.update({"name": f"127.0.0.1:{HTTPS_PORT}", "protocol": "https"})
said = {}
with ApiClient(settings) as client:
    made = MonitorsApi(client).create_monitor(
        body=Monitor(name="direct", type=MonitorType("metric alert"), query=QUERY, message=MESSAGE)
    )
    said["created"] = [made.id, made.message]
    log = HTTPLog([HTTPLogItem(message=MESSAGE, ddtags="env:prod")])
    LogsApi(client).submit_log(body=log, content_encoding=ContentEncoding("zstd1"))
    try:
        MonitorsApi(client).get_monitor(made.id + 1)
    except ApiException as error:
        said["unknown"] = [error.status, type(error).__name__, json.dumps(error.body)]

datadog.initialize(api_key="f" * 32, app_key="f" * 40, api_host=f"http://127.0.0.1:{HTTP_PORT}", mute=False)
said["datadogpy"] = datadog.api.Monitor.create(
    type="metric alert", query=QUERY, name="direct", message=MESSAGE
)["id"]
try:
    datadog.api.Monitor.get(1)
except datadog.api.exceptions.ApiError as error:
    said["datadogpy unknown"] = str(error)
print(json.dumps(said))  # noqa: T201 - what the test reads
