"""What holds for all tests."""

from __future__ import annotations

import gc

import pytest
from hypothesis import settings


def pytest_configure() -> None:
    """Let no property fail for want of speed: a busy machine is no finding."""
    settings.register_profile("ddgate", deadline=None)
    settings.load_profile("ddgate")


@pytest.hookimpl(tryfirst=True)
def pytest_collection() -> None:
    """Look for no garbage while all tests are loaded: there is none."""
    gc.disable()


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Leave what was loaded, some million objects, out of all later looks for garbage."""
    gc.freeze()
    gc.enable()


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name bytes by their number: a compressed text holds the time, and names have to be the same in every
    process that runs tests.
    """
    return f"{argname}-{len(val)}" if isinstance(val, bytes) else None
