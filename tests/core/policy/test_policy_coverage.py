from __future__ import annotations

import pytest

from addons.core.policy.coverage import RuleCoverage, coverage
from tests.core.policy.policy_making import policy

RULES = """version: 1
rules:
  - id: monitors
    effect: allow
    who: {groups: [sre]}
    op: {name: [CreateMonitor]}
    http: {size: "<=1KiB"}
"""


def covered(text: str) -> dict[str, RuleCoverage]:
    return {each.rule: each for each in coverage(policy(text))}


def of(given: str, *more: str) -> RuleCoverage:
    tests = "".join(
        f"  - {{name: t{n}, given: {one}, expect: {{effect: allow}}}}\n"
        for n, one in enumerate((given, *more))
    )
    return covered(RULES + "tests:\n" + tests)["monitors"]


HIT = "{who: {groups: [sre]}, op: CreateMonitor}"


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ("{who: {groups: [interns]}, op: CreateMonitor}", "who.groups"),
        ("{who: {groups: [sre]}, op: GetMonitor}", "op"),
        ("{who: {groups: [sre]}, op: CreateMonitor, size: 2KiB}", "http.size"),
    ],
)
def test_a_call_that_one_field_keeps_out_is_a_near_miss(given: str, field: str) -> None:
    rule = of(HIT, given)
    assert [trial.name for trial in rule.hits] == ["t0"]
    assert [(trial.name, varied) for trial, varied in rule.near_misses] == [("t1", field)]
    assert rule.is_complete
    assert rule.problems() == ()


def test_a_call_that_two_fields_keep_out_is_none() -> None:
    rule = of(HIT, "{who: {groups: [interns]}, op: GetMonitor}")
    assert rule.near_misses == ()
    (problem,) = rule.problems()
    assert str(problem) == (
        "0.yaml:3:9: the rule 'monitors' has no near miss: no test makes a call that one field keeps out "
        "(copy 't0' in line 9, and change op or who.groups or http.size)"
    )


def test_without_a_hit_the_nearest_test_is_named() -> None:
    rule = of("{op: GetMonitor}", "{who: {groups: [interns]}, op: CreateMonitor}")
    (problem,) = rule.problems()
    assert problem.remedy == "the nearest, 't1' in line 10, differs in who.groups"


def test_without_any_test_both_are_missing() -> None:
    rule = covered(RULES)["monitors"]
    assert [problem.remedy for problem in rule.problems()] == [
        "add one under tests:",
        "take one that it fits, and change op or who.groups or http.size",
    ]


def test_a_rule_without_conditions_needs_no_near_miss() -> None:
    text = "version: 1\nrules: [{id: a, effect: allow}]\ntests:\n"
    test = "  - {name: t, given: {op: GetMonitor}, expect: {effect: allow}}\n"
    assert covered(text + test)["a"].is_complete
    unknown = test.replace("GetMonitor", "unknown").replace("allow", "deny")
    assert covered(text + test + unknown)["a"].near_misses == ()


def test_what_a_call_leaves_open_denies_and_is_no_hit() -> None:
    text = """version: 1
rules: [{id: a, effect: deny, who: {groups: [x]}, op: {name: DeleteMonitor}}]
tests:
  - {name: nobody, given: {op: DeleteMonitor}, expect: {effect: deny, rule: a}}
  - {name: nothing known, given: {who: {groups: [x]}, op: unknown}, expect: {effect: deny, rule: a}}
"""
    rule = covered(text)["a"]
    assert rule.hits == ()
    assert rule.near_misses == ()
    assert all(outcome.passed for outcome in policy(text).run_tests())


def test_a_shadow_rule_is_tried_as_well() -> None:
    rule = covered("version: 1\nrules: [{id: a, effect: deny, mode: shadow, op: {risk: read}}]\n")["a"]
    assert rule.shadow
    assert not rule.is_complete


def test_a_target_that_a_test_leaves_out_makes_no_hit() -> None:
    text = """version: 1
rules: [{id: a, effect: deny, op: {name: DeleteMonitor}, target: {type: metric}}]
tests:
  - {name: unread, given: {op: DeleteMonitor}, expect: {effect: deny}}
  - {name: read, given: {op: DeleteMonitor, target: {type: metric}}, expect: {effect: deny}}
  - {name: other, given: {op: DeleteMonitor, target: {type: log}}, expect: {effect: deny}}
"""
    rule = covered(text)["a"]
    assert [trial.name for trial in rule.hits] == ["read"]
    assert [(trial.name, field) for trial, field in rule.near_misses] == [("other", "target.type")]


def test_tests_of_one_file_try_the_rules_of_another_and_rules_come_in_the_order_of_files() -> None:
    one = "  - {id: z, effect: allow, op: {risk: read}}\n  - {id: b, effect: allow, op: {risk: write}}\n"
    other = """version: 1
rules: [{id: a, effect: deny, op: {risk: ingest}}]
tests: [{name: t, given: {op: GetMonitor}, expect: {effect: allow}}]
"""
    found = coverage(policy(one, other))
    assert [each.rule for each in found] == ["z", "b", "a"]
    assert [bool(each.hits) for each in found] == [True, False, False]
