"""Compressed files in a body: a gzip or zlib stream or a zstd frame, which no Content-Encoding tells of.

Traces, profiles and the Agent's process payloads come so: by themselves, behind a short header, or as a
part of a multipart body.
"""

from __future__ import annotations

from typing import NamedTuple

from addons.core.body import BodyTooLarge, UndecodableBody, decode_body, encode_body
from addons.core.redact.findings import TooComplex

ZSTD = b"\x28\xb5\x2f\xfd"
_MAX_HEADER = 32
_ZLIB = frozenset((b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda"))


class Packed(NamedTuple):
    """What was compressed with `coding`, and what stood before it."""

    text: bytes
    header: bytes
    coding: str

    def packed(self, text: bytes) -> bytes:
        return encode_body(text, self.coding)


def unpack(data: bytes, limit: int) -> Packed | None:
    """Undo the compression of `data`, or give None if it is not compressed. Raises `TooComplex` for what
    would hold more than `limit` bytes.
    """
    coding, start = _coding(data)
    if not coding:
        return None
    try:
        return Packed(decode_body(data[start:], coding, limit=limit), data[:start], coding)
    except UndecodableBody:
        return None
    except BodyTooLarge:
        raise TooComplex(f"a compressed part holds over {limit} bytes") from None


def may_be(data: bytes) -> bool:
    return bool(_coding(data)[0])


def _coding(data: bytes) -> tuple[str, int]:
    if data.startswith(b"\x1f\x8b\x08"):
        return "gzip", 0
    if data[:2] in _ZLIB:
        return "deflate", 0
    place = data.find(ZSTD, 0, _MAX_HEADER + len(ZSTD))
    # A header of the Agent's holds no text.
    return ("zstd", place) if place == 0 or (place > 0 and min(data[:place]) < 0x09) else ("", 0)  # noqa: PLR2004 - control characters
