"""A body under the wrong name is masked all the same, and nothing but the documented exceptions comes out."""

from __future__ import annotations

import pytest
import zstandard

from addons.core.redact.masking.mask import Masker
from addons.core.redact.scrubber import Scrubber
from tests.core.redact.planted import GITHUB


@pytest.mark.parametrize("media", ["application/msgpack", "application/x-protobuf", "application/json"])
def test_utf16_text_under_another_name_is_masked(media: str) -> None:
    body = "password: hunter2hunter2 and more".encode("utf-16")
    done = Scrubber(Masker(b"k" * 32)).scrub_body(body, media)
    assert done.changed
    assert "hunter2" not in done.data.decode("utf-16")
    assert b"hunter2" not in done.data


def test_binary_bytes_that_begin_like_utf16_raise_nothing() -> None:
    body = b"\xff\xfe" + b"\x00" * 20 + "password:".encode("utf-16-le") + b"\x00" * 20
    Scrubber(Masker(b"k" * 32), pii=True).scrub_body(body, "application/msgpack")


@pytest.mark.parametrize("head", [b"{\x01", b"[\x02\x03", b"{" * 20 + b"\x01"])
def test_what_is_compressed_behind_a_brace_is_read(head: bytes) -> None:
    scrubber = Scrubber(Masker(b"k" * 32))
    body = head + zstandard.compress(f"used {GITHUB}".encode() * 20)
    assert not scrubber.is_clean(body, "application/json")
    done = scrubber.scrub_body(body, "application/json").data
    assert done.startswith(head)
    assert GITHUB.encode() not in zstandard.decompress(done[len(head) :])
