"""`ddgate audit verify` and `check-proof`: whether it is what was written, all of it, and nothing else."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from addons.cli.audit.lines import plain
from addons.cli.audit.looking import complain, refuse
from addons.cli.errors import told_plainly
from addons.cli.noted import note_read
from addons.cli.options import DEFAULT_STATE_DIR, StateDirOption
from addons.cli.sealed_recordings import keys_for
from addons.core.model import Json
from addons.core.transparency.canonical_base64 import to_base64
from addons.core.transparency.proofs import ProofInvalid
from addons.core.transparency.signed_note import KeyAlgorithm, NoteInvalid, VerifierKey
from addons.core.transparency.tlog_proof import parse
from addons.store.audit.check import own_trust
from addons.store.audit.heads import HeadInvalid, Trust, proven
from addons.store.audit.problems import AuditLogUnusable
from addons.store.audit.verify import LogInvalid, Verified, verify_log
from addons.store.recordings.check import check_recordings
from addons.store.state_dir import StateDir

_MOST_NOTE = 1024 * 1024
_MOST_PROOF = 64 * 1024 * 1024

KeyOption = Annotated[
    list[str] | None,
    typer.Option("--key", help="The log's public key, as `ddgate audit key` printed it; repeatable."),
]
WitnessKeyOption = Annotated[
    list[str] | None,
    typer.Option("--witness-key", help="Ask for this witness's cosignature, too; repeatable."),
]


def verify(  # noqa: PLR0913 - its options
    *,
    state: StateDirOption = DEFAULT_STATE_DIR,
    log: Annotated[
        Path | None, typer.Option("--log", help="A log elsewhere: a copy, or one that was set aside.")
    ] = None,
    key: KeyOption = None,
    since: Annotated[
        list[Path] | None,
        typer.Option("--from", help="A checkpoint that you kept; the log has to continue it. Repeatable."),
    ] = None,
    witness_key: WitnessKeyOption = None,
    recordings: Annotated[
        bool, typer.Option("--recordings", help="Read every recording that the log names, too.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Verify the audit log: each record, that none lacks, and every signature. Exit status 1 where it fails.

    Without --key, the keys in the state directory are trusted, and whoever can change those can change the
    log. Keep the key elsewhere (`ddgate audit key`), and now and then a checkpoint (`ddgate audit
    checkpoint`), or run a witness: nothing else shows that whoever has the signing key rewrote it all.

    For example: ddgate audit verify --key "$KEY" --from checkpoint-of-monday
    """
    where = StateDir(state)
    path = log or where.audit_log
    witnesses = tuple(_key(text, KeyAlgorithm.COSIGNATURE) for text in witness_key or ())
    given = tuple((f"the checkpoint in {one}", _content(one, _MOST_NOTE)) for one in since or ())
    asked: dict[str, Json] = {
        "key": bool(key),
        "from": [str(one) for one in since or ()],
        "witness_key": list(witness_key or ()),
    }
    try:
        trust = own_trust(StateDir(path.parent) if log else where, path, witnesses)
        keys = tuple(_key(text, KeyAlgorithm.ED25519) for text in key or ())
        given = (*trust.checkpoints, *given)
        own = replace(trust, checkpoints=given)
        asking = own if not keys else Trust(keys, given, witnesses)
        with _progress() as progress:
            done = verify_log(path, asking, progress=progress)
    except LogInvalid as invalid:
        _fail(path, invalid, as_json=as_json)
    except AuditLogUnusable as error:
        refuse(error.what, error.remedy)
    sys.stdout.write(json.dumps(_as_json(done)) + "\n" if as_json else _told(path, done, is_own=not key))
    if recordings:
        _check_recordings(where)
    if log is None and (said := note_read(where, "audit verify", asked, done.size)):
        complain(said)


