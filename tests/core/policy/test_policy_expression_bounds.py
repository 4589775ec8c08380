from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from addons.core.json_document import UnreadableDocument, parse_document
from addons.core.policy.cel.document_survey import UnfitDocument, survey
from tests.core.policy.expression_making import evaluate, why


@pytest.mark.parametrize(
    ("text", "body"),
    [
        ("body.l.exists(x, x == 1)", {"l": [0] * 10_001}),
        ("body.l.exists(x, body.l.exists(y, x + y == 1))", {"l": [0] * 200}),
        ("body.l.exists(x, x == 1) || true", {"l": [0] * 10_001}),
    ],
)
def test_loops_have_a_bound(text: str, body: object) -> None:
    assert "turns" in why(text, body)


@pytest.mark.parametrize(
    "text",
    [
        "body.l.exists(x, body.m.contains(x))",
        "body.l.exists(x, body.m.matches('a.*z'))",
        "body.l.exists(x, size(body.m) == 1)",
        "body.l.map(x, body.m + x).size() == 1",
        "body.l.exists(x, body.m + 'a' == x)",
        "body.l.exists(x, x in body.l)",
        "body.l.map(x, 1).size() > 5",
        "body.l.filter(x, x == 'x').size() > 5",
        "body.l.exists(x, x == 'z' && body.l == body.k)",
        "body.l.exists(x, body.l.exists(y, y.contains('z') && x.contains(y)))",
        "lists.many.exists(x, body.m.contains(x) && body.l.exists(y, body.m == y + x))",
    ],
)
def test_what_a_loop_reads_anew_in_every_turn_has_a_bound(text: str) -> None:
    body = {"l": ["x"] * 5000, "k": ["x"] * 5000, "m": "x" * 20_000}
    many = [f"v{number}" for number in range(400)]
    assert "too long" in why(text, body, lists={"many": many})


@pytest.mark.parametrize(
    "text",
    [
        "body.l.exists(x, x.contains('env:') && x != 'y')",
        "body.l.all(x, x in lists.prod || x == 'x')",
        "body.l.exists(x, x == body.m)",
        "body.l.exists(x, x.startsWith('x')) && body.m.contains('xx')",
        "lists.prod.exists(p, body.m.contains(p)) || size(body.m) > 5",
        "body.l.exists_one(x, x == 'y')",
    ],
)
def test_going_once_over_a_large_document_is_no_trouble(text: str) -> None:
    body = {"l": ["x"] * 2500, "m": "x" * 100_000}
    assert type(evaluate(text, body)) is bool


def test_an_item_is_looked_at_once_in_a_loop_however_large_it_is() -> None:
    assert not evaluate("body.exists(x, x.contains('y'))", ["x" * 60_000] * 100)


def test_loops_within_each_other_over_small_lists_are_no_trouble_beside_a_long_text() -> None:
    body = {"g": ["env:"] * 50, "t": ["team:a"] * 50, "m": "x" * 20_000}
    assert not evaluate("body.g.exists(g, body.t.exists(t, t.contains(g)))", body)


def test_a_list_of_a_thousand_can_be_mapped() -> None:
    assert evaluate("body.map(x, x + 1).filter(x, x > 0).size() == 1000", [1] * 1000)


HOSTILE = """
import json, sys
from addons.core.json_document import parse_document
from addons.core.policy.cel.expressions import ExpressionError, compile_expression

def nested(opening, closing, levels=64):
    return opening * levels + closing * levels

bodies = [
    nested("[", "]"),
    '{"a":' * 64 + "1" + "}" * 64,
    "[" + ",".join([nested("[", "]", 63)] * 2000) + "]",
    json.dumps({"a": "x" * 1_000_000, "b": ["\\U0001d11e" * 300_000]}),
    json.dumps({"a": list(range(100_000))}),
    json.dumps({"a": {str(number): number for number in range(20_000)}}),
    json.dumps({"a": [[]] * 20_000, "b": [{}] * 20_000}),
    json.dumps({"x" * 1_000_000: 1}),
    json.dumps({"a": 10**399, "b": -(10**398)}),
]
expressions = [
    "body == body",
    "body.a == body.b",
    "body.a.exists(x, x == body)",
    "body.a.exists(x, body.a.exists(y, x == y))",
    "size(body.a) > 5 && body.a.contains('z')",
    "body.a.matches('(x+x+)+y')",
    "body.exists(k, size(k) > 5)",
    "body.all(k, k == 'a')",
    "body.a.map(x, [x, x, x]) == []",
    "string(body.a) == 'x' || body.a[99999] == 99999",
]
answers = 0
for text in bodies:
    document = parse_document(text.encode(), "application/json")
    for expression in expressions:
        try:
            answers += compile_expression(expression).evaluate({"body": document}) in (True, False)
        except ExpressionError:
            answers += 1
print(answers == len(bodies) * len(expressions))
"""


def test_no_document_ends_the_process() -> None:
    result = subprocess.run(
        [sys.executable, "-c", HOSTILE], capture_output=True, text=True, timeout=100, check=False
    )
    assert (result.returncode, result.stdout) == (0, "True\n"), result.stderr


def test_a_document_deeper_than_any_that_is_parsed_is_not_handed_to_the_library() -> None:
    # 10,000 levels end the process there
    deep: Any = []
    for _ in range(10_000):
        deep = [deep]
    with pytest.raises(UnfitDocument):
        survey(deep)
    assert "levels" in why("body == []", deep)
    assert "levels" in why("has(identity.claims.a)", identity={"claims": {"a": deep}})
    with pytest.raises(UnreadableDocument):
        parse_document(b"[" * 10_000 + b"]" * 10_000, None)


@pytest.mark.parametrize("document", [json.loads("[" * 64 + "]" * 64), {"a": [None, True, 1, 2.5, "é𝄞", {}]}])
def test_what_is_parsed_can_be_evaluated(document: Any) -> None:
    assert evaluate("body == target", document, target=document)
