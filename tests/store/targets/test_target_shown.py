"""What a person is shown of the resource that a call would change."""

from __future__ import annotations

import json

import pytest

from addons.core.model import Json
from addons.core.policy.request import Evidence, Seen, Unreadable
from tests.store.targets.target_reading import files_of
from tests.store.targets.target_upstream import GITHUB, MONITOR, NO_CALL, PATH, SHOWING, Make, answering


@pytest.mark.parametrize("operation", ["UpdateMonitor", "DeleteMonitor"])
async def test_a_person_is_shown_the_whole_document_of_an_update_and_a_deletion(
    make: Make, operation: str
) -> None:
    reading = make()
    shown = await reading.show(operation)
    assert shown.shown == Seen(MONITOR)
    assert shown.seen == await reading.read(operation)  # out of the same read
    assert reading.upstream.paths() == [PATH]


async def test_i2_what_a_person_is_shown_is_read_on_record(make: Make) -> None:
    reading = make()
    await reading.show("UpdateMonitor")
    attempted, outcome = reading.records()
    assert (attempted["kind"], outcome["kind"]) == ("attempted", "outcome")
    assert attempted["attributes"]["for"] == "CALL"
    assert attempted["attributes"]["purpose"] == "target"


async def test_a_person_is_shown_what_is_there_now(make: Make) -> None:
    reading = make()
    await reading.read()
    await reading.show()
    assert reading.upstream.paths() == [PATH, PATH]
    await reading.show(fresh=False)
    assert reading.upstream.paths() == [PATH, PATH]


@pytest.mark.parametrize(
    ("operation", "path", "evidence", "shown"),
    [
        ("CreateMonitor", "/api/v1/monitor", Seen({}), None),
        ("GetMonitor", PATH, None, None),
        ("ValidateExistingMonitor", f"{PATH}/validate", Seen({}), None),
        ("UpdateAnnotation", "/api/v2/annotation/1", Unreadable(NO_CALL), Unreadable(NO_CALL)),
        (None, "/nowhere", Unreadable(NO_CALL), Unreadable(NO_CALL)),
        (
            "DeleteMonitor",
            "/api/v1/monitor/search",
            Unreadable("its path reads something else"),
            Unreadable("its path reads something else"),
        ),
    ],
)
async def test_where_nothing_is_changed_or_nothing_can_be_read_nothing_is_asked(
    make: Make, operation: str | None, path: str, evidence: Evidence | None, shown: Evidence | None
) -> None:
    reading = make()
    given = await reading.show(operation, path)
    assert given.shown == shown
    if evidence is not None:
        assert given.seen.evidence == evidence
    assert isinstance(given.seen.record, dict)
    assert given.seen.record["unread"]
    assert (reading.upstream.seen, reading.records()) == ([], [])


@pytest.mark.parametrize("status", [403, 404, 503])
async def test_the_status_says_why_there_is_nothing_to_show(make: Make, status: int) -> None:
    shown = await make(answering(MONITOR, status)).show()
    assert shown.shown == shown.seen.evidence == Unreadable(f"Datadog answered {status}")


async def test_i5_no_secret_is_shown_to_a_person(make: Make) -> None:
    document: Json = {"tags": [f"password:{GITHUB}"], "token": GITHUB}
    reading = make(answering(document), rules=SHOWING)
    shown = await reading.show()
    assert shown.seen.evidence == Seen(document)  # rules see it as it is
    assert isinstance(shown.shown, Seen)
    text = json.dumps([shown.shown.value, shown.seen.record])
    assert GITHUB not in text
    assert text.count("[REDACTED:") == 4
    assert not [path for path, blob in files_of(reading.state) if GITHUB.encode() in blob]
