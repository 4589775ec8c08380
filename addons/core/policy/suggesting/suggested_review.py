"""How a suggested policy would have decided the calls that it was made of, what it leaves out, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from addons.core.model import Effect
from addons.core.policy.backtesting import Tally
from addons.core.policy.request import Decision
from addons.core.policy.suggesting.sightings import Sighting, Who, why_left_out
from addons.core.policy.suggesting.suggest import Kind, Proposal, kind_of

_RISKS = {
    Kind.NEVER: "reads keys, or changes who may do what: a person's work, or a rule written by one",
    Kind.ASK: "destroys, sets something off or hands data out, and too seldom for a rule that asks",
}
_UNUSUAL = "its parameters or its body are not like those of the calls that the rule was made of"
_RARE = "not done on enough days to be a habit"
_MUCH = 1 / 3


@dataclass(slots=True)
class Review:
    """`left_out` is by reason and operation. `unmet` counts, by rule, the calls that it was made of and does
    not permit.
    """

    proposals: Iterable[Proposal]
    calls: int = 0
    permitted: int = 0
    asking: int = 0
    left_out: dict[tuple[str, str], Tally] = field(default_factory=dict)
    unmet: Counter[str] = field(default_factory=Counter)
    _rules: dict[tuple[str, str], list[Proposal]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.proposals = tuple(self.proposals)
        for proposal in self.proposals:
            for key in proposal.uses:
                self._rules.setdefault(key, []).append(proposal)

    def add(self, sighting: Sighting, decision: Decision | None) -> None:
        """Count one call; `decision` is None where it can't be told."""
        self.calls += 1
        if decision is not None and decision.effect is Effect.ALLOW:
            self.permitted += 1
            return
        self.asking += decision is not None and decision.effect is Effect.REQUIRE_APPROVAL
        operation = sighting.request.operation
        name = f"{operation.version}.{operation.name}" if operation else sighting.request.path
        why = why_left_out(sighting) or self._why(sighting, decision)
        tally = self.left_out.setdefault((why, name), Tally())
        subject = sighting.request.principal.subject or "nobody"
        tally.add(sighting.call, sighting.request, ran=not sighting.refused, name=subject)

    def too_strict(self) -> list[str]:
        """Tell of the rules that turn away much of what they were made of."""
        told = []
        for proposal in self.proposals:
            calls = sum(use.occasions.calls for uses in proposal.uses.values() for use in uses.values())
            if (unmet := self.unmet[proposal.id]) > calls * _MUCH:
                told.append(f"The rule {proposal.id} turns away {unmet} of the {calls} calls it was made of.")
        return told

    def _why(self, sighting: Sighting, decision: Decision | None) -> str:
        operation = sighting.request.operation
        assert operation is not None  # noqa: S101 - why_left_out has said so
        kind = kind_of(operation)
        if decision is not None and decision.effect is Effect.REQUIRE_APPROVAL:
            return f"the rule {decision.rule} asks for approval"
        if kind in _RISKS:
            return _RISKS[kind]
        who = Who.of(sighting.request.principal)
        key = (operation.version, operation.name)
        for proposal in self._rules.get(key, []):
            if who in proposal.uses[key]:
                self.unmet[proposal.id] += 1
                return _UNUSUAL
        return _RARE
