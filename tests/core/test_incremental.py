"""Content codings undone piece by piece give what they give at once."""

from __future__ import annotations

import zlib

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from addons.core.body import BodyTooLarge, UndecodableBody, decode_body, encode_body
from addons.core.incremental import StreamDecoder

CODINGS = ("identity", "gzip", "x-gzip", "deflate", "br", "zstd", "zstd1")
_PLENTY = 1 << 24


def _bare(data: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-15)
    return stream.compress(data) + stream.flush()


def _pieces(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def _decoded(coding: str, raw: bytes, size: int) -> bytes:
    decoder = StreamDecoder(coding)
    out = b"".join(decoder.feed(piece, _PLENTY) for piece in _pieces(raw, size))
    decoder.finish()
    return out


@given(st.sampled_from(CODINGS), st.binary(max_size=300), st.integers(1, 50), st.integers(1, 3000))
def test_in_pieces_as_at_once(coding: str, seed: bytes, size: int, times: int) -> None:
    data = seed * times
    assert _decoded(coding, encode_body(data, coding), size) == data


@given(st.binary(min_size=1, max_size=300), st.integers(1, 9))
def test_bare_deflate_and_several_members_of_gzip_and_zstd(data: bytes, size: int) -> None:
    assert _decoded("deflate", _bare(data), size) == data
    for coding in ("gzip", "zstd"):
        raw = encode_body(data, coding) * 2
        assert _decoded(coding, raw, size) == decode_body(raw, coding, limit=_PLENTY) == data * 2


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_what_was_flushed_comes_out_at_once(coding: str) -> None:
    event = b"data: one\n\n"
    if coding == "zstd":
        writer = zstandard.ZstdCompressor().compressobj()
        raw = writer.compress(event) + writer.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
    elif coding == "br":
        import brotli  # noqa: PLC0415 - has no types

        compressor = brotli.Compressor()
        raw = compressor.process(event) + compressor.flush()
    else:
        stream = zlib.compressobj(wbits=31 if coding == "gzip" else 15)
        raw = stream.compress(event) + stream.flush(zlib.Z_SYNC_FLUSH)
    decoder = StreamDecoder(coding)
    assert decoder.feed(raw, _PLENTY) == event
    with pytest.raises(UndecodableBody):
        decoder.finish()


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_a_bomb_is_stopped_at_the_limit(coding: str) -> None:
    raw = encode_body(bytes(8 << 20), coding)
    decoder = StreamDecoder(coding)
    with pytest.raises(BodyTooLarge):
        [decoder.feed(piece, 1 << 20) for piece in _pieces(raw, 65536)]


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_garbage_is_refused(coding: str) -> None:
    with pytest.raises(UndecodableBody):
        _decoded(coding, b"\xff\xfe this is no such thing at all, and goes on", 16)


@pytest.mark.parametrize("coding", ["gzip, br", "compress"])
def test_what_cant_be_undone_in_pieces_is_said_at_once(coding: str) -> None:
    with pytest.raises(UndecodableBody):
        StreamDecoder(coding)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_what_decodes_to_much_comes_out_whole(coding: str) -> None:
    data = bytes(3 << 20)
    assert StreamDecoder(coding).feed(encode_body(data, coding), _PLENTY) == data
