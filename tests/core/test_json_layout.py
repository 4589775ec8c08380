from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.core.json_layout import laid_out

DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(DOCUMENTS)
def test_it_says_the_same_and_stands_as_json_does_indented(document: object) -> None:
    for text in (json.dumps(document), json.dumps(document, ensure_ascii=False, separators=(",", ":"))):
        assert json.loads(laid_out(text)) == document
    assert laid_out(json.dumps(document)) == json.dumps(document, indent=2)


def test_what_a_parser_would_lose_stays() -> None:
    assert laid_out('{"a":1.0,"a":1e2,"b":"\\u00e9 [,]"}') == (
        '{\n  "a": 1.0,\n  "a": 1e2,\n  "b": "\\u00e9 [,]"\n}'
    )


@pytest.mark.parametrize("text", ["", "{", '{"a":1}x', "[" * 100_000, "{'a': 1}"])
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        laid_out(text)


def test_deep_nesting_stays_in_bounds() -> None:
    assert len(laid_out("[" * 900 + "]" * 900)) < 900 * 2 * 130
