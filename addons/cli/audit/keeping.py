"""`ddgate audit prove`, and what is done to the log by hand: its keys, its checkpoints, its end."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from addons.cli.audit.looking import complain, refuse
from addons.cli.noted import note_read
from addons.cli.options import DEFAULT_STATE_DIR, StateDirOption
from addons.cli.time_option import read_time
from addons.store.audit.check import origin_of
from addons.store.audit.keeping import Prune
from addons.store.audit.keys import LogKeys
from addons.store.audit.problems import AuditLogUnusable
from addons.store.audit.proofs import NotProvable, indices_of
from addons.store.audit.proofs import prove as make_proof
from addons.store.audit.reading import reading
from addons.store.audit.record import AuditRecord, RecordKind
from addons.store.audit.tree import TreeDamaged, read_head
from addons.store.state_dir import StateDir
from addons.store.upkeep.successor import begin_new_log
from addons.store.writing.audit_log import AuditLog, Wish, Written
from addons.store.writing.read_record import person


def prove(
    which: Annotated[
        str, typer.Argument(metavar="ID", help="A record's id, its index (#12), or a call's id.")
    ],
    *,
    state: StateDirOption = DEFAULT_STATE_DIR,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Where to write it; else to the terminal.")
    ] = None,
) -> None:
    """Prove that one record is in the log: for somebody who has neither the log nor trust in the gateway.

    The proof (c2sp.org/tlog-proof) holds the record itself, so it is for whoever may read that. A call has
    two records, attempted and outcome: name the one that you mean.

    For example: ddgate audit prove '#12' -o record-12.tlog-proof
    """
    where = StateDir(state)
    try:
        found = indices_of(where.audit_log, which)
        if not found:
            refuse(f"No record has the id {which}.", "Look for it: ddgate audit query.")
        if len(found) > 1:
            each = ", ".join(f"#{idx} ({kind})" for idx, kind in found)
            refuse(
                f"{which} has {len(found)} records: {each}.",
                f"Name one: ddgate audit prove '#{found[-1][0]}'",
            )
        text = make_proof(where.audit_log, found[0][0]).encode()
    except (AuditLogUnusable, NotProvable) as error:
        refuse(error.what, error.remedy)
    if out is None:
        sys.stdout.write(text)
    else:
        _write(out, text)
        sys.stdout.write(f"The proof is in {out}. Check it: ddgate audit check-proof {out} --key KEY\n")
    if said := note_read(where, "audit prove", {"id": which}, 1):
        complain(said)


def key(*, state: StateDirOption = DEFAULT_STATE_DIR) -> None:
    """Print the public keys that sign the log, the oldest first. Keep them where the gateway can't write.

    For example: ddgate audit key | tee /mnt/elsewhere/ddgate.key
    """
    where = StateDir(state)
    try:
        keys = LogKeys(where).verifiers(origin_of(where.audit_log))
    except AuditLogUnusable as error:
        refuse(error.what, error.remedy)
    if not keys:
        refuse(
            f"There is no signing key in {where.keys}.",
            "Run it as the gateway's user, on its state directory.",
        )
    sys.stdout.write("".join(f"{one.encode()}\n" for one in keys))


def checkpoint(*, state: StateDirOption = DEFAULT_STATE_DIR) -> None:
    """Print the newest signed head of the log (c2sp.org/tlog-checkpoint), to keep for `verify --from`.

    For example: ddgate audit checkpoint > checkpoint-of-monday
    """
    path = StateDir(state).audit_log
    try:
        with reading(path) as connection:
            sys.stdout.write(read_head(connection).note)
    except AuditLogUnusable as error:
        refuse(error.what, error.remedy)
    except TreeDamaged as damaged:
        refuse(f"The audit log {path} can't be read ({damaged}).", "Run `ddgate audit verify`.")


def change_key(*, state: StateDirOption = DEFAULT_STATE_DIR) -> None:
    """Sign the log with a new key from here on. The old one vouches for the new, and signs no more.

    Running gateways take the new key with their next record.
    """
    where = StateDir(state)
    made: list[str] = []

    def record(public: str) -> AuditRecord:
        made.append(public)
        attributes = {"key": public, **person()}
        return AuditRecord(
            RecordKind.KEY_CHANGED, time.time(), message="another key signs", attributes=attributes
        )

    try:
        with contextlib.closing(AuditLog.open(where.audit_log, busy_seconds=10, create=False)) as log:
            log.change_key(record)
    except AuditLogUnusable as error:
        refuse(error.what, error.remedy)
    sys.stdout.write(f"{made[0]}\n")
    sys.stderr.write(
        "This key signs from here on. Keep it beside the earlier ones, which verify what was before.\n"
        "The private half of the one before can go.\n"
    )


def prune(
    *,
    before: Annotated[str, typer.Option("--before", help="A time, or an age: 2026-03-01, 400d.")],
    state: StateDirOption = DEFAULT_STATE_DIR,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
) -> None:
    """Drop the texts of old records, in whole tiles of 256. Hashes, checkpoints and proofs stay, and hold.

    Records of approvals that are still open stay. That it was done, by whom, is a record.

    For example: ddgate audit prune --before 400d
    """
    where = StateDir(state)
    moment = read_time(before)
    if not yes:
        typer.confirm(
            f"Drop all texts of records from before {time.strftime('%F %TZ', time.gmtime(moment))}?",
            abort=True,
        )
    through: object = None
    try:
        with contextlib.closing(AuditLog.open(where.audit_log, busy_seconds=10, create=False)) as log:
            while (step := _pruned(log, moment)) is not None:
                through = step
    except AuditLogUnusable as error:
        refuse(error.what, error.remedy)
    said = "There was nothing to prune." if through is None else f"Texts up to record {through} are gone."
    sys.stdout.write(f"{said}\n")


def _pruned(log: AuditLog, moment: float) -> object:
    (done,) = log.append_with_changes([Wish((), Prune(moment, time.time(), person()))])
    if not isinstance(done, Written):
        refuse(f"Nothing more was pruned: {done}", "Run `ddgate audit verify`.")
    return done.changed


def new_log(
    *,
    because: Annotated[str, typer.Option("--because", help="Why; it goes on record.")],
    state: StateDirOption = DEFAULT_STATE_DIR,
) -> None:
    """Set the audit log aside and begin another, whose first record names the old one.

    For a log that doesn't verify: a gateway doesn't start on one. Open approvals go with the old log.
    """
    try:
        begun = begin_new_log(StateDir(state), because, person())
    except AuditLogUnusable as error:
        refuse(error.what, error.remedy)
    if begun.aside is None:
        sys.stdout.write("A new log follows one that is gone.\n")
    else:
        sys.stdout.write(
            f"The old log is {begun.aside}. Verify it: ddgate audit verify --log {begun.aside}\n"
        )
    if begun.froze:
        sys.stderr.write(
            "Its freezes and revocations can't be read, so everyone is frozen. Freeze and revoke anew what "
            "has to be, then: ddgate unfreeze --all\n"
        )


def _write(path: Path, text: str) -> None:
    """Never over a file that is there."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        refuse(f"{path} is there already.", "Name another file.")
    except OSError as error:
        refuse(f"{path} can't be written ({error.strerror}).", "Name another file.")
