"""Proofs out of the audit log: of one record, and that it only grew."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

from addons.core.transparency import checkpoint, signed_note
from addons.core.transparency.checkpoint import CheckpointInvalid
from addons.core.transparency.merkle import STORED_LEVELS, node_hash
from addons.core.transparency.proofs import inclusion_proof
from addons.core.transparency.signed_note import Note, NoteInvalid
from addons.core.transparency.tlog_proof import TlogProof
from addons.store.audit.problems import AuditLogUnusable
from addons.store.audit.reading import reading
from addons.store.audit.tree import TreeDamaged, read_head
from addons.store.sqlite_text import as_text

_LOWEST = STORED_LEVELS[0]


class NodeMissing(Exception):  # noqa: N818 - named after what is wrong, as the other refusals are
    """A part of the tree isn't in the log; the text says which records it covers."""


def range_roots(connection: sqlite3.Connection) -> Callable[[int, int], bytes]:
    """Make the function that the proofs of `core.transparency.proofs` ask: the root of the complete subtree
    of 2**level leaves that is number `index` of its level. It raises `NodeMissing`, sqlite3.Error.

    At most some 500 rows are read for a proof, however large the log is.
    """

    def root(level: int, index: int) -> bytes:
        if level in STORED_LEVELS:
            return _node(connection, level, index)
        below = max((stored for stored in (0, *STORED_LEVELS) if stored < level), default=0)
        if level == 0:
            return _leaves(connection, index, 1)[0]
        first, count = index << (level - below), 1 << (level - below)
        hashes = (
            _leaves(connection, first, count)
            if below == 0
            else [_node(connection, below, number) for number in range(first, first + count)]
        )
        return _joined(hashes)

    return root


def _joined(hashes: list[bytes]) -> bytes:
    """The root over a power of two of hashes."""
    while len(hashes) > 1:
        hashes = [node_hash(hashes[at], hashes[at + 1]) for at in range(0, len(hashes), 2)]
    return hashes[0]


def _node(connection: sqlite3.Connection, level: int, number: int) -> bytes:
    row = connection.execute(
        "SELECT hash FROM log_nodes WHERE level = ? AND number = ?", (level, number)
    ).fetchone()
    if row is None or not isinstance(row[0], bytes):
        raise NodeMissing(_which(number << level, 1 << level))
    return row[0]


def _leaves(connection: sqlite3.Connection, first: int, count: int) -> list[bytes]:
    rows = connection.execute(
        "SELECT leaf FROM records WHERE idx > ? AND idx <= ? ORDER BY idx", (first, first + count)
    ).fetchall()
    leaves = [leaf for (leaf,) in rows if isinstance(leaf, bytes)]
    if len(leaves) != count:
        raise NodeMissing(_which(first, count))
    return leaves


def _which(first: int, count: int) -> str:
    return f"the hash over records {first + 1} to {first + count} is missing"


class NotProvable(Exception):  # noqa: N818 - named after what is wrong, as the other refusals are
    """There is no proof of this; says why, and what to do."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what} {remedy}")
        self.what = what
        self.remedy = remedy


def prove(path: Path, idx: int) -> TlogProof:
    """Prove that the record with this index (from 1) is in the log: against the first checkpoint that covers
    it and that witnesses have cosigned, else against the newest head.

    Raises `NotProvable`, `AuditLogUnusable`.
    """
    with reading_tree(path) as connection:
        row = connection.execute("SELECT body FROM records WHERE idx = ?", (idx,)).fetchone()
        if row is None or not 1 <= idx <= read_head(connection).frontier.size:
            raise NotProvable(f"The audit log has no record {idx}.", "See `ddgate audit query`.")
        if row[0] is None:
            raise NotProvable(
                f"The text of record {idx} was pruned, and a proof is about a text.",
                "A proof that was made before holds still: `ddgate audit check-proof FILE`.",
            )
        note = _covering(connection, idx)
        size = checkpoint.parse(note.text).size
        return TlogProof(
            row[0].encode("utf-8", "surrogateescape"),
            idx - 1,
            inclusion_proof(idx - 1, size, range_roots(connection)),
            note,
        )


def indices_of(path: Path, which: str) -> list[tuple[int, str]]:
    """Index and kind of the records that a person means: by a record's id, `#` and an index, or a call's id.

    Raises `AuditLogUnusable`.
    """
    number = re.fullmatch(r"#?([0-9]{1,18})", which, re.ASCII)
    with reading_tree(path) as connection:
        for condition, value in (
            *((("idx = ?", int(number[1])),) if number is not None and which.startswith("#") else ()),
            ("id = ?", which),
            ("call = ?", which),
        ):
            found = connection.execute(
                f"SELECT idx, coalesce(kind, 'pruned') FROM records WHERE {condition} ORDER BY idx LIMIT 20",  # noqa: S608 - constants
                (value,),
            ).fetchall()
            if found:
                return [(int(idx), str(kind)) for idx, kind in found]
    return []


def _covering(connection: sqlite3.Connection, idx: int) -> Note:
    """A note whose head covers the record, with the cosignatures there are."""
    found = connection.execute(
        "SELECT size, note FROM log_checkpoints WHERE size >= ? "
        "AND EXISTS (SELECT 1 FROM log_cosignatures AS by WHERE by.size = log_checkpoints.size) "
        "ORDER BY size LIMIT 1",
        (idx,),
    ).fetchone()
    if found is None:
        head = read_head(connection)
        found = head.frontier.size, head.note
    size, text = found
    note = signed_note.parse(text)
    lines = connection.execute("SELECT line FROM log_cosignatures WHERE size = ? ORDER BY name", (size,))
    more = tuple(signed_note.NoteSignature.parse(as_text(line)) for (line,) in lines)
    return Note(note.text, (*note.signatures, *more))


@contextlib.contextmanager
def reading_tree(path: Path) -> Iterator[sqlite3.Connection]:
    """As `reading`; a tree that can't be read is unusable as well."""
    try:
        with reading(path) as connection:
            yield connection
    except (TreeDamaged, NodeMissing, NoteInvalid, CheckpointInvalid) as error:
        raise AuditLogUnusable(
            f"The audit log {path} doesn't hold: {error}.", "Run `ddgate audit verify`."
        ) from None
