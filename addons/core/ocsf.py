"""Audit records as events of the Open Cybersecurity Schema Framework: API Activity, class 6003.

OCSF 1.9.0 (https://schema.ocsf.io/1.9.0/classes/api_activity), with its profile `security_control`. What OCSF
has no attribute for is in `unmapped`, under the names that the record has, so that nothing is lost.
`metadata.sequence` is the record's index in the log, `metadata.uid` its id, `metadata.event_code` its kind;
`metadata.correlation_uid` ties the events of one call together, or those of one approval where there is no
call.
"""

from __future__ import annotations

import copy
import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

from addons.core.model import Effect, Json, Reason, Risk
from addons.core.ocsf_words import (
    ACTIONS,
    ACTIVITIES,
    CAPTIONS_OF_KINDS,
    DISPOSITIONS,
    FALLBACK,
    METHODS,
    SEVERITIES,
    STATUSES,
    Action,
    Activity,
    Severity,
    Status,
    Verdict,
    activity_of,
    verdict_of,
)

VERSION = "1.9.0"
CLASS, CATEGORY = 6003, 6
PRODUCT = "ddgate"

type Event = dict[str, Json]
type _Path = tuple[str, ...]

_LARGEST = 2**53 - 1  # OCSF's long_t goes further, but JSON's numbers are doubles in many a SIEM
_LARGEST_PORT = 65535


def _text(value: Json) -> Json:
    return value if isinstance(value, str) and value else None


def _count(value: Json) -> Json:
    fits = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LARGEST
    return value if fits else None


def _port(value: Json) -> Json:
    number = _count(value)
    return number if isinstance(number, int) and number <= _LARGEST_PORT else None


def _ip(value: Json) -> Json:
    try:
        return str(ipaddress.ip_address(value)) if isinstance(value, str) else None
    except ValueError:
        return None


def _method(value: Json) -> Json:
    return value if isinstance(value, str) and value in METHODS else None


def _groups(value: Json) -> Json:
    if not isinstance(value, list) or not value or not all(isinstance(name, str) and name for name in value):
        return None
    return [{"name": name} for name in value]


@dataclass(frozen=True, slots=True)
class _Field:
    """One value of the record, and where it goes. What `form` gives None for stays in `unmapped`."""

    source: _Path
    targets: tuple[_Path, ...]
    form: Callable[[Json], Json] = _text


def _field(source: str, *targets: str, form: Callable[[Json], Json] = _text) -> _Field:
    return _Field(tuple(source.split(".")), tuple(tuple(target.split(".")) for target in targets), form)


_FIELDS = (
    _field("id", "metadata.uid"),
    _field("kind", "metadata.event_code"),
    _field("message", "message"),
    _field("approval", "metadata.correlation_uid"),  # before `call`, which comes first where there is one
    _field("call", "metadata.correlation_uid", "api.request.uid"),
    _field("actor.subject", "actor.user.uid", "actor.user.name"),
    _field("actor.issuer", "actor.session.issuer"),
    _field("actor.groups", "actor.user.groups", form=_groups),
    _field("actor.token_id", "actor.user.credential_uid", "actor.session.uid"),
    _field("session", "actor.session.uid"),
    _field("api.operation", "api.operation"),
    _field("api.version", "api.version"),
    _field("decision.rule", "policy.name"),
    _field("decision.policy_revision", "policy.uid", "policy.version"),
    _field("decision.reason", "status_detail"),
    _field("http_request.method", "http_request.http_method", form=_method),
    _field("http_request.host", "http_request.url.hostname", "dst_endpoint.hostname"),
    _field("http_request.length", "http_request.body_length", form=_count),
    _field("http_response.status", "http_response.code", "api.response.code", form=_count),
    _field("http_response.length", "http_response.body_length", form=_count),
    _field("src_endpoint.ip", "src_endpoint.ip", form=_ip),
    _field("src_endpoint.port", "src_endpoint.port", form=_port),
)
# The approval's id is wanted under its own name too, where the call's took its place.
_ALSO_UNMAPPED: tuple[_Path, ...] = (("approval",),)


