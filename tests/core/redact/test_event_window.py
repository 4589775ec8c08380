"""A stream that is masked part by part, with an overlap, is masked as a whole one would be."""

from __future__ import annotations

import base64
import json
import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from addons.core.redact.event_window import EventsMerged, EventWindow
from addons.core.redact.masking.asked import Masks
from addons.core.redact.masking.mask import Masker
from addons.core.redact.message_masks import MessageMasks

TOKEN = "ghp_" + "a1B2c3D4e5F6" * 3
SECRETS = Masks(detect=frozenset({"secrets"}))
MESSAGES = MessageMasks(Masker(b"k" * 32))


def _event(text: str) -> bytes:
    return f"data: {json.dumps({'delta': text})}\n\n".encode()


def _streamed(parts: list[bytes]) -> list[bytes]:
    """What passes after each part, and at the end."""
    window, out = EventWindow(), []
    for index, part in enumerate([*parts, b""]):
        text = window.add(part)
        masked = MESSAGES.apply(SECRETS, text, "text/event-stream").data if text else b""
        out.append(window.take(masked, is_last=index == len(parts)))
    return out


@settings(max_examples=60)
@given(
    cuts=st.sets(st.integers(1, len(TOKEN) - 1), max_size=12),
    before=st.sampled_from(["", "the token is ", "x="]),
    after=st.sampled_from(["", " and", "\nthen"]),
)
def test_a_token_over_any_number_of_events_is_masked_in_all_of_them(
    cuts: set[int], before: str, after: str
) -> None:
    pieces = [TOKEN[start:end] for start, end in pairwise([0, *sorted(cuts), len(TOKEN)])]
    parts = [_event(before + pieces[0]), *map(_event, pieces[1:]), _event(after)]
    out = b"".join(_streamed(parts))
    assert out.count(b"[REDACTED:") == len(pieces)
    assert out == MESSAGES.apply(SECRETS, b"".join(parts), "text/event-stream").data


@given(st.lists(st.text(alphabet="ab \n", max_size=6), max_size=12))
def test_nothing_is_lost_changed_or_out_of_order(texts: list[str]) -> None:
    parts = [_event(text) for text in texts]
    assert b"".join(_streamed(parts)) == b"".join(parts)


def test_a_word_is_held_until_it_ends_and_no_longer() -> None:
    ping = b": ping\n\n"
    parts = [
        _event("one tw"),
        _event("o"),
        ping,
        _event(" three "),
        _event("four"),
        _event("five " + "x" * 2000),
    ]
    assert _streamed(parts) == [b"", b"", b"", b"".join(parts[:4]), b"", b"".join(parts[4:]), b""]


@pytest.mark.parametrize(
    "event",
    [
        b'data: {"jsonrpc": "2.0", "result": {"content": [{"type": "text", "text": "one tw"}]}}\n\n',
        b'data: {"status": "running"}\n\n',
        b": ping\n\n",
        _event("x" * 5000),
    ],
)
def test_what_is_no_piece_of_a_text_passes_at_once(event: bytes) -> None:
    assert _streamed([event, event]) == [event, event, b""]


def test_the_value_of_a_name_that_passed_is_masked() -> None:
    out = _streamed([_event("my password: "), _event("hun"), _event("ter2xx"), _event(" it is")])
    assert out[0] == _event("my password: ")
    assert b"hun" not in b"".join(out)
    assert b"ter2xx" not in b"".join(out)


def test_a_mask_over_the_end_of_an_event_is_refused() -> None:
    window = EventWindow()
    window.add(_event("one ") + _event("two "))
    with pytest.raises(EventsMerged):
        window.take(_event("one two "), is_last=False)


@pytest.mark.parametrize("padding", ["", "m" * 150])
def test_of_a_private_key_in_many_events_no_line_passes(padding: str) -> None:
    body = base64.b64encode(random.Random(5).randbytes(1190)).decode()  # noqa: S311 - any bytes
    lines = [body[at : at + 64] for at in range(0, len(body), 64)]
    label = "RSA PRIVATE KEY"
    text = "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", "and more"])
    parts = [
        f"data: {json.dumps({'item_id': padding, 'delta': text[at : at + 4]})}\n\n".encode()
        for at in range(0, len(text), 4)
    ]
    out = b"".join(_streamed(parts)).decode()
    told = "".join(json.loads(line[6:])["delta"] for line in out.splitlines() if line)
    assert not [line for line in lines if line in told.replace("\n", "")]
    assert told.endswith("and more")


def test_a_sign_of_life_between_two_pieces_lets_none_of_them_pass() -> None:
    ping = b'event: ping\ndata: {"type": "ping"}\n\n'
    parts = [_event("it is " + TOKEN[:20]), ping, ping, _event(TOKEN[20:] + " and"), ping]
    passed = _streamed(parts)
    out = b"".join(passed)
    assert TOKEN[:20].encode() not in out
    assert TOKEN[20:].encode() not in out
    assert out.count(ping) == 3
