"""What rules bring along, and the two ways of not enforcing: shadow rules, and a policy that observes."""

from __future__ import annotations

from typing import Any

import pytest

from addons.core.model import Effect, Reason
from addons.core.policy.request import Allowance, LogLevel, Masks, Seen, ShadowHit, Unreadable
from tests.core.policy.policy_making import decide, policy, principal, request

ASK = "approval: {need: [{group: leads}]}"


def test_a_shadow_rule_is_told_and_not_enforced() -> None:
    rules = """
- {id: all, effect: allow}
- {id: s-deny, effect: deny, mode: shadow, op: {name: GetMonitor}}
- {id: s-error, effect: deny, mode: shadow, when: 'body.a == 1'}
- {id: s-allow, effect: allow, mode: shadow, credential: x, mask: {response: {detect: [pii]}}, log: warning}
- {id: s-not, effect: deny, mode: shadow, op: {name: DeleteMonitor, absent: false}}
"""
    decision = decide(rules, request(body=Seen({})))
    assert decision.permitted
    assert decision.rules == ("all",)
    assert (decision.credential, decision.mask_response, decision.log) == (None, Masks(), None)
    assert decision.shadow == (
        ShadowHit("s-allow", Effect.ALLOW),
        ShadowHit("s-deny", Effect.DENY),
        ShadowHit("s-error", Effect.DENY, is_error=True),
    )


@pytest.mark.parametrize("matcher", ["body: {a: x}", "target: {a: x}", "when: 'body.a == 1'"])
def test_a_shadow_rule_that_can_not_read_denies_nothing(matcher: str) -> None:
    rules = f"- {{id: all, effect: allow}}\n- {{id: s, effect: deny, mode: shadow, {matcher}}}"
    decision = decide(rules, request(body=Unreadable("no JSON"), target=Unreadable("no answer")))
    assert decision.permitted
    assert decision.shadow == (ShadowHit("s", Effect.DENY, is_error=True),)


def test_a_shadow_allow_rule_allows_nothing() -> None:
    decision = decide("- {id: s, effect: allow, mode: shadow}")
    assert decision.reason is Reason.NO_RULE
    assert decision.shadow == (ShadowHit("s", Effect.ALLOW),)


OBSERVING = """version: 1
profile: observe
observe_until: 2026-12-31
rules:
  - {id: read, effect: allow, op: {risk: [read]}, mask: {response: {detect: [secrets]}}}
  - {id: no, effect: deny, op: {name: DeleteMonitor, absent: false}}
"""
BEFORE, AFTER = 1_798_675_199.0, 1_798_675_200.0  # the last second of 2026-12-30, and the next


@pytest.mark.parametrize(
    ("name", "withheld", "rule"),
    [
        ("GetMonitor", Effect.ALLOW, "read"),
        ("DeleteMonitor", Effect.DENY, "no"),
        ("CreateMonitor", Effect.DENY, None),
        (None, Effect.DENY, None),
    ],
)
def test_observing_lets_pass_tells_the_verdict_and_ends_on_its_date(
    name: str | None, withheld: Effect, rule: str | None
) -> None:
    found = policy(OBSERVING)
    decision = found.decide(request(name, at=BEFORE))
    assert decision.permitted
    assert (decision.effect, decision.reason) == (Effect.ALLOW, Reason.OBSERVED)
    assert decision.withheld is not None
    assert (decision.withheld.effect, decision.withheld.rule) == (withheld, rule)
    enforced = found.decide(request(name, at=AFTER))
    assert enforced == decision.withheld
    assert enforced.permitted is (withheld is Effect.ALLOW)


def test_observing_keeps_masks_and_credential() -> None:
    text = f"""version: 1
profile: observe
observe_until: 2026-12-31
rules:
  - id: ask
    effect: require_approval
    {ASK}
    credential: readonly
    mask: {{forward: {{detect: [secrets]}}, response: {{json: ["$.a"]}}}}
"""
    decision = policy(text).decide(request(at=BEFORE))
    assert decision.permitted
    assert decision.credential == "readonly"
    assert decision.mask_forward == Masks(frozenset({"secrets"}))
    assert decision.mask_response == Masks(json=frozenset({"$.a"}))


