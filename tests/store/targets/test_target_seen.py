"""What of a resource goes on record: no secret, little of anything, and enough to tell a change."""

from __future__ import annotations

import json

import pytest

from addons.core.model import Json
from addons.core.policy.request import Seen, Unreadable
from addons.core.redact import scrubber
from addons.core.redact.masking.exact import ExactScrubber
from addons.core.redact.masking.mask import Masker
from addons.core.redact.scrubber import Scrubber
from addons.store.targets.seen import Resource, resource_of, shown_fields

SCRUBBER = Scrubber(Masker(b"a key to mask with"))
KEY = b"0123456789abcdef0123456789abcdef"
OTHER_KEY = b"read-0123456789-only"
KEYS = ExactScrubber([("datadog-api-key", KEY), ("datadog-application-key", OTHER_KEY)])
GITHUB = "ghp_16C7e42F292c6912E7710c838347Ae178B4a"


def read(content: bytes, digest_key: bytes = b"k") -> Resource:
    return resource_of(content, "application/json", SCRUBBER, KEYS, digest_key)


@pytest.mark.parametrize(
    ("document", "path", "shown"),
    [
        ({"a": {"b": 1}}, "a.b", 1),
        ({"a": None}, "a", None),
        ({}, "a", None),
        ({"a": False}, "a", False),
        ({"a": []}, "a", []),
        ({"a": {"b": [1, {"c": "d"}]}}, "a", {"b": [1, {"c": "d"}]}),
        ([{"a": 1}, {"a": 2}, {}], "[*].a", [1, 2]),
        ({}, "a[*].b", []),
        ([[1, 2], [3]], "[*]", [[1, 2], [3]]),
        ({"a": "x" * 300}, "a", "x" * 256 + "…"),
        ({"a": list(range(100))}, "a", [*range(32), "…"]),
        ({"a": ["x" * 300, 1]}, "a", ["x" * 256 + "…", 1]),
        ({"a": {"b": "x" * 300}}, "a", '{"b":"' + "x" * 250 + "…"),
        ({"a": 10**300}, "a", "1" + "0" * 255 + "…"),
    ],
)
def test_a_field_is_shown_in_brief(document: Json, path: str, shown: Json) -> None:
    assert shown_fields(Seen(document), [path]) == {"fields": {path: shown}}


def test_a_field_that_is_spelled_in_two_ways_is_named_and_not_shown() -> None:
    said = shown_fields(Seen({"Tags": ["x"], "id": 1}), ["tags", "id"])
    assert said == {"fields": {"id": 1}, "misspelt": ["tags"]}


def test_a_rule_that_looks_at_very_much_makes_no_long_record() -> None:
    document: Json = {f"f{number}": ["x" * 1000] * 1000 for number in range(100)}
    said = shown_fields(Seen(document), [f"f{number}" for number in range(100)])
    assert len(json.dumps(said)) < 32 * 33 * 300


def test_i5_a_secret_is_masked_by_its_key_and_by_its_form() -> None:
    document: Json = {"password": "hunter2hunter2", "text": f"use {GITHUB}", "plain": "kept"}
    seen = read(json.dumps(document).encode())
    assert seen.evidence == Seen(document)
    said = json.dumps(shown_fields(seen.shown, ["password", "text", "plain"]))
    assert said.count("[REDACTED:") == 2
    assert "hunter2" not in said
    assert GITHUB not in said
    assert "kept" in said


def test_what_can_not_be_masked_is_read_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scrubber, "MAX_FINDINGS", 9)
    tokens: list[Json] = [f"ghp_{number:036d}" for number in range(10)]
    document: Json = {"a": 1, "tokens": tokens}
    seen = read(json.dumps(document).encode())
    assert seen.evidence == Seen(document)
    said = shown_fields(seen.shown, ["a"])
    assert said == {"not_shown": "what the answer holds can't be masked"}


@pytest.mark.parametrize(
    "shown",
    [
        KEY,
        KEY.upper(),
        b"\\u0030" + KEY[1:],
        KEY[:5] + rb"\n" + KEY[5:],
        KEY.hex().encode(),
        rb"C:\\" + OTHER_KEY,
    ],
)
def test_i3_a_resource_that_shows_a_key_of_the_gateways_is_not_read(shown: bytes) -> None:
    seen = read(b'{"a": "' + shown + b'"}')
    assert seen.evidence == Unreadable("the answer shows one of the gateway's own keys")
    assert "fields" not in shown_fields(seen.shown, ["a"])


def test_what_is_not_one_document_is_not_read() -> None:
    seen = read(b'{"a": 1, "A": 2}')
    assert isinstance(seen.evidence, Unreadable)
    assert seen.evidence.why.startswith("the answer can't be read as JSON: ")


def test_the_digest_tells_a_change_and_can_not_be_guessed_back() -> None:
    one, same, other, elsewhere = (
        read(content, key).digest
        for content, key in ((b"{}", b"k"), (b"{}", b"k"), (b"{} ", b"k"), (b"{}", b"another key"))
    )
    assert one == same
    assert len({one, other, elsewhere}) == 3
    assert one.startswith("hmac-sha256:")
