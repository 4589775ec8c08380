"""What a rule reads beside the head of a call: fetched only where it matters, and denying where it can't be
read."""

from __future__ import annotations

import pytest

from addons.core.model import Effect, Json, Reason
from addons.core.policy.request import Evidence, PolicyRequest, Reads, Seen, Unreadable
from tests.core.policy.policy_making import decide, policy, principal, request

ASK = "approval: {need: [{group: leads}]}"
DOCUMENT: Json = {
    "type": "metric alert",
    "options": {"notify": False, "level": 2},
    "tags": ["env:prod", "team:a"],
}


def update(body: Evidence | None = None, target: Evidence | None = None) -> PolicyRequest:
    return request("DeleteMonitor", body=body, target=target)


def fit(effect: str, matcher: str, asked: PolicyRequest) -> bool:
    approval = f", {ASK}" if effect == "require_approval" else ""
    return "x" in decide(f"- {{id: x, effect: {effect}, {matcher}{approval}}}", asked).rules


# matcher on the document, and whether an allow, an approval and a deny rule match
MATCHERS = [
    ("{type: metric alert}", True, True, True),
    ("{type: 'metric *'}", True, True, True),
    ("{type: {in: [metric alert, query alert]}}", True, True, True),
    ("{type: log alert}", False, False, False),
    ("{options.notify: {is: false}}", True, True, True),
    ("{options.notify: {is: true}}", False, False, False),
    ("{options.level: {is: 2}}", True, True, True),
    ("{options.level: {is: '2'}}", False, False, False),
    ("{tags: {any: ['env:*']}}", True, True, True),
    ("{tags: {all: ['env:*']}}", False, False, False),
    ("{tags: {none: ['env:dev']}}", True, True, True),
    ("{nope: x}", False, True, True),
    ("{nope: {absent: true}}", True, True, True),
    ("{nope: {absent: false}}", False, False, False),
    ("{options.nope.deep: x}", False, True, True),
]


@pytest.mark.parametrize("where", ["body", "target"])
@pytest.mark.parametrize(("matcher", "allow", "hold", "deny"), MATCHERS)
def test_a_matcher_on_a_document(where: str, matcher: str, allow: bool, hold: bool, deny: bool) -> None:
    asked = update(Seen(DOCUMENT), Seen(DOCUMENT))
    op = "op: {name: DeleteMonitor}"
    found = [
        fit(effect, f"{op}, {where}: {matcher}", asked) for effect in ("allow", "require_approval", "deny")
    ]
    assert found == [allow, hold, deny]


RULES = """
- {id: allow, effect: allow}
- {id: body, effect: deny, op: {name: DeleteMonitor}, who: {groups: [agents]}, body: {a: x}}
- {id: target, effect: deny, op: {name: DeleteMonitor}, body: {b: x}, target: {tags: {any: ['env:prod']}}}
"""


def test_what_no_open_rule_reads_is_not_wanted() -> None:
    found = policy(RULES)
    assert found.wants(request("GetMonitor")) is None
    assert found.wants(request("DeleteMonitor")) is Reads.BODY
    # the body was read, and the resource matters only where the body leaves the rule open
    assert found.wants(update(Seen({"a": "y", "b": "y"}))) is None
    assert found.wants(update(Seen({"a": "y", "b": "x"}))) is Reads.TARGET
    # denied by the body already
    assert found.wants(update(Seen({"a": "x", "b": "x"}))) is None


def test_nothing_is_read_for_a_call_that_no_rule_could_permit() -> None:
    rules = """
- {id: allow, effect: allow, who: {groups: [sre]}, body: {a: x}}
- {id: deny, effect: deny, target: {a: x}}
"""
    found = policy(rules)
    assert found.wants(request("DeleteMonitor")) is None
    assert found.decide(request("DeleteMonitor")).reason is Reason.NO_RULE
    assert found.wants(request("DeleteMonitor", principal("sre"))) is Reads.BODY


def test_what_was_not_looked_at_denies() -> None:
    decision = policy(RULES).decide(request("DeleteMonitor"))
    assert (decision.effect, decision.reason) == (Effect.DENY, Reason.POLICY_ERROR)


