"""Recorded flows at rest under a key: AES-256-GCM (NIST SP 800-38D), one message a flow.

What is stored is one netstring of a type that mitmproxy doesn't know (`$`), so that its frame is read as a
plain flow's is. Its payload: the version of this form (one byte), the key's id (8 bytes), the nonce (12), the
ciphertext, the tag (16). The name of the segment and the offset in it are authenticated with each flow, so
that none can stand in another's place.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

NONCE_BYTES = 12
TAG = b"$"

_KEY_BYTES = 32
_ID_BYTES = 8
_VERSION = b"\x01"
_HEAD = len(_VERSION) + _ID_BYTES + NONCE_BYTES
_HEX = re.compile(rb"[0-9A-Fa-f]{64}")


class SealBroken(ValueError):  # noqa: N818 - named after what is wrong
    """What was sealed was changed since, or stood elsewhere."""


class KeyNotHeld(ValueError):  # noqa: N818 - as above
    """None of the keys is the one that it was sealed with; `id` names that one, in hex."""

    def __init__(self, identifier: str) -> None:
        super().__init__(f"sealed with key {identifier}, which isn't held")
        self.id = identifier


@dataclass(frozen=True, slots=True)
class SealKey:
    """A key; its id may be shown."""

    id: bytes
    key: bytes = field(repr=False)


def parse_key(text: bytes) -> SealKey:
    """Read 32 bytes written as 64 hexadecimal digits or as base64. Raises ValueError, without the text."""
    text = text.strip()
    try:
        key = bytes.fromhex(text.decode()) if _HEX.fullmatch(text) else base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != _KEY_BYTES:
        raise ValueError("not 32 bytes as 64 hexadecimal digits or as base64")
    return SealKey(hashlib.sha256(b"ddgate: id of a key for recordings\0" + key).digest()[:_ID_BYTES], key)


def seal(key: SealKey, nonce: bytes, place: tuple[str, int], flow: bytes) -> bytes:
    """Give the frame to be written at `place`, a segment's final name and an offset. A nonce serves once."""
    head = _VERSION + key.id
    sealed = AESGCM(key.key).encrypt(nonce, flow, _bound_to(head, place))
    payload = b"".join((head, nonce, sealed))
    return b"%d:%b%b" % (len(payload), payload, TAG)


def unseal(keys: Mapping[bytes, SealKey], place: tuple[str, int], frame: bytes) -> bytes:
    """Give the flow back. Raises `KeyNotHeld` and `SealBroken`."""
    payload = frame.partition(b":")[2][:-1]
    if payload[:1] != _VERSION or len(payload) < _HEAD:
        raise SealBroken("not sealed in a form that this ddgate knows")
    head, nonce, sealed = payload[: 1 + _ID_BYTES], payload[1 + _ID_BYTES : _HEAD], payload[_HEAD:]
    key = keys.get(head[1:])
    if key is None:
        raise KeyNotHeld(head[1:].hex())
    try:
        return AESGCM(key.key).decrypt(nonce, sealed, _bound_to(head, place))
    except InvalidTag:
        raise SealBroken("sealed, and changed or moved since") from None


def _bound_to(head: bytes, place: tuple[str, int]) -> bytes:
    segment, offset = place
    return head + segment.encode() + b"\0" + offset.to_bytes(8)
