"""When a rule holds: days and hours by the clock on the wall of a time zone, between two moments.

Zones come from the IANA database, which `zoneinfo` reads from files when a zone is first named; that is done
while a policy is compiled, never while a call is decided.
"""

from __future__ import annotations

import datetime
import math
import re
import zoneinfo
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from addons.core.policy.request import PolicyRequest
from addons.core.policy.rules import Fit, RuleError
from addons.core.yaml_source import did_you_mean, nearest

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
EVERY_DAY = frozenset(range(7))
MINUTES_A_DAY = 24 * 60

_LONG_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_NUMBER_OF = {name: number for names in (DAYS, _LONG_DAYS) for number, name in enumerate(names)}
_HOURS = re.compile(r"([0-9]{1,2}):([0-9]{2})\s*-\s*([0-9]{1,2}):([0-9]{2})", re.ASCII)
_INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"([Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?([Zz]|[+-][0-9]{2}:[0-9]{2})?)?",
    re.ASCII,
)
_NO_ZONE = re.compile(r"(localtime|posixrules|Factory)\Z|(right|posix)/")
"""Files beside the zones' own: another machine's zone, none, or one that counts leap seconds."""
_UTC = datetime.UTC

type Field = tuple[str | int, ...]


class BadSchedule(ValueError):  # noqa: N818 - named after what is wrong, as the other refusals are
    """A time can't be read: what is wrong, what to do, and in which `field` of the schedule."""

    def __init__(self, message: str, remedy: str, field: Field = ()) -> None:
        super().__init__(message)
        self.message, self.remedy, self.field = message, remedy, field


@dataclass(frozen=True, slots=True)
class Window:
    """Minutes of a day, `end` not included. With `end` before `begin` it reaches into the next day."""

    begin: int
    end: int


ALL_DAY = Window(0, MINUTES_A_DAY)


@dataclass(frozen=True, slots=True)
class Schedule:
    """`days` count from Monday, 0. `begins` is the first moment and `ends` the first one past it, in seconds
    since the epoch; None is no bound.

    A window that reaches past midnight belongs to the day on which it begins. Where clocks are put back, an
    hour that comes twice counts twice; where they are put forward, an hour that is left out never comes.
    """

    zone: datetime.tzinfo
    days: frozenset[int] = EVERY_DAY
    windows: tuple[Window, ...] = (ALL_DAY,)
    begins: float | None = None
    ends: float | None = None

    def open_at(self, at: float) -> bool:
        """Tell whether it is open at `at`, in seconds since the epoch.

        Raises:
            ValueError, OverflowError, OSError: `at` is a time that no calendar has.

        """
        if (self.begins is not None and at < self.begins) or (self.ends is not None and at >= self.ends):
            return False
        wall = datetime.datetime.fromtimestamp(math.floor(at), self.zone)
        minute, today = wall.hour * 60 + wall.minute, wall.weekday()
        is_day, was_day = today in self.days, (today - 1) % 7 in self.days
        for window in self.windows:
            if window.begin < window.end:
                if is_day and window.begin <= minute < window.end:
                    return True
            elif (is_day and minute >= window.begin) or (was_day and minute < window.end):
                return True
        return False


def compile_schedule(
    zone: str,
    days: str | Sequence[str] | None,
    hours: str | Sequence[str] | None,
    begins: str | None,
    ends: str | None,
) -> Schedule:
    """Make a schedule of what the policy says under `zone`, `days`, `hours`, `from` and `until`.

    Raises:
        BadSchedule: the first thing that is wrong, with its `field`.

    """
    found = load_zone(zone)
    first = _in_field("from", lambda: None if begins is None else parse_instant(begins, found))
    last = _in_field("until", lambda: None if ends is None else parse_instant(ends, found))
    if first is not None and last is not None and first >= last:
        raise BadSchedule("never comes: until is not after from", "let until be later", ("until",))
    return Schedule(
        found,
        EVERY_DAY if days is None else _in_field("days", lambda: parse_days(days)),
        (ALL_DAY,) if hours is None else _in_field("hours", lambda: parse_hours(hours)),
        first,
        last,
    )


def _in_field[T](name: str, parse: Callable[[], T]) -> T:
    try:
        return parse()
    except BadSchedule as bad:
        raise BadSchedule(bad.message, bad.remedy, (name, *bad.field)) from None


