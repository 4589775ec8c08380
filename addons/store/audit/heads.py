"""Which signed heads of the audit log are to be believed, and what they say of one another."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from addons.core.transparency import checkpoint, cosignature, signed_note
from addons.core.transparency.checkpoint import Checkpoint, CheckpointInvalid
from addons.core.transparency.signed_note import Note, NoteInvalid, NoteSignature, VerifierKey
from addons.store.sqlite_text import as_text

_PREVIOUS = re.compile(r"previous (0|[1-9][0-9]{0,18})", re.ASCII)


class HeadInvalid(Exception):  # noqa: N818 - named after what is wrong, as the other refusals are
    """A signed head, a cosignature or a key doesn't hold; the text says which and why."""


@dataclass(frozen=True, slots=True)
class Trust:
    """What whoever verifies brings along: the log's public keys, checkpoints that they kept (as notes), and
    the public keys of witnesses whose cosignature they want to see.
    """

    keys: tuple[VerifierKey, ...]
    checkpoints: tuple[tuple[str, bytes], ...] = ()
    """Each with a word for where it is from."""
    witnesses: tuple[VerifierKey, ...] = ()
    newest_keys: tuple[VerifierKey, ...] = ()
    """Of `keys`, those that may sign the newest head; none: all."""


@dataclass(frozen=True, slots=True)
class SignedHead:
    """A head as its note says; whether a key signed it, `Trusted.agrees` finds out.

    `previous` is the size of the checkpoint before it; `where` names it for a person.
    """

    size: int
    root: bytes
    previous: int | None
    where: str
    note: Note


def extensions(previous: int, at: float) -> tuple[str, ...]:
    """The lines that a head has beyond what the specification asks: the size of the checkpoint before it, so
    that none can be taken out, and the time in seconds since the epoch.
    """
    return f"previous {previous}", f"time {int(at)}"


def previous_of(head: Checkpoint) -> int | None:
    """The size of the checkpoint before this one, as it says itself."""
    for line in head.extensions:
        if (match := _PREVIOUS.fullmatch(line)) is not None:
            return int(match[1])
    return None


class Trusted:
    """Grows while the log is gone through: a key that follows another is believed once that one says so."""

    def __init__(self, trust: Trust) -> None:
        self._trust = trust
        self._keys = list(trust.keys)
        self._announced: tuple[int, VerifierKey] | None = None
        self._texts: dict[int, str] = {}
        self.key: VerifierKey | None = None
        """The one that signed what was compared last."""
        self.newest = -1
        """The size of the largest head that was compared."""
        self.compared = 0

    def head(self, note: str, origin: str) -> SignedHead:
        """Raises `HeadInvalid`."""
        return _read(note, origin, "the newest head")

    def checkpoint(self, note: object, origin: str, size: object) -> SignedHead:
        """Read a row of the log. Raises `HeadInvalid`."""
        where = f"the checkpoint of size {size!s}"
        head = _read(note if isinstance(note, bytes) else b"", origin, where)
        if head.size != size:
            raise HeadInvalid(f"{where} is one of size {head.size}")
        return head

    def given(self, origin: str) -> list[SignedHead]:
        """Those that whoever verifies brought along. Raises `HeadInvalid`."""
        return [_read(note, origin, where) for where, note in self._trust.checkpoints]

    def announce(self, idx: int, key: str) -> None:
        """Record `idx` says that from there on `key` signs. Raises NoteInvalid for what is no key."""
        self._announced = idx, VerifierKey.parse(key)

    def agrees(self, head: SignedHead) -> None:
        """Believe a head whose root is that of the tree. Raises `HeadInvalid` unless a key signed it that is
        trusted.
        """
        self.key = self._signer(head)
        if self._announced is not None and head.size >= self._announced[0]:
            self.key = self._announced[1]
            self._check(head, self.key)
            self._keys, self._announced = [self.key], None
        self._texts[head.size] = head.note.text
        self.newest = max(self.newest, head.size)
        self.compared += 1

    def cosigned(self, rows: Iterable[Sequence[object]]) -> tuple[tuple[str, int], ...]:
        """The size of the newest head that each witness vouches for, out of rows of (size, name, line).

        Raises `HeadInvalid` for a cosignature that doesn't hold, or where a witness has none.
        """
        newest: dict[str, int] = {}
        keys = {key.name: key for key in self._trust.witnesses}
        for size, name, line in rows:
            key = keys.get(as_text(name))
            if key is None:
                continue
            if size not in self._texts:
                raise HeadInvalid(
                    f"a cosignature by {key.name} is of size {size!s}, of which there is no head"
                )
            try:
                cosignature.verify(self._texts[size], NoteSignature.parse(as_text(line)), key)
            except (NoteInvalid, CheckpointInvalid) as error:
                raise HeadInvalid(f"the cosignature of size {size} by {key.name}: {error}") from None
            newest[key.name] = max(newest.get(key.name, 0), size)
        for name in keys:
            if name not in newest:
                raise HeadInvalid(f"the witness {name} has cosigned nothing of this log")
        return tuple(sorted(newest.items()))

    def _signer(self, head: SignedHead) -> VerifierKey:
        for key in self._keys:
            if head.note.signatures_by(key):
                self._check(head, key)
                return key
        known = ", ".join(key.encode() for key in self._keys) or "none"
        raise HeadInvalid(f"{head.where} isn't signed by a key that is trusted ({known})")

    def _check(self, head: SignedHead, key: VerifierKey) -> None:
        try:
            head.note.check_signed_by(key)
        except NoteInvalid as error:
            raise HeadInvalid(f"{head.where}: {error}") from None


def proven(note: Note, keys: Sequence[VerifierKey], witnesses: Sequence[VerifierKey]) -> Checkpoint:
    """The checkpoint in a note that stands alone. Raises `HeadInvalid` unless one of `keys` signed it, and
    each of the witnesses.
    """
    try:
        found = checkpoint.parse(note.text)
        signers = [key for key in keys if note.signatures_by(key)]
        if not signers:
            raise HeadInvalid(
                f"its checkpoint of the log {found.origin} isn't signed by a key that is trusted"
            )
        for key in signers:
            note.check_signed_by(key)
        if found.origin not in {key.name for key in signers}:
            raise HeadInvalid(f"its checkpoint is of the log {found.origin}, and the key is of another")
        for witness in witnesses:
            lines = note.signatures_by(witness)
            if not lines:
                raise HeadInvalid(f"the witness {witness.name} hasn't cosigned its checkpoint")
            for line in lines:
                cosignature.verify(note.text, line, witness)
    except (NoteInvalid, CheckpointInvalid) as error:
        raise HeadInvalid(str(error)) from None
    return found


def _read(note: str | bytes, origin: str, where: str) -> SignedHead:
    try:
        parsed = signed_note.parse(note)
        found = checkpoint.parse(parsed.text)
    except (NoteInvalid, CheckpointInvalid) as error:
        raise HeadInvalid(f"{where}: {error}") from None
    if found.origin != origin:
        raise HeadInvalid(f"{where} is of another log, {found.origin}, and not of {origin}")
    return SignedHead(found.size, found.root, previous_of(found), where, parsed)
