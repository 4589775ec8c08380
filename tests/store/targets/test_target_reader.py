"""What rules with `target:` conditions stand on: the resource as Datadog holds it, read by the gateway."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from addons.core.model import Json
from addons.core.policy.request import Evidence, Seen, Unreadable
from addons.store.audit.changes import Change
from addons.store.audit.record import AuditRecord
from addons.store.credentials import Credentials, CredentialSettings, SecretSource
from addons.store.targets.datadog_get import GetLimits
from addons.store.writing.journal import Appended, Journal, JournalUnavailable
from tests.e2e.raw_upstream import API_KEY, KEYS, Exchange, ok
from tests.store.targets.target_reading import API, files_of, record_of
from tests.store.targets.target_upstream import (
    GITHUB,
    MONITOR,
    NO_CALL,
    PATH,
    SHOWING,
    Make,
    Script,
    answering,
    unread,
)


async def test_what_datadog_holds_is_what_rules_read(make: Make) -> None:
    reading = make()
    seen = await reading.read()
    assert seen.evidence == Seen(MONITOR)
    (exchange,) = reading.upstream.seen
    assert exchange.head.startswith(f"GET {PATH} HTTP/1.1\r\nHost: {API}\r\n".encode())
    assert exchange.fields("dd-api-key") == [API_KEY]


async def test_i2_a_read_is_a_call_of_its_own_on_record(make: Make) -> None:
    reading = make()
    seen = await reading.read("UpdateMonitor")
    attempted, outcome = reading.records()
    for record in (attempted, outcome):
        assert record["call"] == "READ0"
        assert record["actor"] == {"issuer": "https://issuer.example", "subject": "alice", "groups": ["sre"]}
        assert record["api"] == {"operation": "GetMonitor", "version": "v1", "risk": "read"}
        assert record["decision"] == {"policy_revision": reading.policy.revision}
        assert record["http_request"] == {"method": "GET", "host": API, "path": PATH, "length": 0}
        assert record["session"] == "run-1"
        said = record["attributes"]
        assert (said["purpose"], said["for"], said["credential"]) == ("target", "CALL", "default")
    assert (attempted["kind"], outcome["kind"]) == ("attempted", "outcome")
    assert ["Accept", "application/json"] in attempted["attributes"]["request"]["headers"]
    assert "request" not in outcome["attributes"]
    length = len(json.dumps(MONITOR))
    assert outcome["http_response"] == {"status": 200, "length": length}
    assert outcome["attributes"]["outcome"] == "answered"
    assert outcome["attributes"]["response_digest"] == record_of(seen)["digest"]


async def test_the_call_s_own_record_says_what_was_seen(make: Make) -> None:
    reading = make()
    seen = await reading.read()
    digest = record_of(seen)["digest"]
    assert digest.startswith("hmac-sha256:")
    assert seen.record == {
        "read": "READ0",
        "age": 0.0,
        "status": 200,
        "digest": digest,
        "fields": {"tags": ["env:prod", "team:a"]},
    }


@pytest.mark.parametrize(
    ("operation", "path", "evidence", "why"),
    [
        # a GET of that path lists other monitors
        ("CreateMonitor", "/api/v1/monitor", Seen({}), "there is nothing to read yet"),
        ("UpdateAnnotation", "/api/v2/annotation/1", Unreadable(NO_CALL), NO_CALL),
        (None, "/nowhere", Unreadable(NO_CALL), NO_CALL),
    ],
)
async def test_what_is_not_there_is_empty_and_what_has_no_get_can_not_be_had(
    make: Make, operation: str | None, path: str, evidence: Evidence, why: str
) -> None:
    reading = make()
    seen = await reading.read(operation, path)
    assert (seen.evidence, seen.record) == (evidence, {"unread": why})
    assert (reading.upstream.seen, reading.records()) == ([], [])


async def test_a_read_reads_itself(make: Make) -> None:
    reading = make()
    assert (await reading.read("GetMonitor")).evidence == Seen(MONITOR)
    assert reading.upstream.paths() == [PATH]


async def test_a_path_whose_get_is_another_operation_is_not_asked(make: Make) -> None:
    """DELETE …/monitor/search deletes the monitor of that id; its GET would search."""
    reading = make()
    assert unread(await reading.read(path="/api/v1/monitor/search")) == "its path reads something else"
    assert (reading.upstream.seen, reading.records()) == ([], [])


@pytest.mark.parametrize("status", [201, 204, 206, 302, 400, 403, 404, 429, 500, 503])
async def test_any_other_status_is_no_resource(make: Make, status: int) -> None:
    reading = make(answering(MONITOR, status))
    seen = await reading.read()
    assert unread(seen) == f"Datadog answered {status}"
    assert seen.record == {
        "read": "READ0",
        "age": 0.0,
        "status": status,
        "unread": f"Datadog answered {status}",
    }
    assert reading.ends() == [("attempted", None), ("outcome", "answered")]
    assert reading.records()[1]["http_response"]["status"] == status
    assert len(reading.upstream.seen) == 1  # a redirect is not followed


def _raw(body: bytes, *headers: str) -> Script:
    return lambda exchange: exchange.send(ok(body, *headers))


def _close(_exchange: Exchange) -> bool:
    return False


BAD_ANSWERS: dict[str, tuple[Script, str, str]] = {
    "html": (_raw(b"<html>", "Content-Type: text/html"), "as JSON", "answered"),
    "cut": (_raw(b'{"tags": ['), "as JSON", "answered"),
    "two documents": (_raw(b"{}\n{}"), "as JSON", "answered"),
    "a key twice": (_raw(b'{"tags": [], "tags": ["env:prod"]}'), "as JSON", "answered"),
    "a key in two cases": (_raw(b'{"tags": [], "Tags": ["env:prod"]}'), "as JSON", "answered"),
    "too deep": (_raw(b"[" * 100_000), "as JSON", "answered"),
    "a lone surrogate": (_raw(rb'{"tags": "\ud800"}'), "as JSON", "answered"),
    "a key of the gateway's": (_raw(json.dumps({"key": API_KEY}).encode()), "own keys", "answered"),
    "a key in pieces": (_raw(f'"{API_KEY[:9]}\\n{API_KEY[9:]}"'.encode()), "own keys", "answered"),
    "too large": (_raw(b" " * 5000), "over 4000 bytes", "answer withheld"),
    "not gzip": (_raw(b"{}", "Content-Encoding: gzip"), "can't be decoded", "answer withheld"),
    "closed": (_close, "broke off", "unknown"),
    "silent": (Exchange.hold, "no answer within 0.5 s", "unknown"),
}


@pytest.mark.parametrize("name", BAD_ANSWERS)
async def test_an_answer_that_can_not_be_read_is_on_record_and_no_resource(
    make: Make, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    script, said, outcome = BAD_ANSWERS[name]
    reading = make(
        script, get_limits=GetLimits(seconds=0.5, answer_bytes=4000 if name == "too large" else 10**6)
    )
    seen = await reading.read()
    assert said in unread(seen)
    assert record_of(seen)["unread"] == unread(seen)
    assert reading.ends() == [("attempted", None), ("outcome", outcome)]
    everything = [repr(seen), caplog.text, *(blob.decode("latin-1") for _, blob in files_of(reading.state))]
    for key in KEYS.values():
        assert not [text for text in everything if key in text]


async def test_nothing_is_sent_to_who_is_not_datadog(make: Make) -> None:
    reading = make(ca=make().upstream.ca)
    assert unread(await reading.read()) == "Datadog's certificate is not valid"
    assert reading.upstream.seen == []
    assert reading.ends() == [("attempted", None), ("outcome", "not sent")]


async def test_the_credential_is_the_one_that_the_rules_agree_on(make: Make) -> None:
    rules = """
