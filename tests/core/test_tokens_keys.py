from __future__ import annotations

import json

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from addons.core.model import Json
from addons.core.token_checks import TokenCheck, TokenRejected
from addons.core.tokens import verify
from addons.core.verification_keys import KeySetError, parse_key_set
from tests.core.token_minting import NOW, Signer, b64, key_set_text, private_key, trust

ES = Signer()
RS = Signer("RS256", "rsa-2048", "r1")


def curve_entry(curve: ec.EllipticCurve) -> dict[str, Json]:
    public = ec.generate_private_key(curve).public_key()
    return {**jwt.algorithms.ECAlgorithm.to_jwk(public, as_dict=True), "kid": "k1"}


ED25519_PRIME = 2**255 - 19
# y of the points of order 8: three doublings make them the neutral one
ORDER_8 = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826

UNUSABLE: dict[str, Json] = {
    "small RSA": Signer("RS256", "rsa-1024", "k").jwk(),
    "encryption only": ES.jwk(use="enc"),
    "wrong operations": ES.jwk(key_ops=["sign"]),
    "operations of the wrong kind": ES.jwk(key_ops="verify"),
    "no kid": ES.jwk(kid=None),
    "empty kid": ES.jwk(kid=""),
    "kid of the wrong kind": ES.jwk(kid=5),
    "long kid": ES.jwk(kid="k" * 257),
    "symmetric": {"kty": "oct", "k": "AAAA", "kid": "k"},
    "private": ES.jwk(d=b64(bytes(32))),
    "curve secp256k1": curve_entry(ec.SECP256K1()),
    "curve P-521": curve_entry(ec.SECP521R1()),
    "alg of another type": ES.jwk(alg="RS256"),
    "alg of a MAC": RS.jwk(alg="HS256"),
    "alg none": RS.jwk(alg="none"),
    "alg of the wrong kind": ES.jwk(alg=["ES256"]),
    "curve of another alg": ES.jwk(alg="ES384"),
    "point off the curve": ES.jwk(x=b64(bytes([1] * 32))),
    "short coordinate": ES.jwk(x="AA"),
    "number as coordinate": ES.jwk(x=5),
    "coordinate missing": ES.jwk(x=None),
    "even exponent": RS.jwk(e="Ag"),
    "huge modulus": RS.jwk(n="f" * 3000),
    "no kty": ES.jwk(kty=None),
    "kty of the wrong kind": ES.jwk(kty=["EC"]),
    "Ed448": {"kty": "OKP", "crv": "Ed448", "x": b64(bytes(57)), "kid": "k"},
    "short Ed25519": {"kty": "OKP", "crv": "Ed25519", "x": "AA", "kid": "k"},
    **{
        f"Ed25519 of small order, {y:064x}": {
            "kty": "OKP",
            "crv": "Ed25519",
            "x": b64((y | sign << 255).to_bytes(32, "little")),
            "kid": "k",
        }
        for sign in (0, 1)
        for y in (0, 1, ED25519_PRIME - 1, ED25519_PRIME, ED25519_PRIME + 1, ORDER_8, ED25519_PRIME - ORDER_8)
    },
    "no object": "key",
    "null": None,
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_a_key_that_must_not_verify_is_left_out(name: str) -> None:
    with pytest.raises(KeySetError):
        parse_key_set(key_set_text(UNUSABLE[name]))
    other = Signer("EdDSA", "ed25519", "good").jwk()
    assert list(parse_key_set(key_set_text(UNUSABLE[name], other))) == ["good"]


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"{}",
        b'{"keys":{}}',
        b'{"keys":[]}',
        b'{"keys":[],"keys":[]}',
        b"<html>",
        b"\xff",
        b"[" * 100_000,
        key_set_text(*[ES.jwk()] * 101),
    ],
)
def test_garbage_is_no_key_set(text: bytes) -> None:
    with pytest.raises(KeySetError):
        parse_key_set(text)


@given(st.binary())
def test_random_bytes_are_no_key_set(text: bytes) -> None:
    with pytest.raises(KeySetError):
        parse_key_set(text)


def test_keys_of_different_types_may_share_a_kid() -> None:
    trusts = trust(ES.jwk(kid="x"), RS.jwk(kid="x"))
    assert verify(Signer(key_id="x").token(), trusts, NOW).subject == "agent-1"
    assert verify(Signer("RS256", "rsa-2048", "x").token(), trusts, NOW).subject == "agent-1"


def test_two_keys_for_one_algorithm_under_one_kid_are_ambiguous_and_refused() -> None:
    other = Signer(kind="p256/other")
    for signer in (ES, other):
        with pytest.raises(TokenRejected) as caught:
            verify(signer.token(), trust(ES.jwk(), other.jwk()), NOW)
        assert caught.value.check is TokenCheck.UNFIT_KEY


def test_the_same_key_published_twice_is_one_key() -> None:
    assert verify(ES.token(), trust(ES.jwk(), ES.jwk()), NOW).subject == "agent-1"


def test_a_key_sets_equality_is_its_keys() -> None:
    text = key_set_text(ES.jwk(), RS.jwk())
    assert parse_key_set(text) == parse_key_set(json.dumps(json.loads(text), indent=1).encode())
    assert parse_key_set(text) != parse_key_set(
        key_set_text(ES.jwk(), Signer("RS256", "rsa-2048/b", "r1").jwk())
    )
    assert private_key("p256") is ES.private
