"""Every record becomes a valid event, and loses nothing on the way."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker

from addons.core.model import Effect, Json, Reason, Risk
from addons.core.ocsf import to_ocsf
from addons.core.ocsf_words import (
    ACTIONS,
    CAPTIONS_OF_KINDS,
    DISPOSITIONS,
    SEVERITIES,
    STATUSES,
    Action,
    Disposition,
    Severity,
    Status,
)
from addons.store.audit.record import RecordKind

SCHEMA = json.loads(Path(__file__).with_name("ocsf_api_activity.schema.json").read_text())
VALIDATOR = Draft202012Validator(SCHEMA, format_checker=FormatChecker())

FULL: dict[str, Json] = {
    "v": 1,
    "id": "01a2",
    "kind": "outcome",
    "time": 1763870592.25,
    "call": "01CALL",
    "actor": {
        "issuer": "https://issuer",
        "subject": "ci",
        "groups": ["a", "b"],
        "token_id": "jti",
        "chain": [{"issuer": "https://issuer", "subject": "ci"}],
    },
    "on_behalf_of": "bob",
    "session": "run-7",
    "api": {"operation": "UpdateMonitor", "version": "v1", "risk": "write"},
    "decision": {
        "effect": "allow",
        "reason": "allowed",
        "rule": "monitors-write",
        "policy_revision": "r1",
        "reasons": ["write on monitors"],
    },
    "approval": "ap1",
    "http_request": {
        "method": "PUT",
        "host": "api.datadoghq.com",
        "path": "/api/v1/monitor/1?a=b",
        "length": 3,
        "sha256": "aa",
    },
    "http_response": {"status": 200, "length": 4},
    "src_endpoint": {"ip": "127.0.0.1", "port": 5},
    "findings": {"aws-key": 2},
    "recording": {"segment": "s.mitm", "offset": 10, "length": 20, "sha256": "bb"},
    "message": "done",
    "attributes": {"outcome": "answered", "seconds": 0.25, "x": [1, None]},
}


def event_of(record: dict[str, Json]) -> dict[str, Any]:
    event = to_ocsf(7, record, "0.1.0")
    VALIDATOR.validate(event)
    assert event["type_uid"] == 600300 + int(str(event["activity_id"]))
    assert json.loads(json.dumps(event, allow_nan=False)) == event
    return event


def test_the_mapping_is_the_documented_one() -> None:
    assert event_of(FULL) == {
        "activity_id": 3,
        "activity_name": "Update",
        "category_uid": 6,
        "category_name": "Application Activity",
        "class_uid": 6003,
        "class_name": "API Activity",
        "type_uid": 600303,
        "type_name": "API Activity: Update",
        "severity_id": 1,
        "severity": "Informational",
        "status_id": 1,
        "status": "Success",
        "status_detail": "allowed",
        "action_id": 1,
        "action": "Allowed",
        "disposition_id": 1,
        "disposition": "Allowed",
        "time": 1763870592250,
        "start_time": 1763870592000,
        "end_time": 1763870592250,
        "duration": 250,
        "message": "done",
        "metadata": {
            "uid": "01a2",
            "event_code": "outcome",
            "correlation_uid": "01CALL",
            "sequence": 7,
            "version": "1.9.0",
            "profiles": ["security_control"],
            "log_name": "audit",
            "product": {"name": "ddgate", "vendor_name": "ddgate", "version": "0.1.0"},
        },
        "actor": {
            "user": {
                "uid": "ci",
                "name": "ci",
                "groups": [{"name": "a"}, {"name": "b"}],
                "credential_uid": "jti",
            },
            "session": {"uid": "run-7", "issuer": "https://issuer"},
        },
        "api": {
            "operation": "UpdateMonitor",
            "version": "v1",
            "service": {"name": "Datadog API"},
            "request": {"uid": "01CALL"},
            "response": {"code": 200},
        },
        "policy": {"name": "monitors-write", "uid": "r1", "version": "r1"},
        "authorizations": [
            {"decision": "allow", "policy": {"name": "monitors-write", "uid": "r1", "version": "r1"}}
        ],
        "http_request": {
            "http_method": "PUT",
            "url": {"hostname": "api.datadoghq.com", "path": "/api/v1/monitor/1", "query_string": "a=b"},
            "body_length": 3,
        },
        "http_response": {"code": 200, "body_length": 4},
        "src_endpoint": {"ip": "127.0.0.1", "port": 5},
        "dst_endpoint": {"hostname": "api.datadoghq.com"},
        "unmapped": {
            "v": 1,
            "actor": {"chain": [{"issuer": "https://issuer", "subject": "ci"}]},
            "on_behalf_of": "bob",
            "api": {"risk": "write"},
            "decision": {"effect": "allow", "reasons": ["write on monitors"]},
            "approval": "ap1",
            "http_request": {"sha256": "aa"},
            "findings": {"aws-key": 2},
            "recording": {"segment": "s.mitm", "offset": 10, "length": 20, "sha256": "bb"},
            "attributes": {"outcome": "answered", "x": [1, None]},
        },
    }


def test_the_record_is_left_as_it_was() -> None:
    before = json.dumps(FULL)
    to_ocsf(7, FULL, "0.1.0")
    assert json.dumps(FULL) == before


@pytest.mark.parametrize("kind", RecordKind)
def test_every_kind_has_a_name_and_makes_a_valid_event(kind: RecordKind) -> None:
    assert CAPTIONS_OF_KINDS[kind]
    for record in ({"id": "x", "kind": kind, "time": 1.0}, {**FULL, "kind": str(kind)}):
        event = event_of(json.loads(json.dumps(record)))
        assert event["metadata"]["event_code"] == kind


@pytest.mark.parametrize("reason", Reason)
def test_every_refusal_is_a_denied_failure_with_a_known_disposition(reason: Reason) -> None:
    decision: Json = {"effect": "deny", "reason": str(reason), "rule": "r"}
    event = event_of({**FULL, "kind": "refused", "decision": decision})
    assert (event["action"], event["status"]) == ("Denied", "Failure")
    assert event["disposition"] in {"Blocked", "Delayed", "Rejected", "Unauthorized", "Error"}


@pytest.mark.parametrize(
    ("kind", "decision", "attributes", "expected"),
    [
        ("attempted", {"effect": "allow"}, {}, ("Allowed", "Allowed", "Unknown", "Low")),
        ("outcome", {"effect": "allow"}, {"outcome": "answered"}, ("Allowed", "Allowed", "Success", "Low")),
        ("outcome", {"effect": "allow"}, {"outcome": "unknown"}, ("Allowed", "Allowed", "Unknown", "High")),
        ("outcome", {"effect": "allow"}, {"outcome": "not sent"}, ("Allowed", "Allowed", "Failure", "Low")),
        (
            "outcome",
            {"effect": "require_approval"},
            {"outcome": "answered"},
            ("Allowed", "Approved", "Success", "Low"),
        ),
        (
            "outcome",
            {"effect": "allow", "reason": "observed"},
            {"outcome": "answered"},
            ("Observed", "Logged", "Success", "Low"),
        ),
        (
            "refused",
            {"effect": "deny", "reason": "denied_by_rule"},
            {},
            ("Denied", "Blocked", "Failure", "Medium"),
        ),
        ("refused", {"reason": "bad_token"}, {}, ("Denied", "Unauthorized", "Failure", "Medium")),
        ("refused", {"reason": "approval_pending"}, {}, ("Denied", "Delayed", "Failure", "Medium")),
    ],
)
def test_what_was_done_about_a_deletion(
    kind: str, decision: Json, attributes: Json, expected: tuple[str, ...]
) -> None:
    record = {**FULL, "kind": kind, "decision": decision, "attributes": attributes}
    record["api"] = {"operation": "DeleteMonitor", "version": "v1", "risk": "destructive"}
    if kind == "attempted":
        del record["http_response"]
    event = event_of(record)
    said = (event["action"], event["disposition"], event["status"], event["severity"])
    assert said == expected
    assert event["activity_name"] == "Delete"


@pytest.mark.parametrize(
    ("risk", "method", "activity"),
    [
        (Risk.READ, "POST", "Read"),
        (Risk.SENSITIVE_READ, "GET", "Read"),
        (Risk.INGEST, "POST", "Create"),
        (Risk.EXECUTE, "POST", "Execute"),
        (Risk.DESTRUCTIVE, "POST", "Delete"),
        (Risk.WRITE, "PUT", "Update"),
        (Risk.PRIVILEGED, "DELETE", "Delete"),
        (None, "PATCH", "Update"),
        (None, "BREW", "Execute"),
    ],
)
def test_the_activity_is_what_the_operation_does(risk: Risk | None, method: str, activity: str) -> None:
    api: Json = {"operation": "X", "risk": str(risk)} if risk else {"operation": "X"}
    record: dict[str, Json] = {**FULL, "api": api, "http_request": {"method": method, "host": "h"}}
    assert event_of(record)["activity_name"] == activity


def test_a_look_is_by_the_user_of_the_operating_system() -> None:
    look: dict[str, Json] = {"kind": "read", "time": 1.0, "attributes": {"os_user": "root", "found": 3}}
    event = event_of(look)
    assert event["actor"]["user"]["name"] == "root"
    assert (event["activity_name"], event["status"]) == ("Read", "Success")
    assert event["unmapped"]["attributes"] == {"os_user": "root", "found": 3}


values: st.SearchStrategy[Json] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["", "x", "GET", "127.0.0.1", *RecordKind, *Effect, *Reason, *Risk]).map(str),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(sorted(FULL)), inner, max_size=3)
    ),
    max_leaves=5,
)


@st.composite
def odd_records(draw: st.DrawFn) -> dict[str, Json]:
    """A record in which anything may be missing or something else."""
    record: dict[str, Json] = {}
    for name, value in FULL.items():
        if draw(st.booleans()):
            record[name] = draw(values)
        elif isinstance(value, dict):
            record[name] = {
                key: draw(values) if draw(st.booleans()) else inner
                for key, inner in value.items()
                if draw(st.booleans())
            }
        elif draw(st.booleans()):
            record[name] = value
    return record


@given(odd_records())
def test_the_oddest_record_makes_a_valid_event(record: dict[str, Json]) -> None:
    event_of(record)


def leaves(value: Json) -> Iterator[Json]:
    match value:
        case dict():
            for inner in value.values():
                yield from leaves(inner)
        case list():
            for inner in value:
                yield from leaves(inner)
        case _:
            yield value


@given(odd_records())
def test_nothing_is_lost(record: dict[str, Json]) -> None:
    event = event_of(record)
    kept = [json.dumps(leaf) for leaf in leaves(event)]
    texts = "\n".join(leaf for leaf in leaves(event) if isinstance(leaf, str))
    for leaf in leaves(record):
        if isinstance(leaf, str):
            assert all(piece in texts for piece in leaf.split("?"))
        elif leaf is not None and not isinstance(leaf, float):
            assert json.dumps(leaf) in kept or leaf in [record.get("time"), *leaves(record.get("attributes"))]


def test_captions_are_of_every_value() -> None:
    for values_, captions in (
        (Action, ACTIONS),
        (Disposition, DISPOSITIONS),
        (Severity, SEVERITIES),
        (Status, STATUSES),
    ):
        assert set(captions) == set(values_)
