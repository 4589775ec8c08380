# mypy: disallow-untyped-calls=False
# The client's constructors carry no annotations.
"""The agent of `ddgate demo`: Datadog's official Python client, unmodified, and nothing of ddgate's.

It does what it is told on standard input, one JSON object a line (`{"do": "submit logs", "message": "…"}`),
and says on standard output what came of each, one JSON object a line:

    status     the HTTP status, if there was an answer
    returned   the class of what the client gave back
    raised     the class of the exception that the client raised instead
    text       the first of the answer's `errors`, or why there is no answer
    reason     ddgate's word for a refusal, out of the answer
    body       the answer's bytes, in base64, where the job reads them raw

DEMO_PROXY makes it go to a proxy by itself; under `ddgate run` it sets nothing at all.
"""

from __future__ import annotations

import base64
import json
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

from datadog_api_client import ApiClient, Configuration
from datadog_api_client.exceptions import ApiException
from datadog_api_client.v1.api.authentication_api import AuthenticationApi
from datadog_api_client.v1.api.monitors_api import MonitorsApi
from datadog_api_client.v1.model.monitor import Monitor
from datadog_api_client.v1.model.monitor_options import MonitorOptions
from datadog_api_client.v1.model.monitor_thresholds import MonitorThresholds
from datadog_api_client.v1.model.monitor_type import MonitorType
from datadog_api_client.v1.model.monitor_update_request import MonitorUpdateRequest
from datadog_api_client.v2.api.key_management_api import KeyManagementApi
from datadog_api_client.v2.api.logs_api import LogsApi
from datadog_api_client.v2.model.api_key_create_attributes import APIKeyCreateAttributes
from datadog_api_client.v2.model.api_key_create_data import APIKeyCreateData
from datadog_api_client.v2.model.api_key_create_request import APIKeyCreateRequest
from datadog_api_client.v2.model.api_keys_type import APIKeysType
from datadog_api_client.v2.model.http_log import HTTPLog
from datadog_api_client.v2.model.http_log_item import HTTPLogItem
from urllib3.exceptions import HTTPError


def _validate(client: ApiClient, _job: Mapping[str, Any]) -> Any:
    return AuthenticationApi(client).validate()


def _submit_logs(client: ApiClient, job: Mapping[str, Any]) -> Any:
    log = HTTPLogItem(message=job["message"], service="shop", ddsource="python", ddtags="env:prod")
    return LogsApi(client).submit_log(HTTPLog([log]))


def _create_monitor(client: ApiClient, _job: Mapping[str, Any]) -> Any:
    monitor = Monitor(
        name="staging latency",
        type=MonitorType("metric alert"),
        query="avg(last_5m):avg:staging.latency{*} > 500",
        message="The shop is slow. @slack-sre",
        tags=["env:staging"],
    )
    return MonitorsApi(client).create_monitor(monitor)


def _change_monitor(client: ApiClient, job: Mapping[str, Any]) -> Any:
    query = f"avg(last_5m):avg:prod.latency{{*}} > {job['threshold']}"
    options = MonitorOptions(thresholds=MonitorThresholds(critical=float(job["threshold"])))
    return MonitorsApi(client).update_monitor(job["id"], MonitorUpdateRequest(query=query, options=options))


def _read_monitor(client: ApiClient, job: Mapping[str, Any]) -> Any:
    return MonitorsApi(client).get_monitor(job["id"])


def _list_monitors(client: ApiClient, _job: Mapping[str, Any]) -> Any:
    return MonitorsApi(client).list_monitors()


def _create_api_key(client: ApiClient, _job: Mapping[str, Any]) -> Any:
    attributes = APIKeyCreateAttributes(name="one for me")
    data = APIKeyCreateData(attributes=attributes, type=APIKeysType.API_KEYS)
    return KeyManagementApi(client).create_api_key(APIKeyCreateRequest(data=data))


_JOBS: Mapping[str, Callable[[ApiClient, Mapping[str, Any]], Any]] = {
    "validate": _validate,
    "submit logs": _submit_logs,
    "create monitor": _create_monitor,
    "change monitor": _change_monitor,
    "read monitor": _read_monitor,
    "list monitors": _list_monitors,
    "create api key": _create_api_key,
}


def _settings(*, raw: bool) -> Configuration:
    settings = Configuration(return_http_data_only=False, preload_content=not raw)
    if "DEMO_PROXY" in os.environ:
        settings.proxy = os.environ["DEMO_PROXY"]
    return settings


def _done(job: Mapping[str, Any]) -> dict[str, Any]:
    raw = job.get("raw") is True
    with ApiClient(_settings(raw=raw)) as client:
        try:
            result = _JOBS[job["do"]](client, job)
        except ApiException as error:
            return _refused(error)
        except HTTPError as error:  # no answer at all
            return {"raised": type(error).__name__, "text": str(error)}
        if raw:
            body = result.read(decode_content=False)
            return {"status": result.status, "body": base64.b64encode(body).decode()}
        data, status, _headers = result
        return {"status": status, "returned": type(data).__name__, "id": getattr(data, "id", None)}


def _refused(error: ApiException) -> dict[str, Any]:
    body = error.body if isinstance(error.body, dict) else {}
    told = body.get("errors") or [""]
    return {
        "status": error.status,
        "raised": type(error).__name__,
        "text": told[0],
        "reason": body.get("ddgate", {}).get("reason", ""),
    }


def main() -> None:
    for line in sys.stdin:
        job = json.loads(line)
        answer = {"environment": dict(os.environ)} if job["do"] == "tell" else _done(job)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
