from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.core.policy.cel.expressions import (
    ExpressionError,
    compile_expression,
    known_variables,
)
from tests.core.policy.expression_making import CALL, evaluate, why

MONITOR = {"type": "metric alert", "tags": ["team:x", "env:prod"], "options": {"n": 1, "on": True}, "ids": []}


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("body.tags.exists(t, t in lists.prod)", True),
        ("body.tags.all(t, t in lists.prod)", False),
        ('body.tags.exists(t, t in lists["prod"])', True),
        ("lists.patterns.exists(p, body.tags[1].matches(p))", True),
        ("has(body.ids) && size(body.ids) > 10", False),
        ("has(body.nothing) && body.nothing", False),
        ("body.options.on", True),
        ("body.options.n == 1 && body.options.n == 1.0 && body.options.n != true", True),
        ("body.options.n == '1'", False),
        ("body['type'].startsWith('metric')", True),
        ("target.name == 'x'", True),
        ("request.method == 'DELETE' && request.host.endsWith('.com') && request.size < 13", True),
        ("request.path.startsWith('/api/v1/') && request.query.force == ['true']", True),
        ("'2' in request.query.ids && !('dry' in request.query) && has(request.query.force)", True),
        ("'sre' in request.headers['x-team']", True),
        ("op.name == 'DeleteMonitor' && op.version == 'v1' && 'monitors' in op.tags", True),
        ("op.risk.exists(r, r == 'destructive')", True),
        ("identity.subject == 'alice' && identity.issuer == 'https://issuer'", True),
        ("'sre' in identity.groups && identity.on_behalf_of == '' && identity.session == 's1'", True),
        ("identity.actors.exists(a, a.subject == 'bot' && a.issuer.startsWith('https:'))", True),
        ("identity.claims.team == 'sre' && 2 in identity.claims.levels", True),
        ("has(identity.claims.nothing)", False),
        ("now > timestamp('2026-05-28T20:26:40Z') && now < timestamp('2026-05-28T20:26:41Z')", True),
        ("now.getDayOfWeek('Europe/Paris') == 4 && now.getHours('Europe/Paris') == 22", True),
        ("now - duration('24h') < timestamp('2026-05-28T00:00:00Z')", True),
        ("true", True),
    ],
)
def test_what_an_expression_can_ask(text: str, result: bool) -> None:
    assert evaluate(text, MONITOR, target={"name": "x"}) is result


def test_only_what_is_named_has_to_be_given() -> None:
    assert compile_expression("body.x == 1").evaluate({"body": {"x": 1}})
    assert compile_expression("request.method == 'GET'").evaluate({"request": {"method": "GET"}})
    assert compile_expression("'a' in lists.x").evaluate({"lists": {"x": ("a",)}})
    assert compile_expression("1 < 2").evaluate({})


WRONG_TYPE = "not of a type"


@pytest.mark.parametrize(
    ("text", "body", "words"),
    [
        ("body.a == 1", {}, "isn't there"),
        ("body.a", {}, "isn't there"),
        ("body.a.b == 1", {"a": {}}, "isn't there"),
        ("body[0] == 1", [], "no item"),
        ("body[-1] == 1", [1], "no item"),
        ("body.a > 1", {"a": "2"}, WRONG_TYPE),
        ("body.a + 1 == 2", {"a": "1"}, WRONG_TYPE),
        ("body.a.b == 1", {"a": [1]}, WRONG_TYPE),
        ("has(body.a)", [1], WRONG_TYPE),
        ("has(body.a)", None, WRONG_TYPE),
        ("body.a.exists(x, x == 1)", {"a": "text"}, WRONG_TYPE),
        ("body.a && true", {"a": "true"}, WRONG_TYPE),
        ("!body.a", {"a": 0}, WRONG_TYPE),
        ("body.a ? true : false", {"a": 1}, WRONG_TYPE),
        ("size(body.a) > 1", {"a": 5}, WRONG_TYPE),
        ("body.a.matches('x')", {"a": 5}, WRONG_TYPE),
        ("body.a / 0 == 1", {"a": 1}, "by zero"),
        ("body.a % 0 == 1", {"a": 1}, "by zero"),
        ("body.a + 1 > 0", {"a": 2**63 - 1}, "out of range"),
        ("body.a * 2 < 0", {"a": 2**62}, "out of range"),
        ("-body.a > 0", {"a": -(2**63)}, "out of range"),
        ("int(body.a) > 0", {"a": 1e300}, "out of range"),
        ("body.a > 0", {"a": 2**64}, "out of range"),
        ("body.a > 0", {"a": -(2**63) - 1}, "out of range"),
        ("body.b > 0", {"a": 2**80, "b": 1}, "out of range"),
        ("body.a == body.a", {"a": 10**400}, "out of range"),
        ("timestamp(body.a) < now", {"a": "yesterday"}, "converted"),
        ("duration(body.a) < duration('1s')", {"a": "long"}, "converted"),
        ("int(body.a) == 1", {"a": "one"}, "converted"),
        ("now.getHours(body.a) == 1", {"a": "Nowhere"}, "time zone"),
        ("lists.patterns.exists(p, body.a.matches(p))", {"a": "x"}, "regular expression"),
        ("'a' in lists.nothing", {}, "isn't there"),
        # results that are no bool, though a bool may come of them
        ("body.a", {"a": 1}, "not true or false"),
        ("body.a", {"a": "true"}, "not true or false"),
        ("body.a", {"a": [True]}, "not true or false"),
        ("body.a", {"a": {}}, "not true or false"),
        ("body.a", {"a": None}, "not true or false"),
        ("body.a", {"a": 1.0}, "not true or false"),
        ("true ? body.a : true", {"a": "x"}, "not true or false"),
        ("dyn(timestamp(0))", {}, "not true or false"),
        ("dyn(b'true')", {}, "not true or false"),
        ("dyn([1])[0]", {}, "not true or false"),
    ],
)
def test_an_error_is_an_error_and_never_an_answer(text: str, body: object, words: str) -> None:
    assert words in why(text, body, lists={"patterns": ["("]})


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_no_comparison_with_what_is_no_number_holds(number: float) -> None:
    for operator in ("==", "<", ">", "<=", ">="):
        assert not (evaluate(f"body.a {operator} body.a", {"a": number}) and number != number)  # noqa: PLR0124 - NaN
    assert evaluate("body.a != body.a", {"a": float("nan")})


