"""What a search says of a message: which masks it would get, and where a person finds them; never what."""

from __future__ import annotations

import json
import struct
import zlib
from collections import Counter

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from addons.core.redact.masking.mask import Masker
from addons.core.redact.reporting.difference import Change, hunks
from addons.core.redact.reporting.message_findings import Searched, Searcher
from addons.core.redact.scrubber import Scrubbed, Scrubber

SCRUBBER = Scrubber(Masker(b"k" * 16))
SEARCHER = Searcher(Masker(b"k" * 16))
GITHUB = "ghp_" + "x7Kq2Zp9Lw4Vb1Tn6Rd8Mc3Jf5Hs0Gy2Wa4E"
PASSWORD = "Tr0ub4dor-Zebra"
SECRETS = (GITHUB, PASSWORD, "sk_live_" + "x7Kq2Zp9Lw4Vb1Tn6Rd8Mc3J", f"postgres://app:{PASSWORD}@db:5432/x")

values = st.recursive(
    st.sampled_from([*SECRETS, *(f"password={one} then" for one in SECRETS), "plain", "ünïcode", 7]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["password", "a", "message", GITHUB]), inner)
    ),
    max_leaves=12,
)


def masked(searched: Searched) -> bytes:
    out, end = b"", 0
    for spot in searched.spots:
        assert end <= spot.start < spot.end <= len(searched.text)
        out += searched.text[end : spot.start] + spot.mark.mask.encode()
        end = spot.end
    return out + searched.text[end:]


@settings(deadline=None)
@given(values, st.sampled_from(["json", "indented", "ndjson", "sse", "text"]))
def test_a_search_finds_what_masking_masks(value: object, form: str) -> None:
    text = json.dumps(value, indent=2 if form == "indented" else None)
    body = {"ndjson": f"{text}\n{text}\n", "sse": f"data: {text}\n\n", "text": f"log: {text}"}.get(form, text)
    media = {"sse": "text/event-stream", "text": "text/plain"}.get(form, "application/json")
    done = SCRUBBER.scrub_body(body.encode(), media)
    searched = SEARCHER.body(body.encode(), media)
    assert masked(searched) == done.data
    assert Counter(spot.mark.detector for spot in searched.spots) == done.findings


@settings(deadline=None)
@given(values)
def test_no_secret_shows_in_the_difference_or_in_a_place(value: object) -> None:
    body = f"first line\n{json.dumps(value)}\n".encode()
    searched = SEARCHER.body(body, "application/json")
    told = "".join(piece.text for hunk in hunks(searched) for piece in (*hunk.before, *hunk.after))
    told += repr(searched)
    left = SCRUBBER.scrub_body(body, "application/json").data.decode()
    assert GITHUB[6:] not in told
    assert PASSWORD[4:] not in told or PASSWORD in left


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be"])
def test_utf_16_is_shown_as_text(codec: str) -> None:
    body = f'\ufeff{{"ü": "é", "password": "{PASSWORD}"}}'.encode(codec)
    searched = SEARCHER.body(body, "application/json")
    assert [spot.place.path for spot in searched.spots] == ["$.password"]
    assert "é" in searched.text.decode()


def test_binary_formats_are_searched_too() -> None:
    packed = msgpack.packb([{"service": "shop", "password": PASSWORD}, {"note": f"see {GITHUB}"}])
    text = b"\x0a" + bytes([len(GITHUB)]) + GITHUB.encode()
    proto = b"\x0a" + bytes([len(text)]) + text + b"\x15" + struct.pack("<f", 1.5)
    for body, media, expected in (
        (packed, "application/msgpack", [len(PASSWORD), len(GITHUB)]),
        (proto, "application/x-protobuf", [len(GITHUB)]),
    ):
        assert [spot.mark.length for spot in SEARCHER.body(body, media).spots] == expected


def test_what_shows_nowhere_is_counted_nevertheless(monkeypatch: pytest.MonkeyPatch) -> None:
    def packing(_self: Scrubber, _data: bytes, _media: str | None) -> Scrubbed:
        return Scrubbed(zlib.compress(b"masked"), {"github-token": 2}, changed=True)

    monkeypatch.setattr(Scrubber, "scrub_body", packing)
    searched = SEARCHER.body(b"", "application/gzip")
    assert (searched.spots, searched.inside) == ((), {"github-token": 2})


