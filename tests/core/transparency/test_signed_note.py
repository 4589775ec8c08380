"""Notes: read strictly, written back as they were, and believed with a signature that holds only."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from addons.core.transparency.signed_note import (
    MAX_NOTE,
    MAX_SIGNATURES,
    KeyAlgorithm,
    Note,
    NoteInvalid,
    NoteSignature,
    SignerKey,
    VerifierKey,
    parse,
)
from tests.core.transparency.vectors import C2SP_KEY, C2SP_NOTE, COSIGNED, GO_KEY, GO_NOTE, GO_SEED, LOG_KEY

KEY = SignerKey("log.example/a", b"s" * 32)
NAMED = "— log.example/a"
SIGNED = Note("one\n\ntwo\n", (KEY.sign("one\n\ntwo\n"),))

names = st.text(
    st.characters(codec="utf-8", exclude_characters="+", exclude_categories=["Cc", "Zs", "Zl", "Zp"]),
    min_size=1,
    max_size=20,
)
signatures = st.builds(
    NoteSignature, names, st.binary(min_size=4, max_size=4), st.binary(min_size=1, max_size=80)
)
lines = st.text(st.characters(codec="utf-8", min_codepoint=0x20), max_size=20)
texts = st.lists(lines, min_size=1, max_size=4).map(lambda each: "".join(f"{one}\n" for one in each))
notes = st.builds(Note, texts, st.lists(signatures, min_size=1, max_size=16).map(tuple))


@pytest.mark.parametrize(("note", "key"), [(C2SP_NOTE, C2SP_KEY), (GO_NOTE, GO_KEY), (COSIGNED, LOG_KEY)])
def test_the_published_notes_hold(note: str, key: str) -> None:
    verifier = VerifierKey.parse(key)
    assert verifier.encode() == key
    parsed = parse(note)
    parsed.check_signed_by(verifier)
    assert parsed.encode() == note
    assert parse(note.encode()) == parsed


def test_the_published_note_is_made_byte_for_byte() -> None:
    key = SignerKey("PeterNeumann", base64.b64decode(GO_SEED)[1:])
    text = parse(GO_NOTE).text
    assert Note(text, (key.sign(text),)).encode() == GO_NOTE
    assert key.verifier.encode() == GO_KEY


@given(notes)
def test_what_is_written_is_read_back(note: Note) -> None:
    assert parse(note.encode()) == note
    assert all(NoteSignature.parse(one.line()) == one for one in note.signatures)


@given(st.binary(max_size=200) | st.text(max_size=200) | texts.map(lambda text: f"{text}\n— a AAAAAAA=\n"))
@example("\n\n")
@example("a\n\n\n")
@example("\ud800\n\n— a AAAAAAA=\n")
def test_anything_is_a_note_or_refused(raw: str | bytes) -> None:
    try:
        note = parse(raw)
    except NoteInvalid:
        return
    assert note.encode() == (raw if isinstance(raw, str) else raw.decode())


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "text\n",
        "text\n\n",
        "text\n— a AAAAAAA=\n",
        "text\n\n— a AAAAAAA=",
        "text\n\n— a AAAAAAA=\n\n",
        "text\r\n\r\n— a AAAAAAA=\r\n",
        "te\x00xt\n\n— a AAAAAAA=\n",
        "te\txt\n\n— a AAAAAAA=\n",
        "text\n\n- a AAAAAAA=\n",
        "text\n\n—a AAAAAAA=\n",
        "text\n\n—  AAAAAAA=\n",
        "text\n\n— a  AAAAAAA=\n",
        "text\n\n— a b AAAAAAA=\n",
        "text\n\n— a+b AAAAAAA=\n",
        "text\n\n— a\u00a0b AAAAAAA=\n",
        "text\n\n— a\u2028b AAAAAAA=\n",
        "text\n\n— a AAAAAAA\n",
        "text\n\n— a AAAAAAB=\n",  # bits after the last byte
        "text\n\n— a AAAAAAA= \n",
        "text\n\n— a AAAA-_A=\n",
        "text\n\n— a AAAAAA==\n",  # a key ID alone
        "text\n\n— a\n",
        "text\n\nmore\n— a AAAAAAA=\n",
        b"te\xffxt\n\n\xe2\x80\x94 a AAAAAAA=\n",
        "text\n\n" + "— a AAAAAAA=\n" * (MAX_SIGNATURES + 1),
        "t" * MAX_NOTE + "\n\n— a AAAAAAA=\n",
    ],
)
def test_what_is_not_exactly_a_note_is_refused(bad: str | bytes) -> None:
    with pytest.raises(NoteInvalid):
        parse(bad)


def test_as_many_signatures_as_verifiers_must_take() -> None:
    five_kilobytes = NoteSignature("a", b"1234", b"s" * 5000)
    assert len(parse(Note("text\n", (five_kilobytes,) * 16).encode()).signatures) == 16


@pytest.mark.parametrize(
    ("text", "count"), [("text", 1), ("", 1), ("te\rxt\n", 1), ("text\n", 0), ("text\n", MAX_SIGNATURES + 1)]
)
def test_what_no_note_can_hold_makes_none(text: str, count: int) -> None:
    with pytest.raises(NoteInvalid):
        Note(text, (NoteSignature("a", b"1234", b"s"),) * count)


def test_every_bit_of_a_signed_note_counts() -> None:
    """The text, the separator, the name, the key ID, the signature."""
    SIGNED.check_signed_by(KEY.verifier)
    whole = SIGNED.encode().encode()
    for bit in range(len(whole) * 8):
        changed = bytearray(whole)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(NoteInvalid):
            parse(bytes(changed)).check_signed_by(KEY.verifier)


def test_a_stranger_beside_the_signer_is_ignored() -> None:
    stranger = SignerKey("other.example", b"o" * 32).sign("another text\n")
    same_name = replace(stranger, name=KEY.verifier.name)
    same_id = replace(stranger, key_id=KEY.verifier.key_id)
    note = Note(SIGNED.text, (stranger, same_name, same_id, *SIGNED.signatures))
    note.check_signed_by(KEY.verifier)
    with pytest.raises(NoteInvalid, match="isn't signed by"):
        Note(SIGNED.text, (stranger, same_name, same_id)).check_signed_by(KEY.verifier)


def test_one_signature_that_does_not_hold_spoils_one_that_does() -> None:
    bad = KEY.sign("another text\n")
    with pytest.raises(NoteInvalid, match="doesn't hold"):
        Note(SIGNED.text, (*SIGNED.signatures, bad)).check_signed_by(KEY.verifier)


@pytest.mark.parametrize("key", [C2SP_KEY, GO_KEY])
def test_a_key_that_was_mistyped_is_refused(key: str) -> None:
    for at in range(len(key)):
        for changed in (key[:at] + key[at + 1 :], key[:at] + chr(ord(key[at]) + 1) + key[at + 1 :]):
            with pytest.raises(NoteInvalid):
                VerifierKey.parse(changed)


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "name",
        "name+",
        "name+c74f20a3",
        "PeterNeumann+C74F20A3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        " PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW\n",
        "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==",  # too long
        "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",  # of no known type
        "example.com/foo+00000000+++++++++++++++++++++++++++++++++++++++++++++",
        "\ud800+00000000+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
    ],
)
def test_what_is_no_verifier_key_is_refused(bad: str) -> None:
    with pytest.raises(NoteInvalid):
        VerifierKey.parse(bad)


@given(names, st.sampled_from(KeyAlgorithm), st.binary(min_size=32, max_size=32))
def test_verifier_keys_are_read_back(name: str, algorithm: KeyAlgorithm, public: bytes) -> None:
    key = VerifierKey(name, algorithm, public)
    assert VerifierKey.parse(key.encode()) == key


@given(st.text(max_size=90))
def test_any_text_is_a_verifier_key_or_refused(text: str) -> None:
    try:
        key = VerifierKey.parse(text)
    except NoteInvalid:
        return
    assert key.encode() == text


def test_a_private_key_is_not_shown() -> None:
    seed = b"0123456789abcdef0123456789abcdef"
    key = SignerKey("log.example", seed)
    assert seed.decode() not in f"{key} {key!r}"
    assert seed.hex() not in repr(key)


def test_a_cosigners_key_signs_and_verifies_no_plain_note() -> None:
    cosigner = SignerKey("w.example", b"w" * 32, KeyAlgorithm.COSIGNATURE)
    with pytest.raises(NoteInvalid, match="cosigner"):
        cosigner.sign("text\n")
    with pytest.raises(NoteInvalid, match="cosigner"):
        cosigner.verifier.verify("text\n", NoteSignature("w.example", cosigner.verifier.key_id, b"x" * 64))


def test_a_key_of_the_wrong_length_is_refused() -> None:
    with pytest.raises(NoteInvalid, match="32 bytes"):
        SignerKey("a", b"short")
    with pytest.raises(NoteInvalid, match="32 bytes"):
        VerifierKey("a", KeyAlgorithm.ED25519, b"short")
