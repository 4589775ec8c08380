"""A bad file is refused with its line and column; a good one runs its own tests."""

from __future__ import annotations

import pytest

from addons.core.model import Effect
from addons.core.policy import PolicySet
from addons.core.yaml_source import ProblemsError
from tests.core.policy.policy_making import CATALOGUE, policy

HEAD = "version: 1\nrules:\n  - id: a\n    effect: allow\n"


def problems(*texts: str) -> list[str]:
    with pytest.raises(ProblemsError) as raised:
        PolicySet.from_files([(f"{n}.yaml", text) for n, text in enumerate(texts)], CATALOGUE)
    return [str(problem) for problem in raised.value.problems]


@pytest.mark.parametrize(
    ("line", "position", "words"),
    [
        (
            "op: {name: [GetMonitr]}",
            "5:17",
            "no operation is called 'GetMonitr' (did you mean 'GetMonitor'?)",
        ),
        ("op: {name: [GetMonitor, 'Zz*']}", "5:29", "'Zz*'"),
        ("op: {tags: [montors]}", "5:17", "did you mean 'monitors'?"),
        ("op: {risk: [raed]}", "5:17", "did you mean 'read'?"),
        ("op: {version: v3}", "5:19", "no version is called 'v3'"),
        ("op: {name: [GetMonitor], risk: [write]}", "5:9", "never matches"),
        ("op: {}", "5:9", "names no operation"),
        ("op: {name: []}", "5:16", "must not be empty"),
        ("op: {name: GetMonitor}\n    http: {method: POST}", "6:20", "never matches"),
        ("http: {method: GTE}", "5:20", "did you mean 'GET'?"),
        ("http: {path: api/v1}", "5:18", "does not begin with '/'"),
        ("http: {path: /api/v**}", "5:18", "whole segment"),
        ("http: {path: /api/../x}", "5:18", "normal form"),
        ("http: {size: 64KiB}", "5:18", "not a test of a size"),
        ("http: {query: {f: {is: 5}}}", "5:23", "always text"),
        ("http: {query: {f: 5}}", "5:23", "must be a list"),
        ("http: {query: {f: a, F: b}}", "5:23", "in another case"),
        ("http: {query: {f: {absent: true, iz: a}}}", "5:38", "one of absent, in, is"),
        ("who: {groups: [lists.prd]}", "5:20", "no list is called 'prd'"),
        ("whom: {groups: [a]}", "5:5", "did you mean 'who'?"),
        ("when: 'true'", "5:5", "unknown key 'when'"),
        ("mask: {response: {detect: [secret]}}", "5:32", "did you mean 'secrets'?"),
        ("record: none", "5:13", "record"),
        ("approval: {need: [{group: g}]}", "3:5", "no effect here"),
        ("effect: deny", "5:5", "stands twice; first in line 4"),
    ],
)
def test_a_problem_is_named_with_line_column_and_remedy(line: str, position: str, words: str) -> None:
    found = problems(f"{HEAD}    {line}\n")
    assert any(each.startswith(f"0.yaml:{position}: ") and words in each for each in found), found


def test_all_problems_of_all_files_are_listed() -> None:
    bad = HEAD.replace("allow", "alow") + "    op: {risk: [raed]}\n"
    found = problems(
        bad,
        HEAD + "    op: {name: [A], tags: [b]}\n    colour: red\n",
        "a: [\n",
        HEAD + "    op: {risk: [x]}",
    )
    assert [each.split(":")[0] for each in found] == ["0.yaml", "1.yaml", "2.yaml", "3.yaml"]
    two = problems(HEAD + "    op: {name: [Aaa], tags: [bbb], risk: [ccc]}\n")
    assert len(two) == 3


def test_an_id_is_unique_over_all_files() -> None:
    (found,) = problems(HEAD, HEAD)
    assert found.startswith("1.yaml:3:9: ")
    assert "0.yaml:3:9" in found


@pytest.mark.parametrize("line", ["credential: ro", "mask: {forward: {detect: [pii]}}", "record: full"])
def test_a_deny_rule_takes_nothing_that_it_could_not_do(line: str) -> None:
    assert problems(HEAD.replace("allow", "deny") + f"    {line}\n")


def test_an_approval_rule_names_who_may_approve() -> None:
    (found,) = problems(HEAD.replace("allow", "require_approval"))
    assert "who may approve" in found
    full = """    approval:
      need: [{group: sre-leads, count: 1}, {group: secops, count: 2}]
      reason: required
      ttl: {pending: 30m, grant: 10m}
      hold: 5m
      break_glass: {group: commanders, review_within: 24h}
"""
    (rule,) = policy(HEAD.replace("allow", "require_approval") + full).rules
    assert rule.approval is not None
    assert [(need.group, need.count) for need in rule.approval.need] == [("sre-leads", 1), ("secops", 2)]
    assert (rule.approval.ttl.grant, rule.approval.hold) == (600, 300)


def test_the_only_default_is_deny() -> None:
    assert problems("version: 1\ndefaults: {effect: allow}\n")
    assert policy("version: 1\ndefaults: {effect: deny}\n").rules == ()


TESTED = """version: 1
rules:
  - {id: read, effect: allow, who: {groups: [agents]}, op: {risk: [read]}, credential: ro}
tests:
  - name: agents read
    given: {who: {groups: [agents]}, op: GetMonitor}
    expect: {effect: allow, rule: read, credential: ro}
  - name: wrong on purpose
    given: {op: GetMonitor}
    expect: {effect: allow}
  - name: what is unknown is denied
    given: {who: {groups: [agents]}, op: unknown}
    expect: {effect: deny, reason: no_rule}
"""


def test_a_files_own_tests_are_run_and_a_failure_says_what_came() -> None:
    outcomes = policy(TESTED).run_tests()
    assert [outcome.passed for outcome in outcomes] == [True, False, True]
    failed = outcomes[1]
    assert str(failed.position) == "0.yaml:8:5"
    assert "expected allow, got deny (no_rule)" in failed.message
    assert failed.decision.effect is Effect.DENY


@pytest.mark.parametrize(
    ("expectation", "passes"),
    [
        ("{effect: allow, mask: {forward: {detect: [secrets]}}}", True),
        ("{effect: allow, mask: {forward: {detect: [secrets, pii]}}}", False),
        ("{effect: allow, credential: default}", True),
        ("{effect: allow, credential: ro}", False),
        ("{effect: allow, reason: allowed}", True),
    ],
)
def test_a_test_may_expect_masks_credential_and_reason(expectation: str, passes: bool) -> None:
    text = (
        "version: 1\nrules: [{id: a, effect: allow, mask: {forward: {detect: [secrets]}}}]\n"
        f"tests: [{{name: t, given: {{op: GetMonitor}}, expect: {expectation}}}]\n"
    )
    assert [outcome.passed for outcome in policy(text).run_tests()] == [passes]


def test_a_test_that_names_what_is_not_there_is_a_problem() -> None:
    wrong = TESTED.replace("rule: read", "rule: raed").replace(
        "op: GetMonitor}\n    expect: {effect: allow}", "op: CreateDowntime}\n    expect: {effect: allow}"
    )
    found = problems(wrong)
    assert len(found) == 2
    assert "did you mean 'read'?" in found[0]
    assert "v1.CreateDowntime or v2.CreateDowntime" in found[1]
