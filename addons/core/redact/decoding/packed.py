"""Compressed files in a body: a gzip or zlib stream or a zstd frame, which no Content-Encoding tells of.

Traces, profiles and the Agent's process payloads come so: by themselves, behind a short header, or as a
part of a multipart body. Archives of other kinds are not opened: what may be in them is not stored.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from addons.core.body import BodyTooLarge, UndecodableBody, decode_body, encode_body
from addons.core.redact.masking.findings import TooComplex

ZSTD = b"\x28\xb5\x2f\xfd"
_MAX_HEADER = 32
# RFC 1950, section 2.2: deflate, a window of any size, a checksum of both bytes, no dictionary.
_ZLIB = frozenset(
    bytes((size << 4 | 8, flags))
    for size in range(8)
    for flags in range(256)
    if (size << 12 | 8 << 8 | flags) % 31 == 0 and not flags & 0x20
)
_ARCHIVES = (b"PK\x03\x04", b"BZh", b"\xfd7zXZ\x00", b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07")
BEGINNINGS = _ZLIB | {start[:2] for start in (b"\x1f\x8b", ZSTD, *_ARCHIVES)}
"""The first two bytes of what may be compressed with nothing in front."""
_BZIP2 = re.compile(rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)")


class Packed(NamedTuple):
    """What was compressed with `coding`, and what stood before it."""

    text: bytes
    header: bytes
    coding: str

    def packed(self, text: bytes) -> bytes:
        return encode_body(text, self.coding)


def unpack(data: bytes, limit: int) -> Packed | None:
    """Undo the compression of `data`, or give None if it is not compressed. Raises `TooComplex` for what
    would hold more than `limit` bytes, is broken, or is an archive of a kind that is not opened.
    """
    if _is_archive(data):
        raise TooComplex("an archive is not opened")
    coding, start = _coding(data)
    if not coding:
        return None
    try:
        return Packed(decode_body(data[start:], coding, limit=limit), data[:start], coding)
    except UndecodableBody:
        if coding == "gzip" and not data[3:4] > b"\x1f":  # whoever reads it gets as far as it goes
            raise TooComplex("a compressed part is broken") from None
        return None
    except BodyTooLarge:
        raise TooComplex(f"a compressed part holds over {limit} bytes") from None


def may_be(data: bytes) -> bool:
    return bool(_coding(data)[0]) or _is_archive(data)


def any_may_be(texts: Iterable[bytes]) -> bool:
    """Whether `may_be` holds for any of many texts."""
    beginnings: dict[bytes, list[bytes]] = {}
    for text in texts:
        beginnings.setdefault(text[:2], []).append(text)
    return any(
        may_be(text)
        for beginning, those in beginnings.items()
        for text in those
        if beginning in BEGINNINGS or ZSTD in text
    )


def _is_archive(data: bytes) -> bool:
    return data.startswith(_ARCHIVES) and (data[:3] != b"BZh" or _BZIP2.match(data) is not None)


def _coding(data: bytes) -> tuple[str, int]:
    if data.startswith(b"\x1f\x8b\x08"):
        return "gzip", 0
    if data[:2] in _ZLIB:
        return "deflate", 0
    place = data.find(ZSTD, 0, _MAX_HEADER + len(ZSTD))
    # A header of the Agent's holds no text.
    return ("zstd", place) if place == 0 or (place > 0 and min(data[:place]) < 0x09) else ("", 0)  # noqa: PLR2004 - control characters
