"""Everything that a gateway left behind, as its finder could read it: compressed and encoded parts too."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator
from typing import Any

from mitmproxy import http

from addons.core.body import decode_body
from tests.e2e.gateway_process import Gateway
from tests.e2e.test_abuse_credential import assert_absent

_LIMIT = 64 * 1024 * 1024


def decoded(message: http.Message | None) -> bytes:
    """The body of a recorded message without its content encoding, `zstd1` included."""
    if message is None or not message.raw_content:
        return b""
    return decode_body(message.raw_content, message.headers.get("content-encoding"), limit=_LIMIT)


def readable(gateway: Gateway) -> Iterator[tuple[str, bytes]]:
    """(where, bytes): every file, every recorded body decoded, every audit record with its bodies decoded."""
    for path, data in gateway.files():
        yield str(path), data
    for flow in gateway.flows():
        yield f"state of {flow.comment}", repr(flow.get_state()).encode()
        yield f"request of {flow.comment}", decoded(flow.request)
        yield f"answer of {flow.comment}", decoded(flow.response)
    for record in gateway.records():
        yield f"record {record['kind']}", json.dumps(record).encode()
        yield f"request in {record['kind']}", _audited_body(record)


def _audited_body(record: dict[str, Any]) -> bytes:
    request = record.get("attributes", {}).get("request", {})
    fields = {name.lower(): value for name, value in request.get("headers", [])}
    raw = base64.b64decode(request.get("body_base64", ""))
    return decode_body(raw, fields.get("content-encoding"), limit=_LIMIT) if raw else b""


def assert_nothing_readable(gateway: Gateway, secrets: Iterable[str]) -> None:
    kept = list(secrets)
    for where, data in readable(gateway):
        assert_absent(data, kept, where)
