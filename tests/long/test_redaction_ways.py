"""Some thousand bodies more than tests/core/redact/screening/test_quick_way.py has time for."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings

from tests.core.redact.screening.two_ways import Ways, bodies_with_secrets, both_ways


@pytest.fixture(scope="module")
def ways() -> Ways:
    return both_ways()


@pytest.mark.long
@pytest.mark.timeout(7200)
@given(bodies_with_secrets)
@settings(deadline=None, max_examples=5000, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_quick_way_masks_what_the_thorough_one_does(ways: Ways, body: bytes) -> None:
    ways.agree_on(body)
