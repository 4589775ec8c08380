"""Checkpoints: one text for each, and of the log that signed them only."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.core.transparency import signed_note
from addons.core.transparency.checkpoint import Checkpoint, CheckpointInvalid, parse, signed, verified
from addons.core.transparency.merkle import EMPTY_ROOT, MAX_SIZE
from addons.core.transparency.signed_note import KeyAlgorithm, Note, NoteInvalid, SignerKey, VerifierKey
from tests.core.transparency.vectors import COSIGNED, LOG_KEY

KEY = SignerKey("log.example/a", b"s" * 32)
HEAD = Checkpoint("log.example/a", 17, b"r" * 32)
ROOT = "cnJycnJycnJycnJycnJycnJycnJycnJycnJycnJycnI="
EMPTY = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="

lines = st.text(
    st.characters(codec="utf-8", min_codepoint=0x20, exclude_characters="\n"), min_size=1, max_size=20
)
checkpoints = st.builds(
    Checkpoint,
    lines,
    st.integers(1, MAX_SIZE),
    st.binary(min_size=32, max_size=32),
    st.lists(lines, max_size=3).map(tuple),
)


def test_a_checkpoint_of_a_public_log() -> None:
    checkpoint = verified(COSIGNED, VerifierKey.parse(LOG_KEY))
    assert checkpoint.origin == "arche2025h1.staging.ct.transparency.dev"
    assert checkpoint.size == 1432088532
    assert COSIGNED.startswith(checkpoint.text())


def test_a_signed_checkpoint_is_verified() -> None:
    note = signed(HEAD, KEY)
    assert note.startswith(f"log.example/a\n17\n{ROOT}\n\n— log.example/a ")
    assert verified(note, KEY.verifier) == verified(note.encode(), KEY.verifier) == HEAD


@given(checkpoints)
def test_what_is_written_is_read_back(checkpoint: Checkpoint) -> None:
    assert parse(checkpoint.text()) == checkpoint


@given(
    st.text(max_size=120)
    | st.tuples(lines, lines, lines).map(lambda three: "\n".join((*three, "")))
    | st.text(max_size=20).map(lambda text: f"a\n1\n{ROOT}\n{text}")
)
def test_any_text_is_a_checkpoint_or_refused(text: str) -> None:
    try:
        checkpoint = parse(text)
    except CheckpointInvalid:
        return
    assert checkpoint.text() == text


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "\n",
        "a\n1\n",
        f"a\n1\n{ROOT}",
        f"\n1\n{ROOT}\n",
        f"a\n\n{ROOT}\n",
        f"a\n01\n{ROOT}\n",
        f"a\n-1\n{ROOT}\n",
        f"a\n+1\n{ROOT}\n",
        f"a\n1_0\n{ROOT}\n",
        f"a\n 1\n{ROOT}\n",
        f"a\n\u0661\n{ROOT}\n",
        f"a\n{2**63}\n{ROOT}\n",
        f"a\n0\n{ROOT}\n",
        "a\n1\ncnI=\n",
        f"a\n1\n{ROOT[:-1]}\n",
        f"a\n1\n{ROOT[:-2]}J=\n",
        f"a\n1\n{ROOT}\n\n",
        f"a\n1\n{ROOT}\n\nb\n",
        f"a\r\n1\r\n{ROOT}\r\n",
        f"a\n1\n{ROOT}\nb\x01\n",
        f"\ud800\n1\n{ROOT}\n",
    ],
)
def test_what_is_not_exactly_a_checkpoint_is_refused(bad: str) -> None:
    with pytest.raises(CheckpointInvalid):
        parse(bad)


def test_the_empty_log_and_the_largest() -> None:
    assert parse(f"a\n0\n{EMPTY}\n") == Checkpoint("a", 0, EMPTY_ROOT)
    assert parse(f"a\n{MAX_SIZE}\n{ROOT}\nx\n").extensions == ("x",)


@pytest.mark.parametrize(
    ("origin", "size", "root", "extensions"),
    [
        ("", 1, b"r" * 32, ()),
        ("a\nb", 1, b"r" * 32, ()),
        ("a", -1, b"r" * 32, ()),
        ("a", 1, b"r" * 31, ()),
        ("a", 1, b"r" * 32, ("",)),
        ("a", 1, b"r" * 32, ("x\ny",)),
    ],
)
def test_what_can_be_no_checkpoint_makes_none(
    origin: str, size: int, root: bytes, extensions: tuple[str, ...]
) -> None:
    with pytest.raises(CheckpointInvalid):
        Checkpoint(origin, size, root, extensions)


def test_every_bit_of_a_signed_checkpoint_counts() -> None:
    whole = signed(HEAD, KEY).encode()
    for bit in range(len(whole) * 8):
        changed = bytearray(whole)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(CheckpointInvalid):
            verified(bytes(changed), KEY.verifier)


def test_another_logs_key_does_not_vouch() -> None:
    other = SignerKey("log.example/b", b"o" * 32)
    note = Note(HEAD.text(), (other.sign(HEAD.text()),)).encode()
    with pytest.raises(CheckpointInvalid, match=r"of the log log\.example/a, the key of log\.example/b"):
        verified(note, other.verifier)
    with pytest.raises(CheckpointInvalid, match="isn't signed by"):
        verified(note, KEY.verifier)
    with pytest.raises(CheckpointInvalid):
        signed(HEAD, other)


def test_a_note_that_is_no_checkpoint_is_refused_though_it_is_signed() -> None:
    note = Note("hello\n", (KEY.sign("hello\n"),)).encode()
    signed_note.parse(note).check_signed_by(KEY.verifier)
    with pytest.raises(CheckpointInvalid):
        verified(note, KEY.verifier)


def test_a_cosigners_key_signs_no_checkpoint() -> None:
    with pytest.raises(NoteInvalid):
        signed(HEAD, SignerKey("log.example/a", b"s" * 32, KeyAlgorithm.COSIGNATURE))
