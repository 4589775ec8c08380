"""Names of tests that are the same in every process, as running them in several needs."""

from __future__ import annotations


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name bytes by their number: a compressed text holds the time."""
    return f"{argname}-{len(val)}" if isinstance(val, bytes) else None
