"""Which recorded call an incoming one is, and what is answered."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.core.model import Json
from addons.core.redact.detectors.vendors import fill
from addons.replaying.stand_in import Given
from tests.replaying.making import ASKING, JSON, MASKER, ask, exchange, masked, stand_in, told
from tests.replaying.test_masked_values import JSON as DOCUMENTS

KEY, OTHER_KEY = "sk_live_" + fill(24), "sk_live_" + fill(24)[::-1]


def is_unknown(given: Given) -> bool:
    return given.status == 404 and given.call is None


def text_of(given: Given) -> str:
    loaded = told(given)
    assert isinstance(loaded, dict)
    errors = loaded["errors"]
    assert isinstance(errors, list)
    return str(errors[0])


def differs(given: Given) -> list[Json]:
    loaded = told(given)
    assert isinstance(loaded, dict)
    about = loaded["ddgate"]
    assert isinstance(about, dict)
    listed = about["differs"]
    assert isinstance(listed, list)
    return listed


@pytest.mark.parametrize(
    ("method", "target", "host", "known"),
    [
        ("GET", "/api/v1/monitor?a=1&b=2", "api.datadoghq.com", True),
        ("GET", "/api/v1/monitor?b=2&a=1", "api.datadoghq.com", True),
        ("GET", "/api/v1/monitor?b=%32&a=1", "api.datadoghq.com:443", True),
        ("GET", "/api/v1/monitor?a=1&b=2&api_key=0123", "API.datadoghq.com", True),
        ("GET", "/api/v1/%6donitor?a=1&b=2", "api.datadoghq.com", True),
        ("GET", "/api/v1/monitor?a=1&b=2", "127.0.0.1:8126", True),
        ("GET", "/api/v1/monitor?a=1&b=2", "localhost", True),
        ("GET", "/api/v1/monitor?a=1&b=2", "[::1]:8126", True),
        ("GET", "/api/v1/monitor?a=1&b=2", "api.datadoghq.eu", False),
        ("POST", "/api/v1/monitor?a=1&b=2", "api.datadoghq.com", False),
        ("GET", "/api/v1/monitor?a=1", "api.datadoghq.com", False),
        ("GET", "/api/v1/monitor?a=1&b=3", "api.datadoghq.com", False),
        ("GET", "/api/v1/monitor?a=1&b=2&b=2", "api.datadoghq.com", False),
        ("GET", "/api/v1/monitor/?a=1&b=2", "api.datadoghq.com", False),
    ],
)
def test_a_call_is_its_method_host_path_and_query(method: str, target: str, host: str, known: bool) -> None:
    served = stand_in(exchange(target="/api/v1/monitor?a=1&b=2", answer=[1]))
    given = ask(served, method, target, host=host)
    assert (given.status, given.call is not None) == ((200, True) if known else (404, False))


@pytest.mark.parametrize(
    ("recorded", "now", "known"),
    [
        (b'{"a": 1, "b": [1, 2]}', b'{"b":[1,2.0],\n"a":1}', True),
        (b'{"a": 1}', b'{"a": "1"}', False),
        (b'{"a": 1}', b"", False),
        (b"", b"{}", False),
        (b"", b"null", True),
        (b"plain", b"plain", True),
        (b"plain", b"plainer", False),
        (b'{"a": 1}\n{"a": 2}', b'{"a": 1}\n{"a": 2}', True),
    ],
)
def test_bodies_are_compared_as_values(recorded: bytes, now: bytes, known: bool) -> None:
    served = stand_in(exchange("POST", body=recorded))
    assert (ask(served, "POST", body=now).status == 200) is known


def test_forms_are_compared_as_parameters() -> None:
    form = "application/x-www-form-urlencoded"
    served = stand_in(exchange("POST", body=b"a=1&b=2+3", headers=((b"Content-Type", form.encode()),)))
    assert ask(served, "POST", body=b"b=2%203&a=1", content_type=form).status == 200
    assert ask(served, "POST", body=b"b=2&a=1", content_type=form).status == 404


def test_a_body_is_known_under_any_content_encoding() -> None:
    headers = (*JSON, (b"Content-Encoding", b"gzip"))
    served = stand_in(exchange("POST", body=gzip.compress(b'{"a":1}'), headers=headers))
    assert ask(served, "POST", body=b'{"a": 1}').status == 200
    assert ask(served, "POST", body=gzip.compress(b'{"a":1}'), content_encoding="gzip").status == 200


def test_a_multipart_body_is_known_under_another_boundary() -> None:
    def parts(boundary: str) -> bytes:
        return (
            f"--{boundary}\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--{boundary}--\r\n".encode()
        )

    headers = ((b"Content-Type", b"multipart/form-data; boundary=one"),)
    served = stand_in(exchange("POST", body=parts("one"), headers=headers))
    assert (
        ask(served, "POST", body=parts("2nd"), content_type='multipart/form-data; boundary="2nd"').status
        == 200
    )


@given(DOCUMENTS.filter(lambda document: document != ""))
def test_what_was_recorded_is_found_again_unmasked(document: Json) -> None:
    served = stand_in(exchange("POST", body=masked({"document": document, "key": KEY})))
    body = json.dumps({"key": KEY, "document": document}, indent=1).encode()
    assert ask(served, "POST", body=body).status == 200


def test_another_secret_finds_the_recorded_answer_and_the_same_one_its_own() -> None:
    ours = exchange("POST", body=masked({"message": f"page {KEY}"}), answer="ours")
    theirs = exchange("POST", body=masked({"message": f"page {OTHER_KEY}"}), answer="theirs")
    served = stand_in(ours, theirs)

    def answer(message: str) -> Json:
        given = ask(served, "POST", body=json.dumps({"message": message}).encode())
        return told(given) if given.status == 200 else None

    assert answer(f"page {OTHER_KEY}") == "theirs"
    assert answer(f"page {KEY}") == "ours"
    third = KEY[:-4] + "0000"
    assert answer(f"page {third}") in {"ours", "theirs"}
    assert answer("page nobody") is None


def test_a_secret_in_the_query_is_masked_before_it_is_compared() -> None:
    recorded = ASKING.masks.secrets.scrub_url(f"/api/v1/search?q=token%3A{KEY}&n=1").text
    assert KEY not in recorded
    served = stand_in(exchange(target=recorded))
    assert ask(served, target=f"/api/v1/search?n=1&q=token%3A{KEY}").status == 200
    given = ask(served, target=f"/api/v1/search?n=2&q=token%3A{quote(OTHER_KEY)}")
    assert given.status == 404
    assert KEY.encode() not in given.body
    assert OTHER_KEY.encode() not in given.body


def test_recordings_of_one_call_are_answered_in_their_order_and_then_the_last_again() -> None:
    first, other, second = exchange(answer=1), exchange(target="/api/v1/x"), exchange(answer=2)
    served = stand_in(second, other, first)
    assert [told(ask(served)) for _ in range(4)] == [1, 2, 2, 2]


def test_with_once_each_answer_is_given_once() -> None:
    served = stand_in(exchange(answer=1), exchange(answer=2), once=True)
    assert [told(ask(served)) for _ in range(2)] == [1, 2]
    assert "given once" in text_of(ask(served))
    assert ask(served).status == 404


def test_a_preferred_recording_is_given_next() -> None:
    first, second, third = exchange(answer=1), exchange(answer=2), exchange(answer=3)
    served = stand_in(first, second, third)
    served.calls.prefer(second)
    assert [told(ask(served)) for _ in range(2)] == [2, 3]
    served.calls.prefer(first)
    assert told(ask(served)) == 1


def test_what_ddgate_refused_and_what_is_no_final_answer_is_not_known() -> None:
    served = stand_in(
        exchange(refused="denied_by_rule", status=403),
        exchange(status=101),
        exchange(target="/x", status=999),
    )
    assert served.calls.count == 0
    assert "the recording is empty" in text_of(ask(served))


def test_an_answer_is_given_as_recorded_but_for_the_fields_of_one_hop() -> None:
    headers = (
        (b"Content-Type", b"application/json"),
        (b"content-encoding", b"gzip"),
        (b"Link", b"<a>"),
        (b"Link", b"<b>"),
        (b"Connection", b"close"),
        (b"Transfer-Encoding", b"chunked"),
        (b"Content-Length", b"999"),
        (b"X-DDGate-Call", b"01"),
        (b"Bad\r\nName", b"x"),
        (b"Bad", b"a\r\nInjected: 1"),
    )
    given = ask(stand_in(exchange(answer_headers=headers, answer=[1])))
    assert given.headers == (*headers[:4],)
    assert given.body == b"[1]"


def test_a_body_that_was_not_stored_is_known_by_its_digest_alone() -> None:
    digest = ASKING.digest(b"\x00 the very bytes")
    placeholder = f"[ddgate: 16 bytes, {digest}; not stored]"
    served = stand_in(exchange("POST", body=None, unstored=placeholder, answer="yes"))
    assert is_unknown(ask(served, "POST", body=b"other bytes"))
    # it could not be masked then, and can't now
    given = ask(served, "POST", body=b"\x00 the very bytes", content_encoding="unknown")
    assert told(given) == "yes"


def test_an_answer_that_was_not_stored_is_told_and_not_made_up() -> None:
    recorded = exchange(answer=1)
    assert recorded.answer is not None
    unstored = type(recorded.answer)(200, JSON, None)
    given = ask(stand_in(replace(recorded, answer=unstored)))
    assert given.status == 404
    assert "too large or too deep to be stored" in text_of(given)


@pytest.mark.parametrize(
    ("method", "target", "body", "told_words"),
    [
        ("PUT", "/api/v1/monitor/1?a=1", b'{"n": 1, "m": {"x": 2}}', "the method is POST there"),
        (
            "POST",
            "/api/v1/monitor/1?a=2",
            b'{"n": 1, "m": {"x": 2}}',
            "in the query a is 1 there, and 2 here",
        ),
        ("POST", "/api/v1/monitor/1", b'{"n": 1, "m": {"x": 2}}', "the query lacks a=1"),
        ("POST", "/api/v1/monitor/1?a=1&z=3", b'{"n": 1, "m": {"x": 2}}', "the query has z=3"),
        ("POST", "/api/v1/monitor/2?a=1", b'{"n": 1, "m": {"x": 2}}', "the path is /api/v1/monitor/1 there"),
        (
            "POST",
            "/api/v1/monitor/1?a=1",
            b'{"n": 1, "m": {"x": 3}}',
            "in the body $.m.x is 2 there, and 3 here",
        ),
        ("POST", "/api/v1/monitor/1?a=1", b'{"n": 1, "m": {}}', "$.m"),
        ("POST", "/api/v1/monitor/1?a=1", b"", "the body is JSON there, and empty here"),
    ],
)
def test_what_isnt_known_is_told_with_the_nearest_call_and_what_differs(
    method: str, target: str, body: bytes, told_words: str
) -> None:
    near = exchange("POST", "/api/v1/monitor/1?a=1", b'{"n": 1, "m": {"x": 2}}')
    served = stand_in(exchange("GET", "/api/v2/quite/another"), near)
    given = ask(served, method, target, body)
    assert given.status == 404
    assert told_words in text_of(given)
    assert [each for each in differs(given) if told_words in str(each)], differs(given)
    loaded = told(given)
    assert isinstance(loaded, dict)
    assert isinstance(loaded["ddgate"], dict)
    assert isinstance(loaded["ddgate"]["nearest"], dict)
    assert loaded["ddgate"]["nearest"]["call"] == near.call


def test_a_404_shows_no_secret_of_the_call() -> None:
    served = stand_in(exchange("POST", body=b'{"message": "x"}'))
    given = ask(served, "POST", body=json.dumps({"message": f"the key is {KEY}"}).encode())
    assert given.status == 404
    assert KEY.encode() not in given.body
    assert b"[REDACTED:" in given.body


@given(
    st.text(max_size=20),
    st.text(max_size=40),
    st.binary(max_size=60),
    st.text(max_size=20),
    st.text(max_size=20),
)
def test_anything_gets_an_answer(method: str, target: str, body: bytes, host: str, coding: str) -> None:
    served = stand_in(
        exchange("POST", body=b'{"a": [1]}'),
        exchange(target=f"/x/{MASKER.mask('k', 'v')}?q={MASKER.mask('k', 'v')}"),
        exchange("PUT", body=None, unstored="[ddgate: 16 bytes, hmac-sha256:ab; not stored]"),
    )
    given = ask(served, method, target, body, host=host, content_encoding=coding)
    assert given.status in {200, 404}
