"""Undoes one content coding piece by piece, as a stream comes; see `body` for the codings."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator

import brotli
import zstandard

from addons.core.body import ZSTD_WINDOW, BodyTooLarge, UndecodableBody, codings

_CHUNK = 64 * 1024
_GZIP = zlib.MAX_WBITS | 16
_HEAD = 2
# zstd gives out all that a piece holds at once: 128 KiB for every four bytes at worst (RFC 8878, RLE blocks).
_ZSTD_PIECE = 64


class StreamDecoder:
    """Undoes the coding that a Content-Encoding field names. Raises `UndecodableBody` for one that is
    unknown, and for several.
    """

    __slots__ = ("_coding",)

    def __init__(self, content_encoding: str | None) -> None:
        names = codings(content_encoding)
        if len(names) > 1:
            raise UndecodableBody("more than one content coding in a stream")
        self._coding = _CODINGS[names[0]]() if names else _Plain()

    @property
    def is_plain(self) -> bool:
        return isinstance(self._coding, _Plain)

    def feed(self, data: bytes, limit: int) -> bytes:
        """Give what `data` decodes to. Raises `UndecodableBody`, and `BodyTooLarge` past `limit` bytes."""
        parts: list[bytes] = []
        size = 0
        for part in self._coding.decode(data):
            size += len(part)
            if size > limit:
                raise BodyTooLarge(limit)
            parts.append(part)
        return b"".join(parts)

    def finish(self) -> None:
        """Raises `UndecodableBody` where the stream ended too early."""
        if not self._coding.is_whole:
            raise UndecodableBody("compressed body is truncated")


class _Plain:
    is_whole = True

    def decode(self, data: bytes) -> Iterator[bytes]:
        yield data


class _Zlib:
    """gzip, in one or more members (RFC 1952, section 2.2), or deflate, with its wrapper or bare."""

    def __init__(self, *, is_gzip: bool) -> None:
        self._is_gzip = is_gzip
        self._begun = False
        self._head = b""
        self._stream = zlib.decompressobj(_GZIP if is_gzip else zlib.MAX_WBITS)

    @property
    def is_whole(self) -> bool:
        return self._stream.eof or not (self._begun or self._head)

    def decode(self, data: bytes) -> Iterator[bytes]:
        data = self._head + data
        if not self._begun and len(data) < _HEAD:
            self._head = data
            return
        if not self._begun:
            self._head, self._begun = b"", True
            if not self._is_gzip and not _is_wrapped(data):
                self._stream = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            yield from self._inflated(data)
        except zlib.error:
            raise UndecodableBody("body is not what its coding says") from None

    def _inflated(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self._stream.eof:
                if not self._is_gzip:
                    raise UndecodableBody("bytes after the end of the deflate stream")
                self._stream = zlib.decompressobj(_GZIP)
            part = self._stream.decompress(data, _CHUNK)
            yield part
            # Full: zlib may hold back more than it says, for the input is used up.
            while len(part) == _CHUNK and not self._stream.unconsumed_tail and not self._stream.eof:
                part = self._stream.decompress(b"", _CHUNK)
                yield part
            data = self._stream.unconsumed_tail or self._stream.unused_data


def _is_wrapped(data: bytes) -> bool:
    """Whether it begins as RFC 1950, section 2.2, has it."""
    return data[0] & 15 == zlib.DEFLATED and int.from_bytes(data[:_HEAD]) % 31 == 0


class _Brotli:
    def __init__(self) -> None:
        self._stream = brotli.Decompressor()
        self._begun = False

    @property
    def is_whole(self) -> bool:
        return not self._begun or self._stream.is_finished()

    def decode(self, data: bytes) -> Iterator[bytes]:
        self._begun = self._begun or bool(data)
        try:
            while True:
                part = self._stream.process(data, output_buffer_limit=_CHUNK)
                data = b""
                yield part
                # More may be waiting although it would take more.
                if self._stream.is_finished() or (not part and self._stream.can_accept_more_data()):
                    return
        except brotli.error:
            raise UndecodableBody("body is not brotli") from None


class _Zstd:
    def __init__(self) -> None:
        self._decoder = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW)
        self._frame = self._decoder.decompressobj()
        self._begun = False

    @property
    def is_whole(self) -> bool:
        return not self._begun or self._frame.eof

    def decode(self, data: bytes) -> Iterator[bytes]:
        for at in range(0, len(data), _ZSTD_PIECE):
            piece = data[at : at + _ZSTD_PIECE]
            while piece:
                if self._frame.eof:
                    self._frame = self._decoder.decompressobj()
                self._begun = True
                try:
                    yield self._frame.decompress(piece)
                except zstandard.ZstdError:
                    raise UndecodableBody("body is not zstd") from None
                piece = self._frame.unused_data if self._frame.eof else b""


_CODINGS: dict[str, Callable[[], _Zlib | _Brotli | _Zstd]] = {
    "gzip": lambda: _Zlib(is_gzip=True),
    "deflate": lambda: _Zlib(is_gzip=False),
    "br": _Brotli,
    "zstd": _Zstd,
}
