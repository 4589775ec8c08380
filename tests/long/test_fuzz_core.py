"""What reads hostile input in the core, under random input: it raises what it documents and nothing else,
gives what it promises, and takes time in proportion to the input.

A hundred examples of each property always run, the same ones each time; twenty thousand new ones run with
`--long`. DDGATE_FUZZ_EXAMPLES gives another number. What failed is printed so that it can be repeated.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, given, settings

from tests.long import core_messages, core_parsing, core_redaction
from tests.long.core_property import Property

PROPERTIES: dict[str, Property] = (
    core_parsing.PROPERTIES | core_messages.PROPERTIES | core_redaction.PROPERTIES
)

_CHECKS = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
_SHORT = settings(
    max_examples=100, derandomize=True, deadline=None, database=None, suppress_health_check=_CHECKS
)
_LONG = settings(
    max_examples=int(os.environ.get("DDGATE_FUZZ_EXAMPLES", "20000")),
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=_CHECKS,
)


def run(name: str, profile: settings) -> None:
    tested = PROPERTIES[name]
    check = given(tested.inputs)(tested.check)
    for known in tested.known:
        tested.check(known)
    profile(check)()


@pytest.mark.parametrize("name", PROPERTIES)
def test_a_hundred(name: str) -> None:
    run(name, _SHORT)


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", PROPERTIES)
def test_many(name: str) -> None:
    run(name, _LONG)
