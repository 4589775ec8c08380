"""I7 on the wire: a call is held until a person answers, and runs once or not at all."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path

from tests.e2e.approving import (
    AUDIENCE,
    DASHBOARD,
    MONITOR,
    NOW,
    Place,
    agent,
    calling,
    create_monitor,
    kinds,
    running,
    settings,
    writes,
)
from tests.e2e.conftest import MakeGateway
from tests.e2e.gateway_process import curl, wait_until
from tests.sandbox_processes import Issuer, StandIn


def test_i7_a_held_call_runs_once_when_a_person_approves(
    place: Place, issuer: Issuer, datadog: StandIn
) -> None:
    gateway, control = place
    call = agent(gateway, issuer)
    with calling(lambda: call(*create_monitor("held"))) as answer:
        (pending,) = control.wait_for("pending")
        assert not writes(datadog)
        assert control.decide(pending["id"]).status_code == 200
    assert answer.result().status == 200
    assert answer.result().json()["name"] == "held"
    assert len(writes(datadog)) == 1
    assert kinds(gateway, pending["id"]) == [
        *("approval_requested", "approval_approved", "attempted", "approval_consumed"),
        *("outcome", "approval_executed"),
    ]
    assert control.show(pending["id"])["state"] == "succeeded"
    (flow,) = [flow for flow in gateway.flows() if flow.metadata.get("ddgate.approval") == pending["id"]]
    assert flow.request.method == "POST"


def test_a_denied_call_is_answered_with_who_and_why(place: Place, issuer: Issuer, datadog: StandIn) -> None:
    gateway, control = place
    call = agent(gateway, issuer)
    with calling(lambda: call(*create_monitor("no"))) as answer:
        (pending,) = control.wait_for("pending")
        assert control.decide(pending["id"], "deny", reason="not on a Friday").status_code == 200
    denied = answer.result()
    assert denied.status == 403
    assert "denied by alice" in denied.errors
    assert "not on a Friday" in denied.errors
    assert denied.json()["ddgate"]["reason"] == "approval_denied"
    assert not writes(datadog)


def test_who_does_not_wait_hears_that_it_is_pending_and_repeats_the_same_request(
    place: Place, issuer: Issuer, datadog: StandIn
) -> None:
    gateway, control = place
    call = agent(gateway, issuer)
    first = call(*NOW, *create_monitor("later"))
    said = first.json()["ddgate"]
    assert (first.status, said["reason"], said["state"]) == (429, "approval_pending", "pending")
    assert said["next"] == "repeat the same request"
    headers = dict(first.headers)
    assert headers["retry-after"] == headers["x-ratelimit-reset"] == "5"
    second = call(*NOW, *create_monitor("later"))
    assert second.json()["ddgate"]["approval"] == said["approval"]
    status = call(said["status_url"])
    assert (status.status, status.json()["approval"]["state"]) == (200, "pending")
    assert control.decide(said["approval"]).status_code == 200
    assert call(said["status_url"]).json()["approval"]["state"] == "approved"
    assert not writes(datadog)
    assert call(*NOW, *create_monitor("later")).status == 200
    assert len(writes(datadog)) == 1


def test_a_call_that_ran_is_answered_again_and_not_run_again(
    place: Place, issuer: Issuer, datadog: StandIn
) -> None:
    gateway, control = place
    call = agent(gateway, issuer)
    with calling(lambda: call(*create_monitor("once"))) as answer:
        control.decide(control.wait_for("pending")[0]["id"])
    again = call(*NOW, *create_monitor("once"))
    assert (again.status, again.json()) == (200, answer.result().json())
    assert dict(again.headers)["x-ddgate-answered-again"]
    assert len(writes(datadog)) == 1
    keyed = call(*NOW, "-H", "Idempotency-Key: another", *create_monitor("once"))
    assert keyed.status == 429
    assert len(control.listed("pending")) == 1


def test_after_the_window_the_same_call_asks_anew(
    make_gateway: MakeGateway, issuer: Issuer, tmp_path: Path, fresh: StandIn
) -> None:
    gateway = make_gateway(config=settings(tmp_path, issuer, replay_window="0s")).start()
    call = agent(gateway, issuer)
    with running(gateway, issuer) as control:
        with calling(lambda: call(*create_monitor("once"))) as answer:
            control.decide(control.wait_for("pending")[0]["id"])
        assert answer.result().status == 200
        assert call(*NOW, *create_monitor("once")).status == 429
    assert len(writes(fresh)) == 1


def test_a_token_that_expires_while_its_call_is_held_forwards_nothing(
    place: Place, issuer: Issuer, datadog: StandIn
) -> None:
    gateway, control = place
    token = issuer.mint(sub="demo-agent", groups=["agents"], ttl=2)
    with calling(lambda: curl(gateway, *create_monitor("expires"), token=token)) as answer:
        (pending,) = control.wait_for("pending")
        expires = json.loads(_payload(token))["exp"]
        wait_until(lambda: time.time() > expires, what="the end of the token")
        control.decide(pending["id"])
    assert answer.result().status == 401
    assert answer.result().json()["ddgate"]["reason"] == "token_expired"
    assert not writes(datadog)


def _payload(token: str) -> bytes:
    part = token.split(".")[1]
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def test_abuse_34_a_client_that_left_is_not_executed_for_its_next_identical_call_is(
    place: Place, issuer: Issuer, datadog: StandIn
) -> None:
    gateway, control = place
    call = agent(gateway, issuer)
    left = call("--max-time", "1", "-H", "Prefer: wait=60", *create_monitor("gone"))
    assert left.exit_code == 28
    (pending,) = control.wait_for("pending")
    wait_until(lambda: gateway.status()["holding"] == 0, what="the end of the hold")
    control.decide(pending["id"])
    assert control.show(pending["id"])["state"] == "approved"
    assert "approval_consumed" not in kinds(gateway, pending["id"])
    assert not writes(datadog)
    assert call(*NOW, *create_monitor("gone")).status == 200
    assert len(writes(datadog)) == 1


def test_the_requester_alone_sees_and_takes_back_its_request(
    place: Place, issuer: Issuer, datadog: StandIn
) -> None:
    gateway, control = place
    call, other = agent(gateway, issuer), agent(gateway, issuer, "sre-agent")
    with calling(lambda: call(*create_monitor("taken back"))) as answer:
        (pending,) = control.wait_for("pending")
        url = f"https://api.datadoghq.com/.ddgate/approvals/{pending['id']}"
        assert other(url).status == other("-X", "DELETE", url).status == 404
        assert call("-X", "POST", url).status == 405
        taken_back = call("-X", "DELETE", url)
        assert taken_back.json()["approval"]["state"] == "cancelled"
    assert answer.result().status == 403
    assert answer.result().json()["ddgate"]["reason"] == "approval_cancelled"
    assert control.decide(pending["id"]).status_code == 409
    assert not writes(datadog)
    assert not [one for one in datadog.requests() if one.path.startswith("/.ddgate")]


def test_more_pending_requests_than_allowed_are_refused(
    make_gateway: MakeGateway, issuer: Issuer, tmp_path: Path, fresh: StandIn
) -> None:
    gateway = make_gateway(config=settings(tmp_path, issuer, pending_per_principal=2)).start()
    call = agent(gateway, issuer)
    answers = [call(*NOW, *create_monitor(f"m{number}")) for number in range(3)]
    assert [answer.json()["ddgate"]["reason"] for answer in answers] == [
        *("approval_pending", "approval_pending", "too_many_approvals")
    ]
    assert [answer.status for answer in answers] == [429] * 3
    assert agent(gateway, issuer, "sre-agent")(*NOW, *create_monitor("x")).json()["ddgate"]["reason"] == (
        "approval_pending"
    )
    assert not writes(fresh)


def test_a_call_that_would_use_up_the_memory_for_held_bodies_is_asked_for_and_not_held(
    make_gateway: MakeGateway, issuer: Issuer, tmp_path: Path, fresh: StandIn
) -> None:
    config = settings(tmp_path, issuer, held_memory="1KiB", default_wait="60s")
    gateway = make_gateway(config=config).start()
    answer = agent(gateway, issuer)("--max-time", "20", *create_monitor("m", message="x" * 2000))
    assert (answer.status, answer.json()["ddgate"]["reason"]) == (429, "approval_pending")
    assert not writes(fresh)


def test_two_groups_are_two_people_and_breaking_the_glass_is_reviewed(
    place: Place, issuer: Issuer, datadog: StandIn
) -> None:
    gateway, control = place
    call = agent(gateway, issuer)
    dashboard = ["-X", "POST", "-H", "Content-Type: application/json", DASHBOARD]
    body = {"title": "d", "layout_type": "ordered", "widgets": []}
    ask = [*NOW, *dashboard, "-d", json.dumps(body)]
    first = call(*ask).json()["ddgate"]["approval"]
    assert control.decide(first).json()["reason"] == "reason_missing"
    assert control.decide(first, reason="ok").status_code == 200
    assert control.decide(first, person="carol", reason="ok").json()["reason"] == "place_taken"
    assert call(*ask).status == 429
    assert control.decide(first, person="bob", reason="ok too").status_code == 200
    assert call(*ask).status == 200
    other = [*NOW, *dashboard, "-d", json.dumps(body | {"title": "e"})]
    second = call(*other).json()["ddgate"]["approval"]
    dan = {"groups": ["incident"]}
    assert control.decide(second, "break-glass", "dan", "", **dan).status_code == 422
    assert control.decide(second, "break-glass", "dan", "outage", **dan).status_code == 200
    assert call(*other).status == 200
    assert control.decide(second, "review", "dan", "fine", **dan).json()["reason"] == "own_glass"
    assert control.decide(second, "review", "bob", "seen, was right").status_code == 200
    assert "approval_glass_broken" in kinds(gateway, second)
    assert "approval_reviewed" in kinds(gateway, second)
    assert len(writes(datadog)) == 2


def test_what_changed_in_datadog_since_a_person_looked_is_asked_anew(
    place: Place, issuer: Issuer, datadog: StandIn
) -> None:
    gateway, control = place
    call = agent(gateway, issuer)
    with calling(lambda: call(*create_monitor("prod latency"))) as answer:
        control.decide(control.wait_for("pending")[0]["id"])
    url = f"{MONITOR}/{answer.result().json()['id']}"
    put = ["-X", "PUT", "-H", "Content-Type: application/json", url]
    ask = [*NOW, *put, "-d", '{"name": "renamed"}']
    first = call(*ask).json()["ddgate"]["approval"]
    shown = control.show(first)
    assert "prod latency" in json.dumps(shown["preview"])
    assert control.decide(first).status_code == 200
    with calling(lambda: call(*put, "-d", '{"name": "by somebody else"}')) as answer:
        pending = [one for one in control.wait_for("pending") if one["id"] != first]
        control.decide(pending[0]["id"])
    assert answer.result().status == 200
    again = call(*ask)
    assert (again.status, again.json()["ddgate"]["state"]) == (429, "pending")
    assert again.json()["ddgate"]["approval"] != first
    assert control.show(first)["state"] == "cancelled"
    assert len(writes(datadog)) == 2


def test_a_newer_request_on_the_same_target_supersedes_one_that_nobody_waits_for(
    place: Place, issuer: Issuer, datadog: StandIn
) -> None:
    gateway, control = place
    call = agent(gateway, issuer)
    ids = []
    for name in ("one", "two"):
        url = f"{MONITOR}/1"
        body = json.dumps({"name": name})
        answer = call(*NOW, "-X", "PUT", "-H", "Content-Type: application/json", "-d", body, url)
        ids.append(answer.json()["ddgate"]["approval"])
    shown = control.show(ids[0])
    assert (shown["state"], shown["superseded_by"]) == ("cancelled", ids[1])
    assert [one["id"] for one in control.listed("pending")] == [ids[1]]
    assert not writes(datadog)


def test_i5_a_preview_and_everything_that_is_stored_hides_secrets_and_shows_every_field(
    place: Place, issuer: Issuer, datadog: StandIn
) -> None:
    gateway, control = place
    call = agent(gateway, issuer)
    secret = "ghp_" + "a8Kd03mXq7Zr5Lw2Vt9Yb4Nc6Pf1Hs0JgUe3"[:36]
    message = f"token {secret} for it"
    intent = ("-H", f"X-DDGate-Intent: bob asked for it, with {secret}")
    dropped = ("-H", f"X-Something: {secret}")
    asked = [*intent, *dropped, *create_monitor("m", message=message, priority=3)]
    with calling(lambda: call(*asked)) as answer:
        (pending,) = control.wait_for("pending")
        shown = json.dumps(control.show(pending["id"]))
        for part in ("avg(last_5m)", "metric alert", "priority", "bob asked for it"):
            assert part in shown
        assert "X-Something" not in shown
        control.decide(pending["id"])
    assert answer.result().status == 200
    (ran,) = writes(datadog)
    assert json.loads(ran.body)["message"] == message  # what leaves is what the agent sent
    assert not ran.values("x-something")
    assert not ran.values("x-ddgate-intent")
    for path, content in gateway.files():
        assert secret.encode() not in content, path


def test_i5_a_secret_in_a_persons_reason_is_masked_before_it_is_stored(place: Place, issuer: Issuer) -> None:
    gateway, control = place
    pending = agent(gateway, issuer)(*NOW, *create_monitor("denied")).json()["ddgate"]["approval"]
    secret = "ghp_" + "a8Kd03mXq7Zr5Lw2Vt9Yb4Nc6Pf1Hs0JgUe3"[:36]
    assert control.decide(pending, "deny", reason=f"use {secret} instead").status_code == 200
    end = json.dumps(control.show(pending))
    assert "[REDACTED:" in end
    for path, content in gateway.files():
        assert secret.encode() not in content, path


def test_control_takes_no_token_of_an_agent(place: Place, issuer: Issuer) -> None:
    """ABUSE 33."""
    gateway, control = place
    pending = agent(gateway, issuer)(*NOW, *create_monitor("by an agent")).json()["ddgate"]["approval"]
    for token in (issuer.token("alice"), issuer.token("alice", audience=AUDIENCE, on_behalf_of="bob")):
        assert control.ask("POST", f"approvals/{pending}/approve", token, {"reason": ""}).status_code == 401
    assert control.show(pending)["state"] == "pending"
