"""Times as receivers read them."""

from __future__ import annotations

import datetime

_END_OF_9999 = 253_402_300_800


def rfc3339(at: float) -> str:
    """RFC 3339, in UTC, to the millisecond. Raises ValueError for a time outside the years 1970 to 9999."""
    if not 0 <= at < _END_OF_9999:
        raise ValueError("not a time")
    moment = datetime.datetime.fromtimestamp(at, datetime.UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"
