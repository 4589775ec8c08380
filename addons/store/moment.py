"""What time it is, by two clocks: the wall's, which people can set, and the machine's since it started.

A time limit is kept by both, so that setting the clock back gives nobody more time.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

SLACK = 300.0
"""How far, in seconds, the wall clock may be before the beginning of a time limit: clocks are corrected."""

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class Moment:
    """`wall` is in seconds since the epoch, `boot` in seconds since the machine started, its sleep included;
    `boot_id` tells which start that was, "" where it can't be told.
    """

    wall: float
    boot: float
    boot_id: str


@dataclass(frozen=True, slots=True)
class Deadline:
    """A time limit that began at `begin` (wall) and ends at `wall`, or at `boot` of the same `boot_id`."""

    begin: float
    wall: float
    boot: float
    boot_id: str

    @staticmethod
    def after(at: Moment, seconds: float) -> Deadline:
        return Deadline(at.wall, at.wall + seconds, at.boot + seconds, at.boot_id)

    def is_over(self, at: Moment) -> bool:
        """Whether either clock says so, or the wall clock was put back to before it began."""
        same_boot = self.boot_id != "" and self.boot_id == at.boot_id
        in_time = self.begin - SLACK <= at.wall < self.wall  # false for NaN as well
        return not in_time or (same_boot and not at.boot < self.boot)


def now() -> Moment:
    boot_id = _boot_id()
    boot = time.clock_gettime(time.CLOCK_BOOTTIME) if boot_id else time.monotonic()
    return Moment(time.time(), boot, boot_id)


@cache
def _boot_id() -> str:
    with contextlib.suppress(OSError):  # not Linux
        return _BOOT_ID.read_text().strip()
    return ""
