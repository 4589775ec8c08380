"""What a log sends a witness: the body of `add-checkpoint` of https://c2sp.org/tlog-witness.

old <size>
<base64 of a hash of the consistency proof>
…

<checkpoint, with its signatures>
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

from addons.core.transparency import signed_note
from addons.core.transparency.canonical_base64 import from_base64, to_base64
from addons.core.transparency.checkpoint import CheckpointInvalid, parse_size
from addons.core.transparency.merkle import HASH_BYTES
from addons.core.transparency.proofs import MAX_PROOF
from addons.core.transparency.signed_note import MAX_NOTE, Note, NoteInvalid

MAX_REQUEST = MAX_NOTE + 4 * 1024
"""Bytes; no valid body is longer."""
SIZE_TYPE = "text/x.tlog.size"
"""The media type of an answer that says which size the witness cosigned last."""

_OLD = "old "


class RequestInvalid(ValueError):  # noqa: N818 - named after what is wrong, as the other refusals are
    """The body has not the form; says why."""


@dataclass(frozen=True, slots=True)
class AddCheckpoint:
    """A checkpoint, and the proof that it continues the one of `old_size` entries."""

    old_size: int
    proof: tuple[bytes, ...]
    note: Note

    def encode(self) -> bytes:
        lines = (f"{_OLD}{self.old_size}", *map(to_base64, self.proof), "")
        return ("".join(f"{line}\n" for line in lines) + self.note.encode()).encode()


def parse(body: bytes) -> AddCheckpoint:
    """Raises RequestInvalid for whatever isn't exactly one."""
    head, separator, note = body.partition(b"\n\n")
    try:
        old, *proof = head.decode("ascii").split("\n")
        if not separator or not old.startswith(_OLD):
            raise RequestInvalid("the body doesn't begin with `old <size>`, proof lines and an empty line")
        size = parse_size(old.removeprefix(_OLD))
        return AddCheckpoint(size, _hashes(proof), signed_note.parse(note))
    except UnicodeDecodeError:
        raise RequestInvalid("the proof isn't ASCII") from None
    except (CheckpointInvalid, NoteInvalid) as error:
        raise RequestInvalid(str(error)) from None


def log_id(origin: str) -> str:
    """What a log is called in URLs: the SHA-256 of its origin, in hex."""
    return sha256(origin.encode()).hexdigest()


def _hashes(lines: list[str]) -> tuple[bytes, ...]:
    if len(lines) > MAX_PROOF:
        raise RequestInvalid(f"no proof has more than {MAX_PROOF} hashes")
    try:
        hashes = tuple(map(from_base64, lines))
    except ValueError as error:
        raise RequestInvalid(f"a hash of the proof is {error}") from None
    if any(len(one) != HASH_BYTES for one in hashes):
        raise RequestInvalid(f"a hash of the proof hasn't {HASH_BYTES} bytes")
    return hashes
