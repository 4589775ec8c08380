from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.core.policy.conditions.schedule import (
    DAYS,
    BadSchedule,
    Window,
    compile_schedule,
    load_zone,
    parse_days,
    parse_hours,
    parse_instant,
    schedule_condition,
)
from addons.core.policy.rules import Fit, RuleError
from tests.core.policy.policy_making import request

PARIS = "Europe/Paris"


def is_open(at: str, *, zone: str = PARIS, days: str | None = None, hours: str | None = None) -> bool:
    return compile_schedule(zone, days, hours, None, None).open_at(parse_instant(at, load_zone(zone)))


@pytest.mark.parametrize(
    ("written", "days"),
    [
        ("mon-fri", {0, 1, 2, 3, 4}),
        ("fri-mon", {4, 5, 6, 0}),
        ("sun-mon", {6, 0}),
        ("mon-sun", {0, 1, 2, 3, 4, 5, 6}),
        ("tue-mon", {0, 1, 2, 3, 4, 5, 6}),
        ("wed", {2}),
        ("mon, wed", {0, 2}),
        ("mon-tue , Sat", {0, 1, 5}),
        ("Monday - friday", {0, 1, 2, 3, 4}),
        (("mon", "sat-sun"), {0, 5, 6}),
        (["mon, tue", "mon"], {0, 1}),
    ],
)
def test_days(written: str | list[str], days: set[int]) -> None:
    assert parse_days(written) == days


@pytest.mark.parametrize(
    ("written", "field", "remedy"),
    [
        ("", (), "mon-fri"),
        ([], (), "add an item"),
        ("mon,", (), "mon-fri"),
        ("mno-fri", (), "'mon'"),
        ("mon-firday", (), "'friday'"),
        ("mon-wed-fri", (), "mon-fri"),
        ("mon\u2013fri", (), "mon-fri"),
        ("mon to fri", (), "mon-fri"),
        ("weekdays", (), "mon-fri"),
        ("1-5", (), "mon-fri"),
        ("mon-mon", (), "write mon"),
        (["mon", "thur"], (1,), "'thu'"),
    ],
)
def test_days_that_cant_be_read_say_what_to_write(
    written: str | list[str], field: tuple[int, ...], remedy: str
) -> None:
    with pytest.raises(BadSchedule) as caught:
        parse_days(written)
    assert caught.value.field == field
    assert remedy in caught.value.remedy


@pytest.mark.parametrize(
    ("written", "windows"),
    [
        ("08:00-18:00", [(480, 1080)]),
        ("8:00 - 18:30", [(480, 1110)]),
        ("22:00-06:00", [(1320, 360)]),
        ("18:00-24:00", [(1080, 1440)]),
        ("18:00-00:00", [(1080, 0)]),
        ("00:00-24:00", [(0, 1440)]),
        ("08:00-12:00, 13:00-18:00", [(480, 720), (780, 1080)]),
        (["08:00-12:00", "13:00-18:00"], [(480, 720), (780, 1080)]),
    ],
)
def test_hours(written: str | list[str], windows: list[tuple[int, int]]) -> None:
    assert parse_hours(written) == tuple(Window(*window) for window in windows)


@pytest.mark.parametrize(
    ("written", "field", "remedy"),
    [
        ("", (), "in quotes"),
        ("08:00", (), "in quotes"),
        ("8-18", (), "in quotes"),
        ("08:00\u201318:00", (), "in quotes"),
        ("08:60-18:00", (), "00:00"),
        ("25:00-26:00", (), "00:00"),
        ("08:00-24:01", (), "00:00"),
        ("24:00-08:00", (), "00:00"),
        ("08:00-08:00", (), "00:00-24:00"),
        ("00:00-00:00", (), "00:00-24:00"),
        (["08:00-12:00", "x"], (1,), "in quotes"),
    ],
)
def test_hours_that_cant_be_read_say_what_to_write(
    written: str | list[str], field: tuple[int, ...], remedy: str
) -> None:
    with pytest.raises(BadSchedule) as caught:
        parse_hours(written)
    assert caught.value.field == field
    assert remedy in caught.value.remedy


