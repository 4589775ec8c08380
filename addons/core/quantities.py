"""Durations and sizes as people write them in YAML: `30s`, `1h`, `64KiB`."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator, Field, PlainSerializer

from addons.core.yaml_source import complaint

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = {
    "": 1,
    "B": 1,
    "KiB": 1024,
    "MiB": 1024**2,
    "GiB": 1024**3,
    "kB": 1000,
    "MB": 1000**2,
    "GB": 1000**3,
}
_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?) ?(ms|s|m|h|d)", re.ASCII)
_SIZE = re.compile(r"([0-9]{1,15}) ?(B|KiB|MiB|GiB|kB|MB|GB)?", re.ASCII)


def parse_duration(text: str) -> float | None:
    """Seconds, or None where `text` is no duration."""
    found = _DURATION.fullmatch(text)
    return float(found[1]) * _SECONDS[found[2]] if found else None


def parse_size(text: str) -> int | None:
    """Bytes, or None where `text` is no size."""
    found = _SIZE.fullmatch(text)
    return int(found[1]) * _BYTES[found[2] or ""] if found else None


def format_duration(seconds: float) -> str:
    """Write the shortest form that `parse_duration` reads back as the same."""
    for unit in ("d", "h", "m", "s"):
        count = seconds / _SECONDS[unit]
        if count >= 1 and count.is_integer():
            return f"{int(count)}{unit}"
    return "0s" if seconds == 0 else f"{seconds / _SECONDS['ms']:g}ms"


def format_size(count: int) -> str:
    """Write the shortest form that `parse_size` reads back as the same."""
    for unit in ("GiB", "MiB", "KiB"):
        if count and count % _BYTES[unit] == 0:
            return f"{count // _BYTES[unit]}{unit}"
    return str(count)


def _read_duration(value: object) -> float:
    seconds = parse_duration(value) if isinstance(value, str) else None
    if seconds is None:
        raise complaint("must be a duration", "a number and its unit: 500ms, 30s, 5m, 1h, 1d")
    return seconds


def _read_size(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    count = parse_size(value) if isinstance(value, str) else None
    if count is None:
        raise complaint("must be a size", "bytes, or a number and its unit: 64KiB, 16MiB, 1GiB")
    return count


Duration = Annotated[
    float,
    BeforeValidator(
        _read_duration, json_schema_input_type=Annotated[str, Field(pattern=f"^{_DURATION.pattern}$")]
    ),
    PlainSerializer(format_duration, return_type=str, when_used="json"),
]
"""Seconds; YAML must name the unit."""

Size = Annotated[
    int,
    BeforeValidator(
        _read_size,
        json_schema_input_type=Annotated[int, Field(ge=0)]
        | Annotated[str, Field(pattern=f"^{_SIZE.pattern}$")],
    ),
    PlainSerializer(format_size, return_type=str, when_used="json"),
]
"""Bytes; YAML may name a unit."""
