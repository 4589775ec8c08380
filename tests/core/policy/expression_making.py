"""A call as expressions see it, and short ways to evaluate them on it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pytest

from addons.core.policy.cel.expressions import ExpressionError, compile_expression

CALL: Mapping[str, Any] = {
    "request": {
        "method": "DELETE",
        "host": "api.datadoghq.com",
        "path": "/api/v1/monitor/1",
        "query": {"force": ["true"], "ids": ["1", "2"]},
        "headers": {"x-team": ["sre"]},
        "size": 12,
    },
    "op": {"name": "DeleteMonitor", "version": "v1", "tags": ("monitors",), "risk": ["destructive"]},
    "identity": {
        "subject": "alice",
        "issuer": "https://issuer",
        "groups": frozenset({"agents", "sre"}),
        "on_behalf_of": "",
        "actors": ({"issuer": "https://issuer", "subject": "bot"},),
        "session": "s1",
        "claims": MappingProxyType({"team": "sre", "levels": (1, 2)}),
    },
    "lists": {"prod": ("env:prod", "env:production"), "protected": ["ids"], "patterns": ["^env:.*d$"]},
    "now": 1_780_000_000.5,  # Thursday 2026-05-28, 20:26:40.5 UTC
}


def evaluate(text: str, body: object = None, **more: object) -> bool:
    return compile_expression(text).evaluate({**CALL, "body": body, **more})


def why(text: str, body: object = None, **more: object) -> str:
    with pytest.raises(ExpressionError) as error:
        evaluate(text, body, **more)
    assert str(error.value) == error.value.why
    return error.value.why
