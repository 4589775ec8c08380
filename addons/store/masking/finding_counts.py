"""What masking found, counted by detector since the process started, for its status file and so for
`/metrics`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

MAX_DETECTORS = 1000
"""Detectors that are counted apart; what others find is counted together, under `OTHERS`."""
OTHERS = "(others)"


class FindingCounts:
    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def count(self, findings: Mapping[str, int]) -> None:
        for detector, count in findings.items():
            known = detector in self._counts or len(self._counts) < MAX_DETECTORS
            self._counts[detector if known else OTHERS] += count

    def counted(self) -> tuple[tuple[str, int], ...]:
        """As of now, by name."""
        return tuple(sorted(self._counts.items()))
