"""A key never passes whole, in whatever pieces the events of a stream bring it."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.core.event_stream import split
from addons.core.redact.masking.exact import ExactScrubber
from addons.core.redact.masking.split_secrets import KeyInPieces, SplitSecrets

KEY = b"0123456789abcdef" * 2
SCRUBBER = ExactScrubber([("api-key", KEY)])


def _passed(events: list[bytes]) -> tuple[bytes, bool]:
    """What passed, and whether the stream was cut."""
    watch, out = SplitSecrets(SCRUBBER), b""
    try:
        for event in events:
            out += watch.feed(event, is_last=False)
        return out + watch.feed(b"", is_last=True), False
    except KeyInPieces:
        return out, True


def _as_text(piece: bytes) -> bytes:
    return b"data: " + piece + b"\n\n"


def _as_json(piece: bytes) -> bytes:
    delta = {"choices": [{"index": 0, "delta": {"content": piece.decode()}}]}
    return f"event: token\r\ndata: {json.dumps(delta)}\r\n\r\n".encode()


@pytest.mark.parametrize("form", [_as_text, _as_json])
@given(cuts=st.sets(st.integers(1, 31), min_size=1), before=st.sampled_from([b"", b"key is ", b"0123 "]))
def test_of_a_key_over_several_events_only_the_first_few_characters_pass(
    form: Callable[[bytes], bytes], cuts: set[int], before: bytes
) -> None:
    edges = [0, *sorted(cuts), 32]
    pieces = [KEY[start:end] for start, end in pairwise(edges)]
    events = [form(piece) for piece in (before + pieces[0], *pieces[1:], b" and more")]
    passed, cut = _passed(events)
    assert cut
    assert len(b"".join(pieces[: len(split(passed))])) < 6


def _halves(key: bytes, form: Callable[[bytes], bytes], between: bytes = b"") -> list[bytes]:
    """Two events that bring a key, all but three characters of it in the first; and what comes in between."""
    return [form(key[:-3]), *([between] if between else []), form(key[-3:])]


@pytest.mark.parametrize(
    "encoded",
    [
        base64.b64encode(KEY),
        base64.b64encode(b"x" + KEY),
        base64.b64encode(b"xy" + KEY),
        KEY.hex().encode(),
        KEY.hex().upper().encode(),
        b"".join(b"%%%02X" % byte for byte in KEY),
        b"".join(b"\\u%04x" % byte for byte in KEY),
    ],
)
def test_of_an_encoded_key_in_pieces_none_passes(encoded: bytes) -> None:
    assert _passed(_halves(encoded, lambda piece: b'data: {"text": "%s"}\n\n' % piece)) == (b"", True)


@pytest.mark.parametrize(
    ("form", "between"),
    [
        (b'{"text": "%s"}', b'event: ping\ndata: {"type": "ping"}\n\n'),
        (b'{"i": 0, "text": "%s"}', b'data: {"i": 1, "text": "of another"}\n\n'),
        (b'{"text": "%s", "m": {"text": "done"}}', b""),
        (b'{"t": ["%s"]}', b""),
        (b'{"t": ["a", "%s", "b"]}', b""),
        (b'{"padding": "' + b"x " * 9000 + b'", "text": "%s"}', b""),
    ],
)
def test_a_key_in_pieces_is_seen_past_what_stands_around_it(form: bytes, between: bytes) -> None:
    def event(piece: bytes) -> bytes:
        return b"data: " + form.replace(b"%s", piece) + b"\n\n"

    passed, cut = _passed(_halves(KEY, event, between))
    assert cut
    assert KEY[:6] not in passed


def test_a_key_over_the_data_lines_of_one_event() -> None:
    passed, cut = _passed([b"data: " + KEY[:5] + b"\ndata:" + KEY[5:] + b"\n\n"])
    assert (passed, cut) == (b"", True)


def test_a_key_in_base64_over_several_events_is_never_whole() -> None:
    text = base64.b64encode(b"the key is " + KEY)
    passed, cut = _passed([_as_json(text[at : at + 3]) for at in range(0, len(text), 3)])
    assert cut
    assert passed.count(b"event:") < len(text) // 3


def test_what_only_begins_like_a_key_passes_in_the_end() -> None:
    events = [_as_text(b"id 01234567"), b": ping\n\n", _as_text(b"xyz"), _as_text(b"0123456789ab")]
    watch = SplitSecrets(SCRUBBER)
    assert watch.feed(events[0], is_last=False) == b""
    assert watch.feed(events[1], is_last=False) == b""
    assert watch.feed(events[2], is_last=False) == b"".join(events[:3])
    assert watch.feed(events[3], is_last=False) == b""
    assert watch.feed(b"", is_last=True) == events[3]


# Nothing that begins as the key does.
@given(st.lists(st.text(st.characters(exclude_characters="0"), max_size=40), max_size=20))
def test_other_events_pass_at_once_as_they_are(texts: list[str]) -> None:
    watch = SplitSecrets(SCRUBBER)
    for text in texts:
        event = f"data: {json.dumps({'text': text})}\n\n".encode()
        assert watch.feed(event, is_last=False) == event


def test_an_upstream_that_begins_a_key_over_and_over_fills_no_memory() -> None:
    with pytest.raises(KeyInPieces):
        SplitSecrets(SCRUBBER).feed(_as_text(b"x" * 900 + b"01234567") * 100, is_last=False)
