"""Whatever the rules: order changes nothing, a deny only takes away, an error never permits."""

from __future__ import annotations

import json
import random
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from addons.core.model import Effect, Reason
from addons.core.policy.policy_set import PolicySet
from addons.core.policy.request import PolicyRequest, Reads, Seen, Unreadable
from tests.core.policy.policy_making import CATALOGUE, OPERATIONS, principal

GROUPS = ["agents", "sre", "x"]
VALUES = st.sampled_from(["a", "b"])
MATCHERS = st.one_of(
    st.lists(VALUES, min_size=1, max_size=2),
    st.fixed_dictionaries({"absent": st.booleans()}, optional={"is": VALUES}),
)

EXPRESSIONS = [
    "body.kind == 'a'",
    "has(body.kind)",
    "target.tags.exists(t, t == 'a')",
    "identity.subject == 'alice' && op.name != 'unknown'",
    "body.number / 0 == 1",
]
LIMITS = {"one": {"rate": "3/1m"}, "two": {"key": ["identity.claims.team"], "quota": "5/1d"}}
DOCUMENTS = st.one_of(
    st.just(Unreadable("broken")),
    st.builds(
        Seen,
        st.fixed_dictionaries(
            {},
            optional={"kind": st.sampled_from(["a", "b", 1, None]), "tags": st.just(["a"]), "Kind": VALUES},
        ),
    ),
)

DOCUMENT_MATCHERS = st.fixed_dictionaries({}, optional={"kind": MATCHERS, "tags": st.just({"any": ["a*"]})})

Rule = dict[str, object]


@st.composite
def extras(draw: st.DrawFn) -> Rule:
    """Each in about one rule of five."""
    found: Rule = {}
    for key, values in (
        ("body", DOCUMENT_MATCHERS),
        ("target", DOCUMENT_MATCHERS),
        ("when", st.sampled_from(EXPRESSIONS)),
        ("time", st.fixed_dictionaries({"days": st.sampled_from(["mon", "tue-sun"])})),
        ("mode", st.just("shadow")),
        ("log", st.sampled_from(["debug", "warning"])),
    ):
        if draw(st.integers(0, 4)) == 0:
            found[key] = draw(values)
    return found


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
    rule |= draw(extras())
    rule = {key: value for key, value in rule.items() if value != {}}  # what asks nothing is refused
    if "body" in rule and rule["effect"] == "allow":
        rule.pop("op", None)  # a rule of reads that asks for a body is refused
    if rule["effect"] == "require_approval":
        rule["approval"] = {"need": [{"group": "leads"}]}
    if rule["effect"] != "deny" and draw(st.integers(0, 4)) == 0:
        rule["limit"] = draw(st.sampled_from(["one", "two"]))
    if rule["effect"] != "deny" and draw(st.booleans()):
        rule["credential"] = draw(st.sampled_from(["ro", "rw"]))
    if rule["effect"] == "allow" and draw(st.booleans()):
        rule["record"] = draw(st.sampled_from(["full", "hash", "hash"]))
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
    return PolicyRequest(
        who,
        operation,
        "api.datadoghq.com",
        "GET",
        "/api/v1/x",
        tuple(query),
        body=draw(DOCUMENTS),
        target=draw(DOCUMENTS),
        at=draw(st.sampled_from([0.0, 345600.0])),  # a Thursday and a Monday
    )


def made(files: list[list[Rule]]) -> PolicySet:
    return PolicySet.from_files(
        [
            ("limits.yaml", json.dumps({"version": 1, "limits": LIMITS})),
            *((f"{n}.yaml", json.dumps({"version": 1, "rules": file})) for n, file in enumerate(files)),
        ],
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


@settings(max_examples=150, deadline=None)
@given(st.lists(rules(), min_size=1, max_size=6), requests())
def test_an_error_never_permits(found: list[Rule], request: PolicyRequest) -> None:
    """Whatever a permitted call could not tell of itself, some allow rule that read none of it permitted it,
    and no enforced rule that restricts failed on it or could not read what it reads."""
    broken = replace(
        request,
        principal=principal(*request.principal.groups, claims={"team": {"odd": 1}}),
        query=(("FORCE", "a"),),
        body=Unreadable("broken"),
        target=Unreadable("broken"),
    )
    rules_ = made([named(found)])
    decision = rules_.decide(broken)
    if decision.permitted:
        explained = rules_.explain(broken)
        fitting = [trace for trace in explained.rules if trace.fits and not trace.shadow]
        assert [trace.rule for trace in fitting] == list(decision.rules)
        assert all(trace.effect is Effect.ALLOW for trace in fitting)
        failed = [
            trace for trace in explained.rules if trace.errors and not trace.misses and not trace.shadow
        ]
        assert all(trace.effect is Effect.ALLOW for trace in failed)
        assert not any(rule.reads for rule in rules_.rules if rule.id in decision.rules)
    assert (decision.reason is Reason.ALLOWED) == decision.permitted == (decision.effect is Effect.ALLOW)


@settings(max_examples=150, deadline=None)
@given(st.lists(rules(), max_size=6), requests())
def test_fetching_only_what_is_wanted_decides_as_if_all_had_been_read(
    found: list[Rule], request: PolicyRequest
) -> None:
    """But for the explanation of a denial, and for shadow rules of calls that are denied anyway."""
    rules_ = made([named(found)])
    everything = rules_.decide(request)
    asked = replace(request, body=None, target=None)
    read = []
    while (wanted := rules_.wants(asked)) is not None:
        read.append(wanted)
        asked = replace(asked, **{wanted.value: getattr(request, wanted.value)})
    assert read in ([], [Reads.BODY], [Reads.TARGET], [Reads.BODY, Reads.TARGET])
    decision = rules_.decide(asked)
    assert decision.effect is everything.effect
    assert decision.permitted is everything.permitted
    if decision.permitted:
        assert decision == everything


@settings(max_examples=60, deadline=None)
@given(st.lists(rules(), max_size=5), rules(), requests())
def test_a_shadow_rule_changes_no_verdict(found: list[Rule], more: Rule, request: PolicyRequest) -> None:
    before = made([named(found)]).decide(request)
    after = made([[*named(found), {"id": "added", **more, "mode": "shadow"}]]).decide(request)
    assert replace(after, shadow=(), revision="") == replace(before, shadow=(), revision="")
    assert set(before.shadow) <= set(after.shadow)


def test_the_revision_follows_the_content_and_not_its_spelling() -> None:
    plain = made([[{"id": "a", "effect": "allow", "who": {"groups": ["x", "y"]}}]])
    text = "version: 1\n# said otherwise\nlists: {l: [y, x]}\nrules:\n"
    text += "  - {effect: allow, id: a, who: {groups: lists.l}}"
    spelled = PolicySet.from_files([("b.yaml", text)], CATALOGUE)
    other = made([[{"id": "a", "effect": "allow", "who": {"groups": ["x", "z"]}}]])
    assert plain.digest == spelled.digest != other.digest
    assert plain.revision == f"sha256:{plain.digest[:16]}"
