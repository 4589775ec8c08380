from __future__ import annotations

from typing import Any

import pytest

from addons.core.model import Effect, Operation, Reason, Risk
from addons.core.policy.request import PolicyRequest
from tests.core.policy.policy_making import decide, policy, principal, request

ASK = "approval: {need: [{group: leads}]}"
ALLOW = "- {id: a, effect: allow}"
DENY = "- {id: d, effect: deny}"
HOLD = f"- {{id: h, effect: require_approval, {ASK}}}"


@pytest.mark.parametrize(
    ("rules", "effect", "reason", "rule"),
    [
        ("", Effect.DENY, Reason.NO_RULE, None),
        (ALLOW, Effect.ALLOW, Reason.ALLOWED, "a"),
        (f"{ALLOW}\n{DENY}", Effect.DENY, Reason.DENIED_BY_RULE, "d"),
        (f"{DENY}\n{HOLD}\n{ALLOW}", Effect.DENY, Reason.DENIED_BY_RULE, "d"),
        (f"{ALLOW}\n{HOLD}", Effect.REQUIRE_APPROVAL, Reason.APPROVAL_REQUIRED, "h"),
        (HOLD, Effect.REQUIRE_APPROVAL, Reason.APPROVAL_REQUIRED, "h"),
    ],
)
def test_deny_beats_approval_beats_allow_beats_the_default(
    rules: str, effect: Effect, reason: Reason, rule: str | None
) -> None:
    decision = policy(f"version: 1\nrules: [{', '.join(r[2:] for r in rules.splitlines())}]").decide(
        request()
    )
    assert (decision.effect, decision.reason, decision.rule) == (effect, reason, rule)
    assert decision.permitted is (effect is Effect.ALLOW)


def fit(effect: str, matcher: str, asked: PolicyRequest) -> bool:
    """Whether one rule with `matcher` matches."""
    approval = f", {ASK}" if effect == "require_approval" else ""
    return "x" in decide(f"- {{id: x, effect: {effect}, {matcher}{approval}}}", asked).rules


def by(*groups: str, **more: Any) -> PolicyRequest:
    return request(who=principal(*groups, **more))


def asks(*query: tuple[str, str]) -> PolicyRequest:
    return request(query=query)


