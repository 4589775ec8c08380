"""Checkpoints as https://c2sp.org/tlog-checkpoint has them: the signed head of a log.

<origin>
<tree size>
<base64 of the root>
[<extension line>]
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from addons.core.transparency import signed_note
from addons.core.transparency.canonical_base64 import from_base64, to_base64
from addons.core.transparency.merkle import EMPTY_ROOT, HASH_BYTES, MAX_SIZE
from addons.core.transparency.signed_note import Note, NoteInvalid, SignerKey, VerifierKey

_CONTROL = re.compile(r"[\x00-\x1f]")
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)
_HEAD_LINES = 3


class CheckpointInvalid(ValueError):  # noqa: N818 - named after what is wrong, as the other refusals are
    """It is no checkpoint, or not one that its log signed; says why."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The head of the log `origin` when it had `size` leaves.

    Raises CheckpointInvalid for what can't be one.
    """

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for line in (self.origin, *self.extensions):
            _check_line(line)
        if not 0 <= self.size <= MAX_SIZE:
            raise CheckpointInvalid(f"a log can't have {self.size} entries")
        if len(self.root) != HASH_BYTES:
            raise CheckpointInvalid(f"a root has {HASH_BYTES} bytes, not {len(self.root)}")
        if self.size == 0 and self.root != EMPTY_ROOT:
            raise CheckpointInvalid("an empty log has one root only, and this is another")

    def text(self) -> str:
        """The text of the note, as `parse` reads it."""
        lines = (self.origin, str(self.size), to_base64(self.root), *self.extensions)
        return "".join(f"{line}\n" for line in lines)


def parse(text: str) -> Checkpoint:
    """Read the text of a note. Raises CheckpointInvalid."""
    lines = text.split("\n")
    if lines.pop() or len(lines) < _HEAD_LINES:
        raise CheckpointInvalid("a checkpoint is an origin, a size and a root, on lines of their own")
    return Checkpoint(lines[0], parse_size(lines[1]), _root(lines[2]), tuple(lines[3:]))


def parse_size(text: str) -> int:
    """A tree size as checkpoints write it. Raises CheckpointInvalid."""
    if not _SIZE.fullmatch(text) or int(text) > MAX_SIZE:
        raise CheckpointInvalid("the tree size isn't a decimal number without leading zeros")
    return int(text)


def signed(checkpoint: Checkpoint, key: SignerKey) -> str:
    """The note. Raises NoteInvalid for a cosigner's key, CheckpointInvalid for the key of another log."""
    _check_origin(checkpoint, key.verifier)
    text = checkpoint.text()
    return Note(text, (key.sign(text),)).encode()


def verified(note_text: str | bytes, key: VerifierKey) -> Checkpoint:
    """The checkpoint in a note that `key` signed. Raises CheckpointInvalid.

    The key has the log's origin for a name, so that one log's key vouches for no other log.
    """
    try:
        note = signed_note.parse(note_text)
        note.check_signed_by(key)
    except NoteInvalid as error:
        raise CheckpointInvalid(str(error)) from None
    checkpoint = parse(note.text)
    _check_origin(checkpoint, key)
    return checkpoint


def _check_origin(checkpoint: Checkpoint, key: VerifierKey) -> None:
    if checkpoint.origin != key.name:
        raise CheckpointInvalid(f"the checkpoint is of the log {checkpoint.origin}, the key of {key.name}")


def _check_line(line: str) -> None:
    if not line or _CONTROL.search(line):
        raise CheckpointInvalid("a line of a checkpoint is empty or holds a control character")
    try:
        line.encode()
    except UnicodeEncodeError:
        raise CheckpointInvalid("half a surrogate pair has no UTF-8") from None


def _root(text: str) -> bytes:
    try:
        return from_base64(text)
    except ValueError as error:
        raise CheckpointInvalid(f"the root is {error}") from None
