from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.core.redact.formats import jsonish
from addons.core.redact.masking import copies
from addons.core.redact.masking.findings import Finding
from addons.core.redact.screening.gate import EVERYWHERE, Hits
from addons.core.redact.screening.outline import clean_elements

PAD = "x" * 600
values = st.recursive(
    st.one_of(st.text(max_size=6), st.integers(), st.none(), st.just('a "b" {,[')),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=25,
)


@given(values, st.lists(st.integers(0, 1500), max_size=3), st.sampled_from([None, 1]))
def test_what_remains_reads_as_it_did(value: object, places: list[int], indent: int | None) -> None:
    data = json.dumps([value, {"pad": PAD}, [value]], indent=indent, ensure_ascii=False).encode(
        "utf-8", "surrogatepass"
    )
    hits = Hits(sorted(place for place in places if place <= len(data)))
    spans = clean_elements(data, 0, hits)
    assert all(
        not hits.within(start, end) and data[start : start + 1] in (b"{", b"[") for start, end in spans
    )
    whole, rest = jsonish.read(data), jsonish.read(data, skipped=spans)
    assert whole is not None
    assert rest is not None
    kept = [leaf for leaf in whole.leaves if not any(start <= leaf.start < end for start, end in spans)]
    assert [_facts(leaf) for leaf in rest.leaves] == [_facts(leaf) for leaf in kept]


def _facts(leaf: jsonish.Leaf) -> tuple[object, ...]:
    frame = leaf.frame
    return (leaf.start, leaf.end, leaf.name, leaf.quoted, leaf.element, leaf.is_key, frame.array, frame.name)


def _spans(text: str, *marks: str) -> list[str]:
    data = text.encode()
    hits = Hits(sorted(data.index(mark.encode()) + len(mark) for mark in marks))
    return [data[start:end].decode() for start, end in clean_elements(data, 0, hits)]


def test_only_clean_elements_are_passed_over() -> None:
    clean = json.dumps({"a": PAD})
    assert _spans(f'[{clean},{{"b":"HIT"}},[1]]', "HIT") == [clean, "[1]"]
    assert _spans(f'{{"data":[{clean},{{"b":"HIT"}}]}}', "HIT") == [clean]
    assert _spans(f'{{"b":"HIT"}}\n{clean}\n', "HIT") == [clean]


@pytest.mark.parametrize(
    "text",
    [
        f'{{"secrets":[{{"a":"{PAD}"}}]}}',
        f'{{"secrets":{{"deep":[{{"a":"{PAD}"}}]}}}}',
    ],
)
def test_what_hangs_under_a_name_that_was_seen_is_read(text: str) -> None:
    assert _spans(text, '"secrets":') == []


def test_a_list_of_strings_is_read_as_one() -> None:
    assert _spans(f'["HIT","{PAD}",{{"a":1}}]', "HIT") == []


@pytest.mark.parametrize(
    "text", [f'[{{"a":1}},"{PAD}', f'[{{"a":1}}] x {PAD}', "[" * 100_000, f'{{"a" "{PAD}"}}']
)
def test_what_is_no_json_is_read_as_before(text: str) -> None:
    assert clean_elements(text.encode(), 0, Hits([1])) == []


def test_where_all_may_be_something_nothing_is_passed_over() -> None:
    assert clean_elements(f'[{{"a":"{PAD}"}}]'.encode(), 0, EVERYWHERE) == []


@pytest.mark.parametrize("number", [1, 400])
def test_copies_in_what_was_passed_over_are_found_inside_strings_alone(number: int) -> None:
    secrets = [f"secretvalue{index:05}" for index in range(number)]
    rows = [{"copy": f"again {secret}", "n": 12345678901234567890} for secret in secrets]
    data = (json.dumps([{"a": PAD * 500}, *rows])).encode()
    spans = [(data.index(b'{"copy'), len(data) - 1)]
    tree = jsonish.read(data, skipped=spans)
    planted = [Finding(0, 1, "x", "x", secret.encode()) for secret in (*secrets, "12345678901234567890")]
    found = sorted((copy.start, copy.end) for copy in copies.find(data, planted, tree))
    assert [data[start:end].decode() for start, end in found] == secrets
