from __future__ import annotations

from pathlib import Path

import pytest

from addons.core.model import Effect, Principal, Reason
from addons.core.policy.request import Decision, PolicyRequest
from addons.core.yaml_source import ProblemsError
from addons.store.policy.files import POLICIES, parse_policy, read_catalogue, read_policy

CATALOGUE = read_catalogue()
DEFAULT = POLICIES / "default.yaml"
GOOD = "version: 1\nrules: [{id: a, effect: allow, op: {risk: [read]}, credential: ro}]\n"
FAILING = GOOD + "tests:\n  - {name: t, given: {op: GetMonitor}, expect: {effect: deny}}\n"


def refusal(*paths: Path, credentials: tuple[str, ...] | None = None) -> str:
    with pytest.raises(ProblemsError) as raised:
        read_policy(paths, CATALOGUE, credentials)
    return str(raised.value)


def test_a_failing_test_refuses_the_policy_at_its_place(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(FAILING)
    assert refusal(path).startswith(f"{path}:4:5: the test 't' fails: expected deny, got allow (allowed)")
    assert len(parse_policy([path], CATALOGUE).rules) == 1


def test_problems_of_every_file_are_told_together(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("version: 1\nrulez: []\n")
    (tmp_path / "b.yaml").write_bytes(b"\xff")
    found = refusal(tmp_path / "a.yaml", tmp_path / "b.yaml", tmp_path / "gone.yaml").splitlines()
    assert [("rulez" in line, "UTF-8" in line, "no such file" in line) for line in found] == [
        (True, False, False),
        (False, True, False),
        (False, False, True),
    ]


def test_a_credential_that_is_not_configured_is_a_problem(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(GOOD)
    assert "'ro', which is not configured" in refusal(path, credentials=("default",))
    read_policy([path], CATALOGUE, ["ro"])


def test_a_catalogue_that_is_missing_or_none_is_a_problem(tmp_path: Path) -> None:
    with pytest.raises(ProblemsError, match="no such file"):
        read_catalogue([tmp_path / "gone.json"])
    (tmp_path / "x.json").write_text("[]")
    with pytest.raises(ProblemsError, match="operations"):
        read_catalogue([tmp_path / "x.json"])


def ask(operation: str | None, *groups: str) -> Decision:
    found = CATALOGUE.by_name(operation)[0] if operation else None
    who = Principal("https://issuer", "agent", frozenset(groups), 1e12)
    return read_policy([DEFAULT], CATALOGUE).decide(
        PolicyRequest(who, found, "api.datadoghq.com", "GET", "/x")
    )


def test_the_default_policy_is_well_passes_its_tests_and_needs_no_named_credential() -> None:
    policy_set = read_policy([DEFAULT], CATALOGUE, ["default"])
    assert policy_set.warnings == ()
    ids = {rule.id for rule in policy_set.rules}
    assert ids == {outcome.decision.rule for outcome in policy_set.run_tests()} - {None}


def test_by_default_no_operation_on_identity_keys_or_the_organisation_is_allowed() -> None:
    policy_set = read_policy([DEFAULT], CATALOGUE)
    who = Principal("https://issuer", "agent", frozenset({"agents", "sre-agents"}), 1e12)
    for operation in CATALOGUE.operations():
        decision = policy_set.decide(PolicyRequest(who, operation, "api.datadoghq.com", "GET", "/x"))
        if operation.risks & {"privileged", "sensitive-read"} or {"users", "roles"} & set(operation.tags):
            assert decision.reason is Reason.DENIED_BY_RULE, operation.name
        if decision.permitted and operation.risk not in {"read", "ingest"}:
            assert {"monitors", "dashboards", "dashboard-lists", "downtimes"} & set(operation.tags)


@pytest.mark.parametrize(
    "operation",
    [
        *("CreateMonitor", "GetMonitor", "UpdateMonitor", "DeleteMonitor"),
        *("CreateDashboard", "GetDashboard", "UpdateDashboard", "DeleteDashboard"),
    ],
)
def test_by_default_sre_agents_do_on_call_work(operation: str) -> None:
    assert ask(operation, "agents", "sre-agents").permitted
    assert ask(operation, "agents").permitted is operation.startswith("Get")


def test_by_default_an_unknown_call_is_denied_and_says_so() -> None:
    decision = ask(None, "agents", "sre-agents")
    assert decision.effect is Effect.DENY
    assert "none of Datadog's operations" in decision.message
