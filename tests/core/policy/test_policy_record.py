"""`record: hash`: of which calls no body is stored."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from addons.core.model import Effect, Reason
from addons.core.policy.backtesting import Change, Said, change
from addons.core.policy.explaining import RuleTrace
from addons.core.policy.request import Decision, PolicyRequest, Recording, Seen, Unreadable
from addons.core.yaml_source import ProblemsError
from tests.core.policy.policy_making import decide, policy, request
from tests.core.policy.test_policy_properties import Rule, made, named, requests, rules

ASK = "effect: require_approval, approval: {need: [{group: leads}]}"
HASH = "{id: h, effect: allow, record: hash}"
PLAIN = "{id: p, effect: allow}"
FULL = "{id: f, effect: allow, record: full}"


def listed(*each: str) -> str:
    return "\n".join(f"- {rule}" for rule in each)


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ((PLAIN,), Recording.FULL),
        ((FULL,), Recording.FULL),
        ((HASH,), Recording.HASH),
        ((HASH, PLAIN), Recording.HASH),
        ((HASH, HASH.replace("id: h", "id: i")), Recording.HASH),
        ((HASH, PLAIN, FULL), Recording.FULL),
        # what doesn't fit has no say, nor what is only tried
        ((PLAIN, "{id: h, effect: allow, record: hash, who: {groups: [others]}}"), Recording.FULL),
        ((HASH, "{id: f, effect: allow, record: full, who: {groups: [others]}}"), Recording.HASH),
        ((PLAIN, "{id: h, effect: allow, record: hash, mode: shadow}"), Recording.FULL),
        ((HASH, "{id: f, effect: allow, record: full, mode: shadow}"), Recording.HASH),
        ((HASH, "{id: d, effect: deny, mode: shadow}"), Recording.HASH),
        # by what the body says
        ((HASH, "{id: f, effect: allow, record: full, when: 'body.a == 1'}"), Recording.FULL),
        ((HASH, "{id: f, effect: allow, record: full, when: 'body.a == 2'}"), Recording.HASH),
        # an error is no match in an allow rule, and leaves nothing out of the record all the same
        ((HASH, "{id: f, effect: allow, record: full, when: 'body.b == 1'}"), Recording.FULL),
        ((PLAIN, "{id: h, effect: allow, record: hash, when: 'body.b == 1'}"), Recording.FULL),
        ((HASH, "{id: p, effect: allow, when: 'body.b == 1'}"), Recording.HASH),
        ((HASH, "{id: f, effect: allow, record: full, mode: shadow, when: 'body.b == 1'}"), Recording.HASH),
    ],
)
def test_a_call_that_passes_is_recorded_as_its_allow_rules_say(
    rules: tuple[str, ...], expected: Recording
) -> None:
    for order in (rules, tuple(reversed(rules))):
        decision = decide(listed(*order), request(body=Seen({"a": 1})))
        assert decision.permitted
        assert decision.record is expected


@pytest.mark.parametrize(
    ("rules", "effect", "reason"),
    [
        ((HASH, "{id: d, effect: deny}"), Effect.DENY, Reason.DENIED_BY_RULE),
        ((HASH, "{id: d, effect: deny, when: 'body.b == 1'}"), Effect.DENY, Reason.POLICY_ERROR),
        ((HASH, "{id: d, effect: allow, target: {a: x}}"), Effect.DENY, Reason.TARGET_UNREADABLE),
        (
            ("{id: a, effect: allow, record: hash, credential: x}", "{id: b, effect: allow, credential: y}"),
            Effect.DENY,
            Reason.AMBIGUOUS_CREDENTIAL,
        ),
        ((HASH, f"{{id: q, {ASK}}}"), Effect.REQUIRE_APPROVAL, Reason.APPROVAL_REQUIRED),
        # it could not be told whom it is for, and so it asks
        (
            (HASH, f"{{id: q, {ASK}, who: {{on_behalf_of: x}}}}"),
            Effect.REQUIRE_APPROVAL,
            Reason.APPROVAL_REQUIRED,
        ),
    ],
)
def test_what_is_denied_or_needs_an_approval_is_recorded_whole(
    rules: tuple[str, ...], effect: Effect, reason: Reason
) -> None:
    decision = decide(listed(*rules), request(body=Seen({}), target=Unreadable("no answer")))
    assert (decision.effect, decision.reason) == (effect, reason)
    assert decision.record is Recording.FULL


def observing(*rules: str) -> Decision:
    text = "version: 1\nprofile: observe\nobserve_until: 2026-12-31\nrules:\n"
    return policy(text + listed(*rules)).decide(request(at=1.0))


def test_under_observing_a_withheld_deny_is_recorded_whole_and_a_withheld_allow_as_it_says() -> None:
    for restricted in (
        (HASH, "{id: d, effect: deny}"),
        (HASH, f"{{id: q, {ASK}}}"),
        (HASH.replace("allow,", "allow, who: {groups: [x]},"),),
    ):
        decision = observing(*restricted)
        assert decision.permitted
        assert decision.withheld is not None
        assert not decision.withheld.permitted
        assert decision.record is Recording.FULL
    assert observing(HASH).record is Recording.HASH


@pytest.mark.parametrize("effect", ["effect: deny", ASK])
@pytest.mark.parametrize("record", ["hash", "full"])
def test_record_is_refused_where_it_could_have_no_effect(effect: str, record: str) -> None:
    with pytest.raises(ProblemsError, match=r"in allow rules alone.*\n?.*recorded in full"):
        policy(f"- {{id: r, {effect}, record: {record}}}")


def test_the_revision_tells_how_calls_are_recorded() -> None:
    revisions = {policy(listed(rule)).revision for rule in (HASH, PLAIN, FULL)} | {
        policy(listed(HASH.replace("id: h", "id: p"))).revision,
        policy(listed(FULL.replace("id: f", "id: p"))).revision,
    }
    assert len(revisions) == 5


def test_a_rules_own_test_can_say_how_a_call_is_recorded() -> None:
    text = f"version: 1\nrules: [{HASH}]\ntests:\n"
    for expected in ("hash", "full"):
        text += f"  - {{name: {expected}, given: {{op: SubmitLog}}, "
        text += f"expect: {{effect: allow, record: {expected}}}}}\n"
    right, wrong = policy(text).run_tests()
    assert right.passed, right.message
    assert not wrong.passed
    assert "expected to be recorded as full, got hash" in wrong.message


def by_errors(traces: tuple[RuleTrace, ...]) -> set[str]:
    return {trace.rule for trace in traces if trace.errors and not trace.misses and not trace.shadow}


@settings(max_examples=150, deadline=None)
@given(st.lists(rules(effects=("allow", "allow", "deny", "require_approval")), max_size=6), requests())
def test_bodies_are_left_out_only_where_a_matching_rule_says_so_and_none_that_may_match_says_otherwise(
    found: list[Rule], asked: PolicyRequest
) -> None:
    rules_ = made([named(found)])
    decision, said = rules_.decide(asked), {rule.id: rule.record for rule in rules_.rules}
    matching = {said[rule] for rule in decision.rules}
    if decision.record is Recording.HASH:
        assert decision.permitted
        assert Recording.HASH in matching
        assert Recording.FULL not in matching | {
            said[rule] for rule in by_errors(rules_.explain(asked).rules)
        }
    elif decision.permitted and Recording.HASH in matching:
        assert Recording.FULL in said.values()


def test_a_backtest_tells_what_would_no_longer_be_stored() -> None:
    plain, unstored = (
        Said.by(decide(f"- {{id: r, effect: allow{more}}}")) for more in ("", ", record: hash")
    )
    assert change(plain, unstored) is Change.OBLIGATIONS
    assert change(unstored, unstored) is None
