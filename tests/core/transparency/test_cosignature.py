"""Witnesses' signatures: of this checkpoint, at this time."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.core.transparency import signed_note
from addons.core.transparency.checkpoint import Checkpoint, CheckpointInvalid
from addons.core.transparency.cosignature import cosigned, verify
from addons.core.transparency.signed_note import (
    KeyAlgorithm,
    NoteInvalid,
    NoteSignature,
    SignerKey,
    VerifierKey,
)
from tests.core.transparency.vectors import COSIGNED, COSIGNED_AT, WITNESS_KEYS

WITNESS = SignerKey("witness.example/w", b"w" * 32, KeyAlgorithm.COSIGNATURE)
TEXT = Checkpoint("log.example", 17, b"r" * 32).text()
NOW = 1_800_000_000


@pytest.mark.parametrize("vkey", WITNESS_KEYS)
def test_the_cosignatures_of_public_witnesses_hold(vkey: str) -> None:
    key = VerifierKey.parse(vkey)
    assert key.encode() == vkey
    note = signed_note.parse(COSIGNED)
    (line,) = note.signatures_by(key)
    assert verify(note.text, line, key) == COSIGNED_AT
    with pytest.raises(NoteInvalid, match="doesn't hold"):
        verify(note.text.replace("1432088532", "1432088533"), line, key)


@given(st.integers(0, 2**63 - 1))
def test_a_cosignature_says_when(time: int) -> None:
    line = cosigned(TEXT, WITNESS, time)
    assert line.name == "witness.example/w"
    assert verify(TEXT, NoteSignature.parse(line.line()), WITNESS.verifier) == time


def test_every_bit_of_a_cosignature_counts() -> None:
    line = cosigned(TEXT, WITNESS, NOW)
    for bit in range(4 * 8):
        with pytest.raises(NoteInvalid):
            verify(TEXT, replace(line, key_id=_flipped(line.key_id, bit)), WITNESS.verifier)
    for bit in range(72 * 8):
        with pytest.raises(NoteInvalid):
            verify(TEXT, replace(line, signature=_flipped(line.signature, bit)), WITNESS.verifier)


def test_every_bit_of_the_text_counts() -> None:
    line = cosigned(TEXT, WITNESS, NOW)
    for bit in range(len(TEXT) * 8):
        with pytest.raises(NoteInvalid):
            verify(_flipped(TEXT.encode(), bit).decode("latin-1"), line, WITNESS.verifier)


def test_another_witness_of_the_same_name_is_another() -> None:
    other = SignerKey("witness.example/w", b"o" * 32, KeyAlgorithm.COSIGNATURE)
    with pytest.raises(NoteInvalid, match="not by"):
        verify(TEXT, cosigned(TEXT, other, NOW), WITNESS.verifier)


@pytest.mark.parametrize("signature", [b"s", b"s" * 64, b"s" * 71, b"s" * 73])
def test_what_has_not_the_form_is_refused(signature: bytes) -> None:
    line = NoteSignature("witness.example/w", WITNESS.verifier.key_id, signature)
    with pytest.raises(NoteInvalid, match="isn't a cosignature of version 1"):
        verify(TEXT, line, WITNESS.verifier)


def test_a_time_beyond_all_times_is_refused() -> None:
    line = NoteSignature("witness.example/w", WITNESS.verifier.key_id, b"\xff" * 72)
    with pytest.raises(NoteInvalid, match="no time"):
        verify(TEXT, line, WITNESS.verifier)


@pytest.mark.parametrize("time", [-1, 2**63])
def test_a_time_that_can_not_be_is_refused(time: int) -> None:
    with pytest.raises(NoteInvalid, match="no time"):
        cosigned(TEXT, WITNESS, time)


def test_only_a_checkpoint_is_cosigned() -> None:
    with pytest.raises(CheckpointInvalid):
        cosigned("hello\n", WITNESS, NOW)


def test_a_logs_key_cosigns_nothing_and_verifies_no_cosignature() -> None:
    log = SignerKey("log.example", b"s" * 32)
    with pytest.raises(NoteInvalid, match="not a cosigner"):
        cosigned(TEXT, log, NOW)
    with pytest.raises(NoteInvalid, match="not a cosigner"):
        verify(TEXT, cosigned(TEXT, WITNESS, NOW), log.verifier)


def test_half_a_surrogate_pair_is_refused() -> None:
    with pytest.raises(NoteInvalid):
        verify("\ud800\n", cosigned(TEXT, WITNESS, NOW), WITNESS.verifier)


def _flipped(octets: bytes, bit: int) -> bytes:
    changed = bytearray(octets)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)
