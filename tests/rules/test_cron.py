"""Cron schedules (cron sheet, sections 2 and 3; the original's own vectors)."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurorad.rules.cron import BadSchedule, Crontab, EmptyField, parse

GMT = ZoneInfo("GMT")
BERLIN = ZoneInfo("Europe/Berlin")


def ms(text: str, zone: ZoneInfo = GMT) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()) * 1000


def fires(schedule: str, after: str, count: int, zone: ZoneInfo = GMT) -> list[str]:
    """Wall-clock times in `zone`."""
    crontab, now, times = parse(schedule), ms(after, zone), []
    for _ in range(count):
        now = crontab.next_ms(now, zone)
        times.append(datetime.fromtimestamp(now / 1000, UTC).astimezone(zone).strftime("%m-%d %H:%M"))
    return times


@pytest.mark.parametrize(
    ("schedule", "times"),
    [
        ("* * * * *", ["01-01 00:01", "01-01 00:02", "01-01 00:03"]),
        ("0 20 * * 1", ["01-05 20:00", "01-12 20:00", "01-19 20:00"]),
        ("11    *   *   *   *", ["01-01 00:11", "01-01 01:11", "01-01 02:11"]),
        ("1-56/5 * * * *", ["01-01 00:01", "01-01 00:06", "01-01 00:11"]),
        ("05 02,08,12 * * *", ["01-01 02:05", "01-01 08:05", "01-01 12:05"]),
        ("0 17-23 * * 1-5", ["01-01 17:00", "01-01 18:00", "01-01 19:00"]),
        ("50 */4 * * *", ["01-01 00:50", "01-01 04:50", "01-01 08:50"]),
        ("30 15 * * *,", ["01-01 15:30", "01-02 15:30", "01-03 15:30"]),
        ("0 0 12 * *", ["01-12 00:00", "02-12 00:00", "03-12 00:00"]),
        ("30 1-23/2 * * *", ["01-01 01:30", "01-01 03:30", "01-01 05:30"]),
        ("0 9 4,18 * *", ["01-04 09:00", "01-18 09:00", "02-04 09:00"]),
        ("30 18,23 * * MON-FRI", ["01-01 18:30", "01-01 23:30", "01-02 18:30"]),
        ("00 17 1-3,5-31 * *", ["01-01 17:00", "01-02 17:00", "01-03 17:00"]),
        ("12 3 * * 1,3,5", ["01-02 03:12", "01-05 03:12", "01-07 03:12"]),
        ("17 1,9,17 * * 0", ["01-04 01:17", "01-04 09:17", "01-04 17:17"]),
        ("30,45 18 * * 1", ["01-05 18:30", "01-05 18:45", "01-12 18:30"]),
    ],
)
def test_the_next_three_times_after_the_epoch_are_the_originals(schedule: str, times: list[str]) -> None:
    assert fires(schedule, "1970-01-01T00:00", 3) == times


@pytest.mark.parametrize(
    "schedule",
    [
        "* * * * MON-SUN",
        "* * **",
        "0-59 0-59 * * *",
        "1/1 * * * *",
        "5 5 * MAR-JAN *",
        "*/0 * * * *",
        "0-59/0 * * * *",
        "0-59/60 * * * *",
        "* * 1 * 1",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * 32 * *",
        "* * * 13 *",
        "* * * * 7",
        "* * * * MONDAY",
        "@daily",
        "* * * * * *",
        " * * * * *",
        "* * * * * ",
        "* * * * *\n",
        "5-1 * * * *",
        "-1 * * * *",
        "a * * * *",
        "* * L * *",
        "* * ? * *",
        "MAR * * * *",
        "\u0661 * * * *",
    ],
)
def test_what_is_no_schedule_is_refused_in_the_originals_words(schedule: str) -> None:
    with pytest.raises(BadSchedule) as refused:
        parse(schedule)
    assert str(refused.value) == f"Invalid cron schedule: {schedule}"


@pytest.mark.parametrize("schedule", [", * * * *", "* * * * ,,", "0 , * * *"])
def test_a_field_of_commas_only_is_an_error_of_its_own(schedule: str) -> None:
    with pytest.raises(EmptyField, match=r"^Invalid cron schedule: "):
        parse(schedule)


def test_an_empty_text_is_refused_in_the_originals_words() -> None:
    with pytest.raises(BadSchedule, match=r"^Job has an empty cron schedule\.$"):
        parse("")


@pytest.mark.parametrize(
    ("schedule", "canonical"),
    [
        ("0 0 */1 * 0-4/2", "0 0 * * 0,2,4"),
        ("0 0 1-30,31 * 1,WED", "0 0 * * 1,3"),
        ("0 0 */2 * 0-6", "0 0 1,3,5,7,9,11,13,15,17,19,21,23,25,27,29,31 * *"),
        ("007 * * * *", "7 * * * *"),
        ("5-5 * * * *", "5 * * * *"),
        ("5\t4 *  \n*\r\n*", "5 4 * * *"),
        ("1-56/5,3 * * * *", "1,3,6,11,16,21,26,31,36,41,46,51,56 * * * *"),
        ("* * * * Sun-sat", "* * * * *"),
        ("*/90 * * * *", "0 * * * *"),
    ],
)
def test_lists_ranges_steps_and_names_are_read(schedule: str, canonical: str) -> None:
    assert str(parse(schedule)) == canonical


@pytest.mark.parametrize(
    "schedule",
    ["* * W * *", "* * 15W * *", "* * * * 5L", "* * * * 1#2", "* * * * MO", "* * * JANUARY *", "* * * * 1-SUN",
     "*-5 * * * *", "5/ * * * *", "/5 * * * *", "1-2-3 * * * *", "0-4/5 * * * *", "* * 1,2 * MON", "* * 2-31 * 0",
     "+1 * * * *", "1.5 * * * *", "@hourly", "H * * * *"],
)  # fmt: skip
def test_other_crons_inventions_are_refused(schedule: str) -> None:
    with pytest.raises(BadSchedule, match=r"^Invalid cron schedule: "):
        parse(schedule)


@pytest.mark.parametrize("schedule", ["0 0 31 2 *", "0 0 31 4,6,9,11 *", "0 0 30-31 FEB *"])
def test_a_schedule_of_a_day_that_never_comes_is_refused(schedule: str) -> None:
    with pytest.raises(BadSchedule, match="will never fire"):
        parse(schedule)


@pytest.mark.parametrize(
    ("schedule", "canonical"),
    [
        ("*/20 * * * *", "0,20,40 * * * *"),
        ("0,1,2 * * * *", "0-2 * * * *"),
        ("0,1,2,4 * * * *", "0-2,4 * * * *"),
        ("*,, * * * *", "* * * * *"),
        ("0-59 0-23 1-31 1-12 0-6", "* * * * *"),
        ("*/7 * * feb-mar SUN", "0,7,14,21,28,35,42,49,56 * * 2-3 0"),
        ("0 0 1 jan *", "0 0 1 1 *"),
        ("007 * * * 1,WED", "7 * * * 1,3"),
        ("0 0 1-31 * 3", "0 0 * * 3"),
        ("1-10/9 * * * *", "1,10 * * * *"),
        ("*/99 * * * *", "0 * * * *"),
    ],
)
def test_the_canonical_form_says_the_same(schedule: str, canonical: str) -> None:
    assert str(parse(schedule)) == canonical
    assert parse(canonical) == parse(schedule)


def test_a_leap_day_is_waited_for_also_around_a_century_without_one() -> None:
    assert parse("0 0 29 2 *").next_ms(ms("2096-03-01T00:00"), GMT) == ms("2104-02-29T00:00")


def test_seconds_do_not_count_but_the_next_time_is_always_later() -> None:
    assert parse("5 * * * *").next_ms(ms("2026-01-01T00:05"), GMT) == ms("2026-01-01T01:05")
    assert parse("5 * * * *").next_ms(ms("2026-01-01T00:04:59"), GMT) == ms("2026-01-01T00:05")


class TestClockChanges:
    """Berlin left out 02:00-02:59 on 2026-03-29 and had them twice on 2026-10-25."""

    def test_a_daily_time_that_is_left_out_comes_an_hour_later(self) -> None:
        assert fires("30 2 * * *", "2026-03-28T12:00", 2, BERLIN) == ["03-29 03:30", "03-30 02:30"]

    def test_a_daily_time_that_occurs_twice_counts_once(self) -> None:
        assert fires("30 2 * * *", "2026-10-24T12:00", 2, BERLIN) == ["10-25 02:30", "10-26 02:30"]

    def test_a_time_that_is_left_out_is_known_to_who_starts_after_the_change(self) -> None:
        assert fires("30 2 * * *", "2026-03-29T03:10", 1, BERLIN) == ["03-29 03:30"]

    def test_half_an_hour_that_is_left_out_delays_only_what_was_in_it(self) -> None:
        """Lord Howe left out 02:00-02:29 on 2026-10-04."""
        lord_howe = ZoneInfo("Australia/Lord_Howe")
        assert fires("15,40 2 * * *", "2026-10-04T01:00", 2, lord_howe) == ["10-04 02:40", "10-04 02:45"]

    def test_nothing_is_repeated_for_who_starts_in_the_repeated_hour(self) -> None:
        again = round(datetime(2026, 10, 25, 2, 15, fold=1, tzinfo=BERLIN).timestamp()) * 1000
        assert parse("30 2 * * *").next_ms(again, BERLIN) == ms("2026-10-26T02:30", BERLIN)

    def test_a_schedule_of_every_hour_goes_on_evenly(self) -> None:
        crontab, now, steps = parse("*/20 * * * *"), ms("2026-10-24T22:00"), set()
        for _ in range(24):
            later = crontab.next_ms(now, BERLIN)
            steps.add(later - now)
            now = later
        assert steps == {20 * 60_000}

    def test_a_schedule_of_every_hour_has_no_gap_where_an_hour_is_left_out(self) -> None:
        assert fires("0,30 * * * *", "2026-03-29T01:15", 3, BERLIN) == ["03-29 01:30", "03-29 03:00", "03-29 03:30"]


def crontabs() -> st.SearchStrategy[Crontab]:
    def values(low: int, high: int) -> st.SearchStrategy[str]:
        return st.one_of(
            st.just("*"), st.frozensets(st.integers(low, high), min_size=1).map(lambda some: ",".join(map(str, some)))
        )

    fields = st.tuples(values(0, 59), values(0, 23), st.just("*"), values(1, 12), values(0, 6))
    return fields.map(lambda parts: parse(" ".join(parts)))


@given(crontabs(), st.integers(0, 4_000_000_000_000), st.sampled_from([GMT, BERLIN, ZoneInfo("Australia/Lord_Howe")]))
def test_the_next_time_is_later_and_fits_unless_the_clock_left_it_out(
    crontab: Crontab, now: int, zone: ZoneInfo
) -> None:
    then = crontab.next_ms(now, zone)
    assert then > now
    assert then % 60_000 == 0
    here = datetime.fromtimestamp(then / 1000, UTC).astimezone(zone)
    before = datetime.fromtimestamp(then / 1000 - 4 * 3600, UTC).astimezone(zone)
    if here.utcoffset() == before.utcoffset():
        assert here.minute in crontab.minutes
        assert here.hour in crontab.hours
        assert here.isoweekday() % 7 in crontab.days_of_week
        assert here.month in crontab.months


@given(crontabs())
def test_the_canonical_form_of_any_schedule_reads_back(crontab: Crontab) -> None:
    assert parse(str(crontab)) == crontab


@given(crontabs(), st.integers(0, 4_000_000_000_000))
def test_no_minute_before_the_next_time_fits(crontab: Crontab, now: int) -> None:
    then = crontab.next_ms(now, UTC)
    first = now // 60_000 * 60_000 + 60_000
    for minute in range(first, min(then, first + 36 * 3_600_000), 60_000):
        here = datetime.fromtimestamp(minute / 1000, UTC)
        fits = (here.minute, here.hour, here.day, here.month, here.isoweekday() % 7)
        assert not all(value in values for value, values in zip(fits, crontab, strict=True))
