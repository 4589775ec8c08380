"""Dead letters, as people see them and send them again."""

from __future__ import annotations

from contextlib import closing

from addons.store.approvals.outbox import Outbox, Target
from tests.control.desk import Desk


async def _dead_letter(desk: Desk) -> None:
    approval = await desk.ask()
    assert approval
    with closing(Outbox.open(desk.control.parts.state.audit_log)) as outbox:
        now = desk.clock.now().wall
        outbox.plan([Target("slack")], now)
        (delivery,) = outbox.claim("slack", now, 60, 1)
        outbox.failed(delivery, "HTTP status 404", None)


async def test_a_dead_letter_is_shown_and_sent_again(desk: Desk) -> None:
    await _dead_letter(desk)
    token = desk.issuer.token("alice", "sre")
    told = (await desk.call("GET", "messages", token)).json()
    (letter,) = told["dead"]
    assert (letter["receiver"], letter["event"], letter["error"]) == ("slack", "requested", "HTTP status 404")
    assert (told["dead_count"], told["queued"]) == (1, 0)
    again = await desk.call("POST", f"messages/{letter['id']}/retry", token, {})
    assert (again.status_code, again.json()) == (200, {"id": letter["id"]})
    told = (await desk.call("GET", "messages", token)).json()
    assert (told["dead"], told["queued"]) == ([], 1)
    twice = await desk.call("POST", f"messages/{letter['id']}/retry", token, {})
    assert (twice.status_code, twice.json()["reason"]) == (404, "no_such_message")


async def test_messages_are_for_people_alone(desk: Desk) -> None:
    await _dead_letter(desk)
    for token in (None, desk.issuer.token("agent-1", aud="ddgate")):
        assert (await desk.call("GET", "messages", token)).status_code == 401
        assert (await desk.call("POST", "messages/1/retry", token, {})).status_code == 401
    token = desk.issuer.token("alice")
    for bad in ("0", "-1", "x", str(2**64)):
        assert (await desk.call("POST", f"messages/{bad}/retry", token, {})).status_code == 422
    assert (
        await desk.call("POST", "messages/1/retry", token, {"to": "https://evil.example"})
    ).status_code == 422
