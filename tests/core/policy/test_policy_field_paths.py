from __future__ import annotations

import json
import re
import unicodedata

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from addons.core.json_document import fold_key
from addons.core.model import Json
from addons.core.policy.conditions.field_paths import BadFieldPath, Found, MisspeltKey, parse_field_path

DOCUMENT: Json = {
    "type": "metric alert",
    "options": {"notify_no_data": False, "a.b": 1, "thresholds": None, 'a"b': 2},
    "data": [{"id": "1", "attributes": {"tags": ["x"]}}, {"id": None}, {"attributes": {}}],
    "empty": [],
    "": "no name",
    "größe": 3,
}


@pytest.mark.parametrize(
    ("path", "values", "lacking"),
    [
        ("type", ["metric alert"], False),
        ("options.notify_no_data", [False], False),
        ('options."a.b"', [1], False),
        (r'options."a\"b"', [2], False),
        (r'"options"."\u0061.b"', [1], False),
        ('""', ["no name"], False),
        ("größe", [3], False),
        ("options.thresholds", [], True),
        ("options.thresholds.critical", [], True),
        ("options.missing", [], True),
        ("type.missing", [], True),
        ("type[0]", [], True),
        ("type[*]", [], True),
        ("options[0]", [], True),
        ("options[*]", [], True),
        ("data.id", [], True),
        ("data[0].id", ["1"], False),
        ("data[3].id", [], True),
        ("data[*].id", ["1"], True),
        ("data[*].attributes.tags", [["x"]], True),
        ("data[*].attributes.tags[*]", ["x"], True),
        ("empty", [[]], False),
        ("empty[*]", [], True),
        ("empty[*].id", [], True),
    ],
)
def test_a_path_finds_what_it_names_and_tells_what_lacks(
    path: str, values: list[Json], lacking: bool
) -> None:
    assert parse_field_path(path).values(DOCUMENT) == Found(values, lacking)


def test_a_document_may_be_a_list() -> None:
    entries: Json = [{"message": "a"}, {"message": "b"}]
    assert parse_field_path("[*].message").values(entries) == Found(["a", "b"], lacking=False)
    assert parse_field_path("[1].message").values(entries) == Found(["b"], lacking=False)
    assert parse_field_path("message").values(entries) == Found([], lacking=True)


@pytest.mark.parametrize("document", [None, 1, "type", [], {}, True])
def test_a_document_of_another_kind_lacks_every_field(document: Json) -> None:
    assert parse_field_path("type").values(document) == Found([], lacking=True)


@pytest.mark.parametrize(
    ("path", "remedy"),
    [
        ("", "options.type"),
        (".type", "options.type"),
        ("type.", "options.type"),
        ("a..b", "each key"),
        ("$.type", "leave '$.' out"),
        ("$", "leave '$.' out"),
        ("data.*.id", "[*]"),
        ("data[].id", "[*]"),
        ("data[-1].id", "[0]"),
        ("data.[0]", "options.type"),
        ("data[0]id", "options.type"),
        ('a"b"', "options.type"),
        ('"a', "options.type"),
        ("a b", "quote"),
        ("a\u00a0b", "quote"),
        ('"\\x"', '"a.b"'),
        ("data[1234567]", "options.type"),
        ("data[1:2]", "options.type"),
        ("data[\u0661]", "options.type"),
        ("a" * 1025, "so deep"),
        (".".join("a" * 65), "so deep"),
    ],
)
def test_a_path_that_cant_be_read_says_what_to_write(path: str, remedy: str) -> None:
    with pytest.raises(BadFieldPath) as caught:
        parse_field_path(path)
    assert remedy in caught.value.remedy
    assert caught.value.message
    assert "\n" not in caught.value.message + caught.value.remedy


def quoted(key: str) -> str:
    return json.dumps(key)


KEYS = st.text(st.characters(codec="utf-8"), max_size=12)


