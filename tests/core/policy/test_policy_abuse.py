"""What an agent may try against rules, and what surprises whoever writes them."""

from __future__ import annotations

import pytest

from addons.core.model import Effect, Json
from addons.core.policy.request import Masks, Seen, Unreadable
from addons.core.request_target import normalise
from tests.core.policy.policy_making import decide, principal, request

ALL = "  - {id: all, effect: allow, op: {name: '*'}}\n"


def denial(conditions: str, operation: str = "CreateMonitor") -> str:
    return f"{ALL}  - {{id: no, effect: deny, op: {{name: {operation}, absent: false}}, {conditions}}}\n"


@pytest.mark.parametrize(
    ("path", "body", "is_denied"),
    [
        # Datadog's log intake takes one entry as well as a list of them
        ("[*].service", [{"service": "payments"}], True),
        ("[*].service", {"service": "payments"}, True),
        ("[*].service", [[{"service": "payments"}]], True),
        ("data.service", {"data": [{"service": "payments"}]}, True),
        ("data[*].service", {"data": {"service": "payments"}}, True),
        ("data[0].service", {"data": {"service": "payments"}}, True),
        ("data.service", {"data": '{"service": "payments"}'}, True),
        # what certainly isn't there
        ("[*].service", {}, False),
        ("[*].service", [], False),
        ("data.service", {"data": None}, False),
        ("data.service", {"data": []}, False),
        ("data[*].service", {"data": {}}, False),
        ("data.service", {"other": [1]}, False),
    ],
)
def test_a_list_in_place_of_an_object_hides_nothing(path: str, body: Json, is_denied: bool) -> None:
    asked = request("CreateMonitor", body=Seen(body))
    decision = decide(denial(f"body: {{'{path}': {{is: payments, absent: false}}}}"), asked)
    assert (decision.effect is Effect.DENY) is is_denied
    only_without = f"  - {{id: a, effect: allow, op: {{name: '*'}}, body: {{'{path}': {{absent: true}}}}}}\n"
    assert (decide(only_without, asked).effect is Effect.DENY) is is_denied


def test_a_rule_that_opens_nothing_by_a_missing_value_still_takes_another_shape_for_one() -> None:
    asked = request("CreateMonitor", body=Seen({"data": [1]}))
    approval = "approval: {need: [{group: g, count: 1}]}"
    asking = f"  - {{id: ask, effect: require_approval, body: {{data.x: v}}, {approval}}}\n"
    assert decide(asking, asked).effect is Effect.REQUIRE_APPROVAL
    assert decide(ALL + "  - {id: no, effect: deny, body: {data.x: v}}\n", asked).rule == "no"


@pytest.mark.parametrize(
    ("glob", "path", "is_denied"),
    [
        ("/api/v1/user/admin@example.com", "/api/v1/user/admin%40example.com", True),
        ("/api/v1/user/admin%40example.com", "/api/v1/user/admin@example.com", True),
        ("/api/v1/user/admin@example.com", "/api/v1/user/admin%40example.com/", True),
        ("/api/v1/tags/hosts/db:*", "/api/v1/tags/hosts/db%3Aprod", True),
        ("/api/v1/tags/hosts/größe", "/api/v1/tags/hosts/gr%c3%b6%C3%9fe", True),
        ("/api/v1/user/b@example.com", "/api/v1/user/admin%40example.com", False),
        # an escaped star is one, and no pattern
        ("/api/v1/x/a%2Ab", "/api/v1/x/a*b", True),
        ("/api/v1/x/a%2ab", "/api/v1/x/a%2ab", True),
        ("/api/v1/x/a%2Ab", "/api/v1/x/a-b", False),
        ("/api/v1/x/a%3Fb", "/api/v1/x/a-b", False),
        ("/api/v1/x/a?b", "/api/v1/x/a%2ab", True),
        ("/api/v1/x/a*b", "/api/v1/x/a%2a*b", True),
    ],
)
def test_an_escape_hides_no_path(glob: str, path: str, is_denied: bool) -> None:
    asked = request("CreateMonitor", path=normalise(path).path)
    rules = f"{ALL}  - {{id: no, effect: deny, http: {{path: '{glob}'}}}}\n"
    assert (decide(rules, asked).rule == "no") is is_denied
    if not {"*", "?", "%"} & set(glob):
        assert (decide(denial(f"when: 'request.path == \"{glob}\"'"), asked).rule == "no") is is_denied


def test_the_root_is_a_path_for_an_expression() -> None:
    assert decide(denial("when: 'request.path == \"/\"'"), request("CreateMonitor", path="/")).rule == "no"


@pytest.mark.parametrize(
    ("claim", "is_denied"),
    [(1, True), (1.0, True), ([2, 1.0], True), (True, False), ("1", False), (2, False)],
)
def test_a_claim_is_the_same_number_however_the_issuer_writes_it(claim: Json, is_denied: bool) -> None:
    rules = denial("who: {claims: {level: {is: 1, absent: false}}}")
    asked = request("CreateMonitor", principal("agents", claims={"level": claim}))
    assert (decide(rules, asked).rule == "no") is is_denied


def test_a_denied_call_is_still_kept_with_the_masks_of_what_would_have_allowed_it() -> None:
    """What is refused is recorded as well, so a deny rule must not undo a mask."""
    masking = (
        "  - {id: all, effect: allow, op: {name: '*'}, mask: {forward: {json: [$.message], detect: [pii]}}}\n"
    )
    for body in (Seen({"a": 1}), Seen({"a": [1]}), Seen({}), Unreadable("it is not JSON")):
        rules = (
            f"{masking}  - {{id: no, effect: deny, op: {{name: CreateMonitor}}, body: {{a: {{is: 1}}}}}}\n"
        )
        decision = decide(rules, request("CreateMonitor", body=body))
        assert not decision.permitted
        assert decision.mask_forward == Masks(frozenset({"pii"}), frozenset({"$.message"}))
