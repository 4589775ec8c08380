from __future__ import annotations

from typing import Any

import pytest
from cel_expr_python import cel
from hypothesis import given
from hypothesis import strategies as st

from addons.core.json_document import fold_key
from addons.core.policy.cel.document_survey import misspelt_key
from addons.core.policy.cel.expression_tree import UnreadableTree, read_tree
from addons.core.policy.cel.expressions import (
    compile_expression,
)
from tests.core.policy.expression_making import CALL, evaluate, why


@pytest.mark.parametrize(
    ("text", "reads", "lists"),
    [
        ("body.tags.exists(t, t in lists.prod)", {"body", "lists"}, {"prod"}),
        # a field that is called like a variable is none
        ("target.body.lists.x == request.query.target", {"target", "request"}, set()),
        (".body == 1", {"body"}, set()),
        ("'a' in lists['x-y'] || 'b' in lists.z", {"lists"}, {"x-y", "z"}),
        ("lists.a.exists(x, x in lists.b)", {"lists"}, {"a", "b"}),
        ("has(lists.a)", {"lists"}, {"a"}),
        ("'body' == \"target\"", set(), set()),
        ("[1].exists(i, i == 1 && now > timestamp(0))", {"now"}, set()),
        ("{'a': identity.subject}.a == op.name", {"identity", "op"}, set()),
        ("true ? false : body", {"body"}, set()),
    ],
)
def test_what_an_expression_reads_is_known(text: str, reads: set[str], lists: set[str]) -> None:
    expression = compile_expression(text)
    assert expression.reads == reads
    assert expression.lists == lists == expression.list_places.keys()


def test_a_list_is_known_by_its_place() -> None:
    places = compile_expression("'é𝄞' in lists.a &&\n  ('b' in lists['b'] || 'c' in lists.a)").list_places
    assert places == {"a": (1, 9), "b": (2, 11)}


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("has(body.ids)", {"ids"}),
        ("body['ids'][0] == 1", {"ids"}),
        ("'ids' in body", {"ids"}),
        ("body.`a-b`.c == 1", {"a-b", "c"}),
        # texts that keys are compared with, when a loop goes over a map
        ("body.exists(k, k == 'ids')", {"ids"}),
        ("body.exists(k, 'ids' != k)", {"ids"}),
        ("body.exists(k, k in ['ids', 'id'])", {"ids", "id"}),
        ("['ids'].exists(k, k in body)", {"ids"}),
        ("body.filter(k, k == 'ids').size() > 0", {"ids"}),
        ("{'ids': 1}.exists(k, k in body)", {"ids"}),
        # values are no keys
        ("body.type == 'OK' && 'Warn' != body.a.b", {"type", "a", "b"}),
        ("body.type in ['OK', 'Warn']", {"type"}),
        ("body.text.contains('Critical') || body.text.startsWith('OK')", {"text"}),
        ("request.method == 'GET' && op.name in ['A']", set()),
        ("identity.groups.exists(g, g == 'Tags')", set()),
        ("body.list.exists(i, i.kind == 'OK')", {"list", "kind"}),
        # a text that is another spelling of a key is not a second key
        ("body.type == 'a' || body.exists(k, k == 'Type')", {"type"}),
    ],
)
def test_the_keys_that_an_expression_looks_for_are_known(text: str, fields: set[str]) -> None:
    assert compile_expression(text).fields == fields


@pytest.mark.parametrize(
    ("text", "body"),
    [
        ("has(body.ids)", {"IDS": [1]}),
        ("!has(body.ids)", {"Ids": [1]}),
        ("has(body.ids)", {"\u0131ds": [1]}),
        ("has(body.key)", {"\N{KELVIN SIGN}ey": 1}),
        ("has(body.ids)", {"x": [{"y": {"iDs": 1}}]}),
        ("'ids' in body", {"IDS": 1}),
        ("body.exists(k, k == 'ids')", {"IDS": 1}),
        ("body.exists(k, k in lists.protected)", {"IDS": 1}),
        ("lists.protected.exists(k, k in body)", {"IDS": 1}),
        ("has(body.type) && body.exists(k, k == 'Type')", {"Type": 1}),
    ],
)
def test_a_key_in_another_spelling_evades_nothing(text: str, body: dict[str, Any]) -> None:
    assert "another case" in why(text, body)
    assert "another case" in why(text.replace("body", "target"), target=body)


def test_a_query_key_in_another_spelling_evades_nothing() -> None:
    call = {**CALL["request"], "query": {"FORCE": ["true"]}}
    assert "another case" in why("'force' in request.query", request=call)
    # but what is not read can't matter
    assert evaluate("request.method == 'DELETE'", request=call)


def test_other_keys_and_values_may_be_spelt_as_they_like() -> None:
    body = {"IDS": 1, "ok": 2, "type": "OK", "Env:Prod": 1}
    assert evaluate("body.type == 'OK'", body)
    assert evaluate("body.type in ['OK']", body)
    assert evaluate("body.IDS == 1", body)


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=8), st.data())
def test_a_misspelling_is_found_at_any_depth_and_the_right_spelling_never(
    field: str, data: st.DataObject
) -> None:
    variants = {field.upper(), field.lower(), field.title(), field.swapcase()}
    key = data.draw(st.sampled_from(sorted(variants)))
    if "\0" in field:
        return
    depth = data.draw(st.integers(0, 60))
    document: Any = {key: 1}
    for level in range(depth):
        document = [document] if level % 2 else {"other": document}
    expected = field if key != field and fold_key(key) == fold_key(field) else None
    assert misspelt_key(document, frozenset({field})) == expected


@pytest.mark.parametrize(
    ("field", "key"),
    [("\u00e9", "E\u0301"), ("\u00e9", "e\u0301"), ("i", "I\u0307"), ("\uac01", "\u1100\u1161\u11a8")],
)
def test_another_spelling_may_be_longer(field: str, key: str) -> None:
    assert misspelt_key({key: 1}, {field}) == field


def test_a_tree_that_is_cut_off_is_refused() -> None:
    serialised = cel.NewEnv(variables={"body": cel.Type.DYN}).compile("body.exists(t, t == 'a')").serialize()
    assert read_tree(serialised)
    for size in range(len(serialised)):
        with pytest.raises(UnreadableTree):
            read_tree(serialised[:size])
    with pytest.raises(UnreadableTree):
        read_tree(serialised.replace(b"CheckedExpr", b"CheckedEzpr"))


@pytest.mark.parametrize(
    "serialised",
    [
        b"",
        b"\x0a\x03abc",
        b"\xff",
        b"\x0a\xff\xff",
        b"\x0b",
        # a checked expression whose kind has the number 15, and one that is none
        b"\x0a(type.googleapis.com/cel.expr.CheckedExpr\x12\x04\x22\x02\x7a\x00",
        b"\x0a(type.googleapis.com/cel.expr.CheckedExpr\x12\x02\x22\x00",
    ],
)
def test_a_tree_in_another_form_is_refused(serialised: bytes) -> None:
    with pytest.raises(UnreadableTree):
        read_tree(serialised)