@given(st.lists(KEYS, min_size=1, max_size=5))
def test_a_quoted_key_names_that_key_whatever_it_holds(keys: list[str]) -> None:
    document: Json = "found"
    for key in reversed(keys):
        document = {key: document}
    assert parse_field_path(".".join(map(quoted, keys))).values(document) == Found(["found"], lacking=False)


@given(st.text(st.sampled_from('ab."[]*\\0$ \u00e9'), max_size=12))
def test_any_text_is_a_path_or_refused_with_a_remedy(text: str) -> None:
    refusal = None
    try:
        assert parse_field_path(text).text == text
    except BadFieldPath as bad:
        refusal = bad
    assert refusal is None or (refusal.message and refusal.remedy)


@pytest.mark.parametrize(
    ("path", "document"),
    [
        ("type", {"Type": "x"}),
        ("type", {"type": "x", "TYPE": "y"}),
        ("options.type", {"Options": {"type": "x"}}),
        ("options.type", {"options": {"type": "x"}, "oPtions": {}}),
        ("data[*].id", {"data": [{"id": 1}, {"ID": 2}]}),
        ("data[0].missing.id", {"data": [{"Missing": 1}]}),
        ("tasks", {"ta\u017fks": 1}),  # long s, which Go's decoder folds
        ("key", {"\u212aey": 1}),  # the Kelvin sign, likewise
        ("type", {"\uff34\uff39\uff30\uff25": 1}),  # full width
        ("id", {"\u0130d": 1}),  # dotted capital I
        ("id", {"\u0131d": 1}),  # dotless i
        ("id", {"i\u0307d": 1}),
        ("größe", {"gro\u0308sse": 1}),
        ("größe", {"GRÖẞE": 1}),
    ],
)
def test_a_key_in_another_case_is_refused(path: str, document: Json) -> None:
    with pytest.raises(MisspeltKey) as caught:
        parse_field_path(path).values(document)
    assert all(key not in str(caught.value) for key in re.findall(r"\w+", str(document)) if key not in path)


def test_an_item_that_the_path_does_not_pass_may_spell_as_it_likes() -> None:
    document: Json = {"data": [{"id": 1}, {"ID": 2}], "other": {"DATA": 1}}
    assert parse_field_path("data[0].id").values(document) == Found([1], lacking=False)


@example("\u1fb7", "a")
@example("\u0390", "a")
@given(KEYS, KEYS)
def test_every_case_variant_of_a_key_is_refused(key: str, other: str) -> None:
    variants = {key.upper(), key.lower(), key.title(), key.swapcase(), key.casefold()} - {key}
    path = parse_field_path(quoted(key))
    for variant in variants:
        documents: list[Json] = [{variant: 1, other: 2}, {other: 2, key: 3, variant: 1}]
        for document in documents:
            with pytest.raises(MisspeltKey):
                path.values(document)


@given(KEYS, KEYS)
def test_no_other_key_is_refused_and_none_is_taken_for_the_paths(key: str, other: str) -> None:
    assume(fold_key(key) != fold_key(other))
    assert parse_field_path(quoted(key)).values({other: 1}) == Found([], lacking=True)
    assert parse_field_path(quoted(key)).values({other: 1, key: 2}) == Found([2], lacking=False)


@given(KEYS)
def test_no_spelling_is_too_long_to_be_noticed(key: str) -> None:
    """Of what a key can be composed from, the longest is still looked at."""
    apart = unicodedata.normalize("NFD", key).replace("i", "i\u0307")
    if apart != key and fold_key(apart) == fold_key(key):
        with pytest.raises(MisspeltKey):
            parse_field_path(quoted(key)).values({apart: 1})


@pytest.mark.timeout(20)
def test_hostile_keys_and_depth_cost_no_more_than_their_length() -> None:
    """A long run of combining marks takes the square of its length to normalise: minutes, here."""
    hostile = "a" + "\u0315" * 200_000 + "\u0300" * 200_000
    assert parse_field_path("a").values({hostile: 1, "A" * 10**7: 2}).lacking
    deep: Json = 1
    for _ in range(10_000):
        deep = [deep]
    assert not parse_field_path("a" + "[*]" * 60).values({"a": deep}).lacking
