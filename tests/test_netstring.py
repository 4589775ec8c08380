"""The recorder's writer gives what mitmproxy's own reads."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mitmproxy.io import tnetstring

from addons import netstring

plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
values = st.recursive(plain, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


@given(values)
def test_what_is_written_is_read_back_by_mitmproxy(value: netstring.Value) -> None:
    assert tnetstring.loads(netstring.dumps(value)) == value


@given(values)
def test_a_value_dumped_before_is_taken_as_it_is(value: netstring.Value) -> None:
    dumped = netstring.Dumped(netstring.dumps(value))
    assert netstring.dumps({"a": dumped}) == netstring.dumps({"a": value})


def test_a_value_without_a_form_is_refused() -> None:
    with pytest.raises(TypeError, match="set"):
        netstring.dumps({"a": {1, 2}})
