"""Operations on logs: intake and search."""

from __future__ import annotations

import base64
import binascii
import fnmatch
import json
import re
import uuid
from collections.abc import Mapping

from addons.sandbox.datadog_call import ApiError, Call, as_object, timestamp
from addons.sandbox.server import Answer, Json, json_answer

_TERM = re.compile(r'(?P<no>-|NOT )?(?:(?P<key>@?[\w./-]+):)?(?P<value>"[^"]*"|\S+)')
_OWN_FIELDS = frozenset({"message", "ddsource", "ddtags", "hostname", "host", "service", "status", "level"})
_FACETS = frozenset({"host", "service", "status", "source"})
_DEFAULT_LIMIT, _MAX_LIMIT = 10, 1000


def submit_logs(call: Call) -> Answer:
    """JSON (an object or a list) or text, one log a line. Query parameters fill in what a log doesn't say."""
    for entry in _entries(call):
        call.state.logs.append(_log(entry, call.query))
    return json_answer({}, 202)


def search_logs(call: Call) -> Answer:
    """Search the received logs, newest first.

    A query's terms all have to match: words, `key:value` with `*` in the value, `@path:value`, a minus before
    any. No OR, no parentheses; the time window is not looked at.
    """
    body = call.json_object() if call.request.body else {}
    wanted, page = as_object(body.get("filter") or {}), as_object(body.get("page") or {})
    limit = page.get("limit", _DEFAULT_LIMIT)
    if not isinstance(limit, int) or not 1 <= limit <= _MAX_LIMIT:
        raise ApiError(400, f"page.limit is 1 to {_MAX_LIMIT}")
    terms = [match for match in _TERM.finditer(str(wanted.get("query", "*"))) if match["value"] != "AND"]
    found = [log for log in call.state.logs if all(_matches(log, term) for term in terms)]
    if body.get("sort") != "timestamp":
        found.reverse()
    start = _offset(page.get("cursor"))
    data: list[Json] = list(found[start : start + limit])
    meta: dict[str, Json] = {"status": "done", "elapsed": 1, "request_id": str(uuid.uuid4())}
    if start + limit < len(found):
        meta["page"] = {"after": base64.urlsafe_b64encode(b"%d" % (start + limit)).decode()}
    return json_answer({"data": data, "meta": meta})


def _entries(call: Call) -> list[dict[str, Json]]:
    octets = call.body()
    if "json" not in (call.request.value("Content-Type") or "json"):
        return [{"message": line} for line in octets.decode("utf-8", "replace").splitlines() if line]
    try:
        content: Json = json.loads(octets)
    except (ValueError, RecursionError):
        return [_entry_of_line(line) for line in octets.splitlines() if line.strip()]
    entries = content if isinstance(content, list) else [content]
    return [entry if isinstance(entry, dict) else {"message": str(entry)} for entry in entries]


def _entry_of_line(line: bytes) -> dict[str, Json]:
    try:
        return as_object(json.loads(line))
    except (ValueError, RecursionError) as error:
        raise ApiError(400, "Invalid JSON in the logs payload") from error


def _log(entry: Mapping[str, Json], query: Mapping[str, str]) -> dict[str, Json]:
    def said(*names: str) -> Json:
        return next((entry[name] for name in names if entry.get(name)), None)

    source = said("ddsource") or query.get("ddsource")
    tags: list[Json] = [tag for tag in str(said("ddtags") or query.get("ddtags") or "").split(",") if tag]
    if source:
        tags.append(f"source:{source}")
    attributes: dict[str, Json] = {
        "message": str(said("message") or ""),
        "status": str(said("status", "level") or "info"),
        "tags": tags,
        "timestamp": timestamp(),
        "attributes": {name: value for name, value in entry.items() if name not in _OWN_FIELDS},
    }
    for name, value in (
        ("host", said("hostname", "host") or query.get("hostname")),
        ("service", said("service") or query.get("service")),
    ):
        if value:
            attributes[name] = str(value)
    return {"id": uuid.uuid4().hex, "type": "log", "attributes": attributes}


def _matches(log: Mapping[str, Json], term: re.Match[str]) -> bool:
    attributes = as_object(log["attributes"])
    key, value = term["key"], term["value"].strip('"').lower()
    if key is None:
        found = value == "*" or value.strip("*") in str(attributes["message"]).lower()
    elif key.startswith("@"):
        found = any(
            fnmatch.fnmatchcase(each.lower(), value) for each in _at_path(attributes["attributes"], key[1:])
        )
    else:
        tags = attributes["tags"] if isinstance(attributes["tags"], list) else []
        said = [f"{name}:{attributes[name]}" for name in _FACETS & attributes.keys()] + [
            str(tag) for tag in tags
        ]
        found = any(fnmatch.fnmatchcase(each.lower(), f"{key.lower()}:{value}") for each in said)
    return found is (term["no"] is None)


def _at_path(value: Json, path: str) -> list[str]:
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return [] if value is None else [value if isinstance(value, str) else json.dumps(value)]


def _offset(cursor: Json) -> int:
    if cursor is None:
        return 0
    try:
        return max(0, int(base64.urlsafe_b64decode(str(cursor))))
    except (ValueError, binascii.Error) as error:
        raise ApiError(400, "page.cursor is none that this gave out") from error
