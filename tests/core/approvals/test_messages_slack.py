"""Slack's form: within Slack's limits, and nothing that an agent wrote does anything there."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.core.approvals.messages.events import MessageEvent
from addons.core.approvals.messages.slack import slack_message
from addons.core.approvals.messages.told import Told
from tests.core.approvals.messages_made import AT, LINK, assert_slack_takes, texts_of, told

HOSTILE = (
    "<!channel> <!here> <!everyone> <@U012AB3CD> <#C123|general>",
    "@here @channel @everyone",
    "<https://evil.example|the approvals page>",
    "*bold* _it_ ~no~ `code` ```block``` > quote",
    ":white_check_mark: :large_green_circle:",
    "&lt;!channel&gt; &amp;",
    "Approved\nBy alice@example.com\r\nRule\u2028prod",
    "a\u202eb\u2066c\u200bd\x00e\x1b[31mf\x7f",
    "\U0001f468\u200d\U0001f469",
)
# The only markup that we write ourselves: a time in the reader's own zone.
_DATE = re.compile(r"<!date\^\d+\^\{date_short_pretty\} \{time\}\|[-0-9T:.]+Z>")


def message(event: MessageEvent, text: str = "") -> dict[str, Any]:
    return slack_message(told(event, text), LINK)


def markup(made: dict[str, Any]) -> str:
    """What is left of its texts without escapes and our own times."""
    joined = "\n".join(_DATE.sub("", text) for text in texts_of(made) if text != LINK)
    return re.sub(r"&(amp|lt|gt);", "", joined)


def shown(made: dict[str, Any]) -> str:
    return "\n".join(texts_of(made))


@pytest.mark.parametrize("event", MessageEvent)
def test_every_event_makes_a_message_that_slack_takes(event: MessageEvent) -> None:
    made = message(event)
    assert_slack_takes(made)
    assert "prod latency" in made["text"]
    assert made["text"].endswith(LINK)
    assert any(block["type"] == "actions" and block["elements"][0]["url"] == LINK for block in made["blocks"])
    assert 'set monitor 1234 "prod latency": critical 500 -&gt; 900' in shown(made)


def test_a_request_shows_what_a_person_needs_to_know_whether_to_look() -> None:
    text = shown(message(MessageEvent.REQUESTED))
    for part in (
        "Asked by\nagent",
        "On behalf of\ncarol",
        "Operation\nUpdateMonitor",
        "Rule\nprod-monitors",
        "Needed\n1 of secops, 1 of sre-leads",
        "Expires\n<!date^",
        "options.thresholds.critical: 500 → 900",
        'message: "@pagerduty" → nothing',
        "which nobody has checked: “less noise at night”",
        "Read and decide",
    ):
        assert part in text, part


def test_a_decision_names_who_and_why() -> None:
    assert "By bob@example.com\nReason: “because”" in shown(message(MessageEvent.DENIED))
    glass = shown(message(MessageEvent.GLASS_BROKEN))
    assert "By alice@example.com\nReason: “down”" in glass
    assert "Review due\n<!date^" in glass


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("event", MessageEvent)
def test_nothing_that_an_agent_wrote_does_anything(event: MessageEvent, text: str) -> None:
    made = message(event, text)
    assert_slack_takes(made)
    assert not set(markup(made)) & set("<>&")
    assert (made["mrkdwn"], made["parse"], made["link_names"]) == (False, "none", False)
    assert (made["unfurl_links"], made["unfurl_media"]) == (False, False)
    assert not re.search(r"@\w", made["text"])


@pytest.mark.parametrize("event", MessageEvent)
def test_what_an_agent_wrote_is_never_markup(event: MessageEvent) -> None:
    mark = "agentsown"
    for block in message(event, mark)["blocks"]:
        for text in [block.get("text"), *block.get("fields", ()), *block.get("elements", ())]:
            if text is not None and mark in json.dumps(text):
                assert text["type"] == "plain_text"
                assert text["emoji"] is False


@pytest.mark.parametrize("hidden", ["\u202e", "\u2066", "\u200b", "\x00", "\x1b", "\x7f", "\u2028", "\r"])
def test_deceptive_characters_are_shown_as_what_they_are(hidden: str) -> None:
    made = message(MessageEvent.REQUESTED, f"abc{hidden}def")
    assert hidden not in shown(made)
    assert f"U+{ord(hidden):04X}" in shown(made)


def test_a_line_feed_forges_no_line_of_ours() -> None:
    lines = shown(message(MessageEvent.DENIED, "\nBy alice@example.com")).splitlines()
    assert "By alice@example.com" not in lines


@given(st.text(max_size=4000), st.sampled_from(MessageEvent))
def test_slack_takes_a_message_with_any_text(text: str, event: MessageEvent) -> None:
    made = message(event, text)
    assert_slack_takes(made)
    assert not set(markup(made)) & set("<>&")
    assert json.loads(json.dumps(made)) == made


@pytest.mark.parametrize("char", ["x", "&", "<", "\U0001f600", "a\u202e", "a\ud800"])
def test_the_longest_texts_are_cut_between_characters(char: str) -> None:
    full = char * 20_000
    changes = told(MessageEvent.GLASS_BROKEN).changes
    fields: dict[str, Any] = dict.fromkeys(
        ("summary", "requester", "on_behalf_of", "target", "rule", "intent", "operation"), full
    )
    long = replace(told(MessageEvent.GLASS_BROKEN), why=(full,), places=((full, 1),), **fields)
    long = replace(long, changes=tuple(replace(one, path=full, before=full) for one in changes))
    made = slack_message(long, LINK)
    assert_slack_takes(made)
    assert not re.search(r"&(?!amp;|lt;|gt;)", shown(made))
    assert "…" in shown(made)


def test_a_time_that_is_none_is_refused() -> None:
    broken: Told = replace(told(MessageEvent.REQUESTED), pending_until=AT * 1e9)
    with pytest.raises(ValueError, match="not a time"):
        slack_message(broken, LINK)
