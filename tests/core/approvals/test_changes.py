"""What a request would change: all of it, and exactly that."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.core.approvals.changes import (
    Change,
    ChangeKind,
    Differences,
    TooMuchToCompare,
    compare,
    line_changes,
)
from addons.core.approvals.written import leaves, parse_written, written
from addons.core.model import Json
from addons.core.policy.conditions.field_paths import parse_field_path
from tests.core.approvals.previewing import MONITOR

SCALARS = st.none() | st.booleans() | st.integers(0, 3) | st.sampled_from(["", "a", "b", "1.0"])
KEYS = st.sampled_from(["a", "b", "id", "name", "x.y", "", "[0]", "é"])
VALUES: st.SearchStrategy[Json] = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=15,
)
OBJECTS: st.SearchStrategy[Json] = st.dictionaries(KEYS, VALUES, max_size=4).map(dict)
DOCUMENTS = OBJECTS | VALUES


def found(before: Json, after: Json) -> Differences:
    return compare(written(before), written(after))


def rows(before: Json, after: Json) -> list[tuple[str, str, str | None, str | None]]:
    return [(one.path, one.kind.value, one.before, one.after) for one in found(before, after).changes]


@pytest.mark.parametrize(
    ("before", "after", "changes", "unchanged", "not_mentioned"),
    [
        ({}, {}, [], 1, []),
        ({"a": 1}, {"a": 1}, [], 1, []),
        ({"a": 500.0}, {"a": 500}, [], 1, []),
        ({"a": 500}, {"a": 900}, [("a", "changed", "500", "900")], 0, []),
        ({"a": 1}, {"a": True}, [("a", "changed", "1", "true")], 0, []),
        ({"a": 1}, {"a": None}, [("a", "changed", "1", "null")], 0, []),
        ({"a": None}, {}, [("", "changed", '{"a": null}', "{}")], 0, []),
        ({"b": 1}, {"a": None}, [("a", "added", None, "null")], 0, ["b"]),
        ({"o": {"a": 1, "b": 2}}, {"o": {"a": 2}}, [("o.a", "changed", "1", "2")], 0, ["o.b"]),
        ({"o": {"a": 1}}, {"o": {}}, [("o", "changed", '{"a": 1}', "{}")], 0, []),
        ({"o": {}}, {"o": {"a": {"b": 1}}}, [("o.a", "added", None, '{"b": 1}')], 0, []),
        ({"o": {"a": 1}}, {"o": [1]}, [("o", "changed", '{"a": 1}', "[1]")], 0, []),
        ({"a.b": 1, "": 2}, {"a.b": 2, "": 2}, [('"a.b"', "changed", "1", "2")], 1, []),
        ({"a": {"": 1}}, {"a": {"": 2}}, [('a.""', "changed", "1", "2")], 0, []),
        ({"a\u202eb": 1}, {"a\u202eb": 2}, [('"a\\u202eb"', "changed", "1", "2")], 0, []),
        ([1], {"a": 1}, [("", "changed", "[1]", '{"a": 1}')], 0, []),
        # lists
        (["a", "b"], ["b"], [("[0]", "removed", '"a"', None)], 1, []),
        (["a"], ["a", "b"], [("[1]", "added", None, '"b"')], 1, []),
        (["a", "b", "c"], ["a", "x", "c"], [("[1]", "changed", '"b"', '"x"')], 2, []),
        (["a", "b"], [], [("", "changed", '["a", "b"]', "[]")], 0, []),
        (["a", "b"], ["b", "a"], [("[0]", "removed", '"a"', None), ("[1]", "added", None, '"a"')], 1, []),
        (["a", "b", "c"], ["x"], [("[0]", "removed", '"a"', None), ("[1]", "removed", '"b"', None),
                                  ("[2]", "removed", '"c"', None), ("[0]", "added", None, '"x"')], 0, []),
        # of a list's item nothing stays that isn't sent, but for the id that Datadog gives it
        ({"l": [{"id": 1, "a": 1, "b": 2}]}, {"l": [{"a": 2}]},
         [("l[0].a", "changed", "1", "2"), ("l[0].b", "removed", "2", None)], 0, ["l[0].id"]),
        # found by id, but for the id, and by name
        ([{"id": 1, "a": 1}, {"id": 2, "a": 2}], [{"id": 2, "a": 3}],
         [("[0]", "removed", '{"id": 1, "a": 1}', None), ("[0].a", "changed", "2", "3")], 1, []),
        ([{"id": 1, "a": 1}, {"id": 2, "a": 2}], [{"a": 2}],
         [("[0]", "removed", '{"id": 1, "a": 1}', None)], 1, ["[0].id"]),
        ([{"name": "x", "a": 1}, {"name": "y", "a": 2}], [{"name": "y", "a": 3}],
         [("[0]", "removed", '{"name": "x", "a": 1}', None), ("[0].a", "changed", "2", "3")], 1, []),
        ([{"definition": {"title": "x", "q": 1}}, {"definition": {"title": "y", "q": 2}}],
         [{"definition": {"title": "y", "q": 3}}],
         [("[0]", "removed", '{"definition": {"title": "x", "q": 1}}', None),
          ("[0].definition.q", "changed", "2", "3")], 1, []),
    ],
)  # fmt: skip
def test_what_changes(
    before: Json,
    after: Json,
    changes: list[tuple[str, str, str | None, str | None]],
    unchanged: int,
    not_mentioned: list[str],
) -> None:
    differences = found(before, after)
    assert rows(before, after) == changes
    assert (differences.unchanged, differences.not_mentioned) == (unchanged, not_mentioned)


def test_a_monitor_s_threshold() -> None:
    differences = found(MONITOR, {"name": "prod latency", "options": {"thresholds": {"critical": 900}}})
    assert differences.changes == [
        Change("options.thresholds.critical", ChangeKind.CHANGED, "500", "900"),
    ]
    assert differences.unchanged == 1
    assert "options.notify_no_data" in differences.not_mentioned


def test_one_widget_taken_out_of_many_is_one_change() -> None:
    widgets: list[Json] = [{"id": n, "definition": {"title": f"w{n}", "requests": [n]}} for n in range(50)]
    sent: list[Json] = [{"definition": {"title": f"w{n}", "requests": [n]}} for n in range(50) if n != 7]
    (change,) = found({"widgets": widgets}, {"widgets": sent}).changes
    assert (change.path, change.kind) == ("widgets[7]", ChangeKind.REMOVED)


def test_numbers_are_as_they_are_written() -> None:
    differences = compare(written({"a": 1.5}), parse_written(b'{"a": 1.50e1, "b": 1.0}', None))
    assert [change.after for change in differences.changes] == ["1.50e1", "1.0"]


@dataclass(slots=True)
class _Node:
    """Changes by the steps of their paths; what is removed from a list counts in the old one."""

    change: Change | None = None
    children: dict[str | int, _Node] = field(default_factory=dict)
    removed: set[str | int] = field(default_factory=set)

    @property
    def is_new(self) -> bool:
        return self.change is not None and self.change.kind is ChangeKind.ADDED


def applied(before: Json, changes: Sequence[Change]) -> Json:
    """Do what the changes say, told nothing but them."""
    root = _Node()
    for change in changes:
        steps, node = _steps(change.path), root
        for step in steps[:-1] if change.kind is ChangeKind.REMOVED else steps:
            node = node.children.setdefault(step, _Node())
        if change.kind is ChangeKind.REMOVED:
            assert steps[-1] not in node.removed
            node.removed.add(steps[-1])
        else:
            assert node.change is None
            node.change = change
    return _applied(before, root)


def _steps(path: str) -> list[str | int]:
    """As policy reads a path."""
    steps = parse_field_path(path).steps if path else ()
    return [step if isinstance(step, int) else str(getattr(step, "name", "*")) for step in steps]


def _applied(before: Json, node: _Node) -> Json:
    if node.change is not None:
        assert node.change.after is not None
        made: Json = json.loads(node.change.after)
        return made
    if isinstance(before, dict):
        kept = {key: value for key, value in before.items() if key not in node.removed}
        return kept | {str(key): _applied(kept.get(str(key)), child) for key, child in node.children.items()}
    if isinstance(before, list):
        left = [value for place, value in enumerate(before) if place not in node.removed]
        after: list[Json] = []
        while True:
            child = node.children.get(len(after), _Node())
            if not left and not child.is_new:
                return after
            after.append(_applied(None if child.is_new else left.pop(0), child))
    assert not node.children
    return before


def agrees(after: Json, result: Json, *, in_list: bool = False) -> bool:
    """Whether `result` has all that `after` says. An object may have more; in a list, no more than an id."""
    if isinstance(after, dict) and isinstance(result, dict):
        more = result.keys() - after.keys()
        allowed = {"id"} if in_list else more
        if not after and more:
            return False
        return (
            after.keys() <= result.keys()
            and more <= allowed
            and all(agrees(after[key], result[key], in_list=in_list) for key in after)
        )
    if isinstance(after, list) and isinstance(result, list):
        pairs = zip(after, result, strict=False)
        return len(after) == len(result) and all(agrees(one, other, in_list=True) for one, other in pairs)
    return type(after) is type(result) and after == result


def _mutated(document: Json, draw: st.DrawFn) -> Json:
    """Something like it: things put in, taken out, moved and set."""
    if isinstance(document, dict) and document:
        made = {key: _mutated(value, draw) for key, value in document.items() if draw(st.integers(0, 5))}
        return made | draw(st.dictionaries(KEYS, SCALARS, max_size=1))
    if isinstance(document, list) and document:
        items = [_mutated(value, draw) for value in document if draw(st.integers(0, 5))]
        place = draw(st.integers(0, len(items)))
        items[place:place] = draw(st.lists(VALUES, max_size=1))
        return draw(st.permutations(items)) if draw(st.integers(0, 5)) == 0 else items
    return draw(SCALARS) if draw(st.integers(0, 3)) == 0 else document


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Json, Json]:
    before = draw(DOCUMENTS)
    return before, draw(DOCUMENTS) if draw(st.integers(0, 4)) == 0 else _mutated(before, draw)


@given(pairs())
def test_doing_what_is_shown_gives_what_is_sent(documents: tuple[Json, Json]) -> None:
    before, after = documents
    assert agrees(after, applied(before, found(before, after).changes))


@given(pairs())
def test_nothing_that_is_sent_is_missing(documents: tuple[Json, Json]) -> None:
    before, after = documents
    differences = found(before, after)
    shown = sum(leaves(json.loads(one.after)) for one in differences.changes if one.after is not None)
    assert shown + differences.unchanged == leaves(written(after))


@given(pairs())
def test_what_was_there_is_told_as_it_was(documents: tuple[Json, Json]) -> None:
    before, after = documents
    differences = found(before, after)
    for change in differences.changes:
        assert (change.before is None) == (change.kind is ChangeKind.ADDED)
        assert (change.after is None) == (change.kind is ChangeKind.REMOVED)
        if change.before is not None:
            assert json.loads(change.before) in [value for _, value in _everything(before)]
    for path in differences.not_mentioned:
        assert _steps(path)
    assert len(set(differences.not_mentioned)) == len(differences.not_mentioned)


def _everything(document: Json) -> list[tuple[int, Json]]:
    inner = (
        document.values() if isinstance(document, dict) else document if isinstance(document, list) else ()
    )
    return [(0, document), *(each for value in inner for each in _everything(value))]


@given(DOCUMENTS)
def test_what_is_there_already_changes_nothing(document: Json) -> None:
    differences = found(document, document)
    assert (differences.changes, differences.not_mentioned) == ([], [])
    assert differences.unchanged == leaves(written(document))


def test_a_key_of_half_a_megabyte_costs_no_gigabytes() -> None:
    key = "k" * 500_000
    with pytest.raises(TooMuchToCompare):
        found({key: dict.fromkeys(map(str, range(5000)), 1)}, {key: dict.fromkeys(map(str, range(5000)), 2)})
    with pytest.raises(TooMuchToCompare):
        found({key: dict.fromkeys(map(str, range(5000)), 1)}, {key: {"new": 1}})
    same = dict.fromkeys(map(str, range(5000)), 1)
    with pytest.raises(TooMuchToCompare):
        found({key: {**same, "a": 1}}, {key: {**same, "a": 2}})


def test_a_long_list_of_equal_items_takes_no_time() -> None:
    """A general comparison of texts takes the square of it, or more."""
    before: list[Json] = ["a"] * 9_000
    after: list[Json] = ["b", *["a"] * 8_000, "b"]
    differences = found(before, after)
    assert differences.unchanged + sum(one.after is not None for one in differences.changes) == len(after)


@pytest.mark.parametrize(
    ("before", "after", "lines"),
    [
        ("a\nb\nc", "a\nx\nc", ((" ", "a"), ("-", "b"), ("+", "x"), (" ", "c"))),
        ("a", "a\nb", ((" ", "a"), ("+", "b"))),
        ("a\nb", "", (("-", "a"), ("-", "b"), ("+", ""))),
        ("a\rb\u2028c\n", "\n", (("-", "a\rb\u2028c"), ("+", ""), (" ", ""))),
        ("a", "b", None),
        ("a\nb", None, None),
        ("a\nb", 1, None),
        (["a\nb"], "a", None),
    ],
)
def test_a_text_of_several_lines_is_compared_line_by_line(
    before: Json, after: Json, lines: tuple[tuple[str, str], ...] | None
) -> None:
    change = Change("message", ChangeKind.CHANGED, json.dumps(before), json.dumps(after))
    assert line_changes(change) == lines


def test_what_is_new_or_gone_is_no_comparison_of_lines() -> None:
    assert line_changes(Change("a", ChangeKind.ADDED, None, '"a\\nb"')) is None
    assert line_changes(Change("a", ChangeKind.REMOVED, '"a\\nb"', None)) is None


TEXTS = st.text(alphabet="ab\n", max_size=12)


@given(TEXTS, TEXTS)
def test_the_lines_of_both_texts_are_there(before: str, after: str) -> None:
    change = Change("message", ChangeKind.CHANGED, json.dumps(before), json.dumps(after))
    compared = line_changes(change)
    if compared is not None:
        assert "\n".join(line for sign, line in compared if sign != "+") == before
        assert "\n".join(line for sign, line in compared if sign != "-") == after