def load_zone(name: str) -> ZoneInfo:
    """Find a zone of the IANA database by its name, `Europe/Paris`. Reads files.

    Raises:
        BadSchedule: there is none of that name, with the nearest one.

    """
    if name and not _NO_ZONE.match(name):
        try:
            return ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            pass  # it has no file, or none that may be opened, or that is a folder
    known = [each for each in zoneinfo.available_timezones() if not _NO_ZONE.match(each)]
    remedy = did_you_mean(name, known) or "a name such as Europe/Paris, America/New_York, or UTC"
    raise BadSchedule(f"no time zone is called {name!r}", remedy, ("zone",))


def parse_days(written: str | Sequence[str]) -> frozenset[int]:
    """Read `mon-fri`, `fri-mon` (over the week's end), `mon, wed`, or a list of these; Monday is 0.

    Raises:
        BadSchedule: with the index of the item as its field, where a list was given.

    """
    days: set[int] = set()
    for field, part in _parts(written):
        ends = [_NUMBER_OF.get(each.strip().lower()) for each in part.split("-")]
        first, last = ends[0], ends[-1]
        if first is None or last is None or len(ends) > 2:  # noqa: PLR2004 - a day, or a range of two
            raise BadSchedule(f"{part!r} is no day of the week", _day_meant(part), field)
        if len(ends) > 1 and first == last:
            raise BadSchedule(
                f"{part!r} can be one day or all", f"write {DAYS[first]}, or leave days out", field
            )
        days |= {(first + offset) % 7 for offset in range((last - first) % 7 + 1)}
    return frozenset(days)


def _day_meant(part: str) -> str:
    for each in part.split("-"):
        word = each.strip().lower()
        near = nearest(word, _NUMBER_OF) if word.isalpha() else None
        if word not in _NUMBER_OF and near is not None:
            return f"did you mean {near!r}? A range is mon-fri"
    return "mon, tue, wed, thu, fri, sat, sun, or a range: mon-fri"


def parse_hours(written: str | Sequence[str]) -> tuple[Window, ...]:
    """Read `08:00-18:00`, `22:00-06:00` (past midnight), `18:00-24:00`, several with commas or in a list.

    Raises:
        BadSchedule: with the index of the item as its field, where a list was given.

    """
    return tuple(_window(part, field) for field, part in _parts(written))


def _window(part: str, field: Field) -> Window:
    found = _HOURS.fullmatch(part)
    if found is None:
        raise BadSchedule(f"{part!r} is no range of hours", "'08:00-18:00', in quotes", field)
    (begin_hour, begin_minute, end_hour, end_minute) = map(int, found.groups())
    begin, end = begin_hour * 60 + begin_minute, end_hour * 60 + end_minute
    # 24:00 is a day's end, and no beginning
    if begin_minute >= 60 or end_minute >= 60 or begin >= MINUTES_A_DAY or end > MINUTES_A_DAY:  # noqa: PLR2004 - minutes an hour
        raise BadSchedule(f"{part!r}: no clock shows that", "from 00:00 to 23:59, or 24:00 as an end", field)
    if begin == end:
        raise BadSchedule(f"{part!r} is empty", "00:00-24:00 for the whole day, or leave hours out", field)
    return Window(begin, end)


def _parts(written: str | Sequence[str]) -> list[tuple[Field, str]]:
    """Split at commas; each part with its index in the list."""
    if isinstance(written, str):
        parts: list[tuple[Field, str]] = [((), part) for part in written.split(",")]
    else:
        parts = [((index,), part) for index, item in enumerate(written) for part in item.split(",")]
    if not parts:
        raise BadSchedule("must not be empty", "add an item, or leave the key out")
    return [(field, part.strip()) for field, part in parts]


def parse_instant(text: str, zone: datetime.tzinfo = _UTC) -> float:
    """Read a date (its first moment) or a date and time, of `zone` where the text has no offset: RFC 3339,
    with seconds and offset optional. Seconds since the epoch.

    Raises:
        BadSchedule: not of that form, or not in the calendar.

    """
    message, remedy = "must be a date, or a date and time", "2026-12-31, or 2026-12-31T18:00:00+01:00"
    if not _INSTANT.fullmatch(text):
        raise BadSchedule(message, remedy)
    try:
        found = datetime.datetime.fromisoformat(text.upper())
        return (found if found.tzinfo else found.replace(tzinfo=zone)).timestamp()
    except (ValueError, OverflowError):
        raise BadSchedule(f"{message}; no calendar has this one", remedy) from None


def schedule_condition(schedule: Schedule) -> Callable[[PolicyRequest], Fit]:
    """Fit while the schedule is open. A time that no calendar has is an error."""

    def condition(request: PolicyRequest) -> Fit:
        try:
            return Fit.YES if schedule.open_at(request.at) else Fit.NO
        except (ValueError, OverflowError, OSError):
            raise RuleError("the time of the call is in no calendar") from None

    return condition
