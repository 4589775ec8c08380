"""Whether a checkpoint is cosigned: `add-checkpoint` of https://c2sp.org/tlog-witness, without its HTTP."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus

from addons.core.transparency import add_checkpoint, checkpoint
from addons.core.transparency.add_checkpoint import SIZE_TYPE, AddCheckpoint, RequestInvalid, log_id
from addons.core.transparency.checkpoint import Checkpoint, CheckpointInvalid
from addons.core.transparency.cosignature import cosigned
from addons.core.transparency.proofs import ProofInvalid, verify_consistency
from addons.core.transparency.signed_note import (
    Note,
    NoteInvalid,
    NoteSignature,
    SignerKey,
    VerifierKey,
)
from addons.witness.memory import Deciding, Evidence, EvidenceKind, Held, Memory

PLAIN_TEXT = "text/plain; charset=utf-8"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Answer:
    status: HTTPStatus
    text: str
    media_type: str = PLAIN_TEXT


class Witness:
    """Cosigns for the logs whose keys it was given. `now` gives seconds since the epoch."""

    def __init__(
        self, key: SignerKey, memory: Memory, logs: Iterable[VerifierKey], now: Callable[[], float]
    ) -> None:
        self._key = key
        self._memory = memory
        self._now = now
        self._logs: dict[str, list[VerifierKey]] = {}
        for log in logs:
            self._logs.setdefault(log.name, []).append(log)
        self._by_id = {log_id(origin): origin for origin in self._logs}

    @property
    def verifier(self) -> VerifierKey:
        return self._key.verifier

    def add_checkpoint(self, body: bytes) -> Answer:
        """Raises `StateDirUnusable` where it can't remember, and then cosigns nothing."""
        try:
            request = add_checkpoint.parse(body)
            shown = checkpoint.parse(request.note.text)
        except (RequestInvalid, CheckpointInvalid) as error:
            return Answer(HTTPStatus.BAD_REQUEST, f"{error}\n")
        keys = self._logs.get(shown.origin)
        if keys is None:
            return Answer(HTTPStatus.NOT_FOUND, "this witness doesn't watch that log\n")
        try:
            signed = _signed(request.note, keys)
        except NoteInvalid as error:
            return Answer(HTTPStatus.FORBIDDEN, f"{error}\n")
        if request.old_size > shown.size:
            return Answer(HTTPStatus.BAD_REQUEST, "the old size is larger than the checkpoint's\n")
        with self._memory.deciding() as deciding:
            answer, found = self._decide(deciding, request, shown, signed)
        if found is not None:
            _report(found)
        return answer

    def newest(self, wanted: str) -> Answer:
        """The newest checkpoint of the log with this `log_id`, cosigned. Raises `StateDirUnusable`."""
        origin = self._by_id.get(wanted)
        held = self._memory.held(origin) if origin is not None else None
        if held is None:
            return Answer(HTTPStatus.NOT_FOUND, "this witness has cosigned no checkpoint of that log\n")
        return Answer(HTTPStatus.OK, f"{held.note}{held.cosignature}\n")

    def _decide(
        self, deciding: Deciding, request: AddCheckpoint, shown: Checkpoint, signed: Note
    ) -> tuple[Answer, Evidence | None]:
        held = deciding.held(shown.origin)
        if request.old_size != held.size:
            return Answer(HTTPStatus.CONFLICT, f"{held.size}\n", SIZE_TYPE), None
        time = int(self._now())

        def evidence(kind: EvidenceKind) -> Evidence | None:
            found = Evidence(
                time, shown.origin, kind, held.note, signed.encode(), signed.text, request.old_size
            )
            return found if deciding.accuse(found) else None

        if shown.size == held.size and shown.root != held.root:
            text = f"another checkpoint of {held.size} entries was cosigned before: this log has two pasts\n"
            return Answer(HTTPStatus.CONFLICT, text), evidence(EvidenceKind.TWO_HEADS)
        try:
            verify_consistency(held.size, shown.size, request.proof, held.root, shown.root)
        except ProofInvalid as error:
            # A first checkpoint continues nothing, so nothing speaks against the log: the proof is at fault.
            found = evidence(EvidenceKind.UNPROVEN) if held.size else None
            return Answer(HTTPStatus.UNPROCESSABLE_ENTITY, f"{error}\n"), found
        line = cosigned(signed.text, self._key, time).line()
        deciding.hold(shown.origin, Held(shown.size, shown.root, signed.encode(), line), signed.text, time)
        return Answer(HTTPStatus.OK, f"{line}\n"), None


def _signed(note: Note, keys: Iterable[VerifierKey]) -> Note:
    """The note with the signatures of `keys` alone. Raises NoteInvalid unless there is one, and all hold."""
    found: list[NoteSignature] = []
    for key in keys:
        of_this = note.signatures_by(key)
        for one in of_this:
            key.verify(note.text, one)
        found += of_this
    if not found:
        raise NoteInvalid("the checkpoint isn't signed by a key that this witness knows of that log")
    return Note(note.text, tuple(found))


def _report(found: Evidence) -> None:
    if found.kind is EvidenceKind.TWO_HEADS:
        _log.critical(
            "INCONSISTENT: the log %s signed two checkpoints of %d entries with different roots. Its past "
            "was changed, or it shows different pasts. Both are kept: ddgate witness evidence.",
            found.origin,
            found.old_size,
        )
    else:
        _log.error(
            "INCONSISTENT? A checkpoint that the log %s signed came without a valid proof that it continues "
            "the %d entries that were cosigned. If the log itself sent it, its past was changed. Both are "
            "kept: ddgate witness evidence.",
            found.origin,
            found.old_size,
        )
