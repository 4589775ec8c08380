from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings

from tests.core.redact.screening.two_ways import Ways, bodies_with_secrets, both_ways


@pytest.fixture(scope="module")
def ways() -> Ways:
    return both_ways()


@given(bodies_with_secrets)
@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_quick_way_masks_what_the_thorough_one_does(ways: Ways, body: bytes) -> None:
    ways.agree_on(body)
