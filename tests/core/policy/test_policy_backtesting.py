"""What a policy would have said to a recorded call, and how that differs from what was said."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.core.model import Effect, Json
from addons.core.policy.backtesting import (
    Change,
    Comparison,
    NotHeld,
    Said,
    change,
    fields_read,
    judge,
    reads_claims,
)
from addons.core.policy.request import Evidence, Masks, Reads, Recording, Seen
from tests.core.policy.policy_making import policy, principal, request

ASK = "approval: {need: [{group: leads}]}"
READS_BODY = "- {id: a, effect: allow, op: {name: CreateMonitor}, body: {type: x}}"
READS_TARGET = "- {id: a, effect: allow, op: {name: DeleteMonitor}, target: {tags: {any: [x]}, o.p: y}}"
LOOKS_AT_TARGET = "- {id: a, effect: allow, op: {name: DeleteMonitor}, when: 'has(target.tags)'}"


class Holding:
    """Evidence as a recording holds it; remembers what was asked for."""

    def __init__(self, **held: Json) -> None:
        self.held = held
        self.asked: list[tuple[Reads, Collection[str] | None]] = []

    def __call__(self, reads: Reads, fields: Collection[str] | None) -> Evidence | None:
        self.asked.append((reads, fields))
        return Seen(self.held[reads.value]) if reads.value in self.held else None


def test_only_what_rules_want_is_read() -> None:
    held = Holding(body={"type": "x"})
    assert judge(policy(READS_BODY), request("GetMonitor"), held).decision.effect is Effect.DENY
    assert held.asked == []
    judged = judge(policy(READS_BODY), request("CreateMonitor"), held)
    assert judged.decision.permitted
    assert judged.read == {Reads.BODY}


def test_a_verdict_that_hangs_on_what_nobody_holds_is_none() -> None:
    with pytest.raises(NotHeld, match="its body"):
        judge(policy(READS_BODY), request("CreateMonitor"), Holding())
    with pytest.raises(NotHeld, match="the resource"):
        judge(policy(READS_TARGET), request("DeleteMonitor"), Holding(body={}))


def test_of_the_resource_the_fields_that_rules_name_are_enough() -> None:
    asked = request("DeleteMonitor")
    assert fields_read(policy(READS_TARGET), asked, Reads.TARGET) == {"tags", "o.p"}
    assert fields_read(policy(LOOKS_AT_TARGET), asked, Reads.TARGET) is None
    assert fields_read(policy(READS_BODY), asked, Reads.BODY) is None


def test_under_observe_it_is_what_will_be_enforced() -> None:
    head = "version: 1\nprofile: observe\nobserve_until: 2026-12-31\n"
    observing = policy(f"{head}rules:\n- {{id: a, effect: allow, op: {{risk: [read]}}}}")
    assert observing.decide(request("CreateMonitor")).permitted
    assert judge(observing, request("CreateMonitor"), Holding()).decision.effect is Effect.DENY
    assert judge(observing, request("GetMonitor"), Holding()).decision.rule == "a"


@pytest.mark.parametrize(
    ("rule", "reads"),
    [
        ("- {id: a, effect: allow}", False),
        ("- {id: a, effect: allow, who: {claims: {team: x}}}", True),
        ("- {id: a, effect: allow, when: 'identity.claims.team == \"x\"'}", True),
    ],
)
def test_whether_rules_look_at_claims(rule: str, reads: bool) -> None:
    assert reads_claims(policy(rule)) is reads


ALLOW, DENY, APPROVE = Effect.ALLOW, Effect.DENY, Effect.REQUIRE_APPROVAL


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (ALLOW, ALLOW, None),
        (DENY, DENY, None),
        (ALLOW, DENY, Change.DENIED),
        (ALLOW, APPROVE, Change.ASKED),
        (DENY, ALLOW, Change.PERMITTED),
        (APPROVE, ALLOW, Change.PERMITTED),
        (DENY, APPROVE, Change.OTHER_REFUSAL),
        (APPROVE, DENY, Change.OTHER_REFUSAL),
    ],
)
def test_changes_by_effect(old: Effect, new: Effect, expected: Change | None) -> None:
    assert change(Said(old, "r", ""), Said(new, "s", "")) is expected


def test_obligations_are_compared_where_both_are_known() -> None:
    one = Said(ALLOW, "r", "", ("default", Masks(), Masks(), (), Recording.FULL))
    other = replace(one, obligations=("readonly", Masks(), Masks(), (), Recording.FULL))
    unstored = replace(one, obligations=("default", Masks(), Masks(), (), Recording.HASH))
    assert change(one, other) is Change.OBLIGATIONS
    assert change(one, unstored) is Change.OBLIGATIONS
    assert change(one, one) is None
    assert change(replace(one, obligations=None), other) is None
    assert change(replace(one, effect=DENY), replace(other, effect=DENY)) is None


def test_a_comparison_counts_by_rule_and_by_identity() -> None:
    policy_set = policy("- {id: a, effect: allow, op: {risk: [read]}}\n- {id: s, effect: deny, mode: shadow}")
    comparison = Comparison()
    for number, (name, subject, ran) in enumerate(
        [("GetMonitor", "x", True), ("CreateMonitor", "x", True), ("CreateMonitor", "y", False)]
    ):
        asked = request(name, principal("agents", subject=subject), at=float(number))
        decision = policy_set.decide(asked)
        comparison.add(str(number), asked, Said(ALLOW, "old", ""), decision, ran=ran, masked=False)
    comparison.add_unjudged("3", request("GetMonitor"), "why", ran=True)
    assert (comparison.calls, comparison.judged) == (4, 3)
    ((shift, tally),) = comparison.shifts.items()
    assert (shift.change, shift.old, shift.new) == (Change.DENIED, "allow old", "deny no_rule")
    assert (tally.calls, tally.ran, tally.examples, tally.first, tally.last) == (2, 1, ["1", "2"], 1.0, 2.0)
    assert comparison.would_stop([Change.DENIED]) == 1
    assert comparison.total(*Change) == 2
    assert {name: dict(counts) for name, counts in comparison.by_identity.items()} == {
        "x (https://issuer)": {Change.DENIED: 1},
        "y (https://issuer)": {Change.DENIED: 1},
    }
    assert comparison.shadow == {("s", "match"): 3}
    assert comparison.unjudged["why"].calls == 1


@given(st.sampled_from(Effect), st.sampled_from(Effect))
def test_what_becomes_no_permission_is_never_called_one(old: Effect, new: Effect) -> None:
    found = change(Said(old, None, ""), Said(new, None, ""))
    assert (found in {Change.DENIED, Change.ASKED}) is (old is ALLOW and new is not ALLOW)
    assert (found is Change.PERMITTED) is (old is not ALLOW and new is ALLOW)
