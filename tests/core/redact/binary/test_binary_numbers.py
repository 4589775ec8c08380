"""Numbers in MessagePack, and messages in the frames of gRPC."""

from __future__ import annotations

import gzip
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.core.redact.binary.document import to_varint
from addons.core.redact.masking.findings import TooComplex
from addons.core.redact.masking.mask import MASK, Masker
from addons.core.redact.scrubber import Scrubber
from tests.core.redact.planted import GITHUB, PASSWORD

SCRUBBER = Scrubber(Masker(b"k" * 16))
WITH_PII = Scrubber(Masker(b"k" * 16), pii=True)
GRPC = "application/grpc"


def scrubbed(value: object, scrubber: Scrubber = SCRUBBER) -> Any:
    return msgpack.unpackb(scrubber.scrub_body(msgpack.packb(value), "application/msgpack").data)


@pytest.mark.parametrize("number", [1234, 65_536, 481_516_234, 1 << 40, -48_151_623])
def test_a_number_under_the_name_of_a_secret_becomes_a_mask_as_in_json(number: int) -> None:
    done = scrubbed({"user": {"password": number}, "count": number, "n": [1, number], "z": "end"})
    assert MASK.fullmatch(done["user"]["password"].encode())
    assert done == {"user": done["user"], "count": number, "n": [1, number], "z": "end"}
    assert scrubbed(done) == done


def test_a_card_number_and_a_number_that_its_name_tells_of_are_personal_data() -> None:
    said = {"card": 4_242_424_242_424_242, "ssn": "078051120", "trace_id": 4_242_424_242_424_242}
    done = scrubbed(said, WITH_PII)
    assert done["card"].startswith("[REDACTED:card:")
    assert done["ssn"].startswith("[REDACTED:us-ssn:")
    assert done["trace_id"] == said["trace_id"]
    assert scrubbed(said) == said


@given(
    st.recursive(
        st.one_of(st.integers(-(1 << 63), (1 << 64) - 1), st.text(max_size=5), st.none()),
        lambda inner: st.one_of(
            st.lists(inner, max_size=4),
            st.dictionaries(st.sampled_from(["a", "token", "password", "x"]), inner, max_size=4),
        ),
        max_leaves=12,
    )
)
def test_masked_numbers_leave_everything_else_as_it_was(value: object) -> None:
    def same(before: Any, after: Any) -> bool:
        if isinstance(before, dict):
            return list(before) == list(after) and all(same(before[key], after[key]) for key in before)
        if isinstance(before, list):
            return len(before) == len(after) and all(map(same, before, after))
        return bool(before == after) or MASK.fullmatch(str(after).encode()) is not None

    done = scrubbed(value)
    assert same(value, done)
    assert scrubbed(done) == done


def message(text: str) -> bytes:
    data = text.encode()
    return b"\x08\x07\x12" + to_varint(len(data)) + data


def frame(content: bytes, flags: int = 0) -> bytes:
    return bytes([flags]) + len(content).to_bytes(4) + content


@pytest.mark.parametrize("media", [GRPC, f"{GRPC}+proto", f"{GRPC}-web", f"{GRPC}-web+proto; x=1"])
def test_the_messages_of_grpc_are_masked_and_their_lengths_are_right(media: str) -> None:
    clean = frame(message("all is well")) + frame(b"")
    body = clean + frame(message(f"used {GITHUB}")) + frame(gzip.compress(message(GITHUB)), 1) + clean
    body += frame(f"grpc-status: 0\r\nx-note: password={PASSWORD}\r\n".encode(), 0x80)
    done = SCRUBBER.scrub_body(body, media)
    frames = []
    rest = done.data
    while rest:
        size = int.from_bytes(rest[1:5])
        frames.append((rest[0], rest[5 : 5 + size]))
        rest = rest[5 + size :]
    assert [flags for flags, _ in frames] == [0, 0, 0, 1, 0, 0, 0x80]
    assert frames[0] == frames[4] == (0, message("all is well"))
    mask = frames[2][1][4:].removeprefix(b"used ").decode()
    assert frames[2][1] == message(f"used {mask}")
    assert gzip.decompress(frames[3][1]) == message(mask)
    assert PASSWORD.encode() not in frames[6][1]
    assert SCRUBBER.scrub_body(done.data, media).data == done.data
    assert SCRUBBER.scrub_body(clean, media).data is clean
    assert not SCRUBBER.is_clean(body, media)


def test_json_in_grpc_is_json() -> None:
    body = frame(f'{{"password":"{PASSWORD}"}}'.encode())
    done = SCRUBBER.scrub_body(body, f"{GRPC}+json").data
    assert int.from_bytes(done[1:5]) == len(done) - 5
    assert MASK.search(done) is not None


@pytest.mark.parametrize(
    ("body", "media"),
    [
        (frame(b"abc")[:-1], GRPC),
        (b"\0\0\0", GRPC),
        (frame(b"abc", 4), GRPC),
        (frame(b"\xff\x06\0\0sNaPpY", 1), GRPC),
        (b"AAAAAAA=", f"{GRPC}-web-text"),
    ],
)
def test_frames_that_can_not_be_read_are_not_taken_for_clean(body: bytes, media: str) -> None:
    assert not SCRUBBER.is_clean(body, media)
    with pytest.raises(TooComplex):
        SCRUBBER.scrub_body(body, media)
