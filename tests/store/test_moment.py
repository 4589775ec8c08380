from __future__ import annotations

import math
from dataclasses import replace

import pytest

from addons.store.moment import SLACK, Deadline, Moment, now
from tests.store.approval_samples import START, later

LIMIT = Deadline.after(START, 60.0)


@pytest.mark.parametrize(
    ("at", "over"),
    [
        (START, False),
        (later(59.9), False),
        (later(60), True),
        # Each clock ends it alone.
        (replace(START, wall=START.wall + 60), True),
        (replace(START, boot=START.boot + 60), True),
        # Put back: a little is a correction, more is not believed; the other clock goes on meanwhile.
        (replace(START, wall=START.wall - SLACK), False),
        (replace(START, wall=START.wall - SLACK - 1), True),
        (replace(later(61), wall=START.wall - 10), True),
        # Started anew, the machine's own clock says nothing about what was before.
        (Moment(START.wall + 59, START.boot + 1e6, "boot-2"), False),
        (Moment(START.wall + 60, 1.0, "boot-2"), True),
        (Moment(math.nan, START.boot, START.boot_id), True),
        (Moment(START.wall, math.nan, START.boot_id), True),
    ],
)
def test_a_time_limit_is_over_when_either_clock_says_so(at: Moment, over: bool) -> None:
    assert LIMIT.is_over(at) is over


def test_without_a_boot_id_the_wall_clock_counts_alone() -> None:
    start = Moment(1000.0, 5.0, "")
    assert not Deadline.after(start, 60.0).is_over(Moment(1059.0, 1e9, ""))
    assert Deadline.after(start, 60.0).is_over(Moment(1060.0, 5.0, ""))


def test_now_is_of_this_boot_and_goes_on() -> None:
    first, second = now(), now()
    assert second.boot_id == first.boot_id
    assert second.boot >= first.boot
