"""Detectors by the names that a policy gives them: `secrets`, `pii`, or one by its own."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache, lru_cache

from addons.core.redact.detector import Detector
from addons.core.redact.detectors import DETECTORS
from addons.core.redact.scan import Scanner, default_scanner

SECRETS = "secrets"
"""Every secret: those with a form of their own, and those that a key, a name or an encoding tells of."""
PII = "pii"
"""Personal data alone."""
_MAX_SCANNERS = 64


@cache
def detector_names() -> frozenset[str]:
    """All that `detect:` may name."""
    return frozenset((SECRETS, PII, *(detector.id for detector in DETECTORS)))


def scanner_of(names: Iterable[str]) -> Scanner:
    """Give the scanner of all `names`. The first time that takes some 25 ms for `secrets`, 2 ms for one
    detector; then it is kept. Raises ValueError for a name that is none.
    """
    wanted = frozenset(names)
    unknown = sorted(wanted - detector_names())
    if unknown or not wanted:
        raise ValueError(f"no detector is called {', '.join(unknown) or 'nothing'}")
    if PII in wanted:
        wanted -= _ids(pii=True)
    if SECRETS in wanted:
        wanted -= _ids(pii=False)
    return _scanner_of(wanted)


@lru_cache(maxsize=_MAX_SCANNERS)
def _scanner_of(names: frozenset[str]) -> Scanner:
    if names in ({SECRETS}, {SECRETS, PII}):
        return default_scanner(pii=PII in names)
    return Scanner([one for one in DETECTORS if _is_chosen(one, names)], by_name=SECRETS in names)


def _is_chosen(detector: Detector, names: frozenset[str]) -> bool:
    return detector.id in names or (PII if detector.pii else SECRETS) in names


@cache
def _ids(*, pii: bool) -> frozenset[str]:
    return frozenset(detector.id for detector in DETECTORS if detector.pii is pii)
