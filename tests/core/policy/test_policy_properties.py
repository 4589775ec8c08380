"""Whatever the rules: order changes nothing, a deny only takes away, an error never permits."""

from __future__ import annotations

import random

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from addons.core.model import Effect, Reason
from addons.core.policy import PolicyRequest, PolicySet
from tests.core.policy.policy_making import CATALOGUE, OPERATIONS, principal

GROUPS = ["agents", "sre", "x"]
VALUES = st.sampled_from(["a", "b"])
MATCHERS = st.one_of(
    st.lists(VALUES, min_size=1, max_size=2),
    st.fixed_dictionaries({"absent": st.booleans()}, optional={"is": VALUES}),
)

Rule = dict[str, object]


@st.composite
def rules(draw: st.DrawFn, effects: tuple[str, ...] = ("allow", "deny", "require_approval")) -> Rule:
    rule: Rule = {"effect": draw(st.sampled_from(effects))}
    if draw(st.booleans()):
        rule["who"] = draw(
            st.fixed_dictionaries(
                {},
                optional={
                    "groups": st.lists(st.sampled_from([*GROUPS, "a*"]), min_size=1, max_size=2),
                    "on_behalf_of": MATCHERS,
                    "claims": st.fixed_dictionaries({"team": MATCHERS}),
                },
            )
        )
    if draw(st.booleans()):
        rule["op"] = draw(
            st.one_of(
                st.fixed_dictionaries({"name": st.sampled_from(["*Monitor", "CreateDowntime", "unknown"])}),
                st.fixed_dictionaries(
                    {
                        "risk": st.lists(
                            st.sampled_from(["read", "write", "destructive", "unknown"]), min_size=1
                        )
                    }
                ),
            )
        )
    if draw(st.booleans()):
        rule["http"] = {"query": {"force": draw(MATCHERS)}}
    if rule["effect"] == "require_approval":
        rule["approval"] = {"need": [{"group": "leads"}]}
    if rule["effect"] != "deny" and draw(st.booleans()):
        rule["credential"] = draw(st.sampled_from(["ro", "rw"]))
    if rule["effect"] != "deny" and draw(st.booleans()):
        rule["mask"] = {"forward": {"detect": [draw(st.sampled_from(["secrets", "pii"]))]}}
    return rule


@st.composite
def requests(draw: st.DrawFn) -> PolicyRequest:
    claim = draw(st.sampled_from([None, "a", "b", ["a"], {"odd": 1}]))
    who = principal(
        *draw(st.lists(st.sampled_from(GROUPS), max_size=2)),
        on_behalf_of=draw(st.sampled_from([None, "a", "b"])),
        claims={"team": claim},
    )
    query = draw(st.lists(st.tuples(st.sampled_from(["force", "Force", "q"]), VALUES), max_size=2))
    operation = draw(st.sampled_from([None, *OPERATIONS]))
    return PolicyRequest(who, operation, "api.datadoghq.com", "GET", "/api/v1/x", tuple(query))


def made(files: list[list[Rule]]) -> PolicySet:
    return PolicySet.from_files(
        [(f"{n}.yaml", yaml.safe_dump({"version": 1, "rules": file})) for n, file in enumerate(files)],
        CATALOGUE,
    )


def named(found: list[Rule]) -> list[Rule]:
    return [{"id": f"r{number}", **rule} for number, rule in enumerate(found)]


@settings(max_examples=60, deadline=None)
@given(st.lists(rules(), max_size=6), requests(), st.randoms(use_true_random=False))
def test_order_of_rules_and_files_never_changes_a_decision_or_the_revision(
    found: list[Rule], request: PolicyRequest, shuffler: random.Random
) -> None:
    one_file = named(found)
    expected = made([one_file])
    shuffled = list(one_file)
    shuffler.shuffle(shuffled)
    cut = shuffler.randint(0, len(shuffled))
    other = made([shuffled[cut:], shuffled[:cut]])
    assert other.decide(request) == expected.decide(request)
    assert other.digest == expected.digest


@settings(max_examples=60, deadline=None)
@given(st.lists(rules(), max_size=5), rules(effects=("deny", "require_approval")), requests())
def test_adding_a_rule_that_restricts_never_permits_more(
    found: list[Rule], more: Rule, request: PolicyRequest
) -> None:
    before = made([named(found)]).decide(request)
    after = made([[*named(found), {"id": "added", **more}]]).decide(request)
    assert before.permitted or not after.permitted
    if more["effect"] == "deny" and before.effect is Effect.DENY:
        assert after.effect is Effect.DENY


@settings(max_examples=60, deadline=None)
@given(st.lists(rules(), min_size=1, max_size=6), requests())
def test_an_error_never_permits(found: list[Rule], request: PolicyRequest) -> None:
    """A permitted call stays permitted when every rule that its errors touched is an allow rule; so a call
    whose claim and query no rule can read is permitted only by rules that read neither."""
    broken = PolicyRequest(
        principal(*request.principal.groups, claims={"team": {"odd": 1}}),
        request.operation,
        request.host,
        request.method,
        request.path,
        (("FORCE", "a"),),
    )
    decision = made([named(found)]).decide(broken)
    if decision.permitted:
        rule = next(each for each in named(found) if each["id"] == decision.rule)
        assert "http" not in rule
        assert "claims" not in rule.get("who", {})  # type: ignore[operator] # a mapping, by the strategy
    assert (decision.reason is Reason.ALLOWED) == decision.permitted == (decision.effect is Effect.ALLOW)


def test_the_revision_follows_the_content_and_not_its_spelling() -> None:
    plain = made([[{"id": "a", "effect": "allow", "who": {"groups": ["x", "y"]}}]])
    text = "version: 1\n# said otherwise\nlists: {l: [y, x]}\nrules:\n"
    text += "  - {effect: allow, id: a, who: {groups: lists.l}}"
    spelled = PolicySet.from_files([("b.yaml", text)], CATALOGUE)
    other = made([[{"id": "a", "effect": "allow", "who": {"groups": ["x", "z"]}}]])
    assert plain.digest == spelled.digest != other.digest
    assert plain.revision == f"sha256:{plain.digest[:16]}"