version: 1
rules:
  - {id: all, effect: allow, op: {risk: [read]}, credential: readonly, target: {id: {absent: false}}}
  - {id: others, effect: allow, op: {risk: [destructive]}, target: {id: {absent: false}}}
"""
    reading = make(rules=rules)
    await reading.read("GetMonitor", host="api.datadoghq.eu")
    await reading.read("DeleteMonitor", host="api.datadoghq.eu")
    assert [one.fields("dd-api-key") for one in reading.upstream.seen] == [
        [KEYS["readonly_api_key"]],
        [API_KEY],
    ]
    assert [each["attributes"]["credential"] for each in reading.records()] == ["readonly"] * 2 + [
        "default"
    ] * 2


async def test_a_credential_goes_to_its_sites_alone(make: Make) -> None:
    reading = make()
    seen = await reading.read(host="api.us5.datadoghq.com")
    assert unread(seen) == "the gateway's credential is not for this Datadog site"
    assert (reading.upstream.connections, reading.records()) == (0, [])


async def test_a_credential_that_can_not_be_read_sends_nothing(make: Make, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text(API_KEY)
    settings = CredentialSettings("default", SecretSource(file=key), None, frozenset({"datadoghq.com"}))
    reading = make(credentials=Credentials([settings], {}))
    assert (await reading.read()).evidence == Seen(MONITOR)
    key.write_text("")
    assert unread(await reading.read(fresh=True)) == "the gateway's Datadog key can't be read"
    assert len(reading.upstream.seen) == 1


async def test_a_slow_credential_stops_nobody(make: Make, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    settings = CredentialSettings(
        "default", SecretSource(command=("cat", str(pipe))), None, frozenset({"datadoghq.com"})
    )
    reading = make(credentials=Credentials([settings], {}))
    task = asyncio.create_task(reading.read())
    for _ in range(5):
        await asyncio.sleep(0)
    pipe.write_text(API_KEY)  # the loop runs on, or the command would have waited for this in vain
    assert (await task).evidence == Seen(MONITOR)


class JournalThat(Journal):
    """Fails from the n-th append on."""

    def __init__(self, journal: Journal, after: int) -> None:
        self._journal_behind = journal
        self._left = after

    async def append(
        self,
        records: Sequence[AuditRecord],
        flow: bytes | None = None,
        *,
        change: Change[object] | None = None,
    ) -> Appended:
        self._left -= 1
        if self._left < 0:
            raise JournalUnavailable("the disk is full", "free space")
        return await self._journal_behind.append(records, flow, change=change)


async def test_i2_what_can_not_be_put_on_record_is_not_sent(make: Make) -> None:
    reading = make(journal=JournalThat(make().journal, 0))
    seen = await reading.read()
    assert unread(seen) == "the gateway can't put the read on record"
    assert reading.upstream.connections == 0
    assert reading.kept == []


async def test_i2_nobody_relies_on_an_answer_whose_outcome_is_not_on_record(make: Make) -> None:
    reading = make(journal=JournalThat(make().journal, 1))
    for call in ("CALL", "AGAIN"):
        assert unread(await reading.read(call=call)) == "the gateway can't put the read on record"
    (kept,) = reading.kept  # the second was not sent
    assert (kept.kind, kept.call, kept.attributes["outcome"]) == ("outcome", "READ0", "answered")


async def test_i5_no_secret_of_path_or_resource_is_on_record(make: Make) -> None:
    reading = make(answering({"tags": [f"password:{GITHUB}"], "token": GITHUB}), rules=SHOWING)
    seen = await reading.read()
    assert seen.evidence == Seen({"tags": [f"password:{GITHUB}"], "token": GITHUB})  # rules see it as it is
    assert "[REDACTED:" in json.dumps(record_of(seen)["fields"])
    assert GITHUB not in json.dumps(seen.record)
    assert not [path for path, blob in files_of(reading.state) if GITHUB.encode() in blob]


async def test_i5_no_secret_of_a_path_is_on_record(make: Make) -> None:
    reading = make()
    await reading.read("DeleteHostTags", f"/api/v1/tags/hosts/{GITHUB}")
    assert reading.upstream.paths() == [f"/api/v1/tags/hosts/{GITHUB}"]
    assert "[REDACTED:" in reading.records()[0]["http_request"]["path"]
    assert not [path for path, blob in files_of(reading.state) if GITHUB.encode() in blob]


async def test_a_large_resource_is_read_too(make: Make) -> None:
    document: Json = {"tags": ["env:dev"], "text": "x" * 300_000}
    reading = make(answering(document))
    assert (await reading.read()).evidence == Seen(document)
