from __future__ import annotations

import base64
from dataclasses import replace
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.core.model import Principal
from addons.core.presented import (
    Conflict,
    Presented,
    TokenProblem,
    TokenSource,
    UnverifiedToken,
    find_presented,
    from_api_key,
    from_identity_header,
    from_proxy_authorization,
    reconcile,
)
from addons.core.token_parts import looks_like_jwt
from tests.core.token_minting import Signer

TOKEN = Signer().token()
OTHER = Signer().token(sub="agent-2")


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


def value_of(presented: Presented) -> str:
    assert isinstance(presented, UnverifiedToken)
    return presented.unverified_value


@pytest.mark.parametrize(
    "value",
    [
        f"Bearer {TOKEN}",
        f"bearer {TOKEN}",
        f"BEARER   {TOKEN} ",
        basic(f"agent:{TOKEN}"),
        basic(f"agent:{TOKEN}").replace("Basic", "bAsIc"),
        basic(f":{TOKEN}"),
        basic(f"{TOKEN}:"),
        basic(f"ägent:{TOKEN}"),
    ],
)
def test_a_proxy_login_yields_its_token(value: str) -> None:
    presented = from_proxy_authorization([value])
    assert value_of(presented) == TOKEN
    assert isinstance(presented, UnverifiedToken)
    assert presented.source is TokenSource.PROXY_AUTHORIZATION


@pytest.mark.parametrize(
    "values",
    [
        [""],
        [" "],
        ["Bearer"],
        ["Bearer "],
        [f"Bearer {TOKEN} {TOKEN}"],
        [f"Bearer {TOKEN},Bearer {TOKEN}"],
        [f'Bearer "{TOKEN}"'],
        [f"Bearer\t{TOKEN}"],
        [f"Bearer {TOKEN}é"],
        [f"Bearer {TOKEN}", f"Bearer {TOKEN}"],
        [f"Bearer {TOKEN}", ""],
        [TOKEN],
        [f"Digest {TOKEN}"],
        ["Negotiate abc"],
        ["Basic"],
        ["Basic !!!!"],
        ["Basic YQ"],
        [basic(TOKEN)],
        [basic("agent:")],
        [basic(":")],
        [basic("")],
        [basic(f"agent:{TOKEN}")[:-1]],
        [basic(f"agent:{TOKEN}") + "===="],
        [basic(f"agent:{TOKEN} x")],
        [basic("agent:ünicode")],
        ["Basic " + "A" * 40_000],
        [basic(f"agent:{TOKEN}"), f"Bearer {TOKEN}"],
    ],
)
def test_a_proxy_login_that_is_not_one_token_is_a_problem(values: list[str]) -> None:
    problem = from_proxy_authorization(values)
    assert isinstance(problem, TokenProblem)
    assert problem.message
    assert problem.remedy
    assert TOKEN[:20] not in problem.message + problem.remedy


@pytest.mark.parametrize("value", [TOKEN, f"Bearer {TOKEN}", f"bearer {TOKEN}", f" {TOKEN} "])
def test_the_identity_header_yields_its_token(value: str) -> None:
    assert value_of(from_identity_header([value])) == TOKEN


@pytest.mark.parametrize(
    "values",
    [[""], ["Bearer"], [f"{TOKEN} {TOKEN}"], [f"{TOKEN},{TOKEN}"], [TOKEN, TOKEN], [basic(f"a:{TOKEN}")]],
)
def test_an_identity_header_that_is_not_one_token_is_a_problem(values: list[str]) -> None:
    assert isinstance(from_identity_header(values), TokenProblem)


@pytest.mark.parametrize(
    "values",
    [[], [""], ["0123456789abcdef0123456789abcdef"], ["a", "b"], ["a.b.c"], ["ddapp_x.y.z"], ["dummy"]],
)
def test_a_datadog_key_is_no_identity_and_no_problem(values: list[str]) -> None:
    assert from_api_key(values) is None


def test_a_token_in_the_datadog_keys_field_is_found() -> None:
    assert value_of(from_api_key([TOKEN])) == TOKEN
    assert value_of(from_api_key([f" {TOKEN} "])) == TOKEN


