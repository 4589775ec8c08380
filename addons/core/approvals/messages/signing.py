"""Signatures of webhooks: Standard Webhooks 1.0.0, sections "Signature scheme" and "Webhook headers".

Signed is `id.timestamp.body`. Every key makes a signature of its own, so that keys can be changed without a
gap: put the new one beside the old, change the receiver, take the old one away.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

SYMMETRIC, PRIVATE = "whsec_", "whsk_"
MOST_KEYS = 8

_SHORTEST, _LONGEST = 24, 64
_SEED, _PAIR = 32, 64


@dataclass(frozen=True, slots=True)
class SymmetricKey:
    """`whsec_…`: HMAC-SHA256, `v1`."""

    secret: bytes = field(repr=False)

    def sign(self, content: bytes) -> str:
        return f"v1,{_text(hmac.digest(self.secret, content, hashlib.sha256))}"


@dataclass(frozen=True, slots=True)
class PrivateKey:
    """`whsk_…`: Ed25519 (RFC 8032), `v1a`; receivers hold only the public part."""

    key: Ed25519PrivateKey = field(repr=False)

    def sign(self, content: bytes) -> str:
        return f"v1a,{_text(self.key.sign(content))}"


type SigningKey = SymmetricKey | PrivateKey


def parse_keys(text: str) -> tuple[SigningKey, ...]:
    """Read keys, one a line: `whsec_` and 24 to 64 bytes in base64, or `whsk_` and an Ed25519 key, which is a
    seed of 32 bytes or the seed and the public key.

    Raises ValueError that names the line, never what stands there.
    """
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if not lines:
        raise ValueError("holds no key; put whsec_… or whsk_… there, one a line")
    if len(lines) > MOST_KEYS:
        raise ValueError(f"holds {len(lines)} keys; at most {MOST_KEYS} sign a message")
    return tuple(_key(number, line) for number, line in lines)


def headers(identifier: str, at: float, body: bytes, keys: Sequence[SigningKey]) -> Mapping[str, str]:
    """The three header fields. `at` is the time of this attempt, in seconds since the epoch."""
    if "." in identifier:
        raise ValueError("a message's id has no full stop: they part what is signed")
    timestamp = str(int(at))
    content = f"{identifier}.{timestamp}.".encode() + body
    return {
        "webhook-id": identifier,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(key.sign(content) for key in keys),
    }


def _key(number: int, line: str) -> SigningKey:
    if line.startswith(SYMMETRIC):
        secret = _decoded(number, line.removeprefix(SYMMETRIC))
        if not _SHORTEST <= len(secret) <= _LONGEST:
            raise ValueError(
                f"line {number}: a whsec_ key has {_SHORTEST} to {_LONGEST} bytes, this one {len(secret)}"
            )
        return SymmetricKey(secret)
    if line.startswith(PRIVATE):
        return PrivateKey(_private(number, _decoded(number, line.removeprefix(PRIVATE))))
    if line.startswith("whpk_"):
        raise ValueError(f"line {number}: is a public key; the private one begins with whsk_")
    raise ValueError(f"line {number}: begins with neither whsec_ nor whsk_")


def _private(number: int, content: bytes) -> Ed25519PrivateKey:
    if len(content) not in {_SEED, _PAIR}:
        raise ValueError(
            f"line {number}: a whsk_ key has {_SEED} bytes (seed) or {_PAIR} (seed and public key), "
            f"this one {len(content)}"
        )
    key = Ed25519PrivateKey.from_private_bytes(content[:_SEED])
    public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    if len(content) == _PAIR and content[_SEED:] != public:
        raise ValueError(f"line {number}: the two halves of the whsk_ key don't belong together")
    return key


def _decoded(number: int, text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"line {number}: is not base64 after its prefix") from None


def _text(signature: bytes) -> str:
    return base64.b64encode(signature).decode()
