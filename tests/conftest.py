"""What holds for all tests."""

from __future__ import annotations

from hypothesis import settings


def pytest_configure() -> None:
    """Let no property fail for want of speed: a busy machine is no finding."""
    settings.register_profile("ddgate", deadline=None)
    settings.load_profile("ddgate")


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name bytes by their number: a compressed text holds the time, and names have to be the same in every
    process that runs tests.
    """
    return f"{argname}-{len(val)}" if isinstance(val, bytes) else None
