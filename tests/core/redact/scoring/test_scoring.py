"""How redaction is judged: what still counts as readable, and what as changed."""

from __future__ import annotations

import base64
import gzip
import html
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from addons.core.body import encode_body
from addons.core.redact.masking.mask import Masker
from addons.core.redact.scoring.corpus_case import Case, Hidden, read_case
from addons.core.redact.scoring.readings import readings, shows
from addons.core.redact.scoring.score import Redacted, Tally, Verdict, changes, leaks, redact_case
from addons.core.redact.scrubber import Scrubber

SECRET = "Kp7-unheard-of-Wz93xQ"
UNTOUCHED = Case("one", "https://a.example/x", (("Host", "a.example"),), "application/json", b"{}", None, "x")
HIDING = replace(UNTOUCHED, hidden=Hidden((SECRET,), ("keep me",), pii=False, tier="plain", family="other"))


def as_it_was(case: Case) -> Redacted:
    return Redacted(case.url, case.headers, case.body)


ENCODINGS: dict[str, Callable[[str], str]] = {
    "plain": lambda text: text,
    "json": lambda text: json.dumps({"a": text}),
    "escaped": lambda text: "".join(f"\\u{ord(char):04x}" for char in text),
    "percent": lambda text: "".join(f"%{ord(char):02X}" for char in text),
    "plus": lambda text: quote(f"a b={text}", safe=" ").replace(" ", "+"),
    "html": lambda text: "".join(f"&#{ord(char)};" for char in text),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64url": lambda text: base64.urlsafe_b64encode(text.encode()).decode().rstrip("="),
    "hex": lambda text: text.encode().hex(),
    "gzip": lambda text: base64.b64encode(gzip.compress(text.encode())).decode(),
}


@settings(deadline=None)
@given(st.lists(st.sampled_from(sorted(ENCODINGS)), max_size=3))
def test_three_layers_of_encoding_hide_nothing(names: list[str]) -> None:
    text = f"{SECRET} it is"
    for name in names:
        text = ENCODINGS[name](text)
    assert shows(SECRET, readings(text))


def test_pieces_of_a_list_or_a_stream_are_read_joined() -> None:
    pieces = [SECRET[:10], SECRET[10:]]
    assert shows(SECRET, readings(f"x {json.dumps(pieces)} y"))
    assert shows(SECRET, readings("\n".join(f'data: {{"delta": "{piece}"}}' for piece in pieces)))
    assert not shows(SECRET, readings("; ".join(pieces)))


@pytest.mark.parametrize(
    ("secret", "text", "expected"),
    [
        ("abcdefghij", "abcdef", True),
        ("abcdefghij", "abcde", False),
        ("abc", "abc", True),
        ("abc", "ab", False),
        ("abcdefg", "bcdefg", True),
        ("x" * 10 + "abcdefghijklmnopqrstuvwxyz" * 4, "abcdefghijklmnopqrstuvwx", True),
    ],
)
def test_three_fifths_of_a_secret_in_a_row_are_a_leak(secret: str, text: str, expected: bool) -> None:
    assert shows(secret, {f"--{text}--"}) is expected


def test_bombs_and_crowds_of_readings_have_an_end() -> None:
    bomb = base64.b64encode(gzip.compress(b"a" * 40_000_000)).decode()
    assert max(map(len, readings(bomb))) == len(bomb)
    crowd = " ".join(base64.b64encode(f"number {n:>20}".encode()).decode() for n in range(1000))
    assert len(readings(crowd)) == 400


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        ({}, Verdict(leaked=False, overkill=False)),
        ({"body": f'{{"a": "{SECRET}", "b": "keep me"}}'.encode()}, Verdict(leaked=True, overkill=False)),
        ({"url": f"https://a.example/{quote(SECRET)}"}, Verdict(leaked=True, overkill=False)),
        ({"headers": (("X-A", SECRET),)}, Verdict(leaked=True, overkill=False)),
        ({"headers": (("Content-Length", SECRET),)}, Verdict(leaked=False, overkill=False)),
        ({"body": b"{}"}, Verdict(leaked=False, overkill=True)),
        ({"body": b'{"b": "keep me"'}, Verdict(leaked=False, overkill=True)),
        ({"body": b"keep me, and this is text"}, Verdict(leaked=False, overkill=False)),
    ],
)
def test_what_is_a_leak_and_what_is_overkill(after: dict[str, Any], expected: Verdict) -> None:
    fine = Redacted(HIDING.url, HIDING.headers, b'{"a": "[mask]", "b": "keep me"}')
    assert leaks(HIDING, replace(fine, **after)) == expected


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        ({}, False),
        ({"body": b"{ }"}, False),
        ({"body": b'{"a": 1}'}, True),
        ({"body": b"{"}, True),
        ({"url": "https://a.example/y"}, True),
        ({"headers": ()}, True),
        ({"headers": (("Host", "a.example"), ("content-encoding", "gzip"))}, False),
    ],
)
def test_what_counts_as_changed(after: dict[str, Any], expected: bool) -> None:
    assert changes(UNTOUCHED, replace(as_it_was(UNTOUCHED), **after)) is expected


def test_utf_16_is_judged_as_text() -> None:
    case = replace(
        HIDING, content_type="application/json; charset=utf-16", body=f'"{SECRET}keep me"'.encode("utf-16")
    )
    assert leaks(case, as_it_was(case)) == Verdict(leaked=True, overkill=False)


@pytest.mark.parametrize("coding", ["identity", "gzip", "deflate", "br", "zstd"])
def test_a_body_is_decoded_before_it_is_judged(coding: str) -> None:
    body = base64.b64encode(encode_body(html.escape(f"<{SECRET}>").encode(), coding)).decode()
    line = json.dumps(
        {
            "id": "one",
            "url": "/",
            "headers": {},
            "content_type": "text/plain",
            "content_encoding": coding,
            "body": body,
            "body_encoding": "base64",
            "category": "x",
            "chunk_at": [1, 2],
        }
    )
    assert read_case(line, clean=True).body == html.escape(f"<{SECRET}>").encode()


def test_a_message_that_is_too_complex_is_withheld_and_so_neither_leaks_nor_is_unchanged() -> None:
    deep = b"\x81\xa8password" * 100 + b"\x01"
    scrubber = Scrubber(Masker(b"k" * 16))
    for case in (HIDING, UNTOUCHED):
        packed = replace(case, content_type="application/msgpack", body=deep)
        tally = Tally()
        tally.add(packed, redact_case(scrubber, packed))
        score = tally.score()
        assert (len(score.missed), len(score.overkill), len(score.changes)) in ((0, 1, 0), (0, 0, 1))
