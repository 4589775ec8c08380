"""Requests as agents of a recorded week send them."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from addons.core.model import Json

METRICS = ["system.cpu.user", "shop.orders", "shop.latency", "kafka.lag", "jvm.heap", "redis.hits"]
SERVICES = ["checkout", "catalog", "search", "payments", "frontend", "auth", "mailer"]
HANDLES = ["@slack-sre-alerts", "@pagerduty-prod", "@slack-payments", "@team-sre"]


@dataclass(frozen=True, slots=True)
class Ask:
    """Method, path with query, JSON body; `raw` where the body is none."""

    method: str
    path: str
    body: Json = None
    host: str = "api.datadoghq.com"
    encoding: str = ""


type MakeAsk = Callable[[random.Random], Ask]


def get(template: str, *queries: str) -> MakeAsk:
    """A GET; `{}` is some number, and one of the queries goes along."""

    def make(chance: random.Random) -> Ask:
        path = template
        while "{}" in path:
            path = path.replace("{}", str(chance.randrange(1000, 1400)), 1)
        query = chance.choice(queries) if queries else ""
        return Ask("GET", f"{path}?{query}" if query else path)

    return make


def post(path: str, make_body: Callable[[random.Random], Json], method: str = "POST") -> MakeAsk:
    def make(chance: random.Random) -> Ask:
        whole = path.replace("{}", str(chance.randrange(1000, 1400)))
        return Ask(method, whole, make_body(chance))

    return make


def log_search(chance: random.Random) -> Json:
    service = chance.choice(SERVICES)
    found: dict[str, Json] = {
        "filter": {"query": f"service:{service} status:error", "from": "now-15m", "to": "now"}
    }
    if chance.random() < 0.4:
        found["page"] = {"limit": chance.choice([50, 100, 500])}
    if chance.random() < 0.2:
        found["sort"] = "-timestamp"
    return found


def aggregate(chance: random.Random) -> Json:
    return {
        "compute": [{"aggregation": "count"}],
        "filter": {"query": f"service:{chance.choice(SERVICES)}", "from": "now-1d", "to": "now"},
        "group_by": [{"facet": "status"}],
    }


def monitor_message(chance: random.Random) -> str:
    text = f"{chance.choice(SERVICES)} is slow. {{{{#is_alert}}}}{chance.choice(HANDLES)}{{{{/is_alert}}}}"
    if chance.random() < 0.3:
        text += f" {chance.choice(HANDLES)}"
    if chance.random() < 0.2:
        text += f" @{chance.choice(['ana', 'bo', 'chen', 'dora'])}@example.com"
    return text


def monitor_options(chance: random.Random) -> dict[str, Json]:
    options: dict[str, Json] = {"thresholds": {"critical": chance.randrange(5, 900)}, "notify_no_data": False}
    if chance.random() < 0.5:
        options["include_tags"] = True
    if chance.random() < 0.4:
        options["renotify_interval"] = chance.choice([0, 30, 60])
    if chance.random() < 0.15:
        options["evaluation_delay"] = 60
    if chance.random() < 0.02:
        options["new_group_delay"] = 300
    return options


def monitor(chance: random.Random) -> dict[str, Json]:
    service, threshold = chance.choice(SERVICES), chance.randrange(5, 900)
    body: dict[str, Json] = {
        "name": f"{service} latency",
        "type": chance.choice(["metric alert", "query alert", "query alert", "log alert"]),
        "query": f"avg(last_5m):avg:{chance.choice(METRICS)}{{service:{service}}} > {threshold}",
        "message": monitor_message(chance),
        "tags": [f"service:{service}", "team:sre"],
        "options": monitor_options(chance),
    }
    if chance.random() < 0.1:
        body["priority"] = chance.randrange(1, 6)
    return body


def monitor_change(chance: random.Random) -> Json:
    """Most updates send what changes, some the whole."""
    whole = monitor(chance)
    if chance.random() < 0.3:
        return whole
    kept = chance.sample(["name", "query", "message", "tags", "options"], chance.randrange(1, 4))
    return {key: whole[key] for key in kept}


def downtime(chance: random.Random) -> Json:
    attributes: dict[str, Json] = {
        "scope": f"service:{chance.choice(SERVICES)}",
        "monitor_identifier": {"monitor_tags": ["team:sre"]},
        "schedule": {"start": None, "end": "2026-03-09T00:00:00Z"},
    }
    if chance.random() < 0.5:
        attributes["message"] = f"deploying {chance.choice(SERVICES)} {chance.choice(HANDLES[:2])}"
    return {"data": {"type": "downtime", "attributes": attributes}}


def dashboard(chance: random.Random) -> Json:
    widgets: list[Json] = [
        {"definition": {"type": "timeseries", "requests": [{"q": f"avg:{metric}{{*}}"}], "title": metric}}
        for metric in chance.sample(METRICS, chance.randrange(1, 5))
    ]
    board: dict[str, Json] = {
        "title": f"{chance.choice(SERVICES)} overview",
        "layout_type": "ordered",
        "widgets": widgets,
        "description": "made by dash-builder",
    }
    if chance.random() < 0.4:
        board["template_variables"] = [{"name": "env", "default": "prod"}]
    if chance.random() < 0.05:
        board["notify_list"] = ["ana@example.com"]
    return board


def notebook(chance: random.Random) -> Json:
    cells: list[Json] = [{"type": "notebook_cells", "attributes": {"definition": {"type": "markdown"}}}]
    attributes: dict[str, Json] = {"name": f"report {chance.randrange(99)}", "cells": cells}
    attributes["time"] = {"live_span": "1h"}
    return {"data": {"type": "notebooks", "attributes": attributes}}


def logs(chance: random.Random) -> Ask:
    lines: Json = [
        {"message": f"order {chance.randrange(10**6)} done", "service": service, "ddtags": "env:prod"}
        for service in chance.sample(SERVICES, 3)
    ]
    encoding = chance.choice(["", "gzip", "gzip", "zstd1"])
    return Ask("POST", "/api/v2/logs", lines, "http-intake.logs.datadoghq.com", encoding)


def series(chance: random.Random) -> Ask:
    points: Json = [
        {"metric": metric, "points": [{"timestamp": 1772409600, "value": chance.random()}], "type": 3}
        for metric in chance.sample(METRICS, 3)
    ]
    return Ask("POST", "/api/v2/series", {"series": points}, encoding=chance.choice(["", "deflate"]))


def event(chance: random.Random) -> Json:
    service = chance.choice(SERVICES)
    return {"title": f"deployed {service}", "text": "by ci", "tags": [f"service:{service}"]}


def dora(chance: random.Random) -> Json:
    return {"data": {"attributes": {"service": chance.choice(SERVICES), "started_at": 1772409600}}}


def trigger_ci(chance: random.Random) -> Json:
    return {"tests": [{"public_id": f"abc-def-{chance.randrange(100, 999)}"}]}
