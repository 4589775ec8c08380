"""Removes recordings whose time is over."""

from __future__ import annotations

import contextlib
from pathlib import Path

from addons.store.segment_reader import COMPLETE, SEALED
from addons.store.state_dir import sync_directory


def remove_old(directory: Path, before: float) -> list[str]:
    """Remove the complete segments that nothing was written to since `before` (seconds since the epoch), and
    give their names. Blocks. Raises OSError.
    """
    removed: list[str] = []
    for suffix in (COMPLETE, SEALED):
        for path in sorted(directory.glob(f"*{suffix}")):
            with contextlib.suppress(FileNotFoundError):  # another process was quicker
                if path.stat().st_mtime < before:
                    path.unlink()
                    removed.append(path.name)
    if removed:
        sync_directory(directory)
    return removed
