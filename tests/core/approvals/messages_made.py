"""Approvals to tell of, and what Slack takes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from addons.core.approvals.approval import (
    Approval,
    BrokenGlass,
    CallAsked,
    End,
    Person,
    Requester,
    Review,
    Vote,
)
from addons.core.approvals.messages.events import MessageEvent
from addons.core.approvals.messages.told import Told, tell
from addons.core.approvals.needs import BreakGlass, Needs
from addons.core.approvals.states import State
from addons.core.model import Json

AT = 1_767_225_600.5  # 2026-01-01T00:00:00.500Z
LINK = "https://approvals.example/approvals/0123abcd"


def person(name: str, *groups: str) -> Person:
    return Person("https://people.example", name, frozenset(groups), frozenset({name}), f"{name}@example.com")


ALICE, BOB = person("alice", "sre-leads"), person("bob", "secops")
GLASS = BrokenGlass(ALICE, "production is down", AT, AT + 86400)
CHANGES: list[Json] = [
    {"path": "options.thresholds.critical", "kind": "changed", "before": "500", "after": "900"},
    {"path": "message", "kind": "removed", "before": '"@pagerduty"', "after": None},
]


def an_approval(text: str = "", state: State = State.PENDING, **changed: Any) -> Approval:
    """`text` stands wherever an agent, or what it read, can put one."""
    preview: dict[str, Json] = {"changes": [*CHANGES, {"path": text, "before": text, "after": text}]}
    approval = Approval(
        id="0123abcd",
        state=state,
        digest="d" * 64,
        thread="t" * 64,
        basis="",
        requester=Requester("https://agents.example", f"agent{text}", f"carol{text}", "run-1", frozenset()),
        asked=CallAsked(
            call="call-1",
            operation="UpdateMonitor",
            version="v1",
            risk="write",
            method="PUT",
            host="api.datadoghq.com",
            target=f"/api/v1/monitor/1234?{text}",
            credential="default",
            rule="prod-monitors",
            rules=("prod-monitors", "all-writes"),
            why=(f"production monitors need a person{text}",),
            policy_revision="f" * 12,
            summary=f'set monitor 1234 "prod latency": critical 500 -> 900{text}',
            intent=f"less noise at night{text}",
        ),
        needs=Needs(
            (("secops", 1), ("sre-leads", 1)), True, 3600, 600, 60, BreakGlass(("sre-leads",), 86400)
        ),
        preview=preview,
        requested_at=AT,
        pending_until=AT + 3600,
    )
    return replace(approval, **changed)


def after(event: MessageEvent, text: str = "") -> Approval:
    """An approval as `event` leaves it."""
    vote = Vote(ALICE, True, f"fine{text}", AT)
    granted: dict[str, Any] = {"votes": (vote,), "granted_at": AT, "grant_until": AT + 600}
    match event:
        case MessageEvent.REQUESTED | MessageEvent.UPDATED:
            return an_approval(text)
        case MessageEvent.APPROVED:
            return an_approval(text, State.APPROVED, **granted)
        case MessageEvent.GLASS_BROKEN:
            return an_approval(text, State.APPROVED, broken_glass=replace(GLASS, reason=f"down{text}"))
        case MessageEvent.REVIEWED:
            review = Review(BOB, f"it was right{text}", AT)
            return an_approval(text, State.SUCCEEDED, broken_glass=replace(GLASS, review=review), status=200)
        case MessageEvent.EXECUTED:
            return an_approval(text, State.SUCCEEDED, status=200, ran_at=AT, **granted)
        case MessageEvent.UNKNOWN:
            return an_approval(text, State.UNKNOWN, executing_call="call-1", **granted)
        case _:
            ends = {
                MessageEvent.DENIED: State.DENIED,
                MessageEvent.EXPIRED: State.EXPIRED,
                MessageEvent.CANCELLED: State.CANCELLED,
                MessageEvent.RESOLVED: State.FAILED,
            }
            return an_approval(text, ends[event], end=End("bob@example.com", f"because{text}", AT))


def told(event: MessageEvent, text: str = "") -> Told:
    return tell(after(event, text), event, AT)


def texts_of(message: Json) -> Iterator[str]:
    """Every text in it, at any depth."""
    if isinstance(message, str):
        yield message
    elif isinstance(message, list):
        for each in message:
            yield from texts_of(each)
    elif isinstance(message, dict):
        for each in message.values():
            yield from texts_of(each)


def assert_slack_takes(message: dict[str, Any]) -> None:
    """The limits of Slack's reference for blocks and text objects."""
    assert 1 <= len(message["blocks"]) <= 50
    assert 1 <= _length(message["text"]) <= 4000
    for block in message["blocks"]:
        match block:
            case {"type": "header", "text": {"type": "plain_text"} as text}:
                _within(text, 150)
            case {"type": "section", "text": text}:
                _within(text, 3000)
            case {"type": "section", "fields": fields}:
                assert 1 <= len(fields) <= 10
                for field in fields:
                    _within(field, 2000)
            case {"type": "actions", "elements": [{"type": "button", "text": text, "url": url}]}:
                _within(text, 75)
                assert _length(url) <= 3000
            case {"type": "context", "elements": elements}:
                assert 1 <= len(elements) <= 10
                for element in elements:
                    _within(element, 2000)
            case _:
                raise AssertionError(f"not a block of ours: {block}")


def _within(text: dict[str, Any], most: int) -> None:
    assert text["type"] in {"plain_text", "mrkdwn"}
    assert 1 <= _length(text["text"]) <= most


def _length(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2
