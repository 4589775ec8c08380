"""An approved call carries the fields that people approved with it, and those that change nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.core.approvals.forwarded_headers import FORWARDED, bound, kept

# As they came in at the stand-in, without the keys.
OF_CLIENTS = {
    "datadog-api-client, Python": (
        *((b"Host", b"api.datadoghq.com"), (b"Accept", b"application/json")),
        *((b"Content-Type", b"application/json"), (b"Accept-Encoding", b"gzip")),
        (b"User-Agent", b"datadog-api-client-python/2.62.0 (python 3.12.1; os Linux; arch x86_64)"),
        (b"Content-Length", b"75"),
    ),
    "datadog-api-client, npm": (
        *((b"Host", b"api.datadoghq.com"), (b"user-agent", b"datadog-api-client-typescript/1.64.0")),
        *((b"Accept", b"application/json"), (b"Content-Type", b"application/json")),
        *((b"Accept-Encoding", b"gzip, deflate"), (b"Content-Length", b"70"), (b"Connection", b"close")),
    ),
    "datadogpy": (
        *((b"Host", b"api.datadoghq.com"), (b"User-Agent", b"datadogpy/0.56.0")),
        *((b"Accept-Encoding", b"gzip, deflate, br"), (b"Accept", b"*/*")),
        *(
            (b"Content-Type", b"application/json"),
            (b"Content-Encoding", b"deflate"),
            (b"Content-Length", b"76"),
        ),
    ),
    "datadog-ci": (
        *(
            (b"content-type", b"multipart/form-data; boundary=X"),
            (b"DD-EVP-ORIGIN", b"datadog-ci_sourcemaps"),
        ),
        *((b"DD-EVP-ORIGIN-VERSION", b"5.25.0"), (b"accept", b"*/*"), (b"accept-language", b"*")),
        *((b"accept-encoding", b"br, gzip, deflate"), (b"transfer-encoding", b"chunked")),
    ),
}
fields = st.tuples(st.binary(max_size=20), st.binary(max_size=20))


@pytest.mark.parametrize("client", OF_CLIENTS)
def test_clients_keep_all_that_they_need(client: str) -> None:
    assert kept(OF_CLIENTS[client]) == OF_CLIENTS[client]


@pytest.mark.parametrize(
    "name",
    [
        *(
            b"X-HTTP-Method-Override",
            b"X-Original-URL",
            b"Forwarded",
            b"X-Forwarded-For",
            b"Expect",
        ),
        *(
            b"DD-API-KEY",
            b"Authorization",
            b"Cookie",
            b"Content_Type",
            b"Content-Type ",
            b"Upgrade",
            b"Prefer",
        ),
        *(b"X-Datadog-Managed-By", b"X-Deploy-Note", b"Range", b"TE", b"Trailer", b"Keep-Alive", b""),
    ],
)
def test_nothing_else_goes_along(name: bytes) -> None:
    assert kept([(name, b"x"), (b"Accept", b"*/*")]) == ((b"Accept", b"*/*"),)


def test_what_makes_a_call_conditional_goes_along_and_is_part_of_its_digest() -> None:
    fields = [(b"If-Match", b'"7"'), (b"X-Other", b"x"), (b"ti_vendor", b"v")]
    assert kept(fields) == (fields[0], fields[2])
    assert bound(fields) == ((b"if-match", b'"7"'), (b"ti_vendor", b"v"))


@pytest.mark.parametrize("value", [b"close", b"Keep-Alive", b" close "])
def test_connection_may_say_how_long_it_lives(value: bytes) -> None:
    assert kept([(b"Connection", value)]) == ((b"Connection", value),)


@pytest.mark.parametrize("value", [b"idempotency-key", b"close, content-type", b"upgrade", b""])
def test_connection_may_name_no_field(value: bytes) -> None:
    assert kept([(b"Connection", value)]) == ()


@given(st.lists(fields | st.tuples(st.sampled_from(sorted(FORWARDED)), st.binary(max_size=20))))
def test_what_is_kept_keeps_its_order_its_case_and_its_repetitions(every: list[tuple[bytes, bytes]]) -> None:
    once = kept(every)
    remaining = iter(every)
    assert all(field in remaining for field in once)
    assert [field for field in every if field[0].lower() in FORWARDED] == [
        field for field in once if field[0].lower() != b"connection"
    ]
    assert kept(once) == once
