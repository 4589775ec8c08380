import gzip
import random
import tracemalloc
import zlib
from itertools import accumulate

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from addons.core.body import BodyTooLarge, UndecodableBody, decode_body, encode_body

DATA = b'{"message":"checkout ready"}' * 50
LIMIT = 1 << 20


def _raw_deflate(data: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-15)
    return stream.compress(data) + stream.flush()


def _zstd_without_size(data: bytes) -> bytes:
    stream = zstandard.ZstdCompressor(write_content_size=False).compressobj()
    return stream.compress(data) + stream.flush()


@pytest.mark.parametrize(
    ("raw", "coding"),
    [
        (gzip.compress(DATA), "gzip"),
        (gzip.compress(DATA), "X-GZip"),
        (gzip.compress(DATA[:100]) + gzip.compress(DATA[100:]), "gzip"),
        (zlib.compress(DATA), "deflate"),
        (_raw_deflate(DATA), "deflate"),
        (brotli.compress(DATA), "br"),
        (zstandard.compress(DATA), "zstd"),
        (zstandard.compress(DATA), "ZSTD1"),
        (_zstd_without_size(DATA), "zstd"),
        (zstandard.compress(DATA[:100]) + _zstd_without_size(DATA[100:]), "zstd1"),
        (gzip.compress(zstandard.compress(DATA)), "zstd, gzip"),
        (DATA, "identity"),
        (DATA, None),
        (DATA, " "),
    ],
)
def test_every_coding_that_clients_send_is_undone(raw: bytes, coding: str | None) -> None:
    assert decode_body(raw, coding, limit=LIMIT) == DATA


@pytest.mark.parametrize(
    "coding", ["gzip", "deflate", "br", "zstd", "zstd1", "identity", None, "gzip, br", "x-gzip"]
)
def test_encode_is_the_inverse_of_decode(coding: str | None) -> None:
    assert decode_body(encode_body(DATA, coding), coding, limit=LIMIT) == DATA


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
@pytest.mark.parametrize("damage", ["truncated", "trailing", "empty", "other"])
def test_what_is_not_whole_is_refused(coding: str, damage: str) -> None:
    whole = encode_body(DATA, coding)
    raw = {"truncated": whole[:-5], "trailing": whole + b"tail", "empty": b"", "other": b"plain text"}[damage]
    with pytest.raises(UndecodableBody):
        decode_body(raw, coding, limit=LIMIT)


@pytest.mark.parametrize("coding", ["compress", "gzip,,lz4", "gzip, gzip, gzip, gzip", "aes128gcm"])
def test_unknown_or_too_many_codings_are_refused_both_ways(coding: str) -> None:
    with pytest.raises(UndecodableBody):
        decode_body(b"x", coding, limit=LIMIT)
    with pytest.raises(UndecodableBody):
        encode_body(b"x", coding)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "identity", "gzip, zstd"])
def test_a_bomb_stops_at_the_limit(coding: str) -> None:
    bomb = encode_body(bytes(32 << 20), coding)
    with pytest.raises(BodyTooLarge) as caught:
        decode_body(bomb, coding, limit=100_000)
    assert caught.value.limit == 100_000
    assert decode_body(encode_body(bytes(100_000), coding), coding, limit=100_000) == bytes(100_000)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_a_bomb_is_never_held(coding: str) -> None:
    bomb = encode_body(bytes(32 << 20), coding)
    tracemalloc.start()
    try:
        with pytest.raises(BodyTooLarge):
            decode_body(bomb, coding, limit=100_000)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1 << 20


def test_a_frame_that_asks_for_a_huge_window_is_refused() -> None:
    params = zstandard.ZstdCompressionParameters(window_log=27, compression_level=1)
    stream = zstandard.ZstdCompressor(compression_params=params).compressobj()
    raw = stream.compress(b"x") + stream.flush()
    with pytest.raises(UndecodableBody):
        decode_body(raw, "zstd", limit=LIMIT)


@given(
    sizes=st.lists(st.sampled_from([0, 1, 300, 70_000]), min_size=1, max_size=6),
    noise=st.booleans(),
    coding=st.sampled_from(["gzip", "zstd"]),
    cut=st.integers(0, 40),
)
def test_streams_in_a_row_are_one_body_and_a_cut_one_is_none(
    sizes: list[int], *, noise: bool, coding: str, cut: int
) -> None:
    draw = random.Random(len(sizes))  # noqa: S311 - made-up bodies
    pieces = [draw.randbytes(size) if noise else b"a" * size for size in sizes]
    raw = b"".join(encode_body(piece, coding) for piece in pieces)
    assert decode_body(raw, coding, limit=LIMIT) == b"".join(pieces)
    ends = {0, *accumulate(len(encode_body(piece, coding)) for piece in pieces)}
    if len(raw) - cut not in ends:
        with pytest.raises(UndecodableBody):
            decode_body(raw[: len(raw) - cut], coding, limit=LIMIT)


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_many_empty_streams_in_a_row_cost_no_more_than_their_size(coding: str) -> None:
    empty = encode_body(b"", coding)
    assert decode_body(empty * ((4 << 20) // len(empty)), coding, limit=LIMIT) == b""