def to_ocsf(idx: int, record: Mapping[str, Json], product_version: str) -> Event:
    """Make the event of a record in the form of `store.audit.record`.

    Never fails: what a record lacks, or has in another form, is left out, or stays in `unmapped`.
    """
    rest = copy.deepcopy(dict(record))
    event: Event = {}
    for field in _FIELDS:
        _move(field, rest, event)
    for path in _ALSO_UNMAPPED:
        if (value := _get(record, path)) is not None:
            _put(rest, path, value)
    _put_path(rest, event)
    _put_times(rest, event)
    activity = activity_of(_str(record, "kind"), _risk(record), _str(record, "http_request", "method"))
    verdict = verdict_of(_str(record, "kind"), _effect(record), _reason(record), _has_approval(record))
    _classify(event, record, activity, verdict)
    _require(event, record, rest)
    _put(event, ("metadata", "sequence"), idx)
    _put(event, ("metadata", "version"), VERSION)
    _put(event, ("metadata", "profiles"), ["security_control"])
    _put(event, ("metadata", "log_name"), "audit")
    _put(
        event,
        ("metadata", "product"),
        {"name": PRODUCT, "vendor_name": PRODUCT, "version": product_version},
    )
    if left := _without_empty(rest):
        event["unmapped"] = left
    return event


def _classify(event: Event, record: Mapping[str, Json], activity: Activity, verdict: Verdict) -> None:
    kind = _str(record, "kind")
    status = _status(record, verdict)
    severity = max(verdict.severity, _severity_of_risk(record, verdict))
    event |= {
        "class_uid": CLASS,
        "class_name": "API Activity",
        "category_uid": CATEGORY,
        "category_name": "Application Activity",
        "activity_id": int(activity),
        "activity_name": ACTIVITIES[activity] or CAPTIONS_OF_KINDS.get(kind, kind) or "Other",
        "type_uid": CLASS * 100 + activity,
        "type_name": f"API Activity: {ACTIVITIES[activity] or 'Other'}",
        "severity_id": int(severity),
        "severity": SEVERITIES[severity],
        "status_id": int(status),
        "status": STATUSES[status],
        "action_id": int(verdict.action),
        "action": ACTIONS[verdict.action],
        "disposition_id": int(verdict.disposition),
        "disposition": DISPOSITIONS[verdict.disposition],
    }
    decision = _effect(record)
    if decision is not None:
        authorization: dict[str, Json] = {"decision": str(decision)}
        if (policy := event.get("policy")) is not None:
            authorization["policy"] = copy.deepcopy(policy)
        event["authorizations"] = [authorization]


def _require(event: Event, record: Mapping[str, Json], rest: dict[str, Json]) -> None:
    """Fill in what the class and its objects must have, and take back what isn't enough for an object."""
    kind = _str(record, "kind")
    if _get(event, ("actor", "user", "name")) is None:
        known = _get(event, ("actor", "user"))
        _put(event, ("actor", "user"), _user(record) | (known if isinstance(known, dict) else {}))
    if _get(event, ("api", "operation")) is None:
        _put(event, ("api", "operation"), kind or "unknown")
    is_call = _get(record, ("http_request", "host")) is not None
    _put(event, ("api", "service"), {"name": "Datadog API" if is_call else PRODUCT})
    if _get(event, ("src_endpoint", "ip")) is None:
        _put(event, ("src_endpoint", "svc_name"), PRODUCT)
    url = _get(event, ("http_request", "url"))
    if isinstance(url, dict) and "path" not in url:  # of which OCSF asks for a path or a whole URL
        url["path"] = "/"
    response = event.get("http_response")
    if isinstance(response, dict) and "code" not in response:
        del event["http_response"]
        _put(rest, ("http_response", "length"), response["body_length"])


def _user(record: Mapping[str, Json]) -> dict[str, Json]:
    """Who acted, where no token said it."""
    read_by = _str(record, "attributes", "os_user")
    if read_by:
        return {"name": read_by, "type_id": 99, "type": "Operating system user"}
    system = FALLBACK.get(_str(record, "kind"))
    return dict(system or {"name": "unknown", "type_id": 0, "type": "Unknown"})


