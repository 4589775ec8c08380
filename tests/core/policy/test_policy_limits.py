from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.core.policy.conditions.limits import (
    BadLimit,
    UnusableKey,
    compile_limit,
    parse_allowance,
    parse_key,
)
from addons.core.policy.request import Allowance, LimitUse, PolicyRequest
from tests.core.policy.policy_making import principal, request


def key_of(asked: PolicyRequest, *parts: str) -> str:
    return compile_limit("l", parts, "1/1m", None).use(asked).key


@pytest.mark.parametrize(
    ("text", "count", "seconds"),
    [
        ("30/1m", 30, 60.0),
        ("500/1d", 500, 86400.0),
        (" 1 / 1s ", 1, 1.0),
        ("1000000000/366d", 10**9, 366 * 86400.0),
        ("5/1500ms", 5, 1.5),
    ],
)
def test_allowances(text: str, count: int, seconds: float) -> None:
    assert parse_allowance(text) == Allowance(count, seconds)


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("", "30/1m"),
        ("30", "30/1m"),
        ("1m", "30/1m"),
        ("30 per 1m", "30/1m"),
        ("-1/1m", "30/1m"),
        ("1.5/1m", "30/1m"),
        ("1/2/1m", "1m"),
        ("\u0663/1m", "30/1m"),
        ("30/m", "write 30/1m"),
        ("30/minute", "1m"),
        ("30/1mo", "1m"),
        ("0/1m", "deny rule"),
        ("1000000001/1m", "at most"),
        ("30/999ms", "30/1m"),
        ("30/0s", "30/1m"),
        ("30/367d", "30/1m"),
    ],
)
def test_what_is_no_allowance_is_refused_with_what_to_write(text: str, remedy: str) -> None:
    with pytest.raises(BadLimit) as caught:
        parse_allowance(text)
    assert remedy in caught.value.remedy


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("identity.subject", ["https://issuer", "alice"]),
        ("identity.issuer", "https://issuer"),
        ("identity.on_behalf_of", "bob"),
        ("identity.session", "s1"),
        ("identity.claims.team", "sre"),
        ("identity.claims.https://x.example/a.b", 7),
        ("op.name", "GetMonitor"),
        ("op.risk", "read"),
        ("host", "api.datadoghq.com"),
    ],
)
def test_what_a_key_reads_off_a_call(text: str, value: Any) -> None:
    claims = {"team": "sre", "https://x.example/a.b": 7}
    who = principal(on_behalf_of="bob", session="s1", claims=claims)
    assert json.loads(key_of(request(who=who), text)) == [value]


def test_calls_that_lack_a_value_share_a_count() -> None:
    texts = ("identity.on_behalf_of", "identity.session", "identity.claims.team")
    assert json.loads(key_of(request(), *texts)) == [None, None, None]
    assert json.loads(key_of(request(None), "op.name", "op.risk")) == ["unknown", "unknown"]


def test_an_operations_versions_share_a_count() -> None:
    assert key_of(request("v1.CreateDowntime"), "op.name") == key_of(request("v2.CreateDowntime"), "op.name")


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("identity.subjct", "'identity.subject'"),
        ("subject", "'identity.subject'"),
        ("op.nam", "'op.name'"),
        ("hosts", "'host'"),
        ("identity.claims.", "'identity.claims.NAME'"),
        ("identity.claims", "'identity.claims.NAME'"),
        ("identity.groups", "identity.claims.NAME"),
        ("lists.prod", "identity.subject"),
        ("", "identity.subject"),
        ("op", "host"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest(text: str, remedy: str) -> None:
    with pytest.raises(BadLimit) as caught:
        parse_key(text)
    assert remedy in caught.value.remedy


@pytest.mark.parametrize(
    ("key", "rate", "quota", "field"),
    [
        (["host", "hots"], "1/1m", None, ("key", 1)),
        (["host", "host"], "1/1m", None, ("key", 1)),
        (["host"], "x", None, ("rate",)),
        (["host"], "1/1m", "x", ("quota",)),
    ],
)
def test_what_is_wrong_is_said_of_its_field(
    key: list[str], rate: str | None, quota: str | None, field: tuple[str | int, ...]
) -> None:
    with pytest.raises(BadLimit) as caught:
        compile_limit("l", key, rate, quota)
    assert caught.value.field == field


def test_a_use_says_what_is_counted() -> None:
    limit = compile_limit("writes", [], "30/1m", "500/1d")
    assert limit.use(request()) == LimitUse("writes", "[]", Allowance(30, 60.0), Allowance(500, 86400.0))


@pytest.mark.parametrize("claim", [["a"], {"a": 1}, float("nan"), float("inf")])
def test_a_claim_that_is_no_single_value_makes_the_key_unusable_and_is_not_told(claim: Any) -> None:
    with pytest.raises(UnusableKey) as caught:
        key_of(request(who=principal(claims={"team": claim})), "identity.claims.team")
    assert repr(claim) not in str(caught.value)


CLAIMS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=4),
)
PAIRS = st.tuples(CLAIMS, CLAIMS)


@given(PAIRS, PAIRS)
def test_no_two_combinations_of_values_share_a_key(one: tuple[Any, Any], other: tuple[Any, Any]) -> None:
    def key(values: tuple[Any, Any]) -> str:
        who = principal(claims={"a": values[0], "b": values[1]})
        return key_of(request(who=who), "identity.claims.a", "identity.claims.b")

    assert (key(one) == key(other)) is (list(map(repr, one)) == list(map(repr, other)))


@given(st.text(st.sampled_from('a",[]\\ \ud800')), st.text(st.sampled_from('a",[]\\ \ud800')))
def test_a_key_is_ascii_and_holds_any_subject(issuer: str, subject: str) -> None:
    key = key_of(request(who=principal(issuer=issuer, subject=subject)), "identity.subject")
    assert key.isascii()
    assert json.loads(key) == [[issuer, subject]]
