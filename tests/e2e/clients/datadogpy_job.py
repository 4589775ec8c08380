# mypy: ignore-errors
# datadogpy has no types.
"""An agent's job with datadogpy, unmodified. Prints the answers, as datadogpy read them, by call."""

from __future__ import annotations

import json
import os
import sys

import datadog
import requests

SECRETS = json.loads(os.environ.get("JOB_SECRETS", "{}"))
(OTHER_HOST,) = sys.argv[1:]
answers = {}

datadog.initialize(host_name="h", mute=False)
api = datadog.api
metric = "shop." + SECRETS.get("metric", "orders")
answers["metric"] = api.Metric.send(metric=metric, points=[(1.7e9, 3)], tags=["a:b"], compress_payload=True)
answers["event"] = api.Event.create(title="deploy", text="by " + SECRETS.get("log", "alice"))
answers["check"] = api.ServiceCheck.check(check="shop.ok", host_name="h", status=0)
answers["other"] = requests.get(OTHER_HOST, timeout=10).text
created = api.Monitor.create(type="metric alert", query="avg(last_5m):avg:a{*} > 1", name="py")
answers["create"] = created
answers["update"] = api.Monitor.update(created["id"], query="avg(last_5m):avg:a{*} > 2")
answers["read"] = api.Monitor.get(created["id"])
answers["delete"] = api.Monitor.delete(created["id"])
board = api.Dashboard.create(title="b", layout_type="ordered", widgets=[])
answers["delete dashboard"] = api.Dashboard.delete(board["id"])
try:
    answers["mute host"] = api.Host.mute("h")
except datadog.api.exceptions.ApiError as error:
    answers["mute host"] = str(error)
print(json.dumps(answers))  # noqa: T201 - what the test reads
