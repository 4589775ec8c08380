"""What a rule asks to have masked. By itself, so that a worker can know it without knowing policy."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Masks:
    """What is masked in one direction: what detectors find (`secrets`, `pii`, or the name of a single one),
    and what stands at JSON paths, as the policy writes them.
    """

    detect: frozenset[str] = frozenset()
    json: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.detect or self.json)

    def __or__(self, other: Masks) -> Masks:
        return Masks(self.detect | other.detect, self.json | other.json)


NO_MASKS = Masks()
