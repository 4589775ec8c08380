from __future__ import annotations

import hashlib

import pytest

from addons.store.audit.record import AuditRecord, RecordKind, SegmentRef
from addons.store.recordings.proof import Standing, compare_with_log
from addons.store.state_dir import StateDir
from addons.store.writing.audit_log import AuditLog

DATA = b"the bytes of a flow"
REF = SegmentRef("x.mitm", 0, len(DATA), hashlib.sha256(DATA).hexdigest())


@pytest.fixture
def log(state: StateDir) -> StateDir:
    records = [
        AuditRecord(RecordKind.ATTEMPTED, 1.0, "call-1"),
        AuditRecord(RecordKind.OUTCOME, 2.0, "call-1", recording=REF),
        AuditRecord(RecordKind.REFUSED, 3.0, "call-2", recording=REF),
        AuditRecord(RecordKind.OUTCOME, 4.0, "call-3"),
    ]
    written = AuditLog.open(state.audit_log, busy_seconds=5, create=True)
    written.append([[(record, record.encode()) for record in records]])
    written.close()
    return state


@pytest.mark.parametrize(
    ("call", "data", "standing", "index"),
    [
        ("call-1", DATA, Standing.AS_RECORDED, 2),
        ("call-1", DATA + b"!", Standing.CHANGED, 2),
        ("call-2", DATA, Standing.AS_RECORDED, 3),
        ("call-2", b"", Standing.CHANGED, 3),
        ("call-3", DATA, Standing.NOT_IN_LOG, None),
        ("call-4", DATA, Standing.NOT_IN_LOG, None),
    ],
)
def test_bytes_are_held_against_the_record_of_their_call(
    log: StateDir, call: str, data: bytes, standing: Standing, index: int | None
) -> None:
    proof = compare_with_log(log.audit_log, call, data)
    assert (proof.standing, proof.index) == (standing, index)
    assert proof.text


def test_a_log_that_is_missing_or_damaged_proves_nothing(state: StateDir) -> None:
    assert compare_with_log(state.audit_log, "call-1", DATA).standing is Standing.NO_LOG
    state.audit_log.write_bytes(b"x" * 5000)
    proof = compare_with_log(state.audit_log, "call-1", DATA)
    assert proof.standing is Standing.UNREADABLE_LOG
    assert "not a SQLite database" in proof.text
