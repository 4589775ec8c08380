"""What people do through the API, step by step."""

from __future__ import annotations

from dataclasses import replace

import pytest

from addons.core.approvals.approval import Approval, Requester
from addons.core.approvals.states import State
from addons.core.model import Json
from addons.store.approvals.runs import Consume, Lost
from tests.control.desk import Desk
from tests.store.approval_samples import NEEDS

NOBODY = "0" * 32


async def _lost(desk: Desk) -> Approval:
    """An approved call whose process has gone while it ran."""
    approval = await desk.ask()
    await desk.decide(approval, "approve", desk.issuer.token("alice", "sre"))
    journal, now = desk.control.parts.journal, desk.clock.now
    await journal.change(Consume(approval.id, approval.digest, "p1", "c1", now()))
    return await journal.change(Lost(approval.id, "c1", now()))


async def test_a_yes_to_what_was_shown_lets_it_run(desk: Desk) -> None:
    approval = await desk.ask()
    token = desk.issuer.token("alice", "sre")
    shown = (await desk.call("GET", f"approvals/{approval.id}", token)).json()
    assert (shown["may"]["approve"], shown["may_approve"]) == (
        {"allowed": True, "reason": None, "text": None},
        True,
    )
    answer = await desk.decide(approval, "approve", token, digest=shown["digest"], reason="fine")
    after = answer.json()
    assert (answer.status_code, after["state"], after["places_left"]) == (200, "approved", {})
    assert after["votes"][0]["person"]["display"] == "alice@example.com"
    assert after["preview"] == shown["preview"]
    assert [step["what"] for step in after["history"]] == ["requested", "seen", "approved"]
    assert after["history"][2]["reason"] == "fine"
    assert after["may"]["approve"]["reason"] == "not_pending"
    assert after["may"]["deny"]["allowed"]


async def test_a_yes_to_something_else_than_what_it_is_doesnt_count(desk: Desk) -> None:
    approval = await desk.ask()
    for what in ("approve", "deny", "break-glass"):
        answer = await desk.decide(
            approval, what, desk.issuer.token("carol", "sre", "breakers"), reason="x", digest="e" * 64
        )
        assert (answer.status_code, answer.json()["reason"]) == (409, "changed"), what


async def test_a_no_ends_it_and_says_why(desk: Desk) -> None:
    approval = await desk.ask()
    answer = await desk.decide(approval, "deny", desk.issuer.token("alice", "sre"), reason="not today")
    assert (answer.json()["state"], answer.json()["end"]["reason"]) == ("denied", "not today")
    again = await desk.decide(approval, "approve", desk.issuer.token("bob", "sre"))
    assert (again.status_code, again.json()["reason"]) == (409, "not_pending")


async def test_a_reason_that_the_policy_wants_must_be_given(desk: Desk) -> None:
    approval = await desk.ask(needs=replace(NEEDS, reason_required=True))
    token = desk.issuer.token("alice", "sre")
    for word in ("", "  "):
        answer = await desk.decide(approval, "approve", token, reason=word)
        assert (answer.status_code, answer.json()["reason"]) == (422, "reason_missing")
    assert (await desk.decide(approval, "approve", token, reason="because")).status_code == 200


async def test_a_broken_glass_is_reviewed_by_somebody_else(desk: Desk) -> None:
    approval = await desk.ask()
    carol = desk.issuer.token("carol", "breakers", "sre")
    for word in ("", " \t"):
        unexplained = await desk.decide(approval, "break-glass", carol, reason=word)
        assert (unexplained.status_code, unexplained.json()["reason"]) == (422, "invalid_request")
    broken = (await desk.decide(approval, "break-glass", carol, reason="fire")).json()
    assert (broken["state"], broken["glass_broken"]) == ("approved", True)
    assert broken["review_due"] == broken["broken_glass"]["review_due"]
    own = await desk.decide(approval, "review", carol, reason="all good")
    assert (own.status_code, own.json()["reason"]) == (403, "own_glass")
    done = await desk.decide(approval, "review", desk.issuer.token("alice", "sre"), reason="it was needed")
    assert done.json()["broken_glass"]["reviewed_by"]["subject"] == "alice"
    assert done.json()["review_due"] is None
    late = await desk.decide(approval, "review", desk.issuer.token("bob", "sre"), reason="me too")
    assert (late.status_code, late.json()["reason"]) == (409, "no_review_due")


@pytest.mark.parametrize(("ran", "state"), [(True, "succeeded"), (False, "failed")])
async def test_a_lost_call_is_settled_by_a_person(desk: Desk, ran: bool, state: str) -> None:
    lost = await _lost(desk)
    token = desk.issuer.token("bob", "sre")
    path = f"approvals/{lost.id}/resolve"
    without = await desk.call("POST", path, token, {"reason": "looked"})
    assert (without.status_code, without.json()["reason"]) == (422, "invalid_request")
    as_text = await desk.call("POST", path, token, {"reason": "looked", "ran": "yes"})
    assert as_text.status_code == 422
    answer = await desk.call("POST", path, token, {"reason": "looked in Datadog", "ran": ran})
    assert (answer.status_code, answer.json()["state"]) == (200, state)


async def test_the_one_it_is_for_takes_it_back(desk: Desk) -> None:
    names = frozenset({"agent-1", "alice"})
    approval = await desk.ask(by=Requester("https://agents", "agent-1", "alice", None, names))
    other = await desk.decide(approval, "cancel", desk.issuer.token("bob", "sre"))
    assert (other.status_code, other.json()["reason"]) == (403, "not_requester")
    answer = await desk.decide(approval, "cancel", desk.issuer.token("alice"), reason="a mistake")
    assert (answer.json()["state"], answer.json()["end"]["reason"]) == ("cancelled", "a mistake")


