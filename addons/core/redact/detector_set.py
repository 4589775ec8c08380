"""All detectors of one gateway, the built-in ones and a team's own, by the names that a policy gives them:
`secrets`, `pii`, or one by its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache

from addons.core.redact.detectors.detector import Detector
from addons.core.redact.detectors.table import DETECTORS
from addons.core.redact.reading.scan import Scanner, default_scanner

SECRETS = "secrets"
"""Every secret: those with a form of their own, and those that a key, a name or an encoding tells of."""
PII = "pii"
"""Personal data alone."""
_MAX_SCANNERS = 64


@dataclass(frozen=True, eq=False)  # no slots: what is derived is kept
class DetectorSet:
    """`detectors` in the order in which they go before one another. Several may share an id: its name then
    means all of them. `notes` say, for a person, what of own files could not be honoured.
    """

    detectors: tuple[Detector, ...]
    notes: tuple[str, ...] = ()

    def names(self) -> frozenset[str]:
        """All that `detect:` may name."""
        return self._names

    @cached_property
    def _names(self) -> frozenset[str]:
        return frozenset((SECRETS, PII, *(detector.id for detector in self.detectors)))

    def scanner(self, names: Iterable[str]) -> Scanner:
        """Give the scanner of all `names`. The first time that takes some 25 ms for `secrets`, 2 ms for one
        detector; then it is kept. Raises ValueError for a name that is none.
        """
        wanted = frozenset(names)
        unknown = sorted(wanted - self._names)
        if unknown or not wanted:
            raise ValueError(f"no detector is called {', '.join(unknown) or 'nothing'}")
        chosen = tuple(place for place, one in enumerate(self.detectors) if _is_chosen(one, wanted))
        return _scanner(self, chosen, by_name=SECRETS in wanted)

    def __reduce__(self) -> tuple[Callable[..., DetectorSet], tuple[object, ...]]:
        """Another process has the built-in ones, whose checks don't travel."""
        return with_own, (self.own, self.notes)

    @property
    def own(self) -> tuple[Detector, ...]:
        """Those that are not built in, in their order."""
        return tuple(one for one in self.detectors if one not in _built_in())


def _is_chosen(detector: Detector, names: frozenset[str]) -> bool:
    return detector.id in names or (PII if detector.pii else SECRETS) in names


@lru_cache(maxsize=_MAX_SCANNERS)
def _scanner(detectors: DetectorSet, chosen: tuple[int, ...], *, by_name: bool) -> Scanner:
    found = [detectors.detectors[place] for place in chosen]
    for pii in (False, True):  # the two that are made without a set as well
        if by_name and found == [one for one in DETECTORS if pii or not one.pii]:
            return default_scanner(pii=pii)
    return Scanner(found, by_name=by_name)


@cache
def _built_in() -> frozenset[Detector]:
    return frozenset(DETECTORS)


BUILT_IN = DetectorSet(DETECTORS)


def with_own(own: Iterable[Detector], notes: Iterable[str] = ()) -> DetectorSet:
    """The built-in detectors and then `own` ones."""
    found, told = tuple(own), tuple(notes)
    return DetectorSet((*DETECTORS, *found), told) if found or told else BUILT_IN
