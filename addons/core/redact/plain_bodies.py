"""Which bodies the gate alone may clear, told from their type and first bytes: most of them."""

from __future__ import annotations

from functools import lru_cache

from addons.core.redact.binary import forms, grpc
from addons.core.redact.decoding import charsets, packed
from addons.core.redact.reading import columns

# Read also where the gate sees nothing in their bytes.
_LOOKED_AT = ("multipart/", "x-www-form-urlencoded", "event-stream", grpc.MEDIA, *columns.MEDIA)
_OPENS_JSON = (b"{", b"[")
_HEADER = 64  # bytes, in which the Agent's header for zstd would have ended


def is_plain(data: bytes, media: str) -> bool:
    """Whether a body is read as text, and not at all where the gate sees nothing in its bytes. `media`: its
    type in lower case.
    """
    if data[:1] in _OPENS_JSON and 0 not in data[1:4] and _says_text(media):
        return packed.ZSTD not in data[:_HEADER] or not packed.may_be(data)
    if _is_looked_at(media) or packed.may_be(data):
        return False
    return forms.form_of(data, media) is None and charsets.wide_codec(data, media) is None


@lru_cache(maxsize=256)
def _is_looked_at(media: str) -> bool:
    return any(kind in media for kind in _LOOKED_AT)


@lru_cache(maxsize=256)
def _says_text(media: str) -> bool:
    """Whether a media type alone makes what begins like JSON plain text, as most bodies are."""
    others = ("msgpack", "protobuf", "octet-stream", "utf-16", "utf-32", "utf16", "utf32")
    return bool(media) and not _is_looked_at(media) and not any(kind in media for kind in others)