def test_observing_in_one_file_is_observing_in_all_until_the_earliest_end() -> None:
    plain = "version: 1\nrules: [{id: r, effect: deny}]\n"
    later = OBSERVING.replace("12-31", "12-31T12:00:00+00:00").replace("id: ", "id: x-")
    for files in ((plain, OBSERVING, later), (later, OBSERVING, plain)):
        assert policy(*files).decide(request(at=BEFORE)).permitted
        assert not policy(*files).decide(request(at=AFTER)).permitted


def test_masks_limits_and_the_loudest_log_level_of_all_matches_add_up() -> None:
    text = f"""version: 1
limits:
  writes: {{key: [identity.subject], rate: 30/1m, quota: 500/1d}}
  all: {{key: [op.name, host], rate: 5/1s}}
rules:
  - {{id: a, effect: allow, limit: writes, log: info, mask: {{response: {{json: ["$.a"], detect: [pii]}}}}}}
  - id: b
    effect: require_approval
    {ASK}
    limit: [all, writes]
    log: warning
    mask: {{response: {{detect: [secrets]}}}}
  - {{id: c, effect: allow, who: {{groups: [other]}}, limit: all, mask: {{forward: {{detect: [pii]}}}}}}
"""
    decision = policy(text).decide(request())
    assert decision.effect is Effect.REQUIRE_APPROVAL
    assert decision.mask_response == Masks(frozenset({"pii", "secrets"}), frozenset({"$.a"}))
    assert not decision.mask_forward
    assert decision.log is LogLevel.WARNING
    first, second = decision.limits
    assert (first.name, first.rate, first.quota) == ("all", Allowance(5, 1.0), None)
    assert (second.name, second.rate, second.quota) == (
        "writes",
        Allowance(30, 60.0),
        Allowance(500, 86400.0),
    )
    assert "alice" in second.key
    assert "GetMonitor" in first.key


def test_a_limit_whose_key_can_not_be_told_denies() -> None:
    text = """version: 1
limits: {team: {key: identity.claims.team, rate: 1/1m}}
rules: [{id: a, effect: allow, limit: team}]
"""

    def asked(claims: dict[str, Any]) -> Reason:
        return policy(text).decide(request(who=principal("agents", claims=claims))).reason

    assert asked({"team": "blue"}) is Reason.ALLOWED
    assert asked({"team": {"odd": 1}}) is Reason.POLICY_ERROR


@pytest.mark.parametrize(
    ("at", "permitted"),
    [
        ("2026-03-02T08:00:00+01:00", True),  # a Monday
        ("2026-03-02T17:59:59+01:00", True),
        ("2026-03-02T18:00:00+01:00", False),
        ("2026-03-02T07:59:59+01:00", False),
        ("2026-03-01T12:00:00+01:00", False),
        ("2026-07-06T08:00:00+02:00", True),  # in summer the clock on the wall is another
        ("2026-07-06T07:30:00+02:00", False),
    ],
)
def test_a_rule_holds_by_the_clock_on_the_wall(at: str, permitted: bool) -> None:
    text = f"""version: 1
rules:
  - {{id: a, effect: allow, time: {{zone: Europe/Paris, days: mon-fri, hours: "08:00-18:00"}}}}
tests:
  - {{name: t, given: {{op: GetMonitor, at: {at}}}, expect: {{effect: {"allow" if permitted else "deny"}}}}}
"""
    (outcome,) = policy(text).run_tests()
    assert outcome.passed, outcome.message


def test_tests_say_body_target_limits_and_shadow() -> None:
    text = """version: 1
limits: {l: {rate: 1/1m}}
rules:
  - {id: a, effect: allow, limit: l, log: info}
  - {id: s, effect: deny, mode: shadow, op: {name: DeleteMonitor, absent: false}, target: {tags: {any: [x]}}}
  - {id: d, effect: deny, op: {name: DeleteMonitor, absent: false}, body: {force: {is: true, absent: false}}}
tests:
  - name: all of it
    given: {op: DeleteMonitor, body: {force: false}, target: {tags: [x]}}
    expect: {effect: allow, limits: [l], shadow: [s], log: info}
  - name: the wrong way round
    given: {op: DeleteMonitor, body: {force: true}, target: {tags: [y]}}
    expect: {effect: allow, limits: [], shadow: [s], log: warning}
"""
    right, wrong = policy(text).run_tests()
    assert right.passed, right.message
    for word in ("expected allow, got deny", "expected the shadow rules s, got none", "logged as warning"):
        assert word in wrong.message
