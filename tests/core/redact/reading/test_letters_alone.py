"""Secrets without a digit: letters as they stand in no word, and digits alone under a password's name."""

from __future__ import annotations

import json
from typing import Any

import pytest

from addons.core.redact.detectors.randomness import is_wordless
from addons.core.redact.masking.mask import Masker
from addons.core.redact.scrubber import Scrubber

SCRUBBER = Scrubber(Masker(b"k" * 16))
MIXED = "RkTqWzYb" + "LxHnVdGfPm"
LOWER = "vkqzxhtw" + "bjrmfgpd"
FOURS = " ".join(LOWER[index : index + 4] for index in range(0, 16, 4))
NUMBER = "739104" + "286615"

TEXTS = (
    "Authorization: Bearer {}",
    "X-Api-Key: {}",
    "token: {}",
    "password: {}",
    "client_secret: {}",
    "run --token {} x",
    "run --api-key {} x",
    "run --password {} x",
    "the password is {}",
    "user:\n    token: {}\n",
    "machine h login till password {}",
    "SET PASSWORD FOR 'till'@'%' = PASSWORD('{}')",
)


def _masked(body: Any) -> str:
    return SCRUBBER.scrub_body(json.dumps([body]).encode(), "application/json").data.decode()


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("secret", [MIXED, LOWER])
def test_letters_that_are_no_word_are_a_secret_where_a_text_announces_one(text: str, secret: str) -> None:
    assert secret not in _masked({"message": text.format(secret)})


@pytest.mark.parametrize(
    "body",
    [
        ["run", "--api-key", "{}"],
        {"rawHeaders": ["Host", "h", "X-Api-Key", "{}"]},
        ["X-Api-Key", "{}"],
        {"passwords": ["{}"]},
        {"tokens": {"github": "{}"}},
        {"credentials": {"primary": "{}"}},
        {"token": "{}"},
        {"api_key": "{}"},
        {"client_secret": "{}"},
    ],
)
@pytest.mark.parametrize("secret", [MIXED, LOWER])
def test_letters_that_are_no_word_are_a_secret_where_a_key_names_one(body: Any, secret: str) -> None:
    assert secret not in _masked(json.loads(json.dumps(body).replace("{}", secret)))


@pytest.mark.parametrize("text", ["password: {}", "token: {}", 'app_password = "{}"'])
def test_groups_of_four_letters_go_whole(text: str) -> None:
    masked = _masked({"message": text.format(FOURS)})
    assert not any(group in masked for group in FOURS.split())


@pytest.mark.parametrize("text", ["password: {}", "run --password {} x"])
def test_a_password_may_be_a_number(text: str) -> None:
    assert NUMBER not in _masked({"message": text.format(NUMBER)})


@pytest.mark.parametrize(
    "text",
    [
        "token: TokenServiceImpl",
        "token: AUTHENTICATION_REQUIRED",
        "password: verificationRequired",
        "the password is XMLHttpRequestUpload",
        "Authorization: Bearer authentication",
        "token: this must have been here",
        "token: abcdefghijklmnop",
        "reset_passwords: 739104",
        "password: 12",
    ],
)
def test_words_and_counts_stay(text: str) -> None:
    assert _masked({"message": text}) == json.dumps([{"message": text}])


@pytest.mark.parametrize(
    "word",
    [
        "AbstractAuthenticationProcessingFilter",
        "getKubernetesClusterRoleBinding",
        "Donaudampfschifffahrtsgesellschaft",
        "postgresqlconnectionpool",
        "przykładowe",
        "HttpUrlConnectionFactoryBean",
        "DebugInfoPerPass",
        "acknowledged",
        "xxxxxxxxxxxxxxxx",
        "qwertyuiopasdfgh",
    ],
)
def test_words_and_names_of_programs_are_words(word: str) -> None:
    assert not is_wordless(word.encode())
