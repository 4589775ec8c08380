from __future__ import annotations

import pytest

from addons.core.policy.conditions.schedule import parse_instant
from addons.core.policy.expiry import date_warnings
from tests.core.policy.policy_making import policy

OBSERVING = "version: 1\nprofile: observe\nobserve_until: 2026-12-31\nrules: [{id: a, effect: allow}]\n"
ENDING = """version: 1
rules:
  - {id: a, effect: allow, time: {zone: Europe/Paris, until: "2026-12-31T18:00"}}
  - {id: b, effect: allow, time: {days: mon-fri}}
"""


def warnings(text: str, at: str) -> list[str]:
    return [str(problem) for problem in date_warnings(policy(text), parse_instant(at))]


def test_a_policy_that_observes_says_until_when() -> None:
    (before,) = warnings(OBSERVING, "2026-06-01")
    assert before == (
        "0.yaml:3:16: nothing is enforced until 2026-12-31: every call of a known agent passes "
        "(to enforce now, remove profile and observe_until)"
    )
    assert warnings(OBSERVING, "2026-12-31") == [
        "0.yaml:3:16: observing ended: 2026-12-31 is past (remove profile and observe_until)"
    ]


@pytest.mark.parametrize(("at", "ended"), [("2026-12-31T16:59:59Z", False), ("2026-12-31T17:00:00Z", True)])
def test_a_rule_that_has_ended_is_named_by_the_clock_of_its_zone(at: str, ended: bool) -> None:
    found = warnings(ENDING, at)
    assert bool(found) is ended
    for warning in found:
        assert warning == (
            "0.yaml:3:62: the rule 'a' has ended and matches nothing: 2026-12-31T18:00 is past "
            "(remove the rule, or let it end later)"
        )


def test_a_policy_without_dates_gives_no_warning() -> None:
    assert warnings("version: 1\nrules: [{id: a, effect: allow}]\n", "2030-01-01") == []