@pytest.mark.parametrize(
    "values", [[TOKEN, TOKEN], [TOKEN, "key"], ["key", TOKEN], [f"key, {TOKEN}"], [TOKEN, ""]]
)
def test_a_token_beside_another_datadog_key_is_a_problem(values: list[str]) -> None:
    assert isinstance(from_api_key(values), TokenProblem)


def test_nothing_presented_is_none_everywhere() -> None:
    assert from_proxy_authorization([]) is None
    assert from_identity_header([]) is None
    assert find_presented() == ()


def test_everything_presented_is_found_and_one_problem_spoils_all() -> None:
    found = find_presented(
        proxy_authorization=[f"Bearer {TOKEN}"], identity_header=[OTHER], api_key=["0123456789abcdef"]
    )
    assert isinstance(found, tuple)
    assert [token.unverified_value for token in found] == [TOKEN, OTHER]
    assert isinstance(find_presented(identity_header=[TOKEN], api_key=[TOKEN, OTHER]), TokenProblem)


def test_a_token_is_not_in_its_own_repr() -> None:
    assert TOKEN[:20] not in repr(from_identity_header([TOKEN]))


@pytest.mark.parametrize(
    ("value", "shaped"),
    [
        (TOKEN, True),
        (TOKEN.rsplit(".", 1)[0] + ".", True),
        ("e30.e30.e30", False),
        ("e30.e30", False),
        ("W10.e30.e30", False),
        (TOKEN + ".x", False),
        (TOKEN + "=", False),
        (TOKEN + "\n", False),
        ("A" * 20_000 + ".e30.x", True),
        ("", False),
    ],
)
def test_the_shape_of_a_token(value: str, shaped: bool) -> None:
    assert looks_like_jwt(value) is shaped


@given(st.lists(st.text(), max_size=3))
def test_no_header_value_raises(values: list[str]) -> None:
    for parse in (from_proxy_authorization, from_identity_header, from_api_key):
        parse(values)
        parse([f"Basic {value}" for value in values])


AGENT = Principal("https://i", "agent", frozenset({"g"}), 100.0)


def test_the_requests_own_token_wins_over_the_tunnels_of_the_same_actor() -> None:
    own = replace(AGENT, on_behalf_of="ada", expires=50.0)
    assert reconcile(replace(AGENT, on_behalf_of="eve"), [own]) is own
    assert reconcile(None, [own]) is own


def test_without_an_own_token_the_tunnels_counts() -> None:
    assert reconcile(AGENT, []) is AGENT
    assert reconcile(None, []) is None


@pytest.mark.parametrize(("field", "value"), [("issuer", "https://j"), ("subject", "other")])
def test_another_actor_than_the_tunnels_is_refused(field: str, value: str) -> None:
    with pytest.raises(Conflict):
        reconcile(AGENT, [replace(AGENT, **{field: value})])  # type: ignore[arg-type]  # a table's columns


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("issuer", "https://j"),
        ("subject", "other"),
        ("on_behalf_of", "ada"),
        ("groups", frozenset({"g", "h"})),
        ("session", "s"),
        ("claims", MappingProxyType({"team": "x"})),
    ],
)
def test_two_tokens_of_one_request_that_differ_are_refused(field: str, value: object) -> None:
    other = replace(AGENT, **{field: value})  # type: ignore[arg-type]  # a table's columns
    for pair in ([AGENT, other], [other, AGENT], [AGENT, AGENT, other]):
        with pytest.raises(Conflict):
            reconcile(None, pair)


def test_two_tokens_of_the_same_principal_count_as_the_one_that_ends_first() -> None:
    early = replace(AGENT, expires=10.0, token_id="a", claims=MappingProxyType({"jti": "a", "exp": 10}))
    late = replace(AGENT, expires=20.0, token_id="b", claims=MappingProxyType({"jti": "b", "exp": 20}))
    assert reconcile(None, [late, early]) is early
    assert reconcile(AGENT, [early, late]) is early
