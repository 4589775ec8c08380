"""HTTP messages out of files, whatever they look like."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from addons.core.redact.masking.findings import TooComplex
from addons.core.redact.masking.mask import Masker
from addons.core.redact.reporting.http_text import is_http, search_http
from addons.core.redact.reporting.message_findings import Searcher

SEARCHER = Searcher(Masker(b"k" * 16))
PASSWORD = "Tr0ub4dor-Zebra"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"GET / HTTP/1.1\r\n", True),
        (b"GET / HTTP/2", True),
        (b"HTTP/1.1 200 OK\n", True),
        (b"HTTP/2 404\n", True),
        (b"GET /", False),
        (b"I GET / HTTP/1.1\n", False),
        (b"HTTP/1.1 is a protocol", False),
        (b"", False),
    ],
)
def test_what_begins_as_http_is_http(data: bytes, expected: bool) -> None:
    assert is_http(data) is expected


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_each_edit_is_where_it_says_and_lines_count_from_the_top(end: str) -> None:
    lines = [
        f"PUT https://u:{PASSWORD}@a.example/x HTTP/1.1",
        "Host: a.example",
        f"X-Auth-Token:  {PASSWORD}",
        f"password={PASSWORD}",
        "",
        "first",
        f"password={PASSWORD}",
    ]
    message = end.join(lines).encode()
    found = []
    for section in search_http(SEARCHER, message):
        for spot in section.searched.spots:
            found.append((section.name, spot.place.line))
            assert spot.mark.length == len(PASSWORD)
            assert section.searched.text[spot.start : spot.end].startswith(b"[REDACTED:")
    assert found == [("request target", 1), ("header X-Auth-Token", 3), ("head", 4), ("body", 7)]


@settings(deadline=None)
@given(st.binary(max_size=60), st.sampled_from([b"GET /x HTTP/1.1\n", b"HTTP/1.1 200 OK\r\n", b""]))
def test_any_bytes_are_read_or_said_to_be_too_much(rest: bytes, start: bytes) -> None:
    with contextlib.suppress(TooComplex):  # a compressed part that is broken
        assert list(search_http(SEARCHER, start + rest))
