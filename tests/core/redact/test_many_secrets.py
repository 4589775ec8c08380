"""Bodies of very many small parts with a secret in each: masked like others, and not withheld."""

from __future__ import annotations

import gzip
import random
from collections.abc import Iterator

import pytest

from addons.core.redact.binary.document import to_varint
from addons.core.redact.detectors.vendors import fill
from addons.core.redact.masking import copies
from addons.core.redact.masking.findings import Finding
from addons.core.redact.masking.mask import MASK, Masker
from addons.core.redact.scrubber import Scrubber
from tests.core.redact.planted import KEY, PASSWORD, field, form_data

SCRUBBER = Scrubber(Masker(b"k" * 16))
GRPC = "application/grpc"
ALPHABET = "abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"


def secrets(count: int) -> list[str]:
    choose = random.Random(count)  # noqa: S311 - made-up values
    return ["".join(choose.choices(ALPHABET, k=12)) + f"7{number:05d}" for number in range(count)]


def frame(content: bytes, flags: int = 0) -> bytes:
    return bytes([flags]) + len(content).to_bytes(4) + content


def messages(body: bytes) -> Iterator[bytes]:
    while body:
        size = int.from_bytes(body[1:5])
        yield gzip.decompress(body[5 : 5 + size]) if body[0] & 1 else body[5 : 5 + size]
        body = body[5 + size :]


def test_a_stream_of_grpc_with_a_secret_in_each_frame_is_masked() -> None:
    made = [frame(field(1, f"password={secret}")) for secret in secrets(400)]
    packed = [frame(gzip.compress(field(1, f"password={secret}")), 1) for secret in secrets(50)]
    done = SCRUBBER.scrub_body(b"".join([*made, *packed, frame(b"")]), GRPC)
    told = list(messages(done.data))
    assert len(told) == 451
    for text in told[:-1]:
        mask = MASK.search(text)
        assert mask is not None
        assert text == field(1, b"password=" + mask.group())


def test_what_one_frame_names_is_masked_in_another() -> None:
    named = field(1, field(1, "password") + field(2, PASSWORD))
    body = frame(named) + frame(field(3, f"it was {PASSWORD}")) + frame(gzip.compress(field(3, PASSWORD)), 1)
    told = list(messages(SCRUBBER.scrub_body(body, GRPC).data))
    assert len(told) == 3
    assert PASSWORD.encode() not in b"".join(told)
    assert told[1].startswith(b"\x1a" + to_varint(len(told[1]) - 2) + b"it was [REDACTED:")


def test_frames_that_hold_nothing_stay_as_they_were_compressed() -> None:
    clean = frame(gzip.compress(field(1, "all is well"), 1), 1)
    body = clean + frame(field(1, f"password={PASSWORD}"))
    assert SCRUBBER.scrub_body(body, GRPC).data.startswith(clean)


def test_a_form_with_a_secret_in_each_part_is_masked() -> None:
    values = secrets(600)
    parts = [(f'name="f{number}"', f"says password={value}") for number, value in enumerate(values)]
    body = form_data(*parts, ('name="note"', f"it was {values[7]} and {values[8]}"))
    done = SCRUBBER.scrub_body(body, "multipart/form-data; boundary=BB")
    assert not any(value.encode() in done.data for value in values)
    assert done.data.count(b"--BB\r\n") == 601
    assert len(MASK.findall(done.data)) == 602


def test_parts_in_parts_are_masked_and_copies_go_from_all_of_them() -> None:
    inner = form_data(('name="password"', PASSWORD))
    body = form_data(
        ('name="a"; x\r\nContent-Type: multipart/mixed; boundary=CC', inner.replace(b"--BB", b"--CC")),
        ('name="note"', f"it was {PASSWORD}"),
    )
    assert PASSWORD.encode() not in SCRUBBER.scrub_body(body, "multipart/form-data; boundary=BB").data


@pytest.mark.parametrize(("before", "behind"), [("", ""), ("eyJhbGci", ""), ("", "-END-KEY-END-")])
def test_copies_are_sought_of_more_secrets_than_an_automaton_is_made_for(before: str, behind: str) -> None:
    values = [f"{before}{value}{behind}".encode() for value in secrets(copies._MAX_FORMS + 5000)]
    found = [Finding(0, 1, "planted", "planted", value) for value in values]
    data = b" x ".join(values)
    starts = {copy.start for copy in copies.find(data, found, None)}
    assert starts == {place * (len(values[0]) + 3) for place in range(len(values))}


def test_the_values_of_a_secret_of_many_keys_are_masked() -> None:
    lines = "".join(f"  key-{number}: {value}\n" for number, value in enumerate(secrets(300)))
    body = f"kind: Secret\ndata:\n{lines}other:\n  note: {fill(20)}\n"
    done = SCRUBBER.scrub_body(body.encode(), "text/yaml").data
    assert done.count(b"[REDACTED:") == 300
    assert fill(20).encode() in done


@pytest.mark.parametrize("inner", ["data:\n", "data:\n   data:\n"])
def test_data_within_data_of_a_secret_is_masked(inner: str) -> None:
    depth = " " * (4 if inner.count("data") == 2 else 3)
    body = f"kind: Secret\ndata:\n  {inner}{depth}dsn: {KEY}\n".encode()
    assert KEY.encode() not in SCRUBBER.scrub_body(body, "text/yaml").data
