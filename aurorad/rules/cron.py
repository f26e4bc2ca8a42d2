"""Cron schedules: their grammar, their canonical form and the next time they fire (cron sheet, sections 2 and 3)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import NamedTuple

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_COMPONENT = re.compile(r"(?:(\*)|([0-9]+)(?:-([0-9]+))?)(?:/([0-9]+))?", re.ASCII)
_LEAP_CYCLE_DAYS = 8 * 366 + 1  # from one 29 February to the next, around a century that has none
_LONGEST_CLOCK_CHANGE = timedelta(hours=3)


class BadSchedule(ValueError):
    """A text that is no schedule, or one that never fires: the message is for whoever wrote it."""


class EmptyField(BadSchedule):
    """A schedule with a field of commas only, for which the original has an error but no words."""


class _Field(NamedTuple):
    lowest: int
    highest: int
    names: tuple[str, ...] = ()
    """Of the values from the lowest."""

    @property
    def all(self) -> frozenset[int]:
        return frozenset(range(self.lowest, self.highest + 1))


_FIELDS = (_Field(0, 59), _Field(0, 23), _Field(1, 31), _Field(1, 12, _MONTHS), _Field(0, 6, _DAYS))


class Crontab(NamedTuple):
    """The values that fit, of each field; Sunday is day 0 of the week."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days_of_month: frozenset[int]
    months: frozenset[int]
    days_of_week: frozenset[int]

    def __str__(self) -> str:
        """The canonical form: `*` for a whole field, else numbers and ranges."""
        return " ".join(_canonical(values, field) for values, field in zip(self, _FIELDS, strict=True))

    @property
    def is_hourly(self) -> bool:
        """Whether it fires in every hour of its days."""
        return self.hours == _FIELDS[1].all

    def next_ms(self, after_ms: int, zone: tzinfo) -> int:
        """The first whole minute after `after_ms` that fits in `zone`; both in ms since the epoch.

        A time that a clock change leaves out comes as much later as the clock jumped. One that occurs twice counts
        the first time only, unless the schedule fires in every hour.
        """
        after = datetime.fromtimestamp(after_ms // 1000, UTC).replace(second=0)
        moment = self._soon(after, zone) or self._fitting(after, zone)
        return round(moment.timestamp()) * 1000

    def _soon(self, after: datetime, zone: tzinfo) -> datetime | None:
        """For schedules of every hour: minute by minute, so that repeated hours count too."""
        if not self.is_hourly:
            return None
        for minutes in range(1, _LONGEST_CLOCK_CHANGE // timedelta(minutes=1) + 1):
            moment = (after + timedelta(minutes=minutes)).astimezone(zone)
            if moment.minute in self.minutes and self._has_day(moment.date()):
                return moment
        return None

    def _fitting(self, after: datetime, zone: tzinfo) -> datetime:
        """By the calendar: the first time of day of the first day, of those that are still to come."""
        here = after.astimezone(zone)
        earliest = here.replace(tzinfo=None) - _LONGEST_CLOCK_CHANGE  # what was left out comes later than it says
        for day in self._days(here.date()):
            for hour in sorted(self.hours):
                if datetime(day.year, day.month, day.day, hour) < earliest:
                    continue
                times = (datetime(day.year, day.month, day.day, hour, minute, tzinfo=zone) for minute in self.minutes)
                to_come = [moment for time in times if (moment := time.astimezone(UTC)) > after]
                if to_come:
                    return min(to_come)
        raise AssertionError(f"{self} never fires")  # `parse` refuses such

    def _days(self, first: date) -> Iterator[date]:
        for number in range(_LEAP_CYCLE_DAYS + 1):
            day = first + timedelta(days=number)
            if self._has_day(day):
                yield day

    def _has_day(self, day: date) -> bool:
        return day.month in self.months and day.day in self.days_of_month and day.isoweekday() % 7 in self.days_of_week


def parse(text: str) -> Crontab:
    """Five fields with white space between. Raises `BadSchedule`."""
    if not text:
        raise BadSchedule("Job has an empty cron schedule.")
    parts = re.split(r"\s+", text, flags=re.ASCII)
    if len(parts) != len(_FIELDS):
        raise BadSchedule(f"Invalid cron schedule: {text}")
    if not all(part.strip(",") for part in parts):
        raise EmptyField(f"Invalid cron schedule: {text}")
    try:
        crontab = Crontab(*(_values(part, field) for part, field in zip(parts, _FIELDS, strict=True)))
    except ValueError:
        raise BadSchedule(f"Invalid cron schedule: {text}") from None
    if crontab.days_of_month != _FIELDS[2].all and crontab.days_of_week != _FIELDS[4].all:
        raise BadSchedule(f"Invalid cron schedule: {text}")
    if not any(crontab._days(date(2000, 1, 1))):
        raise BadSchedule(f"Invalid cron schedule: {text} will never fire.")
    return crontab


def _values(text: str, field: _Field) -> frozenset[int]:
    """Empty components count for nothing. Raises `ValueError`."""
    return frozenset(value for part in text.split(",") if part for value in _component(part, field))


def _component(text: str, field: _Field) -> range:
    for number, name in enumerate(field.names, field.lowest):
        text = re.sub(name, str(number), text, flags=re.IGNORECASE)
    matched = _COMPONENT.fullmatch(text)
    if matched is None:
        raise ValueError(text)
    wildcard, first, last, every = matched.groups()
    if every is not None and wildcard is None and last is None:
        raise ValueError(text)
    lower, upper = (field.lowest, field.highest) if wildcard else (int(first), int(last or first))
    step = int(every) if every is not None else 1
    if not field.lowest <= lower <= upper <= field.highest or step == 0:
        raise ValueError(text)
    if every is not None and last is not None and step >= upper:
        raise ValueError(text)
    return range(lower, upper + 1, step)


def _canonical(values: frozenset[int], field: _Field) -> str:
    if values == field.all:
        return "*"
    runs: list[tuple[int, int]] = []
    for value in sorted(values):
        if runs and runs[-1][1] == value - 1:
            runs[-1] = (runs[-1][0], value)
        else:
            runs.append((value, value))
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)