@pytest.mark.parametrize("what", ["approve", "deny", "break-glass", "review", "resolve", "cancel"])
async def test_there_is_nothing_to_decide_where_there_is_no_approval(desk: Desk, what: str) -> None:
    body: dict[str, Json] = {"reason": "x", **({"ran": True} if what == "resolve" else {})}
    answer = await desk.call("POST", f"approvals/{NOBODY}/{what}", desk.issuer.token("alice", "sre"), body)
    assert (answer.status_code, answer.json()["reason"]) == (404, "no_such_approval")
    assert answer.headers["content-type"] == "application/problem+json"


async def test_opening_it_in_full_is_on_record_once_a_person(desk: Desk) -> None:
    approval = await desk.ask()
    for name in ("alice", "alice", "bob"):
        answer = await desk.call("GET", f"approvals/{approval.id}", desk.issuer.token(name))
    assert answer.json()["seen_by"] == ["alice@example.com", "bob@example.com"]
    assert [one["actor"]["subject"] for one in desk.records("approval_seen")] == ["alice", "bob"]
    await desk.call("GET", "approvals", desk.issuer.token("carol"))  # the list is not the request in full
    assert len(desk.records("approval_seen")) == 2


async def test_the_list_is_newest_first_in_pages_and_by_state(desk: Desk) -> None:
    made = [await desk.ask(f"{number:064x}") for number in range(5)]
    token = desk.issuer.token("alice", "sre")
    await desk.decide(made[0], "deny", token)
    first = (await desk.call("GET", "approvals?limit=3", token)).json()
    assert [one["id"] for one in first["approvals"]] == [one.id for one in reversed(made[2:])]
    rest = (await desk.call("GET", f"approvals?limit=3&before={first['before']}", token)).json()
    assert [one["id"] for one in rest["approvals"]] == [made[1].id, made[0].id]
    assert rest["before"] is None
    denied = (await desk.call("GET", "approvals?state=denied", token)).json()["approvals"]
    assert [(one["id"], one["may_approve"]) for one in denied] == [(made[0].id, False)]
    both = (await desk.call("GET", "approvals?state=denied&state=pending", token)).json()["approvals"]
    assert len(both) == 5
    for bad in ("state=gone", "limit=0", "limit=201", "limit=x", "before=..", "approver=bob"):
        assert (await desk.call("GET", f"approvals?{bad}", token)).status_code == 422, bad


async def test_an_overdue_request_is_too_late_to_decide_on(desk: Desk) -> None:
    approval = await desk.ask()
    desk.clock.offset += NEEDS.pending + 1
    answer = await desk.decide(approval, "approve", desk.issuer.token("alice", "sre", **_times(desk)))
    assert (answer.status_code, answer.json()["reason"]) == (409, "too_late")
    found = desk.control.parts.approvals.get(approval.id)
    assert found is not None
    assert found.state is State.EXPIRED


def _times(desk: Desk) -> dict[str, float]:
    now = desk.clock.now().wall
    return {"iat": now, "nbf": now, "exp": now + 300}


async def test_nothing_is_decided_that_cant_be_put_on_record(desk: Desk) -> None:
    approval = await desk.ask()
    token = desk.issuer.token("alice", "sre")
    desk.control.parts.journal.close()
    for answer in (
        await desk.decide(approval, "approve", token),
        await desk.call("GET", f"approvals/{approval.id}", token),
    ):
        assert (answer.status_code, answer.json()["reason"]) == (503, "cannot_write")
    found = desk.control.parts.approvals.get(approval.id)
    assert found is not None
    assert found.state is State.PENDING


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", "application/json"),
        (b"{", "application/json"),
        (b"[]", "application/json"),
        (b'"yes"', "application/json"),
        (b'{"reason": 1}', "application/json"),
        (b'{"reason": null}', "application/json"),
        (b'{"digest": "short"}', "application/json"),
        (b'{"reason": "\xff"}', "application/json"),
        (b"reason=x", "application/x-www-form-urlencoded"),
        (b'{"reason": "x"}', "text/plain"),
        (b'{"reason": "' + b"x" * 4001 + b'"}', "application/json"),
    ],
)
async def test_a_body_that_isnt_as_described_decides_nothing(desk: Desk, content: bytes, kind: str) -> None:
    approval = await desk.ask()
    answer = await desk.client.post(
        f"/api/v1/approvals/{approval.id}/approve",
        content=content,
        headers={"Authorization": f"Bearer {desk.issuer.token('alice', 'sre')}", "Content-Type": kind},
    )
    assert answer.status_code in {400, 422}, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert not desk.records("approval_approved")


async def test_a_damaged_approval_is_an_error_of_its_own(desk: Desk) -> None:
    approval, other = await desk.ask("a" * 64), await desk.ask("b" * 64)
    desk.damage(approval)
    token = desk.issuer.token("alice", "sre")
    shown = await desk.call("GET", f"approvals/{approval.id}", token)
    voted = await desk.decide(approval, "approve", token)
    assert {(one.status_code, one.json()["reason"]) for one in (shown, voted)} == {(500, "unreadable")}
    listed = (await desk.call("GET", "approvals", token)).json()["approvals"]
    assert [one["id"] for one in listed] == [other.id]


async def test_who_asks_is_told_who_they_are(desk: Desk) -> None:
    me = (await desk.call("GET", "me", desk.issuer.token("alice", "sre", "staff"))).json()
    assert (me["subject"], me["display"], me["groups"]) == ("alice", "alice@example.com", ["sre", "staff"])
    assert me["csrf_token"] is None
