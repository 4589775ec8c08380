"""A recorded answer beside one of now."""

from __future__ import annotations

import gzip
import json

import pytest
from hypothesis import given

from addons.core.model import Json
from addons.core.redact.detectors.vendors import fill
from addons.core.redact.formats.json_paths import BadJsonPath
from addons.replaying.comparing import Answer, Comparing, Comparison, told_by_ddgate
from addons.replaying.differences import Difference
from addons.replaying.exchange import RecordedAnswer
from addons.replaying.ignored import ignored
from tests.replaying.making import JSON, MASKS, VALUES, masked
from tests.replaying.test_masked_values import JSON as DOCUMENTS

KEY = "sk_live_" + fill(24)


def compare(
    recorded: Json, now: Json, *, leave: tuple[str, ...] = (), also: tuple[str, ...] = (), status: int = 200
) -> Comparison:
    comparing = Comparing(MASKS, VALUES, ignored(leave), also)
    return comparing.compare(
        RecordedAnswer(200, JSON, masked(recorded)), Answer(status, JSON, json.dumps(now, indent=1).encode())
    )


@given(DOCUMENTS)
def test_an_answer_is_the_same_as_its_recording(document: Json) -> None:
    assert compare(document, document).is_same


def test_a_secret_in_the_answer_is_masked_before_it_is_compared() -> None:
    document: Json = {"message": f"page {KEY}", "n": 1}
    assert compare(document, document).is_same
    found = compare(document, {"message": f"page {KEY[::-1]} {KEY}", "n": 1})
    assert not found.is_same
    assert KEY not in repr(found)


def test_what_differs_is_told_by_its_path() -> None:
    found = compare({"a": [{"id": 1, "modified": "x"}], "b": 1}, {"a": [{"id": 1, "modified": "y"}], "b": 1})
    assert found.body == (Difference("$.a[0].modified", '"x"', '"y"'),)
    same = compare(
        {"a": [{"id": 1, "modified": "x"}]}, {"a": [{"id": 1, "modified": "y"}]}, leave=("$..modified",)
    )
    assert same.is_same


def test_status_and_chosen_headers_are_compared() -> None:
    assert not compare(1, 1, status=403).is_same
    ours = RecordedAnswer(200, ((b"Content-Type", b"text/plain"), (b"Date", b"1"), (b"X-Own", b"1")), b"a")
    theirs = Answer(200, ((b"content-type", b"text/html"), (b"date", b"2"), (b"x-own", b"2")), b"a")
    plain = Comparing(MASKS, VALUES).compare(ours, theirs)
    assert [each.path for each in plain.headers] == ["content-type"]
    more = Comparing(MASKS, VALUES, ignored(["header:Content-Type"]), ("x-own",)).compare(ours, theirs)
    assert [each.path for each in more.headers] == ["x-own"]


@pytest.mark.parametrize(
    ("recorded", "now", "words"),
    [
        (b"one\ntwo\nthree", b"one\n2\nthree", "line 2 was 'two', and is '2' now"),
        (b"one", b"one\ntwo", "line 2 was 'nothing', and is 'two' now"),
        (b"", b"text", "it was empty, and is text of 4 bytes now"),
        (b"{}", b"no JSON", "it was JSON, and is text of 7 bytes now"),
    ],
)
def test_texts_are_compared_by_line(recorded: bytes, now: bytes, words: str) -> None:
    found = Comparing(MASKS, VALUES).compare(RecordedAnswer(200, (), recorded), Answer(200, (), now))
    assert found.body_text == words


def test_content_encodings_are_undone() -> None:
    encoded = (*JSON, (b"Content-Encoding", b"gzip"))
    recorded = RecordedAnswer(200, encoded, gzip.compress(b'{"a": 1}'))
    comparing = Comparing(MASKS, VALUES)
    assert comparing.compare(recorded, Answer(200, JSON, b'{"a":1}')).is_same
    assert comparing.compare(RecordedAnswer(200, encoded, b""), Answer(200, encoded, b"")).is_same
    broken = comparing.compare(recorded, Answer(200, encoded, b"no gzip"))
    assert not broken.is_same
    assert "can't be decoded" in broken.note


def test_an_answer_that_isnt_held_is_never_the_same() -> None:
    found = Comparing(MASKS, VALUES).compare(RecordedAnswer(200, JSON, None), Answer(200, JSON, b"1"))
    assert not found.is_same
    assert "doesn't hold the answer's body" in found.note


def test_of_two_refusals_the_ids_of_the_moment_are_not_compared() -> None:
    def refusal(call: str, reason: str) -> Json:
        return {"errors": [f"ddgate: no ({call})"], "ddgate": {"reason": reason, "call": call, "rule": "r"}}

    assert compare(refusal("01", "denied_by_rule"), refusal("02", "denied_by_rule")).is_same
    found = compare(refusal("01", "denied_by_rule"), refusal("02", "no_rule"))
    assert [each.path for each in found.body] == ["$.ddgate.reason"]
    told = told_by_ddgate(Answer(403, JSON, json.dumps(refusal("02", "no_rule")).encode()))
    assert (told["reason"], told["text"]) == ("no_rule", "ddgate: no (02)")
    assert told_by_ddgate(Answer(200, JSON, b'{"ddgate": 1}')) == {}


def test_a_path_that_is_none_is_told() -> None:
    with pytest.raises(BadJsonPath):
        ignored(["modified"])
