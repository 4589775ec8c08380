"""Times as people give them to `--since` and `--until`."""

from __future__ import annotations

import datetime as dt
import time

import typer

from addons.core.quantities import parse_duration


def read_time(text: str) -> float:
    """Read an ISO 8601 date or time (UTC unless it says otherwise), or how long ago (`30m`, `2h`, `3d`).

    Gives seconds since the epoch. Raises typer.BadParameter.
    """
    ago = parse_duration(text.strip())
    if ago is not None:
        return time.time() - ago
    try:
        moment = dt.datetime.fromisoformat(text.strip())
        return (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp()
    except (ValueError, OverflowError):
        raise typer.BadParameter(
            f"{text!r} is no time; write 2026-03-02, 2026-03-02T10:00 (UTC), 2026-03-02T10:00+01:00, "
            "or how long ago: 30m, 2h, 3d"
        ) from None
