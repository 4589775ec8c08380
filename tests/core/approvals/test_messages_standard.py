from __future__ import annotations

import json
from dataclasses import replace
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.core.approvals.approval import Vote
from addons.core.approvals.messages.events import MessageEvent
from addons.core.approvals.messages.moments import rfc3339
from addons.core.approvals.messages.standard import standard_message
from addons.core.approvals.messages.told import tell
from addons.core.config_approvals import EventName
from addons.core.model import Json
from tests.core.approvals.messages_made import ALICE, AT, LINK, an_approval, told


def data(event: MessageEvent, text: str = "") -> dict[str, Json]:
    found = standard_message(told(event, text), LINK)["data"]
    assert isinstance(found, dict)
    return found


def test_the_events_of_the_configuration_are_those_of_messages() -> None:
    assert [event.value for event in MessageEvent] == list(get_args(EventName))


def test_a_request_says_who_wants_what_why_it_waits_and_where_to_decide() -> None:
    message = standard_message(told(MessageEvent.REQUESTED), LINK)
    assert message["type"] == "approval.requested"
    assert message["timestamp"] == "2026-01-01T00:00:00.500Z"
    found = message["data"]
    assert isinstance(found, dict)
    assert found["url"] == LINK
    assert found["summary"] == 'set monitor 1234 "prod latency": critical 500 -> 900'
    assert found["requester"] == {
        "issuer": "https://agents.example",
        "subject": "agent",
        "on_behalf_of": "carol",
        "session": "run-1",
    }
    assert found["still_needed"] == {"secops": 1, "sre-leads": 1}
    assert found["pending_until"] == "2026-01-01T01:00:00.500Z"
    changes = found["changes"]
    assert isinstance(changes, list)
    assert changes[0] == {"path": "options.thresholds.critical", "before": "500", "after": "900"}
    assert changes[1] == {"path": "message", "before": '"@pagerduty"', "after": None}
    assert (found["by"], found["reason"], found["review_due"]) == (None, None, None)


@pytest.mark.parametrize(
    ("event", "who", "why"),
    [
        (MessageEvent.APPROVED, "alice@example.com", "fine"),
        (MessageEvent.DENIED, "bob@example.com", "because"),
        (MessageEvent.EXPIRED, "bob@example.com", "because"),
        (MessageEvent.CANCELLED, "bob@example.com", "because"),
        (MessageEvent.RESOLVED, "bob@example.com", "because"),
        (MessageEvent.GLASS_BROKEN, "alice@example.com", "down"),
        (MessageEvent.REVIEWED, "bob@example.com", "it was right"),
        (MessageEvent.EXECUTED, None, None),
        (MessageEvent.UNKNOWN, None, None),
    ],
)
def test_who_did_it_and_what_they_said(event: MessageEvent, who: str | None, why: str | None) -> None:
    found = data(event)
    assert (found["by"], found["reason"]) == (who, why)


def test_a_broken_glass_says_until_when_somebody_has_to_review_it() -> None:
    assert data(MessageEvent.GLASS_BROKEN)["review_due"] == "2026-01-02T00:00:00.500Z"
    assert data(MessageEvent.REVIEWED)["review_due"] is None


def test_data_has_the_same_fields_whatever_happened() -> None:
    assert len({tuple(sorted(data(event))) for event in MessageEvent}) == 1


def test_a_yes_in_part_leaves_the_places_that_are_still_needed() -> None:
    approval = an_approval(votes=(Vote(ALICE, approves=True, reason="", at=AT),))
    assert tell(approval, MessageEvent.UPDATED, AT).places == (("secops", 1),)
    assert told(MessageEvent.APPROVED).places == ()


@given(st.text(max_size=50), st.sampled_from(MessageEvent))
def test_any_text_travels_as_json(text: str, event: MessageEvent) -> None:
    encoded = json.dumps(standard_message(told(event, text), LINK), allow_nan=False)
    assert json.loads(encoded)["data"]["stated_intent"].startswith("less noise at night")


@pytest.mark.parametrize("event", MessageEvent)
def test_a_message_stays_small_whatever_was_asked(event: MessageEvent) -> None:
    huge = tell(
        replace(
            an_approval("x" * 100_000),
            preview={"changes": [{"path": "p" * 9999, "before": "b" * 9999, "after": "a" * 9999}] * 5000},
        ),
        event,
        AT,
    )
    message = standard_message(huge, LINK)
    assert len(json.dumps(message)) < 20_000
    assert huge.more_changes == 5000 - len(huge.changes)
    assert huge.summary.endswith("…")


@pytest.mark.parametrize("preview", [None, 3, [], {}, {"changes": 3}, {"changes": [3, {}, {"path": 1}]}])
def test_a_preview_that_is_none_makes_a_message_without_changes(preview: Json) -> None:
    made = tell(an_approval(preview=preview), MessageEvent.REQUESTED, AT)
    assert all(change.before is None and change.after is None for change in made.changes)


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1667507170.344522, "2022-11-03T20:26:10.344Z"),
        (253402300799.5, "9999-12-31T23:59:59.500Z"),
    ],
)
def test_times_are_rfc_3339(at: float, text: str) -> None:
    assert rfc3339(at) == text


@pytest.mark.parametrize("at", [-1.0, float("nan"), float("inf"), 1e12])
def test_what_is_no_time_is_refused(at: float) -> None:
    with pytest.raises(ValueError, match="not a time"):
        rfc3339(at)
