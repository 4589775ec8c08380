"""Records of calls, approvals and looks, and logs that hold them."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping, Sequence
from dataclasses import replace

from addons.core.approvals.approval import Person
from addons.core.model import Actor, Effect, Json, Operation, Principal, Reason, Risk
from addons.store.approvals.history import principal_of
from addons.store.audit.record import AuditRecord, CallFacts, RecordKind
from addons.store.state_dir import StateDir
from addons.store.writing.journal import Appended, Journal

BEGIN = 1_800_000_000.0

ALICE = Principal(
    "https://issuer",
    "alice-agent",
    frozenset({"agents"}),
    2e9,
    on_behalf_of="alice",
    actors=(Actor("https://issuer", "alice-agent"),),
    session="run-1",
    token_id="token-1",
)
BOB = Principal("https://issuer", "bob-agent", frozenset(), 2e9, token_id="token-2")
CAROL = Person("https://people", "carol", frozenset({"sre-leads"}), frozenset(), "Carol Miller")
DELETE = Operation("DeleteMonitor", "v1", "DELETE", "/api/v1/monitor/{id}", ("Monitors",), Risk.DESTRUCTIVE)
GET = Operation("GetMonitor", "v1", "GET", "/api/v1/monitor/{id}", ("Monitors",), Risk.READ)


def facts(principal: Principal | None, operation: Operation, path: str, **more: object) -> CallFacts:
    made = CallFacts(
        principal=principal,
        operation=operation,
        effect=Effect.ALLOW,
        reason=Reason.ALLOWED,
        rule="all",
        policy_revision="rev-1",
        method=operation.method,
        host="api.datadoghq.com",
        path=path,
        client=("10.0.0.7", 40000),
    )
    return replace(made, **more)  # type: ignore[arg-type]


def attempted(
    call: str, at: float, known: CallFacts, body: bytes = b"", attributes: Mapping[str, Json] | None = None
) -> AuditRecord:
    request: dict[str, Json] = {"headers": [["Host", "api.datadoghq.com"]]}
    if body:
        request["body_base64"] = base64.b64encode(body).decode()
    return AuditRecord(
        RecordKind.ATTEMPTED, at, call, known, attributes={"request": request, **(attributes or {})}
    )


def outcome(call: str, at: float, known: CallFacts, status: int = 200, **more: object) -> AuditRecord:
    known = replace(known, status=status, response_length=12, **more)  # type: ignore[arg-type]
    return AuditRecord(
        RecordKind.OUTCOME, at, call, known, attributes={"outcome": "answered", "seconds": 0.25}
    )


def refused(call: str, at: float, known: CallFacts, status: int = 403) -> AuditRecord:
    known = replace(known, effect=Effect.DENY, reason=Reason.DENIED_BY_RULE, rule="no-deletes", status=status)
    return AuditRecord(RecordKind.REFUSED, at, call, known, "deleting is denied by a rule")


def approval_step(
    kind: RecordKind, at: float, approval: str, call: str | None, **attributes: Json
) -> AuditRecord:
    by = CAROL if "who" in attributes else None
    known = CallFacts(
        principal=principal_of(by) if by else ALICE,
        rule="deletes",
        policy_revision="rev-1",
        approval=approval,
        method="DELETE",
        host="api.datadoghq.com",
        path="/api/v1/monitor/7",
    )
    said: dict[str, Json] = {"operation": "DeleteMonitor", "summary": "delete monitor 7", **attributes}
    return AuditRecord(kind, at, call, known, f"{kind}".removeprefix("approval_"), said)


def write(state: StateDir, records: Sequence[AuditRecord], flow: bytes | None = None) -> Appended:
    """Append as a gateway does; with `flow` the first of them points to it."""

    async def append(journal: Journal) -> Appended:
        return await journal.append(records, flow)

    journal = Journal.open(state)
    try:
        return asyncio.run(append(journal))
    finally:
        journal.close()


def approved_call(call: str = "01CALLAPPROVED", approval: str = "a" * 24 + "9f0e1d2c") -> list[AuditRecord]:
    """A deletion that a person let run: asked, voted, used, sent, answered."""
    known = facts(
        ALICE, DELETE, "/api/v1/monitor/7", effect=Effect.REQUIRE_APPROVAL, rule="deletes", approval=approval,
        reasons=("deletes need a person",), findings={"aws-key": 2},
    )  # fmt: skip
    at = BEGIN + 100
    body = b'{"reason": "cleanup of Z\xc3\xbcrich", "note": "[REDACTED:aws-key:0badcafe]"}'
    return [
        approval_step(RecordKind.APPROVAL_REQUESTED, at, approval, call, needs={"sre-leads": 1}),
        approval_step(
            RecordKind.APPROVAL_VOTED, at + 5, approval, None, who="Carol Miller", reason="known broken"
        ),
        approval_step(RecordKind.APPROVAL_APPROVED, at + 5, approval, None, who="Carol Miller"),
        approval_step(RecordKind.APPROVAL_CONSUMED, at + 6, approval, call),
        attempted(call, at, known, body, {"credential": "default", "limits": ["deletes-per-hour"]}),
        outcome(call, at + 7, known, 204),
        approval_step(RecordKind.APPROVAL_EXECUTED, at + 7, approval, call),
    ]