# 2026-03-02 is a Monday
@pytest.mark.parametrize(
    ("at", "days", "hours", "expected"),
    [
        ("2026-03-02T08:00", "mon-fri", "08:00-18:00", True),
        ("2026-03-02T07:59:59", "mon-fri", "08:00-18:00", False),
        ("2026-03-02T17:59:59.999999", "mon-fri", "08:00-18:00", True),
        ("2026-03-02T18:00", "mon-fri", "08:00-18:00", False),
        ("2026-03-01T12:00", "mon-fri", "08:00-18:00", False),
        ("2026-03-02T23:59", "mon", "22:00-06:00", True),
        ("2026-03-03T05:59", "mon", "22:00-06:00", True),
        ("2026-03-03T06:00", "mon", "22:00-06:00", False),
        ("2026-03-03T22:00", "mon", "22:00-06:00", False),
        ("2026-03-02T05:00", "mon", "22:00-06:00", False),
        ("2026-03-02T05:00", "sun", "22:00-06:00", True),
        ("2026-03-02T23:59:59", "mon", "18:00-24:00", True),
        ("2026-03-03T00:00", "mon", "18:00-24:00", False),
        ("2026-03-03T00:00", "mon", "18:00-00:00", False),
        ("2026-03-02T12:30", "mon", "08:00-12:00, 13:00-18:00", False),
        ("2026-03-02T13:00", "mon", "08:00-12:00, 13:00-18:00", True),
        ("2026-03-02T00:00", "mon", None, True),
        ("2026-03-03T00:00", "mon", None, False),
        ("2026-03-07T10:00", None, "08:00-18:00", True),
    ],
)
def test_when_it_is_open(at: str, days: str | None, hours: str | None, expected: bool) -> None:
    assert is_open(at, days=days, hours=hours) is expected


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ("2026-03-02T07:00:00Z", True),  # winter: one hour ahead of UTC
        ("2026-03-02T06:59:59Z", False),
        ("2026-06-01T06:00:00Z", True),  # summer: two
        ("2026-06-01T05:59:59Z", False),
        ("2026-06-01T16:00:00Z", False),
        ("2026-03-02T10:00:00+01:00", True),
    ],
)
def test_it_goes_by_the_clock_on_the_wall(at: str, expected: bool) -> None:
    assert is_open(at, days="mon-fri", hours="08:00-18:00") is expected


@pytest.mark.parametrize(
    ("at", "hours", "expected"),
    [
        # 2026-03-29: 02:00 becomes 03:00 at 01:00 UTC
        ("2026-03-29T00:59:59Z", "01:30-02:30", True),
        ("2026-03-29T01:00:00Z", "01:30-02:30", False),
        ("2026-03-29T01:00:00Z", "03:00-04:00", True),
        # 2026-10-25: 03:00 becomes 02:00 at 01:00 UTC
        ("2026-10-25T00:30:00Z", "02:15-02:45", True),
        ("2026-10-25T01:00:00Z", "02:15-02:45", False),
        ("2026-10-25T01:30:00Z", "02:15-02:45", True),
    ],
)
def test_where_clocks_change(at: str, hours: str, expected: bool) -> None:
    assert is_open(at, hours=hours) is expected


@given(
    st.integers(1_577_836_800, 1_893_456_000),  # from 2020 to 2030
    st.sampled_from([PARIS, "UTC", "America/St_Johns", "Asia/Kathmandu", "Pacific/Kiritimati"]),
    st.frozensets(st.sampled_from(DAYS), min_size=1),
    st.integers(0, 23),
    st.integers(1, 23),
)
def test_it_is_open_for_the_hours_that_follow_a_beginning_on_one_of_its_days(
    at: int, zone: str, days: frozenset[str], begin: int, length: int
) -> None:
    end = (begin + length) % 24
    schedule = compile_schedule(zone, sorted(days), f"{begin:02}:00-{end:02}:00", None, None)
    wall = datetime.datetime.fromtimestamp(at, load_zone(zone))
    begun_on = wall - datetime.timedelta(days=wall.hour < begin)
    shown = (wall.hour - begin) % 24 < length
    assert schedule.open_at(at) is (shown and DAYS[begun_on.weekday()] in days)


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ("2026-02-28T23:59:59.999999", False),
        ("2026-03-01T00:00:00", True),
        ("2026-03-31T17:59:59.999999+02:00", True),
        ("2026-03-31T18:00:00+02:00", False),
    ],
)
def test_from_is_its_first_moment_and_until_the_first_that_is_too_late(at: str, expected: bool) -> None:
    zone = load_zone(PARIS)
    schedule = compile_schedule(PARIS, None, None, "2026-03-01", "2026-03-31T18:00")
    assert schedule.open_at(parse_instant(at, zone)) is expected