# matcher, request, and whether an allow, an approval and a deny rule match
@pytest.mark.parametrize(
    ("matcher", "asked", "allow", "hold", "deny"),
    [
        # of several values any, of several fields all
        ("who: {groups: [x, agents]}", by("agents"), True, True, True),
        ("who: {groups: [age*]}", by("agents", "b"), True, True, True),
        ("who: {groups: [x]}", by("agents"), False, False, False),
        ("who: {groups: [agents], subject: bob}", by("agents"), False, False, False),
        ("who: {subject: 'al?ce'}", by("agents"), True, True, True),
        ("who: {issuer: 'https://issue'}", by("agents"), False, False, False),
        ("who: {actor: 'ci-*'}", by("a", actors=("bot", "ci-1")), True, True, True),
        # what the request lacks fits to deny, not to allow; who and op never open anything by lack
        ("who: {groups: [x]}", by(), False, False, True),
        ("who: {on_behalf_of: bob}", by("a"), False, False, True),
        ("who: {on_behalf_of: bob}", by("a", on_behalf_of="eve"), False, False, False),
        ("who: {on_behalf_of: {absent: true}}", by("a"), True, True, True),
        ("who: {on_behalf_of: {absent: true}}", by("a", on_behalf_of="bob"), False, False, False),
        ("who: {on_behalf_of: {absent: false}}", by("a"), False, False, False),
        ("who: {on_behalf_of: {absent: false}}", by("a", on_behalf_of="bob"), True, True, True),
        ("who: {actor: bot}", by("a"), False, False, True),
        # claims
        ("who: {claims: {team: blue}}", by("a", claims={"team": "blue"}), True, True, True),
        ("who: {claims: {team: blue}}", by("a", claims={"team": ["red", "blue"]}), True, True, True),
        ("who: {claims: {team: blue}}", by("a", claims={"team": None}), False, False, True),
        ("who: {claims: {level: '5'}}", by("a", claims={"level": 5}), False, False, False),
        ("who: {claims: {level: {is: 5}}}", by("a", claims={"level": 5}), True, True, True),
        ("who: {claims: {level: {is: 5}}}", by("a", claims={"level": "5"}), False, False, False),
        ("who: {claims: {on: {is: true}}}", by("a", claims={"on": 1}), False, False, False),
        ("who: {claims: {on: {in: [false, true]}}}", by("a", claims={"on": True}), True, True, True),
        # query
        ("http: {query: {force: 'true'}}", asks(("force", "true")), True, True, True),
        ("http: {query: {force: 'true'}}", asks(("force", "1")), False, False, False),
        ("http: {query: {force: 'true'}}", asks(), False, True, True),
        ("http: {query: {force: {absent: true}}}", asks(), True, True, True),
        ("http: {query: {force: {absent: true}}}", asks(("force", "")), False, False, False),
        ("http: {query: {force: {absent: true, is: 'no'}}}", asks(), True, True, True),
        ("http: {query: {force: {absent: true, is: 'no'}}}", asks(("force", "no")), True, True, True),
        ("http: {query: {force: {absent: false, is: 'no'}}}", asks(), False, False, False),
        ("http: {query: {f: {in: [a, 'b*']}}}", asks(("f", "b*")), True, True, True),
        ("http: {query: {f: {in: [a, 'b*']}}}", asks(("f", "bc")), False, False, False),
        # a key that stands twice: every value to allow, one is enough to deny
        ("http: {query: {f: a}}", asks(("f", "a"), ("f", "b")), False, True, True),
        # headers, in any case
        ("http: {headers: {X-Team: blue}}", request(headers=(("x-team", "blue"),)), True, True, True),
        ("http: {headers: {x-team: blue}}", request(), False, True, True),
        # the rest of the request
        ("http: {host: '*.DATADOGHQ.com'}", request(), True, True, True),
        ("http: {method: [get]}", request(), True, True, True),
        ("http: {method: POST}", request(), False, False, False),
        ("http: {method: GET}", request(method="HEAD"), True, True, True),
        ("http: {method: HEAD}", request(), False, False, False),
        ("http: {path: '/api/*/monitors/*'}", request(), True, True, True),
        ("http: {path: '/api/*'}", request(), False, False, False),
        ("http: {path: '/api/**'}", request(), True, True, True),
        ("http: {size: '<=1KiB'}", request(size=1024), True, True, True),
        ("http: {size: '<=1KiB'}", request(size=1025), False, False, False),
        ("http: {size: '>1024'}", request(size=1025), True, True, True),
        # operations
        ("op: {name: [CreateMonitor, GetMonitor]}", request(), True, True, True),
        ("op: {name: '*Monitor', risk: read}", request(), True, True, True),
        ("op: {tags: [users]}", request(), False, False, False),
        ("op: {version: v2}", request(), False, False, False),
        ("op: {name: v2.CreateDowntime}", request("CreateDowntime"), False, False, False),
        ("op: {name: CreateDowntime}", request("v2.CreateDowntime"), True, True, True),
        # an operation of two risks: to open it a rule names both
        ("op: {risk: [destructive]}", request("DeleteUser"), False, False, True),
        ("op: {risk: [destructive, privileged]}", request("DeleteUser"), True, True, True),
        # an operation that the catalogue doesn't know
        ("http: {method: GET}", request(None), False, False, True),
        ("op: {risk: [read]}", request(None), False, False, True),
        ("op: {name: [GetMonitor]}", request(None), False, False, True),
        ("op: {name: [unknown]}", request(None), True, True, True),
        ("op: {risk: [unknown, read]}", request(None), True, True, True),
        ("op: {risk: [unknown]}", request(), False, False, False),
    ],
)
def test_what_a_matcher_fits(matcher: str, asked: PolicyRequest, allow: bool, hold: bool, deny: bool) -> None:
    approval = decide(f"- {{id: x, effect: require_approval, {matcher}, {ASK}}}", asked)
    fits = (
        fit("allow", matcher, asked),
        approval.effect is Effect.REQUIRE_APPROVAL,
        fit("deny", matcher, asked),
    )
    assert fits == (allow, hold, deny)


@pytest.mark.parametrize(
    ("matcher", "asked"),
    [
        ("who: {groups: [x]}", by()),
        ("who: {on_behalf_of: bob}", by("a")),
        ("op: {risk: [destructive]}", request("DeleteUser")),
    ],
)
def test_an_approval_rule_that_fits_by_lack_asks_only_for_what_is_allowed(
    matcher: str, asked: PolicyRequest
) -> None:
    rule = f"- {{id: x, effect: require_approval, {matcher}, {ASK}}}"
    assert decide(rule, asked).effect is Effect.DENY
    assert decide(f"{rule}\n{ALLOW}", asked).effect is Effect.REQUIRE_APPROVAL


def test_an_unknown_operation_is_denied_by_a_rule_on_operations_unless_it_says_otherwise() -> None:
    allow = "- {id: a, effect: allow, op: {name: unknown}}"
    denied = decide(
        f"{allow}\n- {{id: d, effect: deny, op: {{tags: users}}, reason: No users.}}", request(None)
    )
    assert (denied.reason, denied.rule) == (Reason.DENIED_BY_RULE, "d")
    assert "No users" not in denied.message
    assert decide(
        f"{allow}\n- {{id: d, effect: deny, op: {{tags: users, absent: false}}}}", request(None)
    ).permitted


