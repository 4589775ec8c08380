"""The audit log, as `witnessing` asks it: checkpoints go to witnesses, and what they sign comes back."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from addons.core.transparency import checkpoint, signed_note
from addons.core.transparency.proofs import consistency_proof, frontier_at
from addons.core.transparency.signed_note import NoteSignature
from addons.store.audit.check import origin_of
from addons.store.audit.keeping import KeepCosignatures
from addons.store.audit.keys import LogKeys
from addons.store.audit.problems import AuditLogUnusable
from addons.store.audit.proofs import range_roots, reading_tree
from addons.store.state_dir import StateDir
from addons.store.upkeep.witnessing import WitnessedLog
from addons.store.writing.audit_log import AuditLog, Wish

_BUSY_SECONDS = 3.0
_NO_CHECKPOINT = "The log has no checkpoint yet."


def witnessed_log(state: StateDir) -> WitnessedLog:
    """Its functions block."""
    path = state.audit_log

    def head() -> str:
        with reading_tree(path) as connection:
            row = connection.execute("SELECT note FROM log_checkpoints ORDER BY size DESC LIMIT 1").fetchone()
        if row is None:
            raise AuditLogUnusable(_NO_CHECKPOINT, "It comes with the first record.")
        return str(row[0])

    def proof(old: int, new: int) -> Sequence[bytes]:
        with reading_tree(path) as connection:
            return consistency_proof(old, new, range_roots(connection))

    def root(size: int) -> bytes:
        with reading_tree(path) as connection:
            return frontier_at(size, range_roots(connection)).root()

    def cosigned(name: str) -> int:
        with reading_tree(path) as connection:
            newest = "SELECT max(size) FROM log_cosignatures WHERE name = ? AND typeof(size) = 'integer'"
            return int(connection.execute(newest, (name,)).fetchone()[0] or 0)

    def keep(note: str, signatures: Sequence[NoteSignature]) -> None:
        size = checkpoint.parse(signed_note.parse(note).text).size
        with contextlib.closing(AuditLog.open(path, busy_seconds=_BUSY_SECONDS, create=False)) as log:
            log.append_with_changes([Wish((), KeepCosignatures(size, tuple(signatures)))])

    return WitnessedLog(
        head=head,
        proof=proof,
        root=root,
        cosigned=cosigned,
        keep=keep,
        keys=lambda: LogKeys(state).verifiers(origin_of(path)),
    )
