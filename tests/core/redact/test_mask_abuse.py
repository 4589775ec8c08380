"""Ways around a mask by JSON path."""

from __future__ import annotations

import json

import pytest

from addons.core.policy.request import Masks
from addons.core.redact.masking.mask import Masker
from addons.core.redact.message_masks import MessageMasks

MASKS = MessageMasks(Masker(b"x" * 32))
SECRET = "Ines-Roth"


@pytest.mark.parametrize(
    ("path", "document"),
    [
        # Datadog lists users under an array, and shows one without it
        ("$.data[*].attributes.name", {"data": [{"attributes": {"name": SECRET}}]}),
        ("$.data[*].attributes.name", {"data": {"attributes": {"name": SECRET}}}),
        ("$.data[0].attributes.name", {"data": {"attributes": {"name": SECRET}}}),
        ("$[*].usr.name", {"usr": {"name": SECRET}}),
        ("$.a[*].b[*].name", {"a": {"b": [{"name": SECRET}]}}),
        ("$.a[*].b[*].name", {"a": {"b": {"name": SECRET}}}),
        ("$.names[*]", {"names": SECRET}),
        # Java ignores case by upper case first
        ("$.email", {"ema\u0131l": SECRET}),
        ("$.email", {"EMA\u0130L": SECRET}),
    ],
)
def test_what_stands_for_the_same_is_masked_as_well(path: str, document: object) -> None:
    done = MASKS.apply(Masks(json=frozenset((path,))), json.dumps(document).encode(), "application/json")
    assert SECRET.encode() not in done.data
    assert done.findings == {"policy": 1}


def test_a_path_into_any_item_is_not_the_whole_of_a_plain_document() -> None:
    masks = Masks(json=frozenset(("$[*]",)))
    assert not MASKS.apply(masks, b'"text"', "application/json").changed


def test_many_lists_on_the_way_cost_little() -> None:
    masks = Masks(json=frozenset((f"$.a{'[*]' * 60}.b",)))
    assert not MASKS.apply(masks, b'{"a": {"c": 1}}', "application/json").changed
