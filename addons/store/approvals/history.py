"""The audit records of an approval's steps, and the list of them that each approval has."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from addons.core.approvals.approval import Approval, Person, Requester
from addons.core.approvals.voting import VoteRefused
from addons.core.model import Json, Principal
from addons.store.approvals.rows import preview_to_json
from addons.store.audit.record import AuditRecord, CallFacts, RecordKind

type Actor = Person | Requester | None
"""Who acted; None for the gateway or control, when time is over or a process is gone."""


def step(  # noqa: PLR0913, PLR0917 - a record says all of this
    kind: RecordKind,
    approval: Approval,
    at: float,
    by: Actor,
    message: str,
    attributes: Mapping[str, Json] = MappingProxyType({}),
    call: str | None = None,
) -> AuditRecord:
    """Make the record of one step. Attributes that are None are left out."""
    asked, requester = approval.asked, approval.requester
    every: Mapping[str, Json] = {
        "for": requester.subject,
        "on_behalf_of": requester.on_behalf_of,
        "operation": asked.operation,
        "summary": asked.summary,
        "who": by.display if isinstance(by, Person) else None,
        **attributes,
    }
    facts = CallFacts(
        principal=principal_of(by),
        rule=asked.rule,
        policy_revision=asked.policy_revision,
        approval=approval.id,
        method=asked.method,
        host=asked.host,
        path=asked.target,
    )
    shown = {name: value for name, value in every.items() if value is not None}
    return AuditRecord(kind, at, call, facts, message, shown)


def requested(approval: Approval) -> AuditRecord:
    """The digest is the exact request's; the preview's tells what people were shown of it."""
    groups: dict[str, Json] = dict(approval.needs.groups)
    return step(
        RecordKind.APPROVAL_REQUESTED,
        approval,
        approval.requested_at,
        approval.requester,
        "a call waits for approval",
        {
            "digest": approval.digest,
            "preview_sha256": hashlib.sha256(preview_to_json(approval.preview).encode()).hexdigest(),
            "needs": groups,
            "rules": list[Json](approval.asked.rules),
            "why": list[Json](approval.asked.why),
            "credential": approval.asked.credential,
            "pending_until": approval.pending_until,
            "supersedes": approval.supersedes,
        },
        call=approval.asked.call,
    )


def refused(approval: Approval, at: float, by: Actor, tried: str, why: VoteRefused) -> AuditRecord:
    """Somebody tried what they may not."""
    return step(
        RecordKind.APPROVAL_VOTE_REFUSED,
        approval,
        at,
        by,
        f"{tried}: refused, {why.text}",
        {"tried": tried, "refused": str(why.reason)},
    )


def keep_history(connection: sqlite3.Connection, approval: str, records: Iterable[AuditRecord]) -> None:
    """Note that these records, which are being written, are this approval's."""
    connection.executemany(
        "INSERT INTO approval_history VALUES (?, ?)", [(approval, record.id) for record in records]
    )


def principal_of(by: Actor) -> Principal | None:
    match by:
        case Person():
            return Principal(by.issuer, by.subject, by.groups, 0.0)
        case Requester():
            return Principal(
                by.issuer, by.subject, frozenset(), 0.0, on_behalf_of=by.on_behalf_of, session=by.session
            )
        case None:
            return None
