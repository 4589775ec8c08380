"""Makes previews of real operations."""

from __future__ import annotations

import json
from functools import cache

from addons.core.approvals.preview import Preview, PreviewOf, make_preview
from addons.core.catalogue import Catalogue
from addons.core.model import Json, Operation
from addons.core.policy.request import Evidence
from addons.store.policy.files import read_catalogue

JSON_TYPE = "application/json"

MONITOR: dict[str, Json] = {
    "id": 1234,
    "name": "prod latency",
    "type": "metric alert",
    "query": "avg(last_5m):avg:trace.latency{env:prod} > 500",
    "message": "latency is high\nlook at the dashboard\n@pagerduty",
    "tags": ["env:prod", "team:a"],
    "options": {"thresholds": {"critical": 500, "warning": 300}, "notify_no_data": True},
    "creator": {"email": "alice@example.com"},
}


@cache
def catalogue() -> Catalogue:
    return read_catalogue()


def operation(name: str) -> Operation:
    (found,) = catalogue().by_name(name)
    return found


def asked(
    name: str | None,
    target: str,
    body: bytes | Json = b"",
    resource: Evidence | None = None,
    *,
    method: str = "POST",
    content_type: str | None = JSON_TYPE,
) -> PreviewOf:
    found = operation(name) if name is not None else None
    return PreviewOf(
        operation=found,
        method=found.method if found is not None else method,
        host="api.datadoghq.com",
        target=target,
        headers=(("Content-Type", content_type),) if content_type is not None else (),
        content_type=content_type,
        content_encoding=None,
        body=body if isinstance(body, bytes) else json.dumps(body).encode(),
        resource=resource,
    )


def preview(
    name: str | None,
    target: str,
    body: bytes | Json = b"",
    resource: Evidence | None = None,
    *,
    method: str = "POST",
    content_type: str | None = JSON_TYPE,
) -> Preview:
    return make_preview(asked(name, target, body, resource, method=method, content_type=content_type))