def check_proof(
    file: Annotated[Path, typer.Argument(help="What `ddgate audit prove` wrote.", dir_okay=False)],
    *,
    key: KeyOption = None,
    witness_key: WitnessKeyOption = None,
) -> None:
    """Check a proof, offline and without the log, and print the record that it is about.

    It says that this record, byte for byte, was in the log whose key is given when it signed the checkpoint.

    For example: ddgate audit check-proof record.tlog-proof --key "$KEY"
    """
    keys = tuple(_key(text, KeyAlgorithm.ED25519) for text in key or ())
    witnesses = tuple(_key(text, KeyAlgorithm.COSIGNATURE) for text in witness_key or ())
    if not keys:
        refuse(
            "A proof is checked against the log's public key.",
            "Give it: --key, as `ddgate audit key` prints it.",
        )
    try:
        proof = parse(_content(file, _MOST_PROOF))
        head = proven(proof.checkpoint, keys, witnesses)
        proof.verify(head.size, head.root)
    except (ProofInvalid, HeadInvalid) as error:
        refuse(f"The proof in {file} doesn't hold: {error}.", "Ask for another: `ddgate audit prove ID`.")
    sys.stdout.write(plain(proof.entry.decode(errors="replace")) + "\n")
    sys.stderr.write(f"Record {proof.index + 1} of {head.size} in the log {head.origin}: the proof holds.\n")


def _check_recordings(state: StateDir) -> None:
    with told_plainly():
        keys = keys_for([state.path])
    try:
        checked = check_recordings(state, keys)
    except AuditLogUnusable as error:
        refuse(error.what, error.remedy)
    gone = f"; {checked.removed:,} were removed when their time was over" if checked.removed else ""
    complain(f"{checked.whole:,} recordings are, byte for byte, what the log says{gone}.")
    for idx, why in checked.bad:
        complain(f"The recording of record {idx}: {why}.")
    if checked.bad:
        raise typer.Exit(1)


def _told(path: Path, done: Verified, *, is_own: bool) -> str:
    pruned = f", the texts of {done.pruned:,} of them pruned" if done.pruned else ""
    key = done.key.encode() if done.key else "-"
    what = f"{done.size:,} records{pruned}, under {done.checkpoints:,} signed heads"
    lines = [
        f"The audit log {path} verifies: {what}.",
        f"  log   {done.origin}",
        f"  root  {to_base64(done.root)}",
        f"  key   {key}" + ("  (of the state directory itself; see --key)" if is_own else ""),
    ]
    lines += [f"  {name} has cosigned the first {size:,} records" for name, size in done.cosigned]
    return "".join(f"{line}\n" for line in lines)


def _as_json(done: Verified) -> dict[str, object]:
    return {
        "verifies": True,
        "log": done.origin,
        "records": done.size,
        "pruned": done.pruned,
        "heads": done.checkpoints,
        "root": to_base64(done.root),
        "key": done.key.encode() if done.key else None,
        "cosigned": dict(done.cosigned),
    }


def _fail(path: Path, invalid: LogInvalid, *, as_json: bool) -> None:
    if as_json:
        found = {"verifies": False, "what": invalid.what, "first": invalid.first, "last": invalid.last}
        sys.stdout.write(json.dumps(found) + "\n")
        raise typer.Exit(1)
    refuse(
        f"The audit log {path} does NOT verify. {invalid}.",
        "Keep the file and its backups as they are, and find out who could write to it.",
    )


def _key(text: str, algorithm: KeyAlgorithm) -> VerifierKey:
    try:
        key = VerifierKey.parse(text.strip())
    except NoteInvalid as error:
        refuse(
            f"This is no public key: {error}.", "It has the form name+12345678+base64: `ddgate audit key`."
        )
    if key.algorithm is not algorithm:
        kind = "a witness's" if key.algorithm is KeyAlgorithm.COSIGNATURE else "a log's"
        refuse(f"The key of {key.name} is {kind}.", "--key takes a log's, --witness-key a witness's.")
    return key


def _content(path: Path, most: int) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(most + 1)
    except OSError as error:
        refuse(f"{path} can't be read ({error.strerror}).", "Name a file that is there.")


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None] | None]:
    """A bar, where somebody watches."""
    if not sys.stderr.isatty():
        yield None
        return
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("verifying", total=None)
        yield lambda done, of: bar.update(task, completed=done, total=of)
