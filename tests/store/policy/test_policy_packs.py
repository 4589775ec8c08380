"""The policies that come with ddgate: each is whole by itself, and any of them go together."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from addons.core.model import Effect, Operation, Principal, Risk
from addons.core.policy.conditions.schedule import parse_instant
from addons.core.policy.coverage import coverage
from addons.core.policy.policy_set import PolicySet
from addons.core.policy.request import PolicyRequest, Seen
from addons.store.policy.files import POLICIES, parse_policy, read_catalogue, read_policy

CATALOGUE = read_catalogue()
PACKS = sorted((POLICIES / "packs").glob("*.yaml"))
SHIPPED = [POLICIES / "default.yaml", *PACKS]
GROUPS = (
    *("agents", "sre-agents", "read-only-agents", "telemetry-agents", "on-call-agents", "break-glass-agents"),
    *("on-call-engineers", "on-call-leads", "incident-leads", "incident-commanders", "interns"),
)
ADMINISTRATION = {
    *(
        "key-management",
        "service-accounts",
        "users",
        "roles",
        "authn-mappings",
        "identity-providers",
        "seats",
    ),
    *("organizations", "org-connections", "org-groups", "org-authorized-clients", "customer-org"),
    *("user-authorized-clients", "ip-allowlist", "domain-allowlist", "restriction-policies"),
}
NOON, NIGHT = parse_instant("2026-01-07T12:00:00Z"), parse_instant("2026-01-07T23:00:00Z")


def named(path: Path) -> str:
    return path.stem


@pytest.mark.parametrize("path", SHIPPED, ids=named)
def test_each_is_whole_by_itself_and_passes_its_tests_with_no_more_than_the_default_key(path: Path) -> None:
    assert read_policy([path], CATALOGUE, ["default"]).warnings == ()


@pytest.mark.parametrize("path", SHIPPED, ids=named)
def test_the_tests_of_each_hit_and_just_miss_every_rule(path: Path) -> None:
    missing = [
        str(problem) for rule in coverage(parse_policy([path], CATALOGUE)) for problem in rule.problems()
    ]
    assert missing == []


@pytest.mark.parametrize("count", range(2, len(SHIPPED) + 1))
def test_any_of_them_together_are_one_policy_in_which_the_tests_of_each_hold(count: int) -> None:
    for chosen in itertools.combinations(SHIPPED, count):
        assert read_policy(chosen, CATALOGUE, ["default"]).warnings == (), [path.stem for path in chosen]


def administrative() -> Iterator[Operation]:
    for operation in CATALOGUE.operations():
        harmless = operation.risks <= {Risk.READ, Risk.INGEST}
        about = ADMINISTRATION & set(operation.tags)
        if operation.risks & {Risk.PRIVILEGED, Risk.SENSITIVE_READ} or (about and not harmless):
            yield operation


def calls(operation: Operation | None, groups: frozenset[str]) -> Iterator[PolicyRequest]:
    who = Principal("https://issuer", "agent", groups, 1e12, on_behalf_of="kim@example.com")
    method = operation.method if operation else "POST"
    for at in (NOON, NIGHT):
        yield PolicyRequest(
            who, operation, "api.datadoghq.com", method, "/x", body=Seen({}), target=Seen({}), at=at
        )


@pytest.mark.parametrize(
    "paths", [*([path] for path in SHIPPED), PACKS, SHIPPED], ids=lambda paths: "+".join(map(named, paths))
)
def test_none_lets_anybody_manage_keys_users_roles_or_the_organisation(paths: list[Path]) -> None:
    policy = parse_policy(paths, CATALOGUE)
    operations = [*administrative(), None]
    assert len(operations) > 130
    for groups in (*(frozenset({group}) for group in GROUPS), frozenset(GROUPS), frozenset[str]()):
        for operation in operations:
            for call in calls(operation, groups):
                decision = policy.decide(call)
                assert decision.effect is Effect.DENY, (operation, sorted(groups), decision.rule)


def test_the_pack_against_administration_beats_a_rule_that_allows_everything(tmp_path: Path) -> None:
    generous = tmp_path / "generous.yaml"
    generous.write_text(
        "version: 1\nrules: [{id: all, effect: allow}, {id: odd, effect: allow, op: {name: unknown}}]\n"
    )
    policy = parse_policy([POLICIES / "packs" / "no-administration.yaml", generous], CATALOGUE)
    for operation in (*administrative(), None):
        for call in calls(operation, frozenset(GROUPS)):
            assert policy.decide(call).effect is Effect.DENY, operation
    permitted = [
        operation
        for operation in CATALOGUE.operations()
        if all(policy.decide(call).permitted for call in calls(operation, frozenset()))
    ]
    assert len(permitted) == len(CATALOGUE.operations()) - len(list(administrative()))


def allowed(path: str, *groups: str) -> set[Risk]:
    """The risks of what these groups may do by one pack, without asking anybody."""
    policy: PolicySet = parse_policy([POLICIES / "packs" / path], CATALOGUE)
    return {
        risk
        for operation in CATALOGUE.operations()
        for call in calls(operation, frozenset(groups))
        if policy.decide(call).permitted
        for risk in operation.risks
    }


@pytest.mark.parametrize(
    ("pack", "group", "risks"),
    [
        ("read-only.yaml", "read-only-agents", {Risk.READ}),
        ("telemetry.yaml", "telemetry-agents", {Risk.READ, Risk.INGEST}),
        ("on-call.yaml", "on-call-agents", {Risk.READ, Risk.WRITE}),
        ("break-glass.yaml", "break-glass-agents", {Risk.READ}),
        ("production.yaml", "sre-agents", set()),
        ("no-administration.yaml", "agents", set()),
    ],
)
def test_each_pack_allows_no_more_than_its_head_says(pack: str, group: str, risks: set[Risk]) -> None:
    assert allowed(pack, group) == risks
    assert allowed(pack, *(set(GROUPS) - {group})) == set()
