"""A call is held as long as its client is known to wait for it."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.core.approvals.patience import LIMITS, wait_for

DEFAULT, LONGEST = 4.0, 290.0


def wait(user_agent: str | None = None, *prefer: str) -> float:
    return wait_for(user_agent, prefer, DEFAULT, LONGEST)


# As the clients sent them to the stand-in in November 2026, and a fifth less than the shortest limit.
AGENTS = {
    "datadog-api-client-python/2.62.0 (python 3.12.1; os Linux; arch x86_64)": 24,
    "datadogpy/0.56.0 (python 3.12.1; os linux; arch x86_64)": 8,
    "datadog-api-client-typescript/1.64.0 (node 20.20.2; os linux; arch x64)": LONGEST,
    "datadog-ci/5.25.0 (node 20.20.2; os linux; arch x64) datadog-ci-plugin-junit/5.25.0": 12,
    "curl/7.88.1": LONGEST,
    "python-requests/2.34.2": LONGEST,
    "Python-urllib/3.12": LONGEST,
    "python-httpx/0.28.1": 4,
    "Python/3.12 aiohttp/3.14.5": 240,
    # By their sources.
    "terraform-provider-datadog/3.50.0 (terraform 2.35.0; terraform-cli 1.9.0) datadog-api-client-go/2.31.0"
    " (go go1.23; os linux; arch amd64)": 48,
    "datadog-agent/7.71.0": 16,
    "otelcol-contrib/0.139.0 (linux/amd64)": 12,
}


@pytest.mark.parametrize("user_agent", AGENTS)
def test_known_clients_by_what_they_send(user_agent: str) -> None:
    assert wait(user_agent) == AGENTS[user_agent]


@pytest.mark.parametrize(
    "user_agent",
    [
        *(None, "", "node", "Mozilla/5.0 (X11; Linux) Gecko/1.0", "my-curl/1", "curling/1", "(curl/8)"),
        *("Apache-HttpClient/4.5 (curl/8.0 like)", "/", "((((", "\x00", "Python/3.12"),
    ],
)
def test_nobody_is_known_by_anything_else(user_agent: str | None) -> None:
    assert wait(user_agent) == DEFAULT


def test_names_have_no_case_and_need_no_version() -> None:
    assert wait("DATADOGPY") == wait("datadogpy/1") == 8


def test_of_several_names_the_shortest_limit_counts() -> None:
    assert wait("curl/8 datadogpy/0.5") == wait("datadogpy/0.5 curl/8") == 8


PREFERRED = {
    ("wait=20",): 20,
    ("wait=0",): 0,
    ("Wait=20",): 20,
    ("respond-async, wait=20",): 20,
    ("respond-async,wait = 20",): 20,
    ('wait="20"',): 20,
    ("wait=20; why=because",): 20,
    ("wait=20;",): 20,
    ('return=minimal; a="b, wait=3"; c, wait=20',): 20,
    ('a="b, wait=3", wait=20',): 20,
    ('a="b\\", wait=3", wait=20',): 20,
    ("respond-async", "wait=20"): 20,
    ("wait=20, wait=30",): 20,
    ("wait=20", "wait=30"): 20,
    ("wait=soon, wait=20",): 20,
    ("wait=1 2, wait=20",): 20,
    (",,, wait=20,",): 20,
    ("wait=00020",): 20,
    ("wait=291",): LONGEST,
    ("wait=" + "9" * 4000,): LONGEST,
}


@pytest.mark.parametrize("prefer", PREFERRED)
def test_a_client_may_say_itself_how_long_it_waits(prefer: tuple[str, ...]) -> None:
    assert wait("datadogpy/0.5", *prefer) == PREFERRED[prefer]


@pytest.mark.parametrize(
    "prefer",
    [
        *(
            "",
            "wait",
            "wait=",
            "wait=-1",
            "wait=1.5",
            "wait=1e3",
            "wait=٣",
            "wait=\u00b2",
            "wait=+5",
            "wait=5s",
        ),
        *(
            'wait="5',
            "wait='5'",
            "x=wait=5",
            "awaited=5",
            "wait:5",
            "wait=5 6",
            "handling; wait=5",
            'wait="a, 5"',
            'wait="\u0663"',
        ),
        "wait=" + "9" * 5000,
    ],
)
def test_what_is_no_such_preference_is_ignored(prefer: str) -> None:
    assert wait("datadogpy/0.5", prefer) == 8


@given(
    st.none() | st.text() | st.sampled_from(sorted(LIMITS)),
    st.lists(st.text(st.sampled_from('wait=;,"\\ 019ax\t')) | st.text()),
    st.floats(0, 1000),
    st.floats(0, 1000),
)
def test_never_longer_than_allowed_whatever_is_sent(
    user_agent: str | None, prefer: list[str], default: float, longest: float
) -> None:
    assert 0 <= wait_for(user_agent, prefer, default, longest) <= longest


@given(st.integers(0, 10**12), st.sampled_from([" ", "", "\t"]), st.booleans())
def test_any_number_of_seconds_is_read(seconds: int, blank: str, quoted: bool) -> None:
    value = f'"{seconds}"' if quoted else str(seconds)
    assert wait_for(None, [f"x, wait{blank}={blank}{value}{blank}; y=z"], DEFAULT, math.inf) == seconds
