from __future__ import annotations

import gzip
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.core.model import Json
from addons.core.redact.masking.mask import Masker
from addons.store.audit.record import AuditRecord, StoredRecord
from addons.store.trail.body import read_body
from addons.store.trail.text import TextSearch, request_content
from tests.store.audit_samples import BEGIN, BOB, GET, attempted, facts, outcome, refused

KEY = b"k" * 32
KNOWN = facts(BOB, GET, "/api/v1/monitor/1")


def has(record: AuditRecord, text: str, key: bytes | None = KEY) -> bool:
    return TextSearch(text, key)(record.encode())


@pytest.mark.parametrize("text", ["bob-agent", "BOB-AGENT", "monitor/1", "getmonitor", "10.0.0.7"])
def test_text_is_found_anywhere_in_a_record_in_any_case(text: str) -> None:
    assert has(outcome("c", BEGIN, KNOWN), text)
    assert not has(outcome("c", BEGIN, KNOWN), text + "x")


@pytest.mark.parametrize("text", ["Zürich", "ZÜRICH", "zürich", 'a "quoted" word', "tab\there", "東京"])
def test_letters_that_json_escapes_are_found(text: str) -> None:
    record = replace(outcome("c", BEGIN, KNOWN), message='in Zürich: a "quoted" word, tab\there, 東京')
    assert has(record, text)


@given(st.text(min_size=1, max_size=20))
def test_every_text_of_a_message_is_found(text: str) -> None:
    assert has(replace(outcome("c", BEGIN, KNOWN), message=f"before {text} after"), text)


def test_text_is_found_in_a_request_that_escapes_it() -> None:
    assert has(attempted("c", BEGIN, KNOWN, b'{"name": "Z\\u00fcrich"}'), "zürich")


@pytest.mark.parametrize("coding", [None, "gzip"])
def test_text_is_found_in_the_request_that_was_sent(coding: str | None) -> None:
    body = '{"query": "avg:system.cpu{host:Zürich-7}"}'.encode()
    record = attempted("c", BEGIN, KNOWN, gzip.compress(body) if coding else body)
    if coding:
        request = record.attributes["request"]
        assert isinstance(request, dict)
        headers: list[Json] = [["content-encoding", coding]]
        record = replace(record, attributes={"request": {**request, "headers": headers}})
    assert has(record, "host:ZÜRICH-7")
    assert not has(record, "host:bern")
    assert request_content(read_body(StoredRecord(1, record.encode()))) == body


def test_a_secret_is_found_where_it_was_masked_whatever_it_was_taken_for() -> None:
    secret = "correct horse battery staple"
    mask = Masker(KEY).mask("password", secret)
    in_path = outcome("c", BEGIN, replace(KNOWN, path=f"/api?token={mask}"))
    in_request = attempted("c", BEGIN, KNOWN, f'{{"password": "{mask}"}}'.encode())
    for record in (in_path, in_request):
        search = TextSearch(secret, KEY)
        assert search(record.encode())
        assert not search.in_plain
        assert not has(record, secret, None)
        assert not has(record, "another secret")


def test_whether_the_text_itself_is_on_record_is_said() -> None:
    search = TextSearch("bob-agent", KEY)
    assert not search(refused("c", BEGIN, replace(KNOWN, principal=None)).encode())
    assert not search.in_plain
    assert search(outcome("c", BEGIN, KNOWN).encode())
    assert search.in_plain


@pytest.mark.parametrize(
    "body",
    [
        *(None, 7, b"x", "", "{", "[]", '{"attributes": 1, "body_base64":1}'),
        '{"attributes": {"request": {"body_base64":"!!"}}}',
        '{"attributes": {"request": {"body_base64":"eA==", "headers": [1, ["a"], ["content-encoding", 1]]}}}',
    ],
)
def test_a_body_of_any_form_only_has_no_such_text(body: object) -> None:
    assert not TextSearch("needle", KEY)(body)
