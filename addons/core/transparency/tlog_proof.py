"""A proof that stands alone, after https://c2sp.org/tlog-proof: an entry is in a log whose head is signed.

c2sp.org/tlog-proof@v1
[extra <base64>]
index <number>
<base64 of a hash>
...

<checkpoint>

Here, `extra` is the entry itself: the record's text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from addons.core.transparency import signed_note
from addons.core.transparency.canonical_base64 import from_base64, to_base64
from addons.core.transparency.merkle import MAX_SIZE, leaf_hash
from addons.core.transparency.proofs import MAX_PROOF, ProofInvalid, verify_inclusion
from addons.core.transparency.signed_note import Note, NoteInvalid

_HEADER = "c2sp.org/tlog-proof@v1"
_INDEX = re.compile(r"index (0|[1-9][0-9]{0,18})", re.ASCII)
_MOST = 64 * 1024 * 1024
"""Characters: more than any record has."""


@dataclass(frozen=True, slots=True)
class TlogProof:
    """`index` is that of the leaf, from 0; `checkpoint` is a signed note."""

    entry: bytes
    index: int
    hashes: tuple[bytes, ...]
    checkpoint: Note

    def encode(self) -> str:
        hashes = "".join(f"{to_base64(one)}\n" for one in self.hashes)
        head = f"{_HEADER}\nextra {to_base64(self.entry)}\nindex {self.index}\n{hashes}"
        return f"{head}\n{self.checkpoint.encode()}"

    def verify(self, size: int, root: bytes) -> None:
        """Raises `ProofInvalid` unless the entry is in the tree of that size and root; whether the checkpoint
        that names them is to be believed is another question.
        """
        verify_inclusion(leaf_hash(self.entry), self.index, size, self.hashes, root)


def parse(raw: bytes) -> TlogProof:
    """Raises `ProofInvalid` for whatever isn't exactly one."""
    if len(raw) > _MOST:
        raise ProofInvalid("the proof is too long")
    try:
        head, separator, note = raw.decode().partition("\n\n")
        header, *lines = head.split("\n")
        _check(bool(separator) and header == _HEADER, f"it doesn't begin with the line {_HEADER}")
        _check(len(lines) > 1 and lines[0].startswith("extra "), "it lacks the record (extra) or its index")
        index = _INDEX.fullmatch(lines[1])
        number = int(index[1]) if index is not None else -1
        _check(0 <= number <= MAX_SIZE, "its third line is not an index")
        _check(len(lines) - 2 <= MAX_PROOF, f"it has more than {MAX_PROOF} hashes")
        entry, *hashes = (from_base64(line) for line in (lines[0].removeprefix("extra "), *lines[2:]))
        return TlogProof(entry, number, tuple(hashes), signed_note.parse(note))
    except UnicodeDecodeError:
        raise ProofInvalid("the proof isn't UTF-8") from None
    except NoteInvalid as error:
        raise ProofInvalid(f"the checkpoint of the proof: {error}") from None
    except ValueError as error:
        raise ProofInvalid(f"the proof: {error}") from None


def _check(holds: bool, otherwise: str) -> None:  # noqa: FBT001 - an assertion
    if not holds:
        raise ValueError(otherwise)
