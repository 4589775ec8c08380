"""Text in units of two or four bytes, which no pattern over bytes would match."""

from __future__ import annotations

import re

_MARKS = (
    (b"\xff\xfe\x00\x00", "utf-32-le"),
    (b"\x00\x00\xfe\xff", "utf-32-be"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)
_SHORT_MARKS = frozenset((b"\xff\xfe", b"\xfe\xff"))
# Where the NULs of plain text stand: RFC 4627, section 3.
_NULS = {
    (True, True, True, False): "utf-32-be",
    (True, False, True, False): "utf-16-be",
    (False, True, True, True): "utf-32-le",
    (False, True, False, True): "utf-16-le",
}
_NAMED = re.compile(r"utf-?(16|32)(?:-?(le|be))?")


def marked_codec(data: bytes) -> str | None:
    """The Python codec that a byte order mark tells of, if it is a wide one."""
    return next((codec for mark, codec in _MARKS if data.startswith(mark)), None)


def wide_codec(data: bytes, media: str) -> str | None:
    """The codec of text in UTF-16 or UTF-32: by its mark, its NULs or its media type; None for other text.

    The mark is part of the text then, as U+FEFF.
    """
    if b"\0" not in data[:4] and data[:2] not in _SHORT_MARKS and "utf" not in media:
        return None
    codec = marked_codec(data) or _NULS.get(tuple(not byte for byte in data[:4]))  # type: ignore[arg-type]
    if codec is None and (named := _NAMED.search(media)) is not None:
        codec = f"utf-{named[1]}-{named[2] or 'le'}"
    return codec


def decoded(data: bytes, codec: str) -> tuple[bytes, bytes]:
    """Give text as UTF-8, and the bytes after its last whole unit. Lone surrogates stay.

    Raises UnicodeDecodeError for units beyond Unicode, which only UTF-32 can hold.
    """
    whole = len(data) - len(data) % (4 if codec.startswith("utf-32") else 2)
    return data[:whole].decode(codec, "surrogatepass").encode("utf-8", "surrogatepass"), data[whole:]


def encoded(text: bytes, codec: str) -> bytes:
    return text.decode("utf-8", "surrogatepass").encode(codec, "surrogatepass")
