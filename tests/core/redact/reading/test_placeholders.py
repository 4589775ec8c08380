"""What stands in a secret's place comes out byte for byte; a password that only holds a piece of it goes."""

from __future__ import annotations

import json

import pytest

from addons.core.redact.masking.mask import Masker
from addons.core.redact.scrubber import Scrubber

SCRUBBER = Scrubber(Masker(b"k" * 16))
NAMES = ("DB_PASSWORD", "password", "token", "api_key")
PLACEHOLDERS = (
    "*" * 27 + "95ee",
    "******abcd",
    "xxxxxxxx1234",
    "••••••",
    "••••••1234",
    "sk-********abcd",
    "(sensitive value)",
    "(known after apply)",
    "%DB_PASSWORD%",
    "%CACHE_PW%",
    "{password}",
    "{}",
    "ref+awssecrets://prod/db",
    "projects/p/secrets/s/versions/1",
    "@Microsoft.KeyVault(SecretUri=https://v.example.net/secrets/x)",
    "!vault |",
    "!secret db_password",
    "$1",
    "@password",
    ":new_password",
    "ENC[handle]",
    "ENC[k8s_secret@ns/name/key]",
    "$DB_PASSWORD",
    "${DB_PASSWORD}",
    "${DB_PASSWORD:-x}",
    "$dbPassword",
    "$oauth2Token",
    "$(cat /run/secrets/db)",
    "$(DbPassword)",
    "{{ .Values.password }}",
    "${{ secrets.DB_PASSWORD }}",
    "#{password}",
    "$env:DB_PASSWORD",
    '$_POST["password"]',
    "$this->password",
    "sk-your-api-key",
)
REAL = (
    "$abcDEF123xyz",
    "$(iNCFy9wiBx",
    "$1aBcD9xQz7",
    "x9${Kq2!aLp",
    "P4ss****w0rd",
    "abc****K9x2Qz7Lp",
    "@Summer2024",
    ":Summer2024x",
    "%abc9Kx2Qz",
    "$KqzvXtwbnmRjPlc",
    "!Vault9x2Kq",
    "enc9x2KqLp7Z",
    "[Kx92qLp]z7",
)


def _forms(name: str, value: str) -> list[dict[str, str]]:
    texts = (f"{name}={value} loaded", f"{name}: {value}", f"{name}: '{value}'")
    return [{name: value}, *({"message": text} for text in texts)]


@pytest.mark.parametrize("value", PLACEHOLDERS)
@pytest.mark.parametrize("name", NAMES)
def test_a_placeholder_stays(name: str, value: str) -> None:
    body = json.dumps(_forms(name, value), ensure_ascii=False).encode()
    assert SCRUBBER.scrub_body(body, "application/json").data == body


@pytest.mark.parametrize("value", REAL)
@pytest.mark.parametrize("name", ["DB_PASSWORD", "password"])
def test_a_password_like_a_placeholder_goes(name: str, value: str) -> None:
    for form in _forms(name, value):
        assert value not in SCRUBBER.scrub_body(json.dumps([form]).encode(), "application/json").data.decode()


@pytest.mark.parametrize(
    ("value", "is_secret"),
    [
        ("lantern gravel otter mosaic", True),
        ("must contain uppercase letters", False),
        ("too short for this user", False),
        ("enter your new password", False),
    ],
)
def test_of_words_under_a_password_a_sentence_stays(value: str, is_secret: bool) -> None:
    body = json.dumps([{"password": value}]).encode()
    assert (SCRUBBER.scrub_body(body, "application/json").data != body) is is_secret


def test_a_copy_in_json_in_a_string_goes() -> None:
    secret = 'tzcJ"ZKk\\nameMé'
    body = {
        "password": secret,
        "a": json.dumps({"b": f"x {secret}"}),
        "c": json.dumps([secret], ensure_ascii=False),
    }
    for is_ascii in (True, False):
        data = json.dumps([body], ensure_ascii=is_ascii).encode()
        masked = json.loads(SCRUBBER.scrub_body(data, "application/json").data)[0]
        assert "ZKk" not in str(masked)
        assert "[REDACTED:" in json.loads(masked["a"])["b"]


@pytest.mark.parametrize(
    "text",
    [
        '$password = $_POST["password"];',
        "WHERE password = crypt(?, password)",
        "Token::Ident(name)",
        "this['proxy-authorization'] = `Basic ${Buffer.from(`${user}:${pass}`).toString('base64')}`",
        "expected -----BEGIN PRIVATE KEY----- header\nbut the file began with something else",
        "loaded xoxb-your-token ok",
        '{"sequenceToken":"jbgTgbS6L19d1cb4eJQYKeZW9ivzjv3Qn2hriwmGEyGr"}',
        "Sec-WebSocket-Key: x+DXTC/xHGFwtVY+zYfaPw==",
    ],
)
def test_code_and_prose_stay(text: str) -> None:
    body = json.dumps([{"message": text}]).encode()
    assert SCRUBBER.scrub_body(body, "application/json").data == body
    assert SCRUBBER.scrub_body(text.encode(), "text/plain").data == text.encode()


def test_the_key_of_a_handshake_stays() -> None:
    field = (b"Sec-WebSocket-Key", b"x+DXTC/xHGFwtVY+zYfaPw==")
    assert SCRUBBER.scrub_headers([field]) == ([field], {})
