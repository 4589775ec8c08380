"""A recording's masks against what is there now."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.core.model import Json
from addons.core.redact.detector_set import with_own
from addons.core.redact.detectors.own import read_own_detectors
from addons.core.redact.detectors.vendors import fill
from addons.core.redact.masking.json_masks import KIND
from addons.core.redact.masking.mask import Masker
from addons.core.redact.message_masks import MessageMasks
from addons.replaying.masked_values import Fit, MaskedValues

MASKER = Masker(b"k" * 32)
VALUES = MaskedValues(MASKER)
STRANGER = MaskedValues(None)
KEY, OTHER_KEY = "sk_live_" + fill(24), "sk_live_" + fill(24)[::-1]

JSON: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def masked(text: str) -> str:
    return MessageMasks(MASKER).secrets.scrub_text(text).text


def test_the_secrets_of_these_tests_are_found() -> None:
    assert KEY != OTHER_KEY
    assert masked(KEY).startswith("[REDACTED:")
    assert masked(KEY).split(":")[1] == masked(OTHER_KEY).split(":")[1]
    assert masked(KEY) != masked(OTHER_KEY)


@given(JSON)
def test_every_value_is_the_same_as_itself(value: Json) -> None:
    assert VALUES.values(value, value) is Fit.SAME


@pytest.mark.parametrize(
    ("recorded", "now", "fit"),
    [
        (1, 1.0, Fit.SAME),
        (1, True, Fit.DIFFERENT),
        (0, False, Fit.DIFFERENT),
        (0, None, Fit.DIFFERENT),
        ("1", 1, Fit.DIFFERENT),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, Fit.SAME),
        ({"a": 1}, {"a": 1, "b": 2}, Fit.DIFFERENT),
        ([1, 2], [2, 1], Fit.DIFFERENT),
        ([1, 2], [1, 2, 3], Fit.DIFFERENT),
        ([], {}, Fit.DIFFERENT),
    ],
)
def test_json_is_compared_as_values(recorded: Json, now: Json, fit: Fit) -> None:
    assert VALUES.values(recorded, now) is fit


def test_another_secret_of_the_same_kind_is_alike() -> None:
    recorded: Json = {"message": masked(f"page {KEY} now")}
    assert VALUES.values(recorded, {"message": masked(f"page {KEY} now")}) is Fit.SAME
    assert VALUES.values(recorded, {"message": masked(f"page {OTHER_KEY} now")}) is Fit.ALIKE
    assert VALUES.values(recorded, {"message": masked(f"page {OTHER_KEY} later")}) is Fit.DIFFERENT
    assert VALUES.values(recorded, {"message": "page nobody now"}) is Fit.DIFFERENT


def test_without_the_key_masks_of_one_kind_are_the_same() -> None:
    assert STRANGER.texts(masked(KEY), masked(OTHER_KEY)) is Fit.SAME
    assert STRANGER.texts(masked(KEY), "[REDACTED:another-kind:00000000]") is Fit.DIFFERENT


def test_what_a_rule_masked_beyond_secrets_is_known_by_its_hmac_and_else_by_its_kind() -> None:
    mail = f"to {MASKER.mask('email', 'alice@example.com')}, please"
    assert VALUES.texts(mail, "to alice@example.com, please") is Fit.SAME
    assert VALUES.texts(mail, "to bob@example.com, please") is Fit.ALIKE
    assert VALUES.texts(mail, "to nobody, please") is Fit.DIFFERENT


@pytest.mark.parametrize("now", ["alice", 5, True])
def test_what_a_rule_masked_by_its_path_fits_any_scalar(now: Json) -> None:
    recorded: Json = {"name": MASKER.mask(KIND, "someone")}
    assert VALUES.values(recorded, {"name": now}) is Fit.ALIKE
    assert VALUES.values(recorded, {"name": None}) is Fit.DIFFERENT
    assert VALUES.values(recorded, {"name": [now]}) is Fit.DIFFERENT
    assert VALUES.values(recorded, {"name": "someone"}) is Fit.SAME


def test_a_text_of_many_masks_or_great_length_is_compared_without_patterns() -> None:
    mask = MASKER.mask("email", "alice@example.com")
    assert VALUES.texts(mask * 60, "alice@example.com" * 60) is Fit.DIFFERENT
    assert VALUES.texts(mask + "x" * 100_000, "alice@example.com" + "x" * 100_000) is Fit.DIFFERENT


@given(st.text(), st.text())
def test_any_two_texts_can_be_compared(left: str, right: str) -> None:
    fit = VALUES.texts(left + MASKER.mask("email", "a@b.example") + right, left + "a@b.example" + right)
    assert fit is Fit.SAME


def test_a_teams_own_kind_of_secret_is_recognised() -> None:
    text = "version: 1\ndetectors: [{id: acme, pattern: 'acme_[0-9]{12}', examples: [acme_123456789012]}]"
    detectors = with_own(read_own_detectors(text, "own.yaml"))
    stored = MessageMasks(MASKER, detectors).secrets.scrub_text("acme_123456789012").text
    assert stored.startswith("[REDACTED:acme:")
    assert MaskedValues(MASKER, detectors).texts(stored, "acme_987654321098") is Fit.ALIKE
    assert VALUES.texts(stored, "acme_987654321098") is Fit.DIFFERENT
