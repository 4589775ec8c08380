"""What is sent to a witness has one form."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.core.transparency.add_checkpoint import (
    MAX_REQUEST,
    AddCheckpoint,
    RequestInvalid,
    log_id,
    parse,
)
from addons.core.transparency.merkle import MAX_SIZE
from addons.core.transparency.signed_note import Note, NoteSignature

NOTE = Note("log.example\n1\nroot\n", (NoteSignature("log.example", b"1234", b"s" * 64),))
TEXT = NOTE.encode().encode()
HASH = b"cnJycnJycnJycnJycnJycnJycnJycnJycnJycnJycnI=\n"

# The example of c2sp.org/tlog-witness.
EXAMPLE = (
    "old 20852014\n"
    "PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\n"
    "jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=\n"
    "5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=\n"
    "/6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=\n"
    "\n"
    "example.com/behind-the-sofa\n"
    "20852163\n"
    "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
    "\n"
    "— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nT"
    "o+zyWE+xeMcTOAYQ8=\n"
    "— example.com/behind-the-sofa opLqBQsREYCgu6xQkYQwJr9fo45a62DN9EdmHXnZdXNqlcVGlCum2Wks+49/V6267UEjw6QUXT"
    "S5Rovnzv++qbSzm9Q=\n"
)


def test_the_published_example() -> None:
    parsed = parse(EXAMPLE.encode())
    assert (parsed.old_size, len(parsed.proof), len(parsed.note.signatures)) == (20852014, 4, 2)
    assert parsed.encode().decode() == EXAMPLE


@given(st.integers(0, MAX_SIZE), st.lists(st.binary(min_size=32, max_size=32), max_size=63).map(tuple))
def test_what_is_written_is_read_back(size: int, proof: tuple[bytes, ...]) -> None:
    sent = AddCheckpoint(size, proof, NOTE)
    assert parse(sent.encode()) == sent
    assert len(sent.encode()) <= MAX_REQUEST


@given(
    st.binary(max_size=200)
    | st.binary(max_size=60).map(lambda head: head + b"\n\n" + TEXT)
    | st.binary(max_size=60).map(lambda rest: b"old 1\n" + HASH + rest)
)
def test_any_bytes_are_a_request_or_refused(body: bytes) -> None:
    try:
        parsed = parse(body)
    except RequestInvalid:
        return
    assert parsed.encode() == body


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"old 1\n" + TEXT,
        b"old 1\n\n",
        b"Old 1\n\n" + TEXT,
        b"old  1\n\n" + TEXT,
        b"old 01\n\n" + TEXT,
        b"old -1\n\n" + TEXT,
        b"old \xd9\xa1\n\n" + TEXT,
        b"old 9223372036854775808\n\n" + TEXT,
        b"old 1\r\n\r\n" + TEXT,
        b"old 1\nAAAA\n\n" + TEXT,
        b"old 1\n" + HASH[:-2] + b"\n\n" + TEXT,
        b"old 1\n" + HASH * 64 + b"\n" + TEXT,
        b"old 1\n\n\n" + TEXT[:-1],
        b"\nold 1\n\n" + TEXT,
    ],
)
def test_what_has_not_the_form_is_refused(bad: bytes) -> None:
    with pytest.raises(RequestInvalid):
        parse(bad)


def test_a_log_is_called_by_the_digest_of_its_origin() -> None:
    assert log_id("log.example") == "d7612c54297eaa3e5a7756b17ce3adc5bed251af8059d72bbb8b0075c67b85e9"
