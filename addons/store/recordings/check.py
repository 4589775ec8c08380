"""Whether every recording that the audit log names is there, byte for byte."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from addons.store.audit.reading import reading
from addons.store.audit.record import RecordKind, SegmentRef
from addons.store.recordings.sealing import SealKeys
from addons.store.recordings.segment_reader import SegmentDamaged, read_flow
from addons.store.state_dir import StateDir

_MOST_BAD = 20


@dataclass(frozen=True, slots=True)
class CheckedRecordings:
    """How many are as they were recorded, how many were removed when their time was over, and the first that
    are neither: the index of the record, and why.
    """

    whole: int
    removed: int
    bad: tuple[tuple[int, str], ...]


def check_recordings(state: StateDir, keys: SealKeys) -> CheckedRecordings:
    """Read each and compare its digest. The log itself is believed: verify it first. Raises
    `AuditLogUnusable`.
    """
    whole = removed = 0
    bad: list[tuple[int, str]] = []
    gone = _removed(state.audit_log)
    for idx, ref in _refs(state.audit_log):
        if ref is not None and ref.segment in gone:
            removed += 1
            continue
        try:
            if ref is None:
                bad.append((idx, "what it says of its recording can't be read"))
            else:
                read_flow(state.recordings, ref, keys)
                whole += 1
        except SegmentDamaged as damaged:
            bad.append((idx, str(damaged)))
        except OSError as error:
            bad.append((idx, error.strerror or "it can't be read"))
        if len(bad) >= _MOST_BAD:
            break
    return CheckedRecordings(whole, removed, tuple(bad))


def _refs(log: Path) -> Iterator[tuple[int, SegmentRef | None]]:
    parts = ", ".join(f"json_extract(body, '$.recording.{name}')" for name in SegmentRef.__slots__)
    sql = f"SELECT idx, {parts} FROM records WHERE body LIKE '%\"recording\":{{%' ORDER BY idx"  # noqa: S608 - constants
    for idx, segment, offset, length, digest in _rows(log, sql):
        if segment is None:
            continue  # an attribute of that name
        ref = None
        if isinstance(offset, int) and isinstance(length, int) and offset >= 0 and length >= 0:
            ref = SegmentRef(str(segment), offset, length, str(digest))
        yield int(str(idx)), ref


def _removed(log: Path) -> frozenset[str]:
    sql = f"SELECT body FROM records WHERE kind = '{RecordKind.RECORDINGS_REMOVED}'"  # noqa: S608 - a constant
    names: set[str] = set()
    for (body,) in _rows(log, sql):
        with contextlib.suppress(ValueError, KeyError, TypeError):
            names |= set(map(str, json.loads(str(body))["attributes"]["segments"]))
    return frozenset(names)


def _rows(log: Path, sql: str) -> Iterator[tuple[object, ...]]:
    with reading(log) as connection:
        yield from connection.execute(sql)
