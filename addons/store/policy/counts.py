"""What policy decided, counted since the process started, for its status file and so for `/metrics`."""

from __future__ import annotations

from collections import Counter

from addons.core.policy.request import Decision
from addons.store.gateway_status import Counted

MAX_SERIES = 1000
"""Different counts of one kind; what would be more is counted together, under `OTHERS`."""
OTHERS = "(others)"


type _Counter = Counter[tuple[str, str, str]]


class PolicyCounts:
    def __init__(self) -> None:
        self._decisions: _Counter = Counter()
        self._withheld: _Counter = Counter()
        self._shadow: _Counter = Counter()

    def count(self, decision: Decision) -> None:
        _add(self._decisions, *_labels(decision))
        if decision.withheld is not None:
            _add(self._withheld, *_labels(decision.withheld))
        for hit in decision.shadow:
            outcome = "error" if hit.is_error else "match"
            if not _add_known(self._shadow, (hit.rule, hit.effect.value, outcome)):
                self._shadow[OTHERS, hit.effect.value, outcome] += 1

    def counted(self) -> Counted:
        """As of now."""
        return Counted(_rows(self._decisions), _rows(self._withheld), _rows(self._shadow))


def _labels(decision: Decision) -> tuple[str, str, str]:
    return decision.effect.value, decision.reason.value, decision.rule or ""


def _add(counter: _Counter, effect: str, reason: str, rule: str) -> None:
    if not _add_known(counter, (effect, reason, rule)):
        counter[effect, reason, OTHERS] += 1


def _add_known(counter: _Counter, key: tuple[str, str, str]) -> bool:
    """False where there is no room for another key."""
    if key not in counter and len(counter) >= MAX_SERIES:
        return False
    counter[key] += 1
    return True


def _rows(counter: _Counter) -> tuple[tuple[str, str, str, int], ...]:
    return tuple((*key, count) for key, count in sorted(counter.items()))
