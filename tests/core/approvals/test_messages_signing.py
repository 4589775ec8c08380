"""Signatures, verified by what receivers use: the standardwebhooks library, and Ed25519 by itself."""

from __future__ import annotations

import base64
import time

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from addons.core.approvals.messages.signing import MOST_KEYS, headers, parse_keys

SEED = bytes(range(32))
PUBLIC = Ed25519PrivateKey.from_private_bytes(SEED).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
BODY = '{"type":"approval.requested","summary":"ü…"}'.encode()


def whsec(secret: bytes) -> str:
    return f"whsec_{base64.b64encode(secret).decode()}"


def whsk(key: bytes) -> str:
    return f"whsk_{base64.b64encode(key).decode()}"


@given(st.binary(min_size=24, max_size=64), st.binary(max_size=200))
def test_what_a_symmetric_key_signs_the_receivers_library_verifies(secret: bytes, text: bytes) -> None:
    body = b'"' + text.hex().encode() + b'"'
    signed = headers("msg_1", time.time(), body, parse_keys(whsec(secret)))
    assert Webhook(whsec(secret)).verify(body, dict(signed)) == text.hex()
    with pytest.raises(WebhookVerificationError):
        Webhook(whsec(secret)).verify(body + b" ", dict(signed))
    with pytest.raises(WebhookVerificationError):
        Webhook(whsec(secret)).verify(body, {**signed, "webhook-id": "msg_2"})


@pytest.mark.parametrize("key", [SEED, SEED + PUBLIC], ids=["seed", "pair"])
def test_what_a_private_key_signs_its_public_key_verifies(key: bytes) -> None:
    signed = headers("msg_1", 1674087231.9, BODY, parse_keys(whsk(key)))
    assert signed["webhook-timestamp"] == "1674087231"
    version, _, signature = signed["webhook-signature"].partition(",")
    assert version == "v1a"
    public = Ed25519PrivateKey.from_private_bytes(SEED).public_key()
    public.verify(base64.b64decode(signature), b"msg_1.1674087231." + BODY)
    with pytest.raises(InvalidSignature):
        public.verify(base64.b64decode(signature), b"msg_1.1674087232." + BODY)


def test_while_keys_are_changed_every_key_signs() -> None:
    old, new = whsec(b"o" * 24), whsec(b"n" * 24)
    keys = parse_keys(f"\n  {new}\r\n{old}\n{whsk(SEED)}\n\n")
    signed = dict(headers("msg_1", time.time(), BODY, keys))
    for receiver in (old, new):
        Webhook(receiver).verify(BODY, signed)
    versions = [one.partition(",")[0] for one in signed["webhook-signature"].split(" ")]
    assert versions == ["v1", "v1", "v1a"]


def test_base64_without_its_padding_is_taken_as_receivers_take_it() -> None:
    bare = whsec(b"s" * 25).rstrip("=")
    Webhook(bare).verify(BODY, dict(headers("msg_1", time.time(), BODY, parse_keys(bare))))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "holds no key"),
        (" \n\n", "holds no key"),
        (whsec(b"secret" * 3), "line 1: a whsec_ key has 24 to 64 bytes, this one 18"),
        (whsec(b"secret" * 11), "24 to 64 bytes, this one 66"),
        (f"{whsec(b's' * 24)}\nsecretsecretsecretsecret", "line 2: begins with neither"),
        ("whsec_secret!secret!secret!secret!secret", "line 1: is not base64"),
        ("whsec_", "this one 0"),
        (whsk(b"secret"), "line 1: a whsk_ key has 32 bytes"),
        (whsk(SEED + bytes(32)), "two halves"),
        (f"whpk_{base64.b64encode(PUBLIC).decode()}", "is a public key"),
        ("\n".join([whsec(b"s" * 24)] * (MOST_KEYS + 1)), f"holds {MOST_KEYS + 1} keys"),
    ],
)
def test_what_is_no_key_is_told_by_its_line_and_never_shown(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told.replace("(", r"\(")) as caught:
        parse_keys(text)
    assert "secret" not in str(caught.value)
    assert base64.b64encode(b"secret").decode() not in str(caught.value)


def test_a_key_shows_nothing_of_itself() -> None:
    secret = b"s" * 32
    shown = repr(parse_keys(f"{whsec(secret)}\n{whsk(SEED)}"))
    assert "sss" not in shown
    assert base64.b64encode(secret).decode() not in shown


def test_an_id_with_a_full_stop_would_be_signed_as_something_else() -> None:
    with pytest.raises(ValueError, match="full stop"):
        headers("msg.1", 0, BODY, parse_keys(whsec(b"s" * 24)))
