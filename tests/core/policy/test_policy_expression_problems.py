from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.core.policy.cel.expressions import (
    ExpressionError,
    ExpressionProblem,
    ExpressionProblems,
    compile_expression,
)


def problems(text: str) -> tuple[ExpressionProblem, ...]:
    with pytest.raises(ExpressionProblems) as found:
        compile_expression(text)
    return found.value.problems


@pytest.mark.parametrize(
    ("text", "line", "column", "message", "remedy"),
    [
        ("bdy.x == 1", 1, 1, "'bdy'", "did you mean 'body'?"),
        ("body.a == 1 &&\n  'é𝄞' == bdy.x", 2, 11, "'bdy'", "body"),
        ("request.metod == 'GET'", 1, 1, "'metod'", "did you mean 'method'?"),
        ("identity.group == []", 1, 1, "'group'", "did you mean 'groups'?"),
        ("request == 1", 1, 1, "no value itself", "request.method"),
        ("body.tags.exits(t, t in lists.prod)", 1, 11, "'exits'", "did you mean 'exists'?"),
        ("body.tags.exists(t)", 1, 11, "'exists' can't be called like this", "LIST.exists(item, CONDITION)"),
        ("body.tags.any(t, t == 'x')", 1, 11, "'any'", "exists"),
        ("len(body.tags) > 1", 1, 1, "'len'", "size"),
        ("body.x.starts_with('a')", 1, 8, "'starts_with'", "startsWith"),
        ("body.x.match('a')", 1, 8, "'match'", "matches"),
        ("body.a == True", 1, 11, "'True'", "true"),
        ("body.a == None", 1, 11, "'None'", "null"),
        ("body.a and body.b", 1, 8, "'and'", "&&"),
        ("body.a = 1", 1, 8, "'='", "=="),
        ("body.a == 'x", 1, 11, "not closed", "'"),
        ("body.a ==", 1, 9, "ends too early", ""),
        ("body.a == ", 1, 9, "ends too early", ""),
        ("", 1, 1, "ends too early", ""),
        ("size(body.a)", 1, 1, "gives int, where a bool is needed", "=="),
        ("'a'", 1, 1, "gives string", ""),
        ("body.a ? 'a' : 'b'", 1, 1, "gives string", ""),
        ("request.query.force == 'true'", 1, 21, "list(string), string", "VALUE in LIST"),
        ("now > 5", 1, 5, "(timestamp, int)", ""),
        ("has(identity.session) && true", 1, 5, "always there", "!= ''"),
        ("has(identity.session)", 1, 5, "always there", "!= ''"),
        ("has(body)", 1, 5, "has() asks for a field", "has(body.field)"),
        ("if (body.a) true", 1, 1, "reserved", ""),
        ("'a' in lists", 1, 8, "without the name of a list", "lists.NAME"),
        ("'a' in lists[body.x]", 1, 8, "without the name of a list", "lists.NAME"),
        ("lists.exists(x, true)", 1, 1, "without the name of a list", "lists.NAME"),
        ("[1].exists(body, body == 1)", 1, 11, "'body'", "another name"),
        ("[1].exists(request, .request.method == 'GET')", 1, 11, "'request'", "another name"),
        ("'a' in request.headers['X-Team']", 1, 23, "lower case", "'x-team'"),
        ("has(request.headers.Accept)", 1, 4, "lower case", "'accept'"),
        ("'X-Team' in request.headers", 1, 1, "lower case", "'x-team'"),
        ("body.a.matches('(')", 1, 16, "not a regular expression", "RE2"),
        ("body.a.matches(body.b)", 1, 16, "of the policy's own", "lists:"),
        ("body.a.exists(x, body.b.matches(x))", 1, 33, "of the policy's own", "lists:"),
        ("body.a.exists(a, a.exists(b, b.exists(c, c.exists(d, d == 1))))", 1, 50, "more than 3", "two"),
        ("body.a.map(a, a.filter(b, b.all(c, c.exists_one(d, d == 1)))) == []", 1, 48, "more than 3", "two"),
        ("(" * 200 + "true" + ")" * 200, 1, 1, "too deep", "two"),
        ("body" + ".a" * 500 + " == 1", 1, 1, "too deep", "two"),
        ("true ||" * 600 + "true", 1, 1, "4096", "split"),
        ("'\ud800' == 'a'", 1, 2, "character", "remove"),
        ("body.a == 1 &&\n'a\0' == 'a'", 2, 3, "character", "remove"),
    ],
)
def test_a_problem_says_what_is_wrong_where_and_what_to_write(
    text: str, line: int, column: int, message: str, remedy: str
) -> None:
    first = problems(text)[0]
    assert (first.line, first.column) == (line, column), first
    assert message in first.message
    assert remedy in first.remedy
    for problem in problems(text):
        assert not set("\n\r") & set(problem.message + problem.remedy)


def test_all_problems_are_told_by_position_and_none_that_follows_from_another() -> None:
    found = problems("body.tags.any(t, t == tt) &&\n bdy.x == reqest.size")
    assert [(each.line, each.column) for each in found] == [(1, 11), (1, 23), (2, 2), (2, 11)]
    # after a syntax error everything is read out of step
    assert len(problems("body.a = 1 && nope == 2 = 3")) == 1
    # a loop's own variable is unknown only because the loop is
    assert len(problems("body.tags.exits(t, t == t)")) == 1


@given(
    st.lists(
        st.sampled_from([*"().[]{}?:!-+<>=&|'\" 1a", "body", "lists", "exists(", "x,", "\n"]), max_size=25
    )
)
def test_no_text_is_more_than_a_problem(parts: list[str]) -> None:
    text = "".join(parts)
    found: tuple[ExpressionProblem, ...] = ()
    try:
        expression = compile_expression(text)
    except ExpressionProblems as refused:
        found = refused.problems
    else:
        with contextlib.suppress(ExpressionError):
            assert expression.evaluate({"body": {"a": 1}, "lists": {}}) in {True, False}
        return
    assert found
    for problem in found:
        assert 1 <= problem.line <= text.count("\n") + 1
        assert 1 <= problem.column <= len(text) + 1
