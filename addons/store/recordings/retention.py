"""Finds and removes recordings whose time is over."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from addons.store.recordings.segment_reader import COMPLETE, SEALED
from addons.store.state_dir import sync_directory

_TORN = ".torn"


def old_segments(directory: Path, before: float) -> list[str]:
    """The names of complete segments, and of torn ends that were set aside, that nothing was written to since
    `before` (seconds since the epoch). Blocks. Raises OSError.
    """
    found: list[str] = []
    for path in sorted(directory.iterdir()):
        if path.name.endswith((COMPLETE, SEALED, _TORN)):
            try:
                if path.stat().st_mtime < before:
                    found.append(path.name)
            except FileNotFoundError:  # another process was quicker
                continue
    return found


def remove(directory: Path, names: Iterable[str]) -> None:
    """Blocks. Raises OSError."""
    for name in names:
        (directory / name).unlink(missing_ok=True)
    sync_directory(directory)
