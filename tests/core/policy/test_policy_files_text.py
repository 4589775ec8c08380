"""A bad file is refused with its line and column; a good one runs its own tests."""

from __future__ import annotations

import pytest

from addons.core.approvals.needs import BreakGlass, Needs
from addons.core.model import Effect
from addons.core.policy.policy_set import PolicySet
from addons.core.yaml_source import ProblemsError
from tests.core.policy.policy_making import CATALOGUE, policy, principal, request

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
        ("op: {name: GetMonitor}\n    http: {path: /api/v2/**}", "6:18", "other paths"),
        ("http: {host: nowhere.example.com}", "5:18", "no host of Datadog's"),
        ("http: {host: '*.datadoghq.con'}", "5:18", "no host of Datadog's"),
        ("http: {size: 64KiB}", "5:18", "not a test of a size"),
        ("http: {query: {f: {is: 5}}}", "5:23", "always text"),
        ("http: {query: {f: 5}}", "5:23", "must be a text or a list"),
        ("http: {query: {f: a, F: b}}", "5:23", "in another case"),
        ("http: {query: {f: {absent: true, iz: a}}}", "5:38", "one of absent, in, is"),
        ("who: {groups: [lists.prd]}", "5:20", "no list is called 'prd'"),
        ("whom: {groups: [a]}", "5:5", "did you mean 'who'?"),
        ("wen: 'true'", "5:5", "did you mean 'when'?"),
        ("mask: {response: {detect: [secret]}}", "5:32", "did you mean 'secrets'?"),
        ("mask: {response: {json: ['data.x']}}", "5:30", "begin with $"),
        ("mask: {response: {}}", "5:22", "masks nothing"),
        ("record: hsh", "5:13", "did you mean 'hash'?"),
        # documents
        ("op: {name: CreateMonitor}\n    body: {a..b: x}", "6:12", "a..b"),
        ("op: {name: CreateMonitor}\n    body: {a: {any: [x], is: y}}", "6:15", "keep one test"),
        ("op: {name: CreateMonitor}\n    body: {a: {in: [lists.prd]}}", "6:21", "no list is called 'prd'"),
        ("op: {name: CreateMonitor}\n    body: {a: {any: [lists.prd]}}", "6:22", "no list is called 'prd'"),
        ("op: {name: GetMonitor}\n    body: {a: x}", "6:5", "send no body"),
        ("op: {name: SubmitLog}\n    target: {a: x}", "6:5", "can't be read"),
        ("body: {a: {is: lists.prd}}", "5:20", "in: lists.prd"),
        # what asks nothing
        ("who: {}", "3:5", "who asks nothing"),
        ("http: {query: {}}", "3:5", "http.query asks nothing"),
        ("body: {}", "3:5", "body asks nothing"),
        # expressions, at their place in the file
        ("when: body.a ==", "5:19", "ends too early"),
        ("when: 'nope == 1'", "5:12", "nope"),
        ("when: |-\n      size(body) > 1\n        && nope.x", "7:12", "nope"),
        ("when: 'size(body)'", "5:12", "bool"),
        ("when: 'body.t in lists.prd'", "5:22", "no list is called 'prd'"),
        # time and limits
        ("time: {zone: Europe/Pariss, days: mon}", "5:18", "did you mean 'Europe/Paris'?"),
        ("time: {days: mon-funday}", "5:18", "funday"),
        ("time: {hours: '8-18'}", "5:19", "08:00-18:00"),
        ("time: {zone: UTC}", "5:11", "says nothing"),
        ("limit: writes", "5:12", "no limit is called 'writes'"),
        ("mode: shaddow", "5:11", "did you mean 'shadow'?"),
        ("log: loud", "5:10", "log"),
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


def test_a_mistake_of_form_hides_no_other() -> None:
    text = """version: 1
limits: {w: {key: [identity.subjct], rate: 1/1m}}
rules:
  - {id: a, efect: allow}
  - {id: b, effect: allow, op: {name: GetMonitr}}
  - {id: c, effect: allow, op: {risk: [raed]}}
  - {id: b, effect: deny}
colour: red
tests:
  - {name: t, given: {op: CreateMonitr}, expect: {effect: allow, rule: a}}
"""
    found = problems(text)
    for words in ("'efect'", "'GetMonitr'", "'raed'", "'b' is taken", "'colour'", "subjct", "'CreateMonitr'"):
        assert any(words in each for each in found), (words, found)
    assert [each.split(":")[1] for each in found] == ["2", "4", "5", "6", "7", "8", "10"]


