"""ABUSE 31 and 32: a grant for one call lets no other one pass, and none at all that policy denies since."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.approving import (
    NOW,
    POLICY,
    Place,
    agent,
    calling,
    create_monitor,
    people_are_asked,
    writes,
)
from tests.e2e.conftest import MakeGateway
from tests.e2e.gateway_process import Curled, curl, wait_until
from tests.sandbox_processes import Issuer, StandIn


@pytest.fixture
def own(make_gateway: MakeGateway, issuer: Issuer, tmp_path: Path, fresh: StandIn) -> Iterator[Place]:
    """For a test that changes the policy."""
    with people_are_asked(make_gateway, issuer, tmp_path) as asked:
        yield asked


type Change = Callable[[Callable[..., Curled], str], Curled]


def changed_body(call: Callable[..., Curled], name: str) -> Curled:
    return call(*NOW, *create_monitor(name, priority=1))


def changed_query(call: Callable[..., Curled], name: str) -> Curled:
    *rest, url = create_monitor(name)
    return call(*NOW, *rest, f"{url}?x=1")


def changed_content_type(call: Callable[..., Curled], name: str) -> Curled:
    arguments = [*create_monitor(name)]
    arguments[arguments.index("Content-Type: application/json")] = "Content-Type: application/json; x=1"
    return call(*NOW, *arguments)


def conditional(call: Callable[..., Curled], name: str) -> Curled:
    return call(*NOW, "-H", 'If-Match: "7"', *create_monitor(name))


def from_elsewhere(call: Callable[..., Curled], name: str) -> Curled:
    return call(*NOW, "-H", "DD-EVP-ORIGIN: datadog-ci deployment", *create_monitor(name))


CHANGES = [changed_body, changed_query, changed_content_type, conditional, from_elsewhere]


@pytest.mark.parametrize("change", CHANGES)
def test_abuse_32_a_changed_request_is_another_one(
    place: Place, issuer: Issuer, datadog: StandIn, change: Change
) -> None:
    gateway, control = place
    call = agent(gateway, issuer)
    name = change.__name__
    approved = call(*NOW, *create_monitor(name)).json()["ddgate"]["approval"]
    control.decide(approved)
    other = change(call, name)
    assert (other.status, other.json()["ddgate"]["reason"]) == (429, "approval_pending")
    assert other.json()["ddgate"]["approval"] != approved
    assert not writes(datadog)


def test_abuse_32_another_origin_is_another_request_and_the_approved_one_is_forwarded(
    place: Place, issuer: Issuer, datadog: StandIn
) -> None:
    gateway, control = place
    call = agent(gateway, issuer)
    mine, another = ("-H", "DD-EVP-ORIGIN: datadog-ci"), ("-H", "DD-EVP-ORIGIN: datadog-ci-other")
    approved = call(*NOW, *mine, *create_monitor("origins")).json()["ddgate"]["approval"]
    control.decide(approved)
    assert call(*NOW, *another, *create_monitor("origins")).json()["ddgate"]["approval"] != approved
    assert not writes(datadog)
    assert call(*NOW, *mine, *create_monitor("origins")).status == 200
    (ran,) = writes(datadog)
    assert ran.values("dd-evp-origin") == ["datadog-ci"]


@pytest.mark.parametrize("who", [{"sub": "other-agent"}, {"sub": "demo-agent", "act": {"sub": "demo-agent"}}])
def test_abuse_32_another_principal_or_owner_is_another_request(
    place: Place, issuer: Issuer, datadog: StandIn, who: dict[str, Any]
) -> None:
    gateway, control = place
    monitor = create_monitor(f"for {who}")
    approved = agent(gateway, issuer)(*NOW, *monitor).json()["ddgate"]["approval"]
    control.decide(approved)
    claims: dict[str, Any] = {"groups": ["agents"], **who}
    if "act" in claims:
        claims["act"] = {"iss": issuer.url, "sub": "demo-agent", "groups": ["agents"]}
        claims["sub"] = "bob"
    token = issuer.mint(**claims)
    other = curl(gateway, *NOW, *monitor, token=token)
    assert other.status == 429, other.body
    assert other.json()["ddgate"]["approval"] != approved
    assert curl(gateway, f"https://api.datadoghq.com/.ddgate/approvals/{approved}", token=token).status == 404
    assert not writes(datadog)


def test_abuse_32_another_credential_is_another_request(
    own: Place, issuer: Issuer, datadog: StandIn, tmp_path: Path
) -> None:
    gateway, control = own
    call = agent(gateway, issuer)
    approved = call(*NOW, *create_monitor("a")).json()["ddgate"]["approval"]
    control.decide(approved)
    revision = gateway.status()["policy_revision"]
    text = POLICY.replace("    reason: Monitors page people.", "    credential: readonly")
    (tmp_path / "approvals.yaml").write_text(text)
    wait_until(lambda: gateway.status()["policy_revision"] != revision, what="the new policy")
    other = call(*NOW, *create_monitor("a"))
    assert other.status == 429
    assert other.json()["ddgate"]["approval"] != approved
    assert not writes(datadog)


def test_abuse_31_a_newer_deny_beats_a_grant(
    own: Place, issuer: Issuer, datadog: StandIn, tmp_path: Path
) -> None:
    """Also for a call that is held while policy changes."""
    gateway, control = own
    call = agent(gateway, issuer)
    with calling(lambda: call(*create_monitor("a"))) as answer:
        (pending,) = control.wait_for("pending")
        revision = gateway.status()["policy_revision"]
        text = POLICY + "  - {id: freeze, effect: deny, op: {name: CreateMonitor}, reason: frozen}\n"
        (tmp_path / "approvals.yaml").write_text(text)
        wait_until(lambda: gateway.status()["policy_revision"] != revision, what="the new policy")
        assert control.decide(pending["id"]).status_code == 200
    refused = answer.result()
    assert (refused.status, refused.json()["ddgate"]["rule"]) == (403, "freeze")
    assert not writes(datadog)
