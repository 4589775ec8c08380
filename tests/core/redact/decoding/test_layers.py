"""Escapes undone, and the way back to where they stand."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from addons.core.redact.decoding.layers import unbackslash


@given(st.text('\\"/\b\n\tbnu1é', max_size=30))
def test_each_byte_that_was_escaped_is_found_again(text: str) -> None:
    raw = json.dumps(text, ensure_ascii=False)[1:-1].encode()
    layer = unbackslash(raw)
    assert (layer is None) == (b"\\" not in raw)
    if layer is None:
        return
    assert layer.text == text.encode()
    ends = [layer.source_span(place, place + 1) for place in range(len(layer.text))]
    assert ends[0][0] == 0
    assert ends[-1][1] == len(raw)
    for place, (start, end) in enumerate(ends):
        code = layer.text[place : place + 1]
        assert end - start == (2 if code in b'\\"\b\n\t' else 1)


def test_a_run_of_escapes_is_one_piece() -> None:
    layer = unbackslash(b"a" + b'\\\\\\"' * 1000 + b"b")
    assert layer is not None
    assert len(layer.segments) == 3
