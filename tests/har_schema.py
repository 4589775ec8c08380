"""HAR 1.2 (http://www.softwareishard.com/blog/har-12-spec) as a JSON Schema: what a reader may count on."""

from __future__ import annotations

from typing import Any

from addons.core.model import Json

_TEXT: Json = {"type": "string"}
_SIZE: Json = {"type": "integer", "minimum": -1}
_TIME: Json = {"type": "number", "minimum": 0}
_PAIRS: Json = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["name", "value"],
        "properties": {"name": _TEXT, "value": _TEXT, "comment": _TEXT},
        "additionalProperties": False,
    },
}


def _object(required: dict[str, Json], optional: dict[str, Json] | None = None) -> Json:
    """Custom fields begin with an underscore, says the specification."""
    return {
        "type": "object",
        "required": list[Json](required),
        "properties": {**required, **(optional or {}), "comment": _TEXT},
        "patternProperties": {"^_": {}},
        "additionalProperties": False,
    }


_REQUEST = _object(
    {
        "method": _TEXT,
        "url": {"type": "string", "pattern": "^https?://"},
        "httpVersion": _TEXT,
        "cookies": _PAIRS,
        "headers": _PAIRS,
        "queryString": _PAIRS,
        "headersSize": _SIZE,
        "bodySize": _SIZE,
    },
    {"postData": _object({"mimeType": _TEXT, "text": _TEXT}, {"params": _PAIRS})},
)
_RESPONSE = _object(
    {
        "status": {"type": "integer"},
        "statusText": _TEXT,
        "httpVersion": _TEXT,
        "cookies": _PAIRS,
        "headers": _PAIRS,
        "content": _object(
            {"size": {"type": "integer", "minimum": 0}, "mimeType": _TEXT},
            {"text": _TEXT, "encoding": {"const": "base64"}, "compression": {"type": "integer"}},
        ),
        "redirectURL": _TEXT,
        "headersSize": _SIZE,
        "bodySize": _SIZE,
    }
)
_ENTRY = _object(
    {
        "startedDateTime": {
            "type": "string",
            "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$",
        },
        "time": _TIME,
        "request": _REQUEST,
        "response": _RESPONSE,
        "cache": {"type": "object"},
        "timings": _object({"send": _TIME, "wait": _TIME, "receive": _TIME}),
    },
    {"pageref": _TEXT, "serverIPAddress": _TEXT, "connection": _TEXT},
)
HAR: dict[str, Any] = {
    "type": "object",
    "required": ["log"],
    "properties": {
        "log": _object(
            {
                "version": {"const": "1.2"},
                "creator": _object({"name": _TEXT, "version": _TEXT}),
                "entries": {"type": "array", "items": _ENTRY},
            },
            {"pages": {"type": "array"}},
        )
    },
}