@pytest.mark.parametrize(
    ("text", "zone", "seconds"),
    [
        ("1970-01-01", "UTC", 0),
        ("1970-01-02T00:00", "UTC", 86400),
        ("1970-01-01T01:00:00.5+01:00", "UTC", 0.5),
        ("1970-01-01t00:00:01z", PARIS, 1),
        ("1970-01-01 01:00", PARIS, 0),
        ("1970-01-01", PARIS, -3600),
    ],
)
def test_instants(text: str, zone: str, seconds: float) -> None:
    assert parse_instant(text, load_zone(zone)) == seconds


@pytest.mark.parametrize(
    "text",
    [
        *("", "today", "2026", "2026-1-1", "20260101", "2026-W01-1", "2026-02-30", "2026-01-01T25:00"),
        *("2026-01-01T12", "2026-01-01T12:00:00+0100", "2026-01-01T12:00:60", "0000-01-01", "2026-01-01Z"),
        *("2026-01-01\n", "\u0662026-01-01", "2026-01-01T12:00+25:00"),
    ],
)
def test_what_is_no_instant_is_refused(text: str) -> None:
    with pytest.raises(BadSchedule, match="date"):
        parse_instant(text)


@pytest.mark.parametrize(
    "text", ["0001-01-01", "0001-01-01T00:00+14:00", "9999-12-31", "9999-12-31T23:59-14:00"]
)
def test_the_ends_of_the_calendar_are_read_or_refused(text: str) -> None:
    for zone in (PARIS, "Pacific/Kiritimati"):
        schedule = compile_schedule(zone, None, None, text, None)
        assert schedule.begins is not None


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("Europe/Pariss", "'Europe/Paris'"),
        ("europe/paris", "'Europe/Paris'"),
        ("Paris", ""),
        ("Europe", ""),
        ("", "Europe/Paris"),
        ("../../etc/passwd", ""),
        ("/etc/localtime", ""),
        ("localtime", ""),
        ("right/Europe/Paris", "Europe/Paris"),
        ("UTC\0", ""),
    ],
)
def test_an_unknown_zone_is_refused_with_the_nearest(name: str, remedy: str) -> None:
    with pytest.raises(BadSchedule) as caught:
        compile_schedule(name, None, None, None, None)
    assert caught.value.field == ("zone",)
    assert remedy in caught.value.remedy
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("days", "hours", "begins", "ends", "field"),
    [
        (["mon", "x"], None, None, None, ("days", 1)),
        ("x", None, None, None, ("days",)),
        (None, ["08:00-08:00"], None, None, ("hours", 0)),
        (None, None, "x", None, ("from",)),
        (None, None, None, "x", ("until",)),
        (None, None, "2026-01-02", "2026-01-02", ("until",)),
        (None, None, "2026-01-02", "2026-01-01", ("until",)),
    ],
)
def test_what_is_wrong_is_said_of_its_field(
    days: str | list[str] | None,
    hours: str | list[str] | None,
    begins: str | None,
    ends: str | None,
    field: tuple[str | int, ...],
) -> None:
    with pytest.raises(BadSchedule) as caught:
        compile_schedule("UTC", days, hours, begins, ends)
    assert caught.value.field == field


def test_a_rule_fits_while_its_schedule_is_open() -> None:
    condition = schedule_condition(compile_schedule("UTC", "thu", None, None, None))
    assert condition(request(at=0.0)) is Fit.YES
    assert condition(request(at=86400.0)) is Fit.NO


@pytest.mark.parametrize("at", [float("nan"), float("inf"), float("-inf"), 1e18, -1e18])
@pytest.mark.parametrize("begins", [None, "2026-01-01"])
def test_a_time_that_no_calendar_has_never_opens(at: float, begins: str | None) -> None:
    condition = schedule_condition(compile_schedule("UTC", "mon", None, begins, None))
    try:
        assert condition(request(at=at)) is Fit.NO
    except RuleError:
        return
    assert at < 0, "only what lies before `from` can be told without a calendar"
