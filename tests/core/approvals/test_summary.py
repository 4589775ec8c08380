"""The one line that a person reads first."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.core.approvals.operation_words import words_of
from addons.core.approvals.summary import MAX_SUMMARY, one_line, shortened
from addons.core.model import Json
from addons.core.policy.request import Evidence, Seen, Unreadable
from tests.core.approvals.previewing import MONITOR, catalogue, operation, preview

MASK = "[REDACTED:datadog-api-key:0123abcd]"
MONITOR_PATH = "/api/v1/monitor/1234"


@pytest.mark.parametrize(
    ("name", "verb", "noun"),
    [
        ("UpdateMonitor", "update", "monitor"),
        ("DeleteSLO", "delete", "SLO"),
        ("v2.CreateDowntime", "create", "downtime"),
        ("v1.CancelDowntime", "cancel", "downtime"),
        ("CancelDowntimesByScope", "cancel", "downtimes by scope"),
        ("MuteHost", "mute", "host"),
        ("TriggerTests", "trigger", "tests"),
        ("v2.CreateAPIKey", "create", "API key"),
        ("UpdateAWSAccountCcmConfig", "update", "AWS account ccm config"),
        ("CreateOrUpdateServiceDefinitions", "create or update", "service definitions"),
        ("UpsertAndPublishFormVersion", "upsert and publish", "form version"),
        ("BulkDeleteSecurityMonitoringRules", "bulk delete", "security monitoring rules"),
        ("SoftDeleteDegradationUpdate", "soft delete", "degradation update"),
        ("CreateOAuth2ClientCredentials", "create", "OAuth2 client credentials"),
        ("CreatePagerDutyIntegrationService", "create", "PagerDuty integration service"),
        ("CreateIoCTriageState", "create", "IoC triage state"),
        ("CancelFleetDeploymentV2", "cancel", "fleet deployment"),
        ("BatchGetJourneysByTestSuiteIDs", "batch get", "journeys by test suite IDs"),
        ("UpdateIPAllowlist", "update", "IP allowlist"),
        ("AcknowledgeOnCallPage", "acknowledge", "on-call page"),
    ],
)
def test_the_operation_s_name_in_words(name: str, verb: str, noun: str) -> None:
    words = words_of(operation(name))
    assert (words.verb, words.noun) == (verb, noun)


def test_every_operation_has_a_summary_with_its_words_and_its_id() -> None:
    for each in catalogue().operations():
        words = words_of(each)
        assert words.verb == words.verb.strip().lower() != ""
        assert words.noun or each.name == "Validate"
        target = "/".join("id-7" if part.startswith("{") else part for part in each.template.split("/"))
        name = f"{each.version}.{each.name}"
        bodies: tuple[bytes | Json, ...] = (b"", {"data": {"attributes": {"name": "x"}}})
        for body in bodies:
            made = preview(name, target, body)
            assert made.operation == each.name
            assert made.summary.startswith(("set ", words.verb))
            assert words.noun in made.summary
            assert ("id-7" in made.summary) == ("{" in each.template)
            assert made.summary.isprintable()
            assert len(made.summary) <= MAX_SUMMARY


@pytest.mark.parametrize(
    ("name", "target", "body", "resource", "summary"),
    [
        (
            "UpdateMonitor",
            MONITOR_PATH,
            {"options": {"thresholds": {"critical": 900}}},
            Seen(MONITOR),
            'set monitor 1234 "prod latency": options.thresholds.critical 500 -> 900',
        ),
        (
            "UpdateMonitor",
            MONITOR_PATH,
            {"name": "p", "tags": ["env:prod"], "x": 1},
            Seen(MONITOR),
            'set monitor 1234 "prod latency": name "prod latency" -> "p", tags[1] "team:a" removed, x 1 (new)',  # noqa: E501 - as it is read
        ),
        (
            "UpdateMonitor",
            MONITOR_PATH,
            {"name": "prod latency"},
            Seen(MONITOR),
            'set monitor 1234 "prod latency": nothing that is not so already',
        ),
        (
            "UpdateMonitor",
            MONITOR_PATH,
            {"name": "prod", "priority": 1},
            Unreadable("Datadog answered 404"),
            'set monitor 1234 "prod": priority 1',
        ),
        ("UpdateMonitor", MONITOR_PATH, b"not json", Seen(MONITOR), 'update monitor 1234 "prod latency"'),
        ("DeleteMonitor", MONITOR_PATH, b"", Seen(MONITOR), 'delete monitor 1234 "prod latency"'),
        (
            "DeleteMonitor",
            f"{MONITOR_PATH}?force=true",
            b"",
            Seen(MONITOR),
            'delete monitor 1234 "prod latency": force=true',
        ),
        (
            "DeleteDashboard",
            "/api/v1/dashboard/abc-def",
            b"",
            Seen({"title": "Checkout"}),
            'delete dashboard abc-def "Checkout"',
        ),
        ("DeleteDashboard", "/api/v1/dashboard/abc-def", b"", None, "delete dashboard abc-def"),
        (
            "DeleteDashboards",
            "/api/v1/dashboard",
            {"data": [{"id": "abc", "type": "dashboard"}, {"id": "def", "type": "dashboard"}]},
            None,
            'delete dashboards: "abc", "def"',
        ),
        ("v2.CreateDowntime", "/api/v2/downtime", b"", None, "create downtime"),
        (
            "v2.CreateDowntime",
            "/api/v2/downtime",
            {"data": {"type": "downtime", "attributes": {"scope": "env:prod"}}},
            None,
            'create downtime "env:prod"',
        ),
        (
            "v2.UpdateUser",
            "/api/v2/users/1-2",
            {"data": {"type": "users", "id": "1-2", "attributes": {"disabled": True}}},
            Seen({"data": {"type": "users", "id": "1-2", "attributes": {"name": "Bob", "disabled": False}}}),
            'set user 1-2 "Bob": disabled false -> true',
        ),
        (
            "RemoveUserFromRole",
            "/api/v2/roles/r-1/users",
            {"data": {"id": "u-1", "type": "users"}},
            None,
            'remove user from role r-1: "u-1"',
        ),
        ("MuteHost", "/api/v1/host/web-1/mute", {"end": 5}, None, "mute host web-1: end 5"),
        (None, "/api/v2/new-thing", {"a": 1}, None, "POST /api/v2/new-thing"),
        (None, "/api/v2/new-thing?x=1", {"a": 1}, None, "POST /api/v2/new-thing: x=1"),
        (
            "v1.DeleteAPIKey",
            f"/api/v1/api_key/{MASK}",
            b"",
            Unreadable("Datadog answered 403"),
            f"delete API key {MASK}",
        ),
    ],
)
def test_what_it_says(
    name: str | None, target: str, body: bytes | Json, resource: Evidence | None, summary: str
) -> None:
    assert preview(name, target, body, resource).summary == summary


def test_a_few_changes_stand_for_many() -> None:
    body: Json = {f"field{n}": n for n in range(10)}
    resource: Json = {f"field{n}": 0 for n in range(10)}
    summary = preview("UpdateMonitor", MONITOR_PATH, body, Seen(resource)).summary
    assert summary.endswith("field4 0 -> 4 and 5 more")
    assert len(summary) <= 200


@pytest.mark.parametrize("name", ["x" * 5000, "\u202e" * 5000, "\x00" * 5000, f"{'x' * 44}{MASK}{'y' * 99}"])
def test_long_and_odd_texts_leave_one_line(name: str) -> None:
    body: Json = {"name": name, name: name, "tags": [name], "o": {name: {name: name}}}
    for resource in (None, Seen({"name": name, "o": 1}), Seen({"name": "x", "tags": [1]})):
        for operation_name in ("UpdateMonitor", "CreateMonitor", None):
            target = MONITOR_PATH if operation_name != "CreateMonitor" else "/api/v1/monitor"
            summary = preview(operation_name, target, body, resource).summary
            assert summary.isprintable()
            assert len(summary) <= MAX_SUMMARY + 60


def test_a_mask_is_whole_or_not_there() -> None:
    for length in range(20, 60):
        name = f"{'x' * length}{MASK}{'y' * 60}"
        summary = preview("CreateMonitor", "/api/v1/monitor", {"name": name}).summary
        assert summary.replace(MASK, "").count("[") == 0


def test_a_name_can_not_play_the_rest_of_the_line() -> None:
    name = 'x": options.thresholds.critical 500 -> 501'
    summary = preview("DeleteMonitor", MONITOR_PATH, b"", Seen({"name": name})).summary
    assert summary == f"delete monitor 1234 {json.dumps(name)}"


def test_an_id_can_not_play_a_name() -> None:
    summary = preview("DeleteMonitor", "/api/v1/monitor/12%20%22prod%22", b"").summary
    assert summary == "delete monitor 12%20%22prod%22"
    assert preview("DeleteMonitor", "/api/v1/monitor/%C3%A9", b"").summary == "delete monitor é"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("plain é 日本 🙂", "plain é 日本 🙂"),
        ("a\nb\tc\x00\x7f\x9b", "a\\nb\\tc\\u0000\\u007f\\u009b"),
        ("a\u202eb\u2028c\u200b\ufeff", "a\\u202eb\\u2028c\\u200b\\ufeff"),
        ("👩\u200d💻", "👩\u200d💻"),
    ],
)
def test_what_would_not_show_is_spelled_out(text: str, line: str) -> None:
    assert one_line(text) == line


@given(st.text(max_size=80), st.integers(2, 60))
def test_a_shortened_text_is_a_beginning(text: str, most: int) -> None:
    short = shortened(text, most)
    assert len(short) <= max(most, 2)
    assert text == short or (short.endswith("…") and text.startswith(short[:-1]))