def test_an_operation_outside_the_catalogue_is_unknown() -> None:
    made_up = Operation("GetThing", "v9", "GET", "/thing", ("monitors",), Risk.READ)
    asked = PolicyRequest(principal("agents"), made_up, "api.datadoghq.com", "GET", "/thing")
    assert not decide(ALLOW, asked).permitted


NOT_READABLE = [
    ("who: {claims: {team: blue}}", by("a", claims={"team": {"name": "blue"}})),
    ("http: {query: {force: {absent: true}}}", asks(("Force", "true"))),
    ("http: {query: {force: 'false'}}", asks(("force", "false"), ("FORCE", "true"))),
]


@pytest.mark.parametrize(("matcher", "asked"), NOT_READABLE)
@pytest.mark.parametrize("effect", ["deny", "require_approval"])
def test_an_error_in_a_rule_that_restricts_denies(effect: str, matcher: str, asked: PolicyRequest) -> None:
    approval = f", {ASK}" if effect == "require_approval" else ""
    decision = decide(f"- {{id: x, effect: {effect}, {matcher}{approval}}}\n{ALLOW}", asked)
    assert (decision.effect, decision.reason, decision.rule) == (Effect.DENY, Reason.POLICY_ERROR, "x")


@pytest.mark.parametrize(("matcher", "asked"), NOT_READABLE)
def test_an_error_in_an_allow_rule_is_no_match(matcher: str, asked: PolicyRequest) -> None:
    decision = decide(f"- {{id: x, effect: allow, {matcher}}}", asked)
    assert (decision.reason, decision.rules) == (Reason.NO_RULE, ())


def test_an_error_beside_a_field_that_does_not_fit_is_no_match() -> None:
    rule = "- {id: x, effect: deny, who: {subject: bob}, http: {query: {force: a}}}"
    assert decide(f"{rule}\n{ALLOW}", asks(("Force", "a"))).permitted


def test_masks_of_all_matching_allow_and_approval_rules_add_up() -> None:
    allows = """
- {id: a, effect: allow, mask: {forward: {detect: [secrets]}, response: {detect: [pii]}}}
- {id: b, effect: allow, mask: {forward: {detect: [pii]}}}
- {id: c, effect: allow, who: {subject: bob}, mask: {response: {detect: [secrets]}}}
"""
    decision = decide(allows)
    assert decision.rules == ("a", "b")
    assert (decision.mask_forward.detect, decision.mask_response.detect) == (
        frozenset({"secrets", "pii"}),
        frozenset({"pii"}),
    )
    held = decide(
        f"{allows}- {{id: h, effect: require_approval, mask: {{response: {{detect: [secrets]}}}}, {ASK}}}"
    )
    assert held.mask_response.detect == {"secrets", "pii"}


def test_two_credentials_deny_and_are_warned_of() -> None:
    ro, rw = "- {id: a, effect: allow, credential: ro}", "- {id: b, effect: allow, credential: rw}"
    assert decide(f"{ro}\n{ALLOW.replace('a,', 'n,')}").credential == "ro"
    decision = decide(f"{ro}\n{rw}")
    assert (decision.effect, decision.reason) == (Effect.DENY, Reason.AMBIGUOUS_CREDENTIAL)
    assert len(policy(f"{ro}\n{rw}").warnings) == 1
    apart = policy(
        ro.replace("credential", "op: {risk: read}, credential")
        + "\n"
        + rw.replace("credential", "op: {risk: write}, credential")
    )
    assert apart.warnings == ()


def test_a_credential_that_is_not_configured_is_named_with_its_rule() -> None:
    (problem,) = policy("- {id: a, effect: allow, credential: readonyl}").credential_problems(["readonly"])
    assert str(problem.position).startswith("0.yaml:3:")
    assert "readonly" in problem.remedy


def test_messages_hold_no_value_of_the_request() -> None:
    for rules in ("", DENY, HOLD, "- {id: x, effect: deny, http: {query: {force: a}}}"):
        decision = decide(rules or "  []", asks(("Force", "s3cret")))
        assert "s3cret" not in decision.message
        assert "alice" not in decision.message


def test_of_the_rules_that_match_the_first_by_id_decides() -> None:
    for effect in ("allow", "deny"):
        rules = [f"- {{id: z, effect: {effect}}}"]
        rules += [f"- {{id: {each}, effect: {effect}, who: {{groups: [{each}]}}}}" for each in "cba"]
        assert decide("\n".join(rules), by("a", "b", "c")).rule == "a"
