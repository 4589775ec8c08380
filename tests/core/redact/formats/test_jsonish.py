"""Strings are read alike whether a text is cut at its quotes or gone through."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.core.redact.formats import jsonish

_SIGNS = (b":", b",", b"{", b"}", b"[", b"]", b" ", b"\n", b"\\", b"?")
PIECES = st.sampled_from(
    (*_SIGNS, b'"', b'"a"', b'"key":', b'"":', b'"x:y",', b"true", b"null", b"12", b"-1234.5")
)


def reading(data: bytes, at_once: int) -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jsonish, "_AT_ONCE", at_once)
        tree = jsonish.read(data)
    return tree and [
        (leaf.start, leaf.end, leaf.name, leaf.quoted, leaf.element, leaf.is_key, leaf.frame.name)
        for leaf in tree.leaves
    ]


@given(st.lists(PIECES, max_size=12).map(b"".join))
def test_both_ways_of_telling_strings_apart_read_the_same(data: bytes) -> None:
    assert reading(data, 1 << 16) == reading(data, -1)


@pytest.mark.parametrize(
    ("data", "leaves"),
    [
        (b'{"a":"b","n":1234}', [b"a", b"b", b"n", b"1234"]),
        (b'["a", 12, "b\\"c"]', [b"a", b'b\\"c']),
        (b'{"a" : {"": "x"}', [b"a", b"", b"x"]),
        (b'{"a": "cut', [b"a", b"cut"]),
        (b'{"a": "cut\\', [b"a", b"cut"]),
    ],
)
def test_strings_keys_and_telling_numbers_are_leaves(data: bytes, leaves: list[bytes]) -> None:
    tree = jsonish.read(data)
    assert tree is not None
    assert [data[leaf.start : leaf.end] for leaf in tree.leaves] == leaves


@pytest.mark.parametrize("data", [b"{a}", b'{"a": maybe}', b'"a" = "b"', b"x"])
def test_what_is_no_json_is_not_read(data: bytes) -> None:
    assert jsonish.read(data) is None
