"""Operations on monitors, dashboards and API keys."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Callable

from addons.sandbox.datadog_call import ApiError, Call, as_object, required_string, timestamp
from addons.sandbox.datadog_state import Resource
from addons.sandbox.server import Answer, Json, json_answer

_CREATOR: Json = {"email": "sandbox@example.com", "handle": "sandbox@example.com", "name": "Sandbox"}
_PAGE = 30


def _checked_monitor(call: Call) -> Resource:
    body = call.json_object()
    required_string(body, "type")
    required_string(body, "query")
    return body


def create_monitor(call: Call) -> Answer:
    body, now, number = _checked_monitor(call), timestamp(), next(call.state.ids)
    monitor: Resource = {
        "name": "",
        "message": "",
        "tags": [],
        "options": {},
        "priority": None,
        "multi": False,
    }
    monitor |= {"restricted_roles": None, "deleted": None, "overall_state": "No Data"} | body
    monitor |= {"id": number, "created": now, "modified": now, "creator": _CREATOR}
    call.state.monitors[number] = monitor
    return json_answer(monitor)


def validate_monitor(call: Call) -> Answer:
    _checked_monitor(call)
    return json_answer({})


def get_monitor(call: Call) -> Answer:
    return json_answer(_monitor(call))


def update_monitor(call: Call) -> Answer:
    monitor, body = _monitor(call), call.json_object()
    fixed = {name: monitor[name] for name in ("id", "created", "creator", "type")}
    monitor.update(body | fixed | {"modified": timestamp()})
    return json_answer(monitor)


def delete_monitor(call: Call) -> Answer:
    number = _monitor(call)["id"]
    del call.state.monitors[int(call.parameters["id"])]
    return json_answer({"deleted_monitor_id": number})


def list_monitors(call: Call) -> Answer:
    """Filter by `name` (a part of it) and `tags` (comma-separated, all of them); page if `page` is given."""
    name, tags = call.query.get("name", ""), {tag for tag in call.query.get("tags", "").split(",") if tag}
    found: list[Json] = [
        each for each in call.state.monitors.values() if name in str(each["name"]) and tags <= _tags(each)
    ]
    if "page" in call.query:
        size = call.number("page_size", 100, 1000)
        start = call.number("page", 0, 10**6) * size
        found = found[start : start + size]
    return json_answer(found)


def search_monitors(call: Call) -> Answer:
    """Find the monitors that have each of the query's words in the name, the query text or a tag."""
    words = call.query.get("query", "").lower().split()
    found = [
        each for each in call.state.monitors.values() if all(word in _searchable(each) for word in words)
    ]
    size, page = call.number("per_page", _PAGE, 1000) or _PAGE, call.number("page", 0, 10**6)
    results: list[Json] = [_search_result(each) for each in found[page * size : (page + 1) * size]]
    return json_answer(
        {
            "monitors": results,
            "counts": {
                "status": _counted(found, lambda each: each["overall_state"]),
                "muted": _counted(found, lambda _: False),
                "tag": [],
                "type": _counted(found, lambda each: each["type"]),
            },
            "metadata": {
                "page": page,
                "per_page": size,
                "page_count": -(-len(found) // size),
                "total_count": len(found),
            },
        }
    )


def _search_result(monitor: Resource) -> Json:
    kept = {name: monitor[name] for name in ("id", "name", "query", "tags", "type", "creator")}
    more: Resource = {
        "status": monitor["overall_state"],
        "last_triggered_ts": None,
        "metrics": [],
        "scopes": [],
    }
    return kept | more | {"classification": "metric", "notifications": [], "org_id": 1}


def _counted(monitors: list[Resource], facet: Callable[[Resource], Json]) -> list[Json]:
    values = [facet(each) for each in monitors]
    return [{"name": value, "count": values.count(value)} for value in sorted(set(map(str, values)))]


def _searchable(monitor: Resource) -> str:
    return " ".join((str(monitor["name"]), str(monitor["query"]), *_tags(monitor))).lower()


def _tags(resource: Resource) -> set[str]:
    tags = resource.get("tags")
    return {str(tag) for tag in tags} if isinstance(tags, list) else set()


def _monitor(call: Call) -> Resource:
    monitor = call.state.monitors.get(int(call.parameters["id"]))
    if monitor is None:
        raise ApiError(404, "Monitor not found")
    return monitor


def create_dashboard(call: Call) -> Answer:
    body, now = _checked_dashboard(call), timestamp()
    identifier = "-".join(secrets.token_hex(2)[:3] for _ in range(3))
    dashboard: Resource = {
        "description": None,
        "is_read_only": False,
        "notify_list": None,
        "template_variables": [],
    }
    dashboard |= body | {
        "id": identifier,
        "author_handle": "sandbox@example.com",
        "author_name": "Sandbox",
        "created_at": now,
        "modified_at": now,
        "url": f"/dashboard/{identifier}",
        "widgets": _with_ids(call, body["widgets"]),
    }
    call.state.dashboards[identifier] = dashboard
    return json_answer(dashboard)


def get_dashboard(call: Call) -> Answer:
    return json_answer(_dashboard(call))


def update_dashboard(call: Call) -> Answer:
    dashboard, body = _dashboard(call), _checked_dashboard(call)
    fixed = {name: dashboard[name] for name in ("id", "author_handle", "author_name", "created_at", "url")}
    dashboard.update(body | fixed | {"modified_at": timestamp(), "widgets": _with_ids(call, body["widgets"])})
    return json_answer(dashboard)


def delete_dashboard(call: Call) -> Answer:
    identifier = _dashboard(call)["id"]
    del call.state.dashboards[call.parameters["id"]]
    return json_answer({"deleted_dashboard_id": identifier})


def list_dashboards(call: Call) -> Answer:
    names = (
        "id",
        "title",
        "description",
        "layout_type",
        "url",
        "author_handle",
        "created_at",
        "modified_at",
        "is_read_only",
    )
    summaries: list[Json] = [{name: each[name] for name in names} for each in call.state.dashboards.values()]
    return json_answer({"dashboards": summaries})


def _checked_dashboard(call: Call) -> Resource:
    body = call.json_object()
    required_string(body, "title")
    required_string(body, "layout_type")
    if not isinstance(body.get("widgets"), list):
        raise ApiError(400, "Missing required attribute: widgets")
    return body


def _with_ids(call: Call, widgets: Json) -> Json:
    listed = widgets if isinstance(widgets, list) else []
    return [{"id": next(call.state.ids)} | as_object(widget) for widget in listed]


def _dashboard(call: Call) -> Resource:
    dashboard = call.state.dashboards.get(call.parameters["id"])
    if dashboard is None:
        raise ApiError(404, f"Dashboard with ID {call.parameters['id']} not found")
    return dashboard


def create_api_key(call: Call) -> Answer:
    """Answers a key in full, as Datadog does. It opens nothing: the stand-in knows its own keys alone."""
    attributes = as_object(as_object(call.json_object().get("data")).get("attributes"))
    key, now, identifier = secrets.token_hex(16), timestamp(), str(uuid.uuid4())
    partial: Resource = {"name": required_string(attributes, "name"), "last4": key[-4:], "created_at": now}
    created: Resource = {"type": "api_keys", "id": identifier, "attributes": partial | {"modified_at": now}}
    call.state.api_keys[identifier] = created
    return json_answer({"data": created | {"attributes": partial | {"modified_at": now, "key": key}}}, 201)


def list_api_keys(call: Call) -> Answer:
    keys: list[Json] = list(call.state.api_keys.values())
    return json_answer(
        {"data": keys, "meta": {"page": {"total_filtered_count": len(keys)}, "max_allowed": 50}}
    )
