"""Operations on telemetry: metrics, events, service checks."""

from __future__ import annotations

import re
import time

from addons.sandbox.datadog_call import ApiError, Call, as_list, as_object, required_string
from addons.sandbox.server import Answer, Json, json_answer

_QUERIED_METRIC = re.compile(r"(\w+):([\w.]+)\{")
_ACCEPTED: Json = {"status": "ok"}


def submit_series_v2(call: Call) -> Answer:
    """Protobuf is accepted, and kept as its size alone."""
    if (call.request.value("Content-Type") or "").startswith("application/x-protobuf"):
        call.state.series.append({"metric": None, "protobuf_octets": len(call.body())})
    else:
        _keep_series(call)
    return json_answer({"errors": []}, 202)


def submit_series_v1(call: Call) -> Answer:
    _keep_series(call)
    return json_answer(_ACCEPTED, 202)


def submit_checks(call: Call) -> Answer:
    body = call.json()
    for check in body if isinstance(body, list) else [body]:
        required_string(as_object(check), "check")
        call.state.checks.append(as_object(check))
    return json_answer(_ACCEPTED, 202)


def create_event(call: Call) -> Answer:
    body = call.json_object()
    required_string(body, "title")
    required_string(body, "text")
    number = next(call.state.ids)
    host = f"https://{call.request.value('Host') or 'app.datadoghq.com'}"
    event: dict[str, Json] = {
        "date_happened": int(time.time()),
        "priority": "normal",
        "alert_type": "info",
        "tags": [],
    }
    event |= body | {"id": number, "id_str": str(number), "url": f"{host}/event/event?id={number}"}
    call.state.events.append(event)
    return json_answer({"status": "ok", "event": event}, 202)


def list_events(call: Call) -> Answer:
    start, end = call.number("start", 0, 2**62), call.number("end", 2**62, 2**62)
    found: list[Json] = [
        event for event in call.state.events if start <= _seconds(event.get("date_happened")) <= end
    ]
    return json_answer({"status": "ok", "events": found})


def get_event(call: Call) -> Answer:
    for event in call.state.events:
        if event["id_str"] == call.parameters["id"]:
            return json_answer({"status": "ok", "event": event})
    raise ApiError(404, "Event not found")


def query_metrics(call: Call) -> Answer:
    """Answer the received points of the metrics that the query names, from `from` to `to` (seconds).

    No functions, no grouping, no scope.
    """
    query = call.query.get("query", "")
    start, end = call.number("from", 0, 2**62), call.number("to", 2**53 // 1000, 2**53 // 1000)
    series: list[Json] = [
        _answered_series(kept, aggregation, start, end)
        for aggregation, metric in _QUERIED_METRIC.findall(query)
        for kept in call.state.series
        if kept.get("metric") == metric
    ]
    return json_answer(
        {
            "status": "ok",
            "res_type": "time_series",
            "query": query,
            "from_date": start * 1000,
            "to_date": end * 1000,
            "series": series,
            "group_by": [],
        }
    )


def _answered_series(kept: dict[str, Json], aggregation: str, start: int, end: int) -> Json:
    points = [point for point in as_list(kept["points"]) if isinstance(point, list)]
    within: list[Json] = [
        [_seconds(at) * 1000, value] for at, value in points if start <= _seconds(at) <= end
    ]
    return {
        "metric": kept["metric"],
        "display_name": kept["metric"],
        "expression": f"{aggregation}:{kept['metric']}{{*}}",
        "aggr": aggregation,
        "scope": "*",
        "tag_set": kept["tags"],
        "start": start * 1000,
        "end": end * 1000,
        "interval": 1,
        "length": len(within),
        "pointlist": within,
    }


def _keep_series(call: Call) -> None:
    received = [as_object(each) for each in as_list(call.json_object().get("series"))]
    for each in received:
        required_string(each, "metric")
    for each in received:
        points: list[Json] = [_point(point) for point in as_list(each.get("points", []))]
        call.state.series.append(
            {
                "metric": each["metric"],
                "tags": each.get("tags") or [],
                "host": each.get("host"),
                "points": points,
            }
        )


def _point(point: Json) -> Json:
    """Take v2's `{"timestamp", "value"}`, v1's `[timestamp, value]`, distributions' `[timestamp, [v]]`."""
    match point:
        case {"timestamp": at, "value": value}:
            return [at, value]
        case [at, value]:
            return [at, value]
    raise ApiError(400, "Payload is not in the expected format: a point is a timestamp and a value")


def _seconds(value: Json) -> float:
    return value if isinstance(value, int | float) else 0