def test_the_order_of_a_list_counts_where_an_expression_can_tell_it() -> None:
    rule = "{id: a, effect: allow, when: 'identity.subject == lists.l[0]'}"
    text = f"version: 1\nlists: {{l: [x, y]}}\nrules: [{rule}]"
    assert policy(text).digest != policy(text.replace("[x, y]", "[y, x]")).digest
    plain = text.replace("when: 'identity.subject == lists.l[0]'", "who: {subject: lists.l}")
    assert policy(plain).digest == policy(plain.replace("[x, y]", "[y, x]")).digest


def test_an_id_is_unique_over_all_files() -> None:
    (found,) = problems(HEAD, HEAD)
    assert found.startswith("1.yaml:3:9: ")
    assert "0.yaml:3:9" in found


@pytest.mark.parametrize("line", ["credential: ro", "mask: {forward: {detect: [pii]}}", "limit: l"])
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
    assert rule.needs == Needs(
        (("secops", 2), ("sre-leads", 1)),
        reason_required=True,
        pending=1800,
        grant=600,
        hold=300,
        break_glass=BreakGlass(("commanders",), 86400),
    )


def test_what_several_rules_need_adds_up_in_the_decision() -> None:
    """Also of a rule that only asks because the call lacks what it names."""
    text = """version: 1
rules:
  - id: a
    effect: require_approval
    who: {groups: [g]}
    approval: {need: [{group: leads}], hold: 1m}
    reason: one
  - {id: b, effect: require_approval, who: {groups: [g]}, approval: {need: [{group: leads}, {group: secops}]}}
  - {id: c, effect: require_approval, who: {on_behalf_of: bob}, approval: {need: [{group: owners}]}}
  - {id: d, effect: allow, who: {groups: [g]}}
"""
    decision = policy(text).decide(request("GetMonitor", who=principal("g")))
    assert (decision.effect, decision.permitted, decision.rule) == (Effect.REQUIRE_APPROVAL, False, "a")
    assert decision.needs is not None
    assert decision.needs.groups == (("leads", 2), ("owners", 1), ("secops", 1))
    assert (decision.needs.hold, decision.asking, decision.why) == (60, ("a", "b", "c"), ("one",))


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


@pytest.mark.parametrize(
    ("text", "position", "words"),
    [
        ("limits: {a: {rate: 30}}", "2:20", "must be text"),
        ("limits: {a: {rate: 0/1m}}", "2:20", "0 calls"),
        ("limits: {a: {key: [identity.subjct], rate: 1/1m}}", "2:20", "did you mean 'identity.subject'?"),
        ("limits: {a: {key: host}}", "2:13", "limits nothing"),
        ("profile: observe", "1:1", "has no end"),
        ("profile: observe\nobserve_until: tomorrow", "3:16", "2026"),
        ("observe_until: 2027-01-01", "1:1", "has no effect here"),
    ],
)
def test_a_problem_of_the_whole_file_is_named_with_its_place(text: str, position: str, words: str) -> None:
    found = problems(f"version: 1\n{text}\n")
    assert any(each.startswith(f"0.yaml:{position}: ") and words in each for each in found), found


def test_a_limit_has_one_name_in_all_files() -> None:
    text = "version: 1\nlimits: {a: {rate: 1/1m}}\n"
    (found,) = problems(text, text)
    assert found.startswith("1.yaml:2:10: the limit 'a' is taken, at 0.yaml:2:10")


def test_a_list_of_another_file_can_be_named_and_ones_own_goes_first() -> None:
    rule = "version: 1\nrules: [{id: r, effect: allow, who: {groups: lists.g}}]\n"
    other = "version: 1\nlists: {g: [agents]}\n"
    assert policy(rule, other).rules[0].canonical == policy(other, rule).rules[0].canonical
    own = f"{rule}lists: {{g: [sre]}}\n"
    assert "sre" in policy(own, other).rules[0].canonical
    (found,) = problems(rule, other, other.replace("agents", "sre"))  # which of the two is meant?
    assert "several other files have a list 'g'" in found


@pytest.mark.parametrize("matcher", ["http: {query: {q: {is: 'x*'}}}", "body: {q: {in: [x, 'y?']}}"])
def test_what_looks_like_a_glob_and_is_none_is_warned_of(matcher: str) -> None:
    (warning,) = policy(f"- {{id: a, effect: deny, {matcher}}}").warnings
    assert "stand for themselves" in warning.message


def test_a_resource_that_some_of_the_operations_do_not_show_is_warned_of() -> None:
    rule = "- {id: a, effect: deny, op: {name: [DeleteMonitor, SubmitLog]}, target: {a: x}}"
    (warning,) = policy(rule).warnings
    assert warning.message == "can't be read of SubmitLog"
    assert policy(rule.replace(", SubmitLog", ", CreateMonitor")).warnings == ()
