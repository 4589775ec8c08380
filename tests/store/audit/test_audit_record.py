from __future__ import annotations

import base64
import json
import os
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.core.model import Actor, Effect, Json, Operation, Principal, Reason, Risk
from addons.store.audit.record import (
    AuditRecord,
    Base64Text,
    CallFacts,
    RecordKind,
    RecordRefused,
    SegmentRef,
    new_id,
)

FULL = AuditRecord(
    RecordKind.OUTCOME,
    1763870592.25,
    call="c1",
    facts=CallFacts(
        principal=Principal(
            "https://issuer",
            "ci",
            frozenset({"b", "a"}),
            2e9,
            on_behalf_of="bob",
            actors=(Actor("https://issuer", "ci"),),
            session="run-7",
            token_id="jti",
        ),
        operation=Operation("UpdateMonitor", "v1", "PUT", "/api/v1/monitor/{id}", ("Monitors",), Risk.WRITE),
        effect=Effect.ALLOW,
        reason=Reason.ALLOWED,
        reasons=("monitors-write: write on monitors",),
        rule="monitors-write",
        policy_revision="r1",
        approval="ap1",
        method="PUT",
        host="api.datadoghq.com",
        path="/api/v1/monitor/1",
        request_length=3,
        request_sha256="aa",
        status=200,
        response_length=4,
        client=("127.0.0.1", 5),
        findings={"aws-key": 2},
    ),
    message="done",
    attributes={"x": [1, None]},
    recording=SegmentRef("s.mitm", 10, 20, "bb"),
    id="r-1",
)


def test_the_stored_form_is_the_documented_one() -> None:
    assert json.loads(FULL.encode()) == {
        "v": 1,
        "id": "r-1",
        "kind": "outcome",
        "time": 1763870592.25,
        "call": "c1",
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
            "reasons": ["monitors-write: write on monitors"],
        },
        "approval": "ap1",
        "http_request": {
            "method": "PUT",
            "host": "api.datadoghq.com",
            "path": "/api/v1/monitor/1",
            "length": 3,
            "sha256": "aa",
        },
        "http_response": {"status": 200, "length": 4},
        "src_endpoint": {"ip": "127.0.0.1", "port": 5},
        "findings": {"aws-key": 2},
        "recording": {"segment": "s.mitm", "offset": 10, "length": 20, "sha256": "bb"},
        "message": "done",
        "attributes": {"x": [1, None]},
    }


def test_what_is_unknown_is_left_out() -> None:
    assert json.loads(AuditRecord(RecordKind.STARTED, 1.0, id="r").encode()) == {
        "v": 1,
        "id": "r",
        "kind": "started",
        "time": 1.0,
    }


json_values: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(st.dictionaries(st.text(), json_values, min_size=1, max_size=4), st.text(st.characters(), min_size=1))
def test_the_text_is_one_canonical_ascii_line(attributes: dict[str, Json], path: str) -> None:
    record = replace(FULL, attributes=attributes, facts=replace(FULL.facts, path=path))
    text = record.encode()
    assert text.isascii()
    assert "\n" not in text
    assert json.loads(text)["attributes"] == attributes
    assert json.loads(text)["http_request"]["path"] == path
    assert replace(record, attributes=dict(reversed(attributes.items()))).encode() == text


@pytest.mark.parametrize("value", [float("nan"), float("inf"), b"bytes", object()])
def test_a_value_without_a_json_form_is_refused(value: object) -> None:
    with pytest.raises(RecordRefused, match="no form"):
        replace(FULL, attributes={"x": value}).encode()  # type: ignore[dict-item]


def test_ids_differ_and_sort_by_time() -> None:
    ids = [new_id() for _ in range(1000)]
    assert len(set(ids)) == 1000
    assert [made[:12] for made in ids] == sorted(made[:12] for made in ids)
    assert {len(made) for made in ids} == {32}


@pytest.mark.parametrize("size", [0, 1, 12_288, 12_289, 300_000])
def test_a_body_in_base64_is_written_as_json_would_write_it(size: int) -> None:
    body = os.urandom(size)
    asked: dict[str, Json] = {"headers": [["a", "b"]], "body_base64": Base64Text(body)}
    plain: dict[str, Json] = {**asked, "body_base64": base64.b64encode(body).decode()}
    assert (
        replace(FULL, attributes={"z": 1, "request": asked}).encode()
        == replace(FULL, attributes={"z": 1, "request": plain}).encode()
    )