@pytest.mark.parametrize("effect", ["allow", "deny", "require_approval"])
@pytest.mark.parametrize(
    ("matcher", "reason"),
    [
        ("body: {a: x}", Reason.UNREADABLE_BODY),
        ("when: 'body.a == 1'", Reason.UNREADABLE_BODY),
        ("target: {a: x}", Reason.TARGET_UNREADABLE),
        ("when: 'target.a == 1'", Reason.TARGET_UNREADABLE),
    ],
)
def test_what_can_not_be_read_denies_whatever_the_effect_of_the_rule(
    effect: str, matcher: str, reason: Reason
) -> None:
    approval = f", {ASK}" if effect == "require_approval" else ""
    rules = f"- {{id: x, effect: {effect}, {matcher}{approval}}}\n- {{id: all, effect: allow}}"
    decision = decide(rules, update(Unreadable("no JSON"), Unreadable("no answer")))
    assert (decision.effect, decision.reason, decision.rule) == (Effect.DENY, reason, "x")
    assert "no JSON" in decision.message or "no answer" in decision.message
    # a rule that is out for another reason reads nothing
    elsewhere = rules.replace("id: x,", "id: x, who: {groups: [other]},")
    assert decide(elsewhere, update(Unreadable("no JSON"), Unreadable("no answer"))).permitted


@pytest.mark.parametrize("effect", ["deny", "require_approval"])
@pytest.mark.parametrize(
    "body", [{"ids": 5}, {"IDS": [1]}, {"ids": "x" * 20}, {"ids": {"a": None}, "Ids": 1}]
)
def test_an_expression_that_fails_denies_in_a_rule_that_restricts(effect: str, body: Json) -> None:
    approval = f", {ASK}" if effect == "require_approval" else ""
    rule = f"- {{id: x, effect: {effect}, when: 'has(body.ids) && body.ids[0] == 1'{approval}}}\n"
    decision = decide(f"{rule}- {{id: all, effect: allow}}", update(Seen(body)))
    assert (decision.effect, decision.reason) == (Effect.DENY, Reason.POLICY_ERROR)


def test_an_expression_that_fails_matches_nothing_in_an_allow_rule() -> None:
    rule = "- {id: x, effect: allow, when: 'body.ids[0] == 1'}"
    assert decide(rule, update(Seen({"ids": [1]}))).permitted
    bodies: list[Json] = [{}, {"ids": []}, {"ids": 1}, {"ids": ["1"]}, {"IDS": [1]}]
    for body in bodies:
        assert decide(rule, update(Seen(body))).reason is Reason.NO_RULE


def test_expressions_see_the_call_the_identity_and_the_lists() -> None:
    text = """version: 1
lists: {prod: ["env:prod"]}
rules:
  - id: x
    effect: allow
    when: >-
      body.tags.exists(t, t in lists.prod) && request.method == "DELETE" && request.query.force == ["1"]
      && op.name == "DeleteMonitor" && "monitors" in op.tags && "agents" in identity.groups
      && identity.subject == "alice" && now > timestamp("2026-01-01T00:00:00Z")
"""
    asked = request(
        "DeleteMonitor", body=Seen({"tags": ["env:prod"]}), query=(("force", "1"),), at=1_780_000_000.0
    )
    assert policy(text).decide(asked).permitted
    assert not policy(text).decide(request("DeleteMonitor", body=Seen({"tags": ["env:dev"]}))).permitted


@pytest.mark.parametrize(
    ("tags", "matcher", "allow", "deny"),
    [
        (["env:prod"], "{any: ['env:prod']}", True, True),
        # Datadog may take these for env:prod, so they are denied with it and not allowed as it
        (["ENV:Prod"], "{any: ['env:prod']}", False, True),
        (["env:prod "], "{any: ['Env:*']}", False, True),
        (["ENV:Prod"], "{none: ['env:prod']}", False, True),
        (["env:prod"], "{none: ['env:prod']}", False, False),
        (["env:dev"], "{none: ['env:prod']}", True, True),
        (["a", "A"], "{all: [a]}", False, True),
    ],
)
def test_tags_are_read_as_they_stand_and_as_datadog_may(
    tags: list[Json], matcher: str, allow: bool, deny: bool
) -> None:
    asked = update(Seen({"tags": tags}))
    assert fit("allow", f"body: {{tags: {matcher}}}", asked) is allow
    assert fit("deny", f"body: {{tags: {matcher}}}", asked) is deny
    assert fit("require_approval", f"body: {{tags: {matcher}}}", asked) is deny
