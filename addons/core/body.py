"""Content codings of HTTP bodies, undone and applied under a cap.

Codings are those of RFC 9110 section 8.4 that Datadog and its clients use: gzip (RFC 1952), deflate (RFC
1950, and bare RFC 1951 as some clients send it), br (RFC 7932), zstd (RFC 8878), and `zstd1`, the name
that the official clients send for zstd.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Iterator

import brotli
import re2
import zstandard

_CHUNK = 64 * 1024
_FIRST_PIECE = 256
_MAX_CODINGS = 3
# RFC 9659: a decoder of zstd as a content coding need not bear a window over 8 MiB, and so an encoder may
# not use one. Without the bound a frame header alone could make the decoder allocate 128 MiB.
ZSTD_WINDOW = 8 * 1024 * 1024
_LATIN1 = re2.Options()
_LATIN1.encoding = re2.Options.Encoding.LATIN1
# Brotli has no mark of what it skips; what it compresses seldom has so much readable text in a row.
_BESIDE = {
    "gzip": re2.compile(rb"\x1f\x8b\x08[\x04-\xff]", options=_LATIN1),
    "zstd": re2.compile(rb"[\x50-\x5f]\x2a\x4d\x18", options=_LATIN1),
    "br": re2.compile(rb"[\t -~]{12}", options=_LATIN1),
}
_ALIASES = {"x-gzip": "gzip", "zstd1": "zstd", "": "identity"}


class UndecodableBody(ValueError):  # noqa: N818 - named for what the caller is told
    """The body is not what its Content-Encoding says; `reason` names the coding, never content."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class BodyTooLarge(ValueError):  # noqa: N818 - as above
    """The decoded body would pass `limit` bytes."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"decoded body is over {limit} bytes")
        self.limit = limit


def decode_body(raw: bytes, content_encoding: str | None, *, limit: int) -> bytes:
    """Undo every coding of a Content-Encoding field, last applied first.

    `limit` is in decoded bytes and holds for every step on the way. At most `limit` plus one chunk of
    64 KiB is ever held for one step. Raises `UndecodableBody` for an unknown coding, more than three of
    them, wrong or truncated data and anything after the end; `BodyTooLarge` past the limit.
    """
    data = raw
    for coding in reversed(codings(content_encoding)):
        data = _DECODERS[coding](data, limit)
    if len(data) > limit:
        raise BodyTooLarge(limit)
    return data


def encode_body(data: bytes, content_encoding: str | None) -> bytes:
    """Apply the codings of a Content-Encoding field in order. Raises `UndecodableBody` for an unknown one."""
    for coding in codings(content_encoding):
        data = _ENCODERS[coding](data)
    return data


def carries_more(raw: bytes, content_encoding: str | None) -> bool:
    """Tell whether an encoded body may hold bytes that decoding drops: a gzip header's name, comment or extra
    field (RFC 1952, section 2.3), zstd's skippable frames (RFC 8878, section 3.1.2), brotli's metadata (RFC
    7932, section 9.2), or any of them under another coding. True for some that hold none, too. Raises
    `UndecodableBody` for an unknown coding.
    """
    known = codings(content_encoding)
    beside = _BESIDE.get(known[0]) if known else None
    return len(known) > 1 or (beside is not None and beside.search(raw) is not None)


def codings(content_encoding: str | None) -> list[str]:
    """Name the codings of the field by their usual names, in order; `identity` is none. Raises
    `UndecodableBody` for an unknown one, and for more than three.
    """
    names = [name.strip().lower() for name in (content_encoding or "").split(",")]
    known = [_ALIASES.get(name, name) for name in names]
    known = [coding for coding in known if coding != "identity"]
    if len(known) > _MAX_CODINGS:
        raise UndecodableBody(f"more than {_MAX_CODINGS} content codings")
    if any(coding not in _DECODERS for coding in known):
        raise UndecodableBody("unknown content coding")
    return known


def _inflate(raw: bytes, limit: int, window_bits: int, start: int = 0) -> tuple[bytes, int]:
    """One zlib stream: what it holds, and the place after its end.

    Read in pieces, small ones first: the library copies what of a piece is behind the end, which would cost
    the square of the size where one short stream follows another.
    """
    stream = zlib.decompressobj(window_bits)
    parts: list[bytes] = []
    size = 0
    position, step = start, _FIRST_PIECE
    while not stream.eof:
        pending = stream.unconsumed_tail
        if not pending:
            pending = raw[position : position + step]
            position += len(pending)
            step = min(2 * step, _CHUNK)
        part = stream.decompress(pending, _CHUNK)
        size += len(part)
        if size > limit:
            raise BodyTooLarge(limit)
        if not part and not pending and not stream.eof:
            raise UndecodableBody("compressed body is truncated")
        parts.append(part)
    return b"".join(parts), position - len(stream.unused_data)


def _gunzip(raw: bytes, limit: int) -> bytes:
    parts: list[bytes] = []
    size = position = 0
    while True:
        try:
            part, position = _inflate(raw, limit - size, 31, position)
        except zlib.error:
            raise UndecodableBody("body is not gzip") from None
        except BodyTooLarge:
            raise BodyTooLarge(limit) from None
        size += len(part)
        parts.append(part)
        if position == len(raw):
            return b"".join(parts)


def _undeflate(raw: bytes, limit: int) -> bytes:
    for window_bits in (15, -15):
        try:
            data, end = _inflate(raw, limit, window_bits)
        except zlib.error:
            continue
        if end < len(raw):
            raise UndecodableBody("bytes after the end of the deflate stream")
        return data
    raise UndecodableBody("body is not deflate")


def _unbrotli(raw: bytes, limit: int) -> bytes:
    stream = brotli.Decompressor()
    parts: list[bytes] = []
    size = 0
    pending = raw
    try:
        while not stream.is_finished():
            part = stream.process(pending, output_buffer_limit=_CHUNK)
            pending = b""
            size += len(part)
            if size > limit:
                raise BodyTooLarge(limit)
            if not part and not stream.is_finished() and stream.can_accept_more_data():
                raise UndecodableBody("compressed body is truncated")
            parts.append(part)
    except brotli.error:
        raise UndecodableBody("body is not brotli") from None
    return b"".join(parts)


def _unzstd(raw: bytes, limit: int) -> bytes:
    """Several frames, with or without a content size.

    `stream_reader` bounds what comes out but hides a truncated frame; `decompressobj` tells, but gives all
    at once. So: measure with the one, then decode with the other what is known to fit.
    """
    decoder = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW)
    if not raw:
        raise UndecodableBody("compressed body is truncated")
    try:
        size = 0
        with decoder.stream_reader(io.BytesIO(raw), read_size=_CHUNK, read_across_frames=True) as reader:
            while part := reader.read(_CHUNK):
                size += len(part)
                if size > limit:
                    raise BodyTooLarge(limit)
        return b"".join(_zstd_parts(raw, decoder))
    except zstandard.ZstdError:
        raise UndecodableBody("body is not zstd") from None


def _zstd_parts(raw: bytes, decoder: zstandard.ZstdDecompressor) -> Iterator[bytes]:
    """Frame by frame, in pieces as `_inflate` reads them."""
    position = 0
    while position < len(raw):
        frame, step = decoder.decompressobj(), _FIRST_PIECE
        while not frame.eof:
            piece = raw[position : position + step]
            if not piece:
                raise UndecodableBody("compressed body is truncated")
            position += len(piece)
            step = min(2 * step, _CHUNK)
            yield frame.decompress(piece)
        position -= len(frame.unused_data)


def _gzip(data: bytes) -> bytes:
    stream = zlib.compressobj(6, zlib.DEFLATED, 31)
    return stream.compress(data) + stream.flush()


def _brotli(data: bytes) -> bytes:
    return bytes(brotli.compress(data, quality=5))


def _zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


_DECODERS: dict[str, Callable[[bytes, int], bytes]] = {
    "gzip": _gunzip,
    "deflate": _undeflate,
    "br": _unbrotli,
    "zstd": _unzstd,
}
_ENCODERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": _gzip,
    "deflate": zlib.compress,
    "br": _brotli,
    "zstd": _zstd,
}
