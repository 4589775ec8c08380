"""The built-in detectors by the names that a policy gives them; see `detector_set`."""

from __future__ import annotations

from collections.abc import Iterable

from addons.core.redact.detector_set import BUILT_IN, PII, SECRETS
from addons.core.redact.scan import Scanner

__all__ = ["PII", "SECRETS", "detector_names", "scanner_of"]


def detector_names() -> frozenset[str]:
    """All that `detect:` may name where there are no own detectors."""
    return BUILT_IN.names()


def scanner_of(names: Iterable[str]) -> Scanner:
    """As `DetectorSet.scanner`, of the built-in ones."""
    return BUILT_IN.scanner(names)