@pytest.mark.parametrize(
    ("body", "media", "expected"),
    [
        ({"logs": [{"m": "ok"}, {"m": GITHUB}]}, "application/json", [(1, "$.logs[1].m")]),
        ({"a b": {"password": PASSWORD}}, "application/json", [(1, '$["a b"].password')]),
        ({"": [[GITHUB]]}, "application/json", [(1, '$[""][0][0]')]),
        ([1, [2, 3], {"x": [], "password": 12345678}], "application/json", [(1, "$[2].password")]),
        (f"starting\n\ttoken {GITHUB}\n", "text/plain", [(2, "")]),
        (f'{{"a": 1}}\n{{"m": "{GITHUB}"}}\n', "application/x-ndjson", [(2, "$.m")]),
        (f'event: x\ndata: {{"m": ["{GITHUB}"]}}\n\n', "text/event-stream", [(2, "$.m[0]")]),
        (f"user=app&password={PASSWORD}", "application/x-www-form-urlencoded", None),
        (
            "[" * 40 + json.dumps(GITHUB) + "]" * 40,
            "application/json",
            [(1, "$" + "[0]" * 8 + "…" + "[0]" * 8)],
        ),
    ],
)
def test_a_place_leads_to_what_was_found(
    body: object, media: str, expected: list[tuple[int, str]] | None
) -> None:
    text = body if isinstance(body, str) else json.dumps(body)
    found = [(spot.place.line, spot.place.path) for spot in SEARCHER.body(text.encode(), media).spots]
    assert found == (expected or [(1, "parameter password")])


def test_lines_are_those_of_the_text_that_was_given() -> None:
    begin, end = (f"-----{word} RSA PRIVATE KEY-----" for word in ("BEGIN", "END"))
    key = f"{begin}\n{'x7Kq2Zp9' * 8}\n{'Lw4Vb1Tn' * 8}\n{end}"
    body = f"one\n{key}\nsix password={PASSWORD}\n".encode()
    assert [spot.place.line for spot in SEARCHER.body(body, "text/plain").spots] == [2, 6]


def test_a_key_that_is_a_secret_is_named_by_its_mask() -> None:
    body = json.dumps({"known": {GITHUB: {"password": PASSWORD}}}).encode()
    first, second = SEARCHER.body(body, "application/json").spots
    assert first.place.path == "a key of $.known"
    assert second.place.path == f'$.known["{first.mark.mask}"].password'
    assert SEARCHER.name(f"x {GITHUB}") == f"x {first.mark.mask}"


def test_places_in_urls_headers_and_text() -> None:
    url = SEARCHER.url(f"/api/v1/x?a=1&api_key={'9e1b4c0d7a3f52e8' * 2}#y")
    assert [spot.place.path for spot in url.spots] == ["parameter api_key"]
    (spot,) = SEARCHER.header(b"DD-API-KEY", b"9e1b4c0d7a3f52e8" * 2).spots
    assert (spot.mark.detector, spot.mark.length) == ("header", 32)
    assert not SEARCHER.header(b"DD-API-KEY", spot.mark.mask.encode()).spots
    assert [spot.place.line for spot in SEARCHER.text(f"a\nb password={PASSWORD}").spots] == [2]


def test_a_hunk_shows_the_line_around_and_nothing_of_its_neighbours() -> None:
    body = f"one\ntwo password={PASSWORD} and token {GITHUB} end\nthree {GITHUB}\n".encode()
    first, second = hunks(SEARCHER.body(body, "text/plain"))
    assert (len(first.spots), len(second.spots)) == (2, 1)
    assert [piece.text for piece in first.before] == [
        "two password=",
        "T…(15 bytes)",
        " and token ",
        "ghp_…(40 bytes)",
        " end",
    ]
    assert [piece.change for piece in first.after] == [
        *(Change.SAME, Change.ADDED, Change.SAME, Change.ADDED, Change.SAME)
    ]
    assert second.before[0].text == "three "


def test_a_hunk_of_a_long_line_is_an_excerpt() -> None:
    body = json.dumps({"a": "x" * 500, "password": PASSWORD, "b": "y" * 500, "secret": GITHUB}).encode()
    shown = list(hunks(SEARCHER.body(body, "application/json")))
    assert len(shown) == 2
    assert max(len(piece.text) for hunk in shown for piece in hunk.before) <= 60


def test_a_crowd_in_one_line_is_several_hunks_that_do_not_overlap() -> None:
    body = " ".join(f"password=Zx81ab{number:02}" for number in range(20)).encode()
    first, second = hunks(SEARCHER.body(body, "text/plain"))
    assert (len(first.spots), len(second.spots)) == (16, 4)
    assert not [piece for hunk in (first, second) for piece in hunk.before if "REDACTED" in piece.text]
