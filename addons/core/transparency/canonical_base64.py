"""Base64 (RFC 4648, section 4) of which every value has exactly one text."""

from __future__ import annotations

import base64
import binascii


def to_base64(octets: bytes) -> str:
    return base64.b64encode(octets).decode("ascii")


def from_base64(text: str) -> bytes:
    """Raises ValueError for anything but what `to_base64` writes: no other alphabet, no blank, no missing or
    needless padding, no bits after the last byte.
    """
    try:
        octets = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("not base64") from None
    if to_base64(octets) != text:
        raise ValueError("not canonical base64")
    return octets
