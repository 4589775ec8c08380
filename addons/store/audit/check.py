"""What is verified of the audit log before anything is added to it, and whom to trust by default."""

from __future__ import annotations

from pathlib import Path

from addons.core.transparency.signed_note import VerifierKey
from addons.store.audit import newest_checkpoint
from addons.store.audit.heads import Trust
from addons.store.audit.keys import LogKeys
from addons.store.audit.problems import AuditLogUnusable
from addons.store.audit.reading import reading
from addons.store.audit.verify import LogInvalid, verify_log
from addons.store.state_dir import StateDir

NEWEST = 65_536
"""So many of the last records are hashed at a start, which must not take long. Control goes through all of
them, once it runs."""

_REMEDY = (
    "Keep the file and find out what happened to it (`ddgate audit verify` looks at all of it). To go on, "
    "set it aside: `ddgate audit new-log` begins a new log that names it."
)


def check_log(state: StateDir) -> None:
    """Refuse a log that doesn't verify, or that is older than the newest checkpoint beside it.

    Raises `AuditLogUnusable`.
    """
    path = state.audit_log
    try:
        verify_log(path, own_trust(state), newest=NEWEST)
    except LogInvalid as invalid:
        raise AuditLogUnusable(f"The audit log {path} doesn't verify: {invalid}.", _REMEDY) from None


def own_trust(state: StateDir, log: Path | None = None, witnesses: tuple[VerifierKey, ...] = ()) -> Trust:
    """The keys of the state directory, and the checkpoint beside its log, or beside `log`, another one in it.
    Raises `AuditLogUnusable`.
    """
    path = log or state.audit_log
    newest = newest_checkpoint.read(path)
    if newest is not None and not newest_checkpoint.is_one(newest):
        newest = None  # cut short by a power failure, say: it is a copy, and no evidence
    place = f"the checkpoint in {newest_checkpoint.path_of(path)}"
    keys = LogKeys(state)
    origin = origin_of(path)
    return Trust(
        keys.verifiers(origin),
        ((place, newest),) if newest is not None else (),
        witnesses,
        keys.current(origin) if path == state.audit_log else (),
    )


def origin_of(path: Path) -> str:
    """The name of the log. Raises `AuditLogUnusable`."""
    with reading(path) as connection:
        row = connection.execute("SELECT origin FROM log_head").fetchone()
    if row is None:
        raise AuditLogUnusable(f"The audit log {path} doesn't hold: it has no head.", _REMEDY)
    return str(row[0])
