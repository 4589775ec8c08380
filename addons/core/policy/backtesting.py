"""What a policy would have said to recorded calls, and where that differs from what was said.

Limits are not applied: what was counted then is not known, and a call says nothing of the others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum

from addons.core.model import Effect, Principal
from addons.core.policy.policy_set import PolicySet
from addons.core.policy.request import Decision, Evidence, Masks, PolicyRequest, Reads, Recording

type EvidenceOf = Callable[[Reads, Collection[str] | None], Evidence | None]
"""Gives a document that rules read, or the fields of it that they ask for (None: it may be all); None where
nobody holds that."""

MAX_EXAMPLES = 5
_WHAT = {Reads.BODY: "its body", Reads.TARGET: "the resource that it is about"}


class NotHeld(Exception):  # noqa: N818 - says what it is, as the other refusals do
    """The verdict hangs on a document that nobody holds."""

    def __init__(self, reads: Reads) -> None:
        super().__init__(f"a rule reads {_WHAT[reads]}, and the recording doesn't hold that")
        self.reads = reads


@dataclass(frozen=True, slots=True)
class Judged:
    """What would be enforced, and what was read to tell."""

    decision: Decision
    read: frozenset[Reads]


def judge(policy_set: PolicySet, request: PolicyRequest, evidence_of: EvidenceOf) -> Judged:
    """Decide as the gateway does, reading only what the rules want. Under `profile: observe` it is the
    verdict that is not enforced yet.

    Raises:
        NotHeld: what the rules want to read isn't there.

    """
    read: set[Reads] = set()
    while (reads := policy_set.wants(request)) is not None:
        evidence = evidence_of(reads, fields_read(policy_set, request, reads))
        if evidence is None:
            raise NotHeld(reads)
        read.add(reads)
        request = (
            replace(request, body=evidence) if reads is Reads.BODY else replace(request, target=evidence)
        )
    decision = policy_set.decide(request)
    return Judged(decision.withheld or decision, frozenset(read))


def fields_read(policy_set: PolicySet, request: PolicyRequest, reads: Reads) -> Collection[str] | None:
    """Name what rules look at in the resource that the call is about; None where it may be anything."""
    if reads is Reads.BODY or any(
        Reads.TARGET in condition.reads and condition.field == "when"
        for rule in policy_set.rules
        for condition in rule.conditions
    ):
        return None
    return policy_set.target_fields(request)


def reads_claims(policy_set: PolicySet) -> bool:
    """Tell whether a rule may look at claims of the token."""
    return any(
        condition.field == "when" or condition.field.startswith("who.claims")
        for rule in policy_set.rules
        for condition in rule.conditions
    )


@dataclass(frozen=True, slots=True)
class Said:
    """One side of a comparison. Credential, masks, limits and record are None where they are not known."""

    effect: Effect
    rule: str | None
    reason: str
    obligations: tuple[str | None, Masks, Masks, tuple[str, ...], Recording] | None = None

    @staticmethod
    def by(decision: Decision) -> Said:
        limits = tuple(use.name for use in decision.limits)
        masks = decision.mask_forward, decision.mask_response
        obligations = decision.credential, *masks, limits, decision.record
        return Said(decision.effect, decision.rule, decision.reason.value, obligations)

    def __str__(self) -> str:
        return f"{self.effect} {self.rule or self.reason}".rstrip()


class Change(StrEnum):
    """How the new verdict differs, the gravest first."""

    DENIED = "denied"
    """It was let through, and would now be denied."""
    ASKED = "asked"
    """It was let through, and would now wait for a person's approval."""
    PERMITTED = "permitted"
    """It was not let through, and now would be."""
    OTHER_REFUSAL = "other_refusal"
    """Denied became asking for approval, or the reverse."""
    OBLIGATIONS = "obligations"
    """Let through as before, with another credential, masks, limits or record."""


def change(old: Said, new: Said) -> Change | None:
    if old.effect is new.effect:
        both_known = old.obligations is not None and new.obligations is not None
        differs = both_known and old.obligations != new.obligations and new.effect is not Effect.DENY
        return Change.OBLIGATIONS if differs else None
    if new.effect is Effect.ALLOW:
        return Change.PERMITTED
    if old.effect is not Effect.ALLOW:
        return Change.OTHER_REFUSAL
    return Change.DENIED if new.effect is Effect.DENY else Change.ASKED


@dataclass(slots=True)
class Tally:
    """Calls that are alike: how many, of whom, which operations, when, and the ids of some."""

    calls: int = 0
    ran: int = 0
    identities: Counter[str] = field(default_factory=Counter)
    operations: Counter[str] = field(default_factory=Counter)
    first: float = float("inf")
    last: float = float("-inf")
    examples: list[str] = field(default_factory=list)

    def add(self, call: str, request: PolicyRequest, *, ran: bool, name: str | None = None) -> None:
        self.calls += 1
        self.ran += ran
        self.identities[name_of(request.principal) if name is None else name] += 1
        self.operations[operation_of(request)] += 1
        self.first, self.last = min(self.first, request.at), max(self.last, request.at)
        if len(self.examples) < MAX_EXAMPLES:
            self.examples.append(call)


@dataclass(frozen=True, slots=True, order=True)
class Shift:
    """One kind of change: which verdict became which."""

    change: Change
    old: str
    new: str


@dataclass(slots=True)
class Comparison:
    """What came of all the calls: `unjudged` by why, `shadow` the hits of rules in shadow mode by rule.
    `masked` counts the verdicts that rest on a body in which secrets are masked.
    """

    calls: int = 0
    judged: int = 0
    masked: int = 0
    shifts: dict[Shift, Tally] = field(default_factory=dict)
    by_identity: dict[str, Counter[Change]] = field(default_factory=dict)
    unjudged: dict[str, Tally] = field(default_factory=dict)
    shadow: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(  # noqa: PLR0913 - both sides of a comparison
        self, call: str, request: PolicyRequest, old: Said, new: Decision, *, ran: bool, masked: bool
    ) -> None:
        self.calls += 1
        self.judged += 1
        self.masked += masked
        self.shadow.update((hit.rule, "error" if hit.is_error else "match") for hit in new.shadow)
        said = Said.by(new)
        found = change(old, said)
        if found is None:
            return
        self.shifts.setdefault(Shift(found, str(old), str(said)), Tally()).add(call, request, ran=ran)
        self.by_identity.setdefault(name_of(request.principal), Counter())[found] += 1

    def add_unjudged(self, call: str, request: PolicyRequest, why: str, *, ran: bool) -> None:
        self.calls += 1
        self.unjudged.setdefault(why, Tally()).add(call, request, ran=ran)

    def total(self, *changes: Change) -> int:
        return sum(tally.calls for shift, tally in self.shifts.items() if shift.change in changes)

    def would_stop(self, changes: Iterable[Change]) -> int:
        """Count the calls that ran and are among these changes."""
        wanted = set(changes)
        return sum(tally.ran for shift, tally in self.shifts.items() if shift.change in wanted)


def name_of(principal: Principal) -> str:
    """Write an identity in a table: the subject, its issuer only where somebody may share the name."""
    return f"{principal.subject or 'nobody'} ({principal.issuer})" if principal.issuer else principal.subject


def operation_of(request: PolicyRequest) -> str:
    operation = request.operation
    return f"{operation.version}.{operation.name}" if operation is not None else "unknown"
