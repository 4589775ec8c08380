from __future__ import annotations

from typing import Any

import pytest

from addons.core.policy.cel.expressions import compile_expression
from addons.core.policy.conditions.when import when_condition
from addons.core.policy.request import PolicyRequest, Reads, Seen, Unreadable
from addons.core.policy.rules import Fit, RuleError, UnreadableEvidence
from tests.core.policy.policy_making import principal, request

LISTS = {"prod": ("env:prod",)}


def fit(text: str, asked: PolicyRequest) -> Fit:
    return when_condition(compile_expression(text), LISTS)(asked)


def call(**more: Any) -> PolicyRequest:
    fields: dict[str, Any] = {
        "query": (("force", "1"), ("id", "a"), ("id", "b")),
        "headers": (("accept", "a"), ("accept", "b")),
        "size": 7,
        "method": "delete",
        "at": 1_780_000_000.0,
    }
    who = principal("agents", "sre", on_behalf_of="bob", actors=["bot"], session="s", claims={"team": "x"})
    return request("DeleteUser", who, **(fields | more))


@pytest.mark.parametrize(
    "text",
    [
        "request.method == 'DELETE' && request.path == '/api/v1/users/1' && request.size == 7",
        "request.host == 'api.datadoghq.com'",
        "request.query.id == ['a', 'b'] && request.query.force == ['1']",
        "request.headers.accept == ['a', 'b']",
        "op.name == 'DeleteUser' && op.version == 'v1' && op.tags == ['users']",
        "op.risk == ['destructive', 'privileged']",
        "identity.subject == 'alice' && identity.issuer == 'https://issuer'",
        "identity.groups.exists(g, g == 'sre') && size(identity.groups) == 2",
        "identity.on_behalf_of == 'bob' && identity.session == 's' && identity.claims.team == 'x'",
        "identity.actors == [{'issuer': 'https://issuer', 'subject': 'bot'}]",
        "now == timestamp(1780000000)",
        "'env:prod' in lists.prod",
    ],
)
def test_a_condition_sees_the_call(text: str) -> None:
    assert fit(text, call()) is Fit.YES
    assert fit(f"!({text})", call()) is Fit.NO


def test_what_there_is_none_of_is_empty() -> None:
    asked = request(None, principal())
    assert (
        fit("op.name == 'unknown' && op.version == '' && op.tags == [] && op.risk == ['unknown']", asked)
        is Fit.YES
    )
    assert fit("identity.on_behalf_of == '' && identity.session == ''", asked) is Fit.YES
    assert fit("identity.actors == [] && identity.groups == []", asked) is Fit.YES
    assert fit("'a' in request.query || has(request.headers.a) || has(identity.claims.a)", asked) is Fit.NO


def test_documents_are_read() -> None:
    asked = call(body=Seen({"tags": ["env:prod"]}), target=Seen({"tags": []}))
    assert fit("body.tags.exists(t, t in lists.prod)", asked) is Fit.YES
    assert fit("target.tags.exists(t, t in lists.prod)", asked) is Fit.NO


@pytest.mark.parametrize("reads", Reads)
def test_a_document_that_can_not_be_read_is_told_apart(reads: Reads) -> None:
    with pytest.raises(UnreadableEvidence) as unreadable:
        fit(f"has({reads}.a) || true", call(**{reads.value: Unreadable("it is not JSON")}))
    assert (unreadable.value.reads, unreadable.value.why) == (reads, "it is not JSON")


@pytest.mark.parametrize("reads", Reads)
def test_a_document_that_nobody_looked_at_is_an_error(reads: Reads) -> None:
    with pytest.raises(RuleError, match="not looked at"):
        fit(f"has({reads}.a) || true", call())


def test_a_document_that_is_not_read_does_not_matter() -> None:
    asked = call(body=Unreadable("it is not JSON"), target=Unreadable("no answer"))
    assert fit("request.size == 7", asked) is Fit.YES
    assert fit("target.a == 1", call(body=Unreadable("it is not JSON"), target=Seen({"a": 1}))) is Fit.YES


@pytest.mark.parametrize(
    ("text", "body"),
    [
        ("body.a == 1", {}),
        ("body.a", {"a": "true"}),
        ("has(body.ids)", {"IDS": 1}),
        ("request.query.other == ['1']", {}),
        ("body.a == 1", {"a": "\0"}),
    ],
)
def test_an_expression_without_an_answer_is_an_error(text: str, body: Any) -> None:
    condition = when_condition(compile_expression(text), LISTS)
    with pytest.raises(RuleError, match="when: ") as error:
        condition(call(body=Seen(body)))
    assert not isinstance(error.value, UnreadableEvidence)