def test_numbers_of_64_bits_are_exact() -> None:
    assert evaluate(
        "body.a == 9223372036854775807 && body.b == -9223372036854775808", {"a": 2**63 - 1, "b": -(2**63)}
    )
    assert evaluate("body.a == 18446744073709551615u", {"a": 2**64 - 1})
    assert not evaluate("body.a == 9007199254740992", {"a": 2**53 + 1})


@pytest.mark.parametrize(
    ("text", "body"),
    [
        ("body.hunter2 == body.a", {"a": 1}),
        ("body.a == 1", {"a": 123456789012345678901234567890}),
        ("body[body.a]", {"a": "hunter2"}),
        ("int(body.a) == 1", {"a": "hunter2"}),
        ("timestamp(body.a) == now", {"a": "hunter2"}),
        ("body.a", {"a": "hunter2"}),
        ("has(body.a)", {"A": "hunter2"}),
        ("body.a == 1", {"a": "hunter2\0"}),
    ],
)
def test_no_value_of_the_request_is_told(text: str, body: object) -> None:
    told = why(text, body)
    assert not any(secret in told for secret in ("hunter2", "1234567890"))


@pytest.mark.parametrize(
    "value",
    [
        {"a": "x\0y"},
        {"a\0b": 1},
        {"b": ["\ud800"]},
        {"\udc00": 1},
        {"b": b"x"},
        {"b": (1,)},
        {"b": object()},
        {1: "x"},
    ],
)
def test_what_json_does_not_hold_or_c_would_cut_off_is_refused(value: object) -> None:
    assert "can't be used" in why("has(body.a) || true", value)
    assert "can't be used" in why("has(target.a) || true", target=value)


@pytest.mark.parametrize(
    "request_",
    [
        {"method": "GET\0X", "query": {}},
        {"method": "GET", "query": {"a\0": ["1"]}},
        {"method": "GET", "query": {"a": ["\udcff"]}},
    ],
)
def test_a_nul_or_half_a_surrogate_pair_elsewhere_is_refused_too(request_: object) -> None:
    assert "can't be used" in why("request.method == 'GET' && !('b' in request.query)", request=request_)


@pytest.mark.parametrize("now", [float("nan"), float("inf"), 1e300])
def test_a_time_that_is_none_is_refused(now: float) -> None:
    assert why("now > timestamp(0)", now=now) == "now is no time"


documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "A"]), inner, max_size=3)
    ),
    max_leaves=8,
)
CONDITIONS = [
    "body.a",
    "body.a.b == body.b",
    "body.a > 0 || body.b",
    "body.exists(x, x.a == 1)",
    "!has(body.a) && body.all(x, size(x) > 1)",
    "body.a[0].matches('a')",
    "body.a + body.b == body.a",
    "int(body.a) == 1 ? body.b : !body.b",
]


@given(st.sampled_from(CONDITIONS), documents)
def test_an_evaluation_gives_a_bool_or_an_error(text: str, body: Any) -> None:
    with contextlib.suppress(ExpressionError):
        assert type(evaluate(text, body)) is bool


def test_every_variable_is_of_its_type() -> None:
    for name in known_variables():
        root = name.partition(".")[0]
        given = {**CALL, "body": {}, "target": {}}
        if root != "lists":
            assert compile_expression(f"type({name}) != int || true").evaluate(given)
