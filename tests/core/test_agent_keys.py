"""Abuse cases 7 and 9: an agent's own keys are found wherever a client may put them."""

from __future__ import annotations

import pytest

from addons.core.agent_keys import without_key_in_path, without_keys_in_query

KEY = "deadbeefdeadbeefdeadbeefdeadbee0"


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        (f"/v1/input/{KEY}", "/v1/input"),
        (f"/v1/input/{KEY}/", "/v1/input"),
        (f"/V1/INPUT/{KEY}", "/V1/INPUT"),
        ("/v1/input", "/v1/input"),
        ("/api/v1/monitor/1", "/api/v1/monitor/1"),
    ],
)
def test_a_key_in_the_intake_path_is_taken_out(path: str, kept: str) -> None:
    assert without_key_in_path(path) == kept


@pytest.mark.parametrize(
    ("query", "kept"),
    [
        (f"api_key={KEY}&a=1", "a=1"),
        (f"a=1&APPLICATION_KEY={KEY}", "a=1"),
        (f"dd-api-key={KEY}", ""),
        (f"api%5Fkey={KEY}&b=2", "b=2"),
        ("apikeys=1&key=2", "apikeys=1&key=2"),
    ],
)
def test_keys_in_the_query_are_taken_out(query: str, kept: str) -> None:
    assert without_keys_in_query(query) == kept
