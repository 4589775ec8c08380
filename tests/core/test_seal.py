from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.core.seal import KeyNotHeld, SealBroken, SealKey, parse_key, seal, unseal

KEY = parse_key(b"00" * 31 + b"01")
OTHER = parse_key(b"00" * 31 + b"02")
NONCE = b"n" * 12
PLACE = ("20260302T000000Z-1-1.sealed", 17)


def held(*keys: SealKey) -> dict[bytes, SealKey]:
    return {key.id: key for key in keys}


@given(st.binary(max_size=5000), st.text(max_size=20), st.integers(0, 2**40))
def test_what_was_sealed_comes_back_in_its_place_alone(flow: bytes, segment: str, offset: int) -> None:
    frame = seal(KEY, NONCE, (segment, offset), flow)
    assert unseal(held(KEY, OTHER), (segment, offset), frame) == flow
    for elsewhere in ((segment + "x", offset), (segment, offset + 1)):
        with pytest.raises(SealBroken):
            unseal(held(KEY), elsewhere, frame)


@given(st.data())
def test_no_changed_byte_goes_unseen(data: st.DataObject) -> None:
    frame = bytearray(seal(KEY, NONCE, PLACE, b"a recorded flow"))
    start = frame.index(b":") + 1
    at = data.draw(st.integers(start, len(frame) - 2))
    frame[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises((SealBroken, KeyNotHeld)):
        unseal(held(KEY), PLACE, bytes(frame))


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_and_nothing_worse(frame: bytes) -> None:
    with pytest.raises((SealBroken, KeyNotHeld)):
        unseal(held(KEY), PLACE, frame)


def test_a_key_that_is_not_held_is_named() -> None:
    with pytest.raises(KeyNotHeld) as caught:
        unseal(held(OTHER), PLACE, seal(KEY, NONCE, PLACE, b"flow"))
    assert caught.value.id == KEY.id.hex()


def test_the_flow_and_the_key_are_not_in_what_is_stored_or_shown() -> None:
    frame = seal(KEY, NONCE, PLACE, b"a recorded flow")
    assert b"recorded" not in frame
    assert KEY.key not in frame
    assert KEY.key.hex() not in repr(KEY)


def test_a_key_is_read_in_either_form() -> None:
    raw = bytes(range(32))
    assert parse_key(raw.hex().encode() + b"\n").key == raw
    assert parse_key(raw.hex().upper().encode()).key == raw
    assert parse_key(base64.b64encode(raw)).key == raw
    for wrong in (
        b"",
        raw,
        raw.hex().encode()[:-2],
        b"planted-secret",
        base64.b64encode(raw[:-1]),
        b"\xff" * 64,
    ):
        with pytest.raises(ValueError, match="not 32 bytes") as caught:
            parse_key(wrong)
        assert "planted" not in str(caught.value)
