# mypy: ignore-errors
# The official client leaves most of its constructors without types.
"""An agent's job with the official client: `sync|async` and `raw|typed`.

Prints one JSON line for each call: with `raw` its status and body as they came, with `typed` the class that
the client made of it, or the exception that it raised. JOB_SECRETS may name texts to plant.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import sys
import time
from collections.abc import Callable, Generator
from typing import Any

from datadog_api_client import ApiClient, AsyncApiClient, Configuration
from datadog_api_client.exceptions import ApiException
from datadog_api_client.v1.api.authentication_api import AuthenticationApi
from datadog_api_client.v1.api.dashboards_api import DashboardsApi
from datadog_api_client.v1.api.metrics_api import MetricsApi as MetricsApiV1
from datadog_api_client.v1.api.monitors_api import MonitorsApi
from datadog_api_client.v1.model.dashboard import Dashboard
from datadog_api_client.v1.model.dashboard_layout_type import DashboardLayoutType
from datadog_api_client.v1.model.metrics_payload import MetricsPayload
from datadog_api_client.v1.model.monitor import Monitor
from datadog_api_client.v1.model.monitor_type import MonitorType
from datadog_api_client.v1.model.monitor_update_request import MonitorUpdateRequest
from datadog_api_client.v1.model.point import Point
from datadog_api_client.v1.model.series import Series
from datadog_api_client.v2.api.key_management_api import KeyManagementApi
from datadog_api_client.v2.api.logs_api import LogsApi
from datadog_api_client.v2.api.metrics_api import MetricsApi
from datadog_api_client.v2.model.api_key_create_attributes import APIKeyCreateAttributes
from datadog_api_client.v2.model.api_key_create_data import APIKeyCreateData
from datadog_api_client.v2.model.api_key_create_request import APIKeyCreateRequest
from datadog_api_client.v2.model.api_keys_type import APIKeysType
from datadog_api_client.v2.model.content_encoding import ContentEncoding
from datadog_api_client.v2.model.http_log import HTTPLog
from datadog_api_client.v2.model.http_log_item import HTTPLogItem
from datadog_api_client.v2.model.metric_content_encoding import MetricContentEncoding
from datadog_api_client.v2.model.metric_intake_type import MetricIntakeType
from datadog_api_client.v2.model.metric_payload import MetricPayload
from datadog_api_client.v2.model.metric_point import MetricPoint
from datadog_api_client.v2.model.metric_series import MetricSeries

type Steps = Generator[tuple[str, Callable[..., Any], dict[str, Any]], Any]

SECRETS = json.loads(os.environ.get("JOB_SECRETS", "{}"))
MODE, FORM = sys.argv[1:]


def planted(name: str, clean: str) -> str:
    return SECRETS.get(name, clean)


def job(client: ApiClient) -> Steps:
    """Yields (name, method, arguments); is sent the id that the answer gives."""
    yield "validate", AuthenticationApi(client).validate, {}
    now = int(time.time())
    log = HTTPLogItem(
        message="login failed " + planted("log", "for alice"), ddtags="env:prod," + planted("tag", "team:sre")
    )
    metric = "shop." + planted("metric", "orders")
    point = MetricPoint(timestamp=now, value=7.5)
    series = MetricSeries(metric=metric, type=MetricIntakeType.GAUGE, points=[point])
    for encoding in ("", "gzip", "deflate", "zstd1"):
        more = {"content_encoding": ContentEncoding(encoding)} if encoding else {}
        yield f"log {encoding}", LogsApi(client).submit_log, {"body": HTTPLog([log]), **more}
        more = {"content_encoding": MetricContentEncoding(encoding)} if encoding else {}
        body = MetricPayload(series=[series])
        yield f"series {encoding}", MetricsApi(client).submit_metrics, {"body": body, **more}
    old = MetricsPayload(series=[Series(metric=metric, points=[Point([float(now), 1.0])], tags=["a:b"])])
    yield "series v1", MetricsApiV1(client).submit_metrics, {"body": old}
    yield from monitor_job(MonitorsApi(client))
    yield from dashboard_job(DashboardsApi(client))
    data = APIKeyCreateData(attributes=APIKeyCreateAttributes(name="sneaky"), type=APIKeysType.API_KEYS)
    request = APIKeyCreateRequest(data=data)
    yield "create api key", KeyManagementApi(client).create_api_key, {"body": request}


def monitor_job(api: MonitorsApi) -> Steps:
    monitor = Monitor(
        name="prod latency",
        type=MonitorType("metric alert"),
        query="avg(last_5m):avg:prod.latency{*} > 500",
        message="page @sre " + planted("monitor", "now"),
        tags=["env:prod"],
    )
    number = yield "create monitor", api.create_monitor, {"body": monitor}
    changed = MonitorUpdateRequest(query="avg(last_5m):avg:prod.latency{*} > 900")
    yield "update monitor", api.update_monitor, {"monitor_id": number, "body": changed}
    yield "read monitor", api.get_monitor, {"monitor_id": number}
    yield "list monitors", api.list_monitors, {"name": planted("query", "prod")}
    yield "delete monitor", api.delete_monitor, {"monitor_id": number}


def dashboard_job(api: DashboardsApi) -> Steps:
    board = Dashboard(
        title="shop " + planted("dashboard", "overview"),
        layout_type=DashboardLayoutType.ORDERED,
        widgets=[],
    )
    identifier = yield "create dashboard", api.create_dashboard, {"body": board}
    yield "read dashboard", api.get_dashboard, {"dashboard_id": identifier}
    yield "update dashboard", api.update_dashboard, {"dashboard_id": identifier, "body": board}
    yield "read no dashboard", api.get_dashboard, {"dashboard_id": planted("path", "abc-def-ghi")}
    yield "delete dashboard", api.delete_dashboard, {"dashboard_id": identifier}


def tell(name: str, status: int | None = None, body: bytes = b"", error: str = "", kind: str = "") -> None:
    line = {"call": name, "status": status, "body": base64.b64encode(body).decode()}
    print(json.dumps(line | {"error": error, "kind": kind}))  # noqa: T201 - what the test reads


def tell_error(name: str, error: ApiException) -> None:
    tell(name, error.status, json.dumps(error.body).encode(), type(error).__name__)  # it was parsed already


def identifier_of(raw_body: bytes) -> Any:
    answer = json.loads(raw_body)
    return answer.get("id") if isinstance(answer, dict) else None


def run_sync(client: ApiClient) -> None:
    steps = job(client)
    name, method, arguments = next(steps)
    while True:
        found = None
        try:
            result = method(**arguments)
            if FORM == "raw":
                body = result.read(decode_content=False)
                tell(name, result.status, body)
                found = identifier_of(body)
                result.release_conn()
            else:
                tell(name, kind=type(result).__name__)
                found = getattr(result, "id", None)
        except ApiException as error:
            tell_error(name, error)
        try:
            name, method, arguments = steps.send(found)
        except StopIteration:
            return


async def run_async(configuration: Configuration) -> None:
    async with AsyncApiClient(configuration) as client:
        prepare(client)
        steps = job(client)
        name, method, arguments = next(steps)
        while True:
            found = None
            try:
                result = await method(**arguments)
                if FORM == "raw":
                    body = await result.content()
                    tell(name, result.status_code, body)
                    found = identifier_of(body)
                else:
                    tell(name, kind=type(result).__name__)
                    found = getattr(result, "id", None)
            except ApiException as error:
                tell_error(name, error)
            try:
                name, method, arguments = steps.send(found)
            except StopIteration:
                return


def prepare(client: ApiClient) -> None:
    if "header" in SECRETS:
        client.set_default_header("X-Deploy-Note", SECRETS["header"])


settings = Configuration(return_http_data_only=True, preload_content=FORM == "typed")
if MODE == "async":
    asyncio.run(run_async(settings))
else:
    with ApiClient(settings) as made:
        prepare(made)
        run_sync(made)
