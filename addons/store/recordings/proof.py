"""Whether a flow's bytes are those that the audit log says were recorded."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from addons.store.audit.problems import AuditLogUnusable
from addons.store.audit.record import StoredRecord
from addons.store.trail.reader import of_call


class Standing(StrEnum):
    """How the bytes stand to the log. Only the first is proof."""

    AS_RECORDED = "as_recorded"
    CHANGED = "changed"
    NOT_IN_LOG = "not_in_log"
    NO_LOG = "no_log"
    UNREADABLE_LOG = "unreadable_log"


@dataclass(frozen=True, slots=True)
class Proof:
    """`index` is the audit record's; `text` one sentence for a person."""

    standing: Standing
    text: str
    index: int | None = None


def compare_with_log(audit_log: Path, call: str, data: bytes) -> Proof:
    """Hold the digest of `data` against the records of that call which say where its flow lies.

    The log itself is believed here; `ddgate audit verify` checks that.
    """
    if not audit_log.exists():
        return Proof(Standing.NO_LOG, f"there is no audit log at {audit_log} to hold them against")
    try:
        digests = list(_digests(of_call(audit_log, call)))
    except AuditLogUnusable as error:
        return Proof(Standing.UNREADABLE_LOG, f"they can't be held against the audit log: {error.what}")
    if not digests:
        return Proof(Standing.NOT_IN_LOG, "the audit log has no record of this call with its recording")
    found = hashlib.sha256(data).hexdigest()
    for index, digest in digests:
        if digest == found:
            return Proof(
                Standing.AS_RECORDED, f"these bytes are what was recorded (audit record {index})", index
            )
    index, digest = digests[0]
    text = (
        f"these bytes are NOT what was recorded: audit record {index} has sha256 {digest}, they have {found}"
    )
    return Proof(Standing.CHANGED, text, index)


def _digests(records: list[StoredRecord]) -> Iterator[tuple[int, str]]:
    for record in records:
        try:
            recording = record.to_json().get("recording")
        except (TypeError, ValueError, RecursionError):
            continue  # pruned, or damaged: `audit verify` tells
        digest = recording.get("sha256") if isinstance(recording, dict) else None
        if isinstance(digest, str):
            yield record.idx, digest
