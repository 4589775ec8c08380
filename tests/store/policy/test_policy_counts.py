"""Counts of decisions: what was decided, told in a bounded file that anybody may have torn."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from addons.core.model import Effect, Reason
from addons.core.policy.request import Decision, ShadowHit
from addons.store.gateway_status import FOLDER, Counted, GatewayStatus, read_statuses, write_status
from addons.store.policy.counts import MAX_SERIES, OTHERS, PolicyCounts


def decision(rule: str | None = "a", **more: object) -> Decision:
    fields: dict[str, object] = {
        "effect": Effect.ALLOW,
        "reason": Reason.ALLOWED,
        "permitted": True,
        "rules": (),
        "message": "",
        "revision": "r",
    }
    return Decision(rule=rule, **(fields | more))  # type: ignore[arg-type] # fields by name


def test_decisions_are_counted_by_what_was_enforced() -> None:
    counts = PolicyCounts()
    denied = decision(None, effect=Effect.DENY, reason=Reason.NO_RULE, permitted=False)
    for each in (decision(), decision("b"), decision(), denied):
        counts.count(each)
    counts.count(decision(None, reason=Reason.OBSERVED, withheld=denied))
    assert counts.counted() == Counted(
        decisions=(
            ("allow", "allowed", "a", 2),
            ("allow", "allowed", "b", 1),
            ("allow", "observed", "", 1),
            ("deny", "no_rule", "", 1),
        ),
        withheld=(("deny", "no_rule", "", 1),),
    )


def test_hits_and_errors_of_shadow_rules_are_counted_apart() -> None:
    counts = PolicyCounts()
    hit, error = ShadowHit("s", Effect.DENY), ShadowHit("s", Effect.DENY, is_error=True)
    for hits in ((hit,), (hit, ShadowHit("t", Effect.ALLOW)), (error,), ()):
        counts.count(decision(shadow=hits))
    shadow = (("s", "deny", "error", 1), ("s", "deny", "match", 2), ("t", "allow", "match", 1))
    assert counts.counted().shadow == shadow


def test_the_number_of_series_is_bounded_and_no_call_goes_uncounted() -> None:
    counts = PolicyCounts()
    for number in range(MAX_SERIES + 50):
        counts.count(decision(f"r{number}", shadow=(ShadowHit(f"s{number}", Effect.DENY),)))
    counts.count(decision("r0"))
    counted = counts.counted()
    for rows in (counted.decisions, counted.shadow):
        assert len(rows) <= MAX_SERIES + 1
        assert sum(row[-1] for row in rows) >= MAX_SERIES + 50
    assert ("allow", "allowed", OTHERS, 50) in counted.decisions
    assert ("allow", "allowed", "r0", 2) in counted.decisions


def status(counted: Counted) -> GatewayStatus:
    return GatewayStatus(os.getpid(), 100.0, "http://127.0.0.1:1", "serving", 0, "r", {}, counted=counted)


def test_the_status_file_brings_the_counts_as_they_were(tmp_path: Path) -> None:
    told = status(Counted((("allow", "allowed", "a", 2),), (), (("s", "deny", "match", 1),)))
    write_status(tmp_path, told)
    assert read_statuses(tmp_path, 100.0) == (told,)


@pytest.mark.parametrize(
    "counted",
    [None, 7, [], {"decisions": 7}, {"decisions": [["a", "b", 1]]}, {"other": []}, {"shadow": [[]]}],
)
def test_a_status_file_that_is_none_is_left_out(tmp_path: Path, counted: object) -> None:
    write_status(tmp_path, status(Counted()))
    path = tmp_path / FOLDER / f"{os.getpid()}.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "counted": counted}))
    assert read_statuses(tmp_path, 100.0) == ()
