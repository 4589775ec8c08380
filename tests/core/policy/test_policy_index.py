"""What the index remembers of one call changes nothing for the next."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from addons.core.model import Operation, Reason, Risk
from addons.core.policy.request import PolicyRequest
from tests.core.policy.policy_making import policy, principal, request
from tests.core.policy.test_policy_properties import Rule, made, named, requests, rules


@settings(max_examples=100, deadline=None)
@given(st.lists(rules(), max_size=6), st.lists(requests(), min_size=2, max_size=5))
def test_a_decision_does_not_depend_on_the_calls_before_it(
    found: list[Rule], asked: list[PolicyRequest]
) -> None:
    used = made([named(found)])
    for each in asked * 2:
        fresh = made([named(found)])
        assert used.wants(each) == fresh.wants(each)
        assert used.decide(each) == fresh.decide(each)


@settings(max_examples=100, deadline=None)
@given(st.lists(rules(), max_size=6), requests())
def test_a_decision_names_the_rules_whose_every_field_fits(found: list[Rule], asked: PolicyRequest) -> None:
    """The explanation evaluates every rule in full; the decision only what the index left open."""
    explained = made([named(found)]).explain(asked)
    fitting = {trace.rule for trace in explained.rules if trace.fits and not trace.shadow}
    assert fitting <= set(explained.decision.rules)
    shadows = {trace.rule for trace in explained.rules if trace.fits and trace.shadow}
    assert shadows == {hit.rule for hit in explained.decision.shadow if not hit.is_error}


SEGMENTS = st.sampled_from(["api", "v1", "v2", "monitor", "a%40b", "a@b", "*", "1"])
PATHS = st.lists(SEGMENTS, max_size=5).map(lambda parts: "/" + "/".join(parts))
GLOBS = st.lists(SEGMENTS | st.sampled_from(["**", "v*", "?"]), max_size=5).map(
    lambda parts: "/" + "/".join(parts)
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.lists(GLOBS | st.just("**/1"), min_size=1, max_size=3), max_size=6), PATHS, st.booleans())
def test_no_rule_is_passed_over_for_its_path(found: list[list[str]], path: str, ends_in_slash: bool) -> None:
    made_of: list[Rule] = [
        {"id": f"r{n}", "effect": "allow", "http": {"path": globs}} for n, globs in enumerate(found)
    ]
    path += "/" if ends_in_slash else ""
    explained = made([made_of]).explain(request(path=path))
    assert [trace.rule for trace in explained.rules if trace.fits] == list(explained.decision.rules)


def test_a_body_weighs_as_much_as_the_rules_that_may_read_it() -> None:
    found = policy("""
- {id: allow, effect: allow}
- {id: a, effect: deny, op: {name: CreateMonitor}, body: {a: x, b: x}}
- {id: b, effect: deny, op: {name: DeleteMonitor}, when: "body.a == 'x'"}
- {id: c, effect: deny, op: {name: SubmitLog}, when: "body.a.exists(a, body.b.exists(b, a + b == 'x'))"}
""")
    names = ("GetMonitor", "CreateMonitor", "DeleteMonitor", "SubmitLog")
    none, matchers, expression, loops = (found.body_weight(request(name)) for name in names)
    assert none == 0
    assert matchers == 2
    assert matchers < expression < loops


def test_the_limits_of_a_call_are_counted_under_its_own_key() -> None:
    limits = {"mine": {"key": ["identity.subject"], "rate": "3/1m"}}
    allow = {"id": "a", "effect": "allow", "limit": "mine"}
    found = policy(f"version: 1\nlimits: {json.dumps(limits)}\nrules: [{json.dumps(allow)}]")
    keys = [
        found.decide(request(who=principal("agents", subject=who))).limits[0].key
        for who in ("alice", "bob", "alice")
    ]
    assert keys[0] == keys[2] != keys[1]


def test_a_call_whose_limit_can_t_be_told_has_no_other_denied() -> None:
    limits = {"teams": {"key": ["identity.claims.team"], "rate": "3/1m"}}
    allow = {"id": "a", "effect": "allow", "limit": "teams"}
    found = policy(f"version: 1\nlimits: {json.dumps(limits)}\nrules: [{json.dumps(allow)}]")
    unclear = found.decide(request(who=principal("agents", claims={"team": ["a", "b"]})))
    clear = found.decide(request(who=principal("agents", claims={"team": "a"})))
    assert unclear.reason is Reason.POLICY_ERROR
    assert clear.permitted
    assert clear.limits[0].key


def test_an_operation_that_is_in_no_catalogue_is_told_by_its_name_and_decided_as_unknown() -> None:
    found = policy("- {id: a, effect: allow, op: {name: GetMonitor}}")
    stray = Operation("Stray", "v9", "GET", "/api/v9/stray", ("stray",), Risk.READ)
    unknown = found.decide(request(None))
    other = found.decide(
        PolicyRequest(principal("agents"), stray, "api.datadoghq.com", "GET", "/api/v9/stray")
    )
    assert unknown.reason is other.reason
    assert "Stray" in other.message
    assert "Stray" not in found.decide(request(None)).message


def test_groups_that_are_lacking_stay_so_beside_a_condition_that_fits() -> None:
    """Somebody without groups is not offered what the rule names a group for."""
    rules = "- {id: a, effect: require_approval, who: {groups: [x]}, http: {method: GET}, %s}"
    found = policy(rules % "approval: {need: [{group: leads}]}")
    assert found.decide(request(who=principal())).reason is Reason.NO_RULE
    assert found.decide(request(who=principal("x"))).reason is Reason.APPROVAL_REQUIRED
