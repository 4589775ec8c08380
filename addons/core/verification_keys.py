"""An issuer's published keys (JWK Set, RFC 7517 and 7518), reduced to those that may verify a token."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from addons.core.model import Json
from addons.core.token_parts import StrictJsonError, strict_object

RSA_ALGORITHMS = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
ACCEPTED_ALGORITHMS = RSA_ALGORITHMS | {"ES256", "ES384", "EdDSA"}

SIGNATURES = frozenset({"sig"})
JWT_SVIDS = frozenset({"sig", "jwt-svid"})
"""What a SPIFFE trust domain's bundle calls it: SPIFFE Trust Domain and Bundle, section 4.2.2."""

_MIN_RSA_BITS = 2048  # RFC 7518 section 3.3
_MAX_RSA_BITS = 8192  # one verification stays well under a millisecond
_MAX_KEYS = 100
_MAX_KEY_ID = 256
_ED25519_PRIME = 2**255 - 19
_ORDER_8 = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
_SMALL_ORDER = frozenset({0, 1, _ED25519_PRIME - 1, _ORDER_8, _ED25519_PRIME - _ORDER_8})
_CURVE_ALGORITHMS = {
    ("EC", "P-256"): frozenset({"ES256"}),
    ("EC", "P-384"): frozenset({"ES384"}),
    ("OKP", "Ed25519"): frozenset({"EdDSA"}),
}

type PublicKey = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey


class KeySetError(ValueError):
    """A JWK Set holds no key that could verify a token, or isn't one. The message quotes none of it."""


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """One public key and the algorithms that it may verify.

    Equal when the same key is published for the same use; `thumbprint` is SHA-256 over its DER form.
    """

    key_id: str
    algorithms: frozenset[str]
    thumbprint: bytes
    public: PublicKey = field(repr=False, compare=False)


type KeysById = Mapping[str, tuple[VerificationKey, ...]]


def parse_key_set(unverified_text: bytes, uses: frozenset[str] = SIGNATURES) -> KeysById:
    """Keys by `kid` whose `use`, where they have one, is among `uses`.

    RFC 7517 section 4.5 lets keys of different types share one `kid`, hence the tuple.

    Members that can't serve are left out, as section 5 asks: private or symmetric ones, RSA under 2048
    bits, other curves, for encryption only, without `kid`. Raises `KeySetError` when none is left.
    """
    try:
        entries = strict_object(unverified_text).get("keys")
    except StrictJsonError as error:
        raise KeySetError(f"the key set cannot be read: {error}") from None
    if not isinstance(entries, list):
        raise KeySetError("the key set has no list `keys`")
    if len(entries) > _MAX_KEYS:
        raise KeySetError(f"the key set has more than {_MAX_KEYS} keys")
    found: dict[str, tuple[VerificationKey, ...]] = {}
    for entry in entries:
        key = _usable_key(entry, uses) if isinstance(entry, dict) else None
        if key is not None and key not in found.get(key.key_id, ()):
            found[key.key_id] = (*found.get(key.key_id, ()), key)
    if not found:
        raise KeySetError("the key set has no usable key (asymmetric, for signatures, with a `kid`)")
    return MappingProxyType(found)


def _usable_key(unverified_jwk: dict[str, Json], uses: frozenset[str]) -> VerificationKey | None:
    key_id = unverified_jwk.get("kid")
    if not isinstance(key_id, str) or not 0 < len(key_id) <= _MAX_KEY_ID:
        return None
    # A private key that anybody can fetch signs for anybody.
    if "d" in unverified_jwk or not _is_for(unverified_jwk, uses):
        return None
    operations = unverified_jwk.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        return None
    algorithms = _algorithms_of(unverified_jwk)
    if not algorithms:
        return None
    public = _public_key(unverified_jwk, min(algorithms))
    if public is None:
        return None
    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return VerificationKey(key_id, algorithms, hashlib.sha256(der).digest(), public)


def _is_for(unverified_jwk: dict[str, Json], uses: frozenset[str]) -> bool:
    use = unverified_jwk.get("use", "sig")
    return isinstance(use, str) and use in uses


def _algorithms_of(jwk: dict[str, Json]) -> frozenset[str]:
    """List what the key's type can verify, narrowed to its `alg` where it has one."""
    kind, curve = jwk.get("kty"), jwk.get("crv")
    possible: frozenset[str] = frozenset()
    if kind == "RSA":
        possible = RSA_ALGORITHMS
    elif isinstance(kind, str) and isinstance(curve, str):
        possible = _CURVE_ALGORITHMS.get((kind, curve), possible)
    if "alg" not in jwk:
        return possible
    named = jwk["alg"]
    return possible & {named} if isinstance(named, str) else frozenset()


def _public_key(jwk: dict[str, Json], algorithm: str) -> PublicKey | None:
    numbers: dict[str, Json] = {name: jwk[name] for name in ("n", "e", "x", "y") if name in jwk}
    if any(not isinstance(value, str) or len(value) > _MAX_RSA_BITS // 4 for value in numbers.values()):
        return None
    try:
        key = jwt.PyJWK({"kty": jwk["kty"], "crv": jwk.get("crv"), **numbers}, algorithm).key
    except (jwt.PyJWTError, ValueError):
        return None
    if isinstance(key, RSAPublicKey):
        return key if _MIN_RSA_BITS <= key.key_size <= _MAX_RSA_BITS else None
    if isinstance(key, Ed25519PublicKey) and _is_weak(key):
        return None
    return key if isinstance(key, EllipticCurvePublicKey | Ed25519PublicKey) else None


def _is_weak(key: Ed25519PublicKey) -> bool:
    """Whether it is a point of small order, under which one signature fits many texts, or isn't written as
    RFC 8032 section 5.1.2 has it.
    """
    raw = key.public_bytes(Encoding.Raw, PublicFormat.Raw)
    y = int.from_bytes(raw, "little") & (2**255 - 1)  # the highest bit is the sign of x
    return y >= _ED25519_PRIME or y in _SMALL_ORDER