def _move(field: _Field, rest: dict[str, Json], event: Event) -> None:
    value = field.form(_get(rest, field.source))
    if value is None:
        return
    for target in field.targets:
        _put(event, target, copy.deepcopy(value))
    _drop(rest, field.source)


def _put_path(rest: dict[str, Json], event: Event) -> None:
    target = _get(rest, ("http_request", "path"))
    if not isinstance(target, str):
        return
    path, mark, query = target.partition("?")
    _put(event, ("http_request", "url", "path"), path or "/")
    if mark and query:
        _put(event, ("http_request", "url", "query_string"), query)
    _drop(rest, ("http_request", "path"))


def _put_times(rest: dict[str, Json], event: Event) -> None:
    """OCSF's times and durations are whole milliseconds."""
    time, seconds = _milliseconds(rest.get("time")), _milliseconds(_get(rest, ("attributes", "seconds")))
    event["time"] = 0 if time is None else time
    if time is not None:
        del rest["time"]
    if seconds is not None:
        event["duration"] = seconds
        event["end_time"], event["start_time"] = event["time"], max(0, cast(int, event["time"]) - seconds)
        _drop(rest, ("attributes", "seconds"))


def _milliseconds(seconds: Json) -> int | None:
    if (
        isinstance(seconds, bool)
        or not isinstance(seconds, (int, float))
        or not 0 <= seconds <= _LARGEST / 1000
    ):
        return None
    return int(round(seconds * 1000, 3))


def _status(record: Mapping[str, Json], verdict: Verdict) -> Status:
    code = _get(record, ("http_response", "status"))
    if verdict.status is not None:
        return verdict.status
    if _str(record, "attributes", "outcome") not in {"", "answered"}:
        return Status.FAILURE if _str(record, "attributes", "outcome") != "unknown" else Status.UNKNOWN
    if isinstance(code, int) and not isinstance(code, bool):
        return Status.SUCCESS if code < 400 else Status.FAILURE  # noqa: PLR2004 - HTTP's own border
    return Status.UNKNOWN


def _severity_of_risk(record: Mapping[str, Json], verdict: Verdict) -> Severity:
    """What can do harm weighs more, tried or done; that nobody knows whether it happened, most."""
    if _str(record, "kind") == "outcome" and _str(record, "attributes", "outcome") == "unknown":
        return Severity.HIGH
    if _risk(record) not in {Risk.DESTRUCTIVE, Risk.PRIVILEGED, Risk.UNKNOWN}:
        return Severity.INFORMATIONAL
    return Severity.MEDIUM if verdict.action is Action.DENIED else Severity.LOW


def _has_approval(record: Mapping[str, Json]) -> bool:
    return bool(_str(record, "approval"))


def _risk(record: Mapping[str, Json]) -> Risk | None:
    text = _str(record, "api", "risk")
    return Risk(text) if text in set(Risk) else None


def _effect(record: Mapping[str, Json]) -> Effect | None:
    text = _str(record, "decision", "effect")
    return Effect(text) if text in set(Effect) else None


def _reason(record: Mapping[str, Json]) -> Reason | None:
    text = _str(record, "decision", "reason")
    return Reason(text) if text in set(Reason) else None


def _str(record: Mapping[str, Json], *path: str) -> str:
    value = _get(record, path)
    return value if isinstance(value, str) else ""


def _get(tree: Json | Mapping[str, Json], path: _Path) -> Json:
    found: object = tree
    for name in path:
        if not isinstance(found, Mapping):
            return None
        found = found.get(name)
    return cast(Json, found)


def _put(tree: dict[str, Json], path: _Path, value: Json) -> None:
    *above, last = path
    for name in above:
        inner = tree.get(name)
        if not isinstance(inner, dict):
            inner = tree[name] = {}
        tree = inner
    tree[last] = value


def _drop(tree: dict[str, Json], path: _Path) -> None:
    *above, last = path
    inner = _get(tree, tuple(above)) if above else tree
    if isinstance(inner, dict):
        inner.pop(last, None)


def _without_empty(tree: dict[str, Json]) -> dict[str, Json]:
    """Less the objects that everything was taken out of."""
    return {name: value for name, value in tree.items() if value != {}}
