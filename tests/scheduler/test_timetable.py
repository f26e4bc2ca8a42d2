"""Which cron job is due when."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from aurorad.api.tasks import JobKey
from aurorad.rules.cron import parse
from aurorad.scheduler.timetable import Timetable

A, B = JobKey("role", "prod", "a"), JobKey("role", "prod", "b")
MANY = 100


def at(text: str) -> int:
    return round(datetime.fromisoformat(f"2026-11-21T{text}").replace(tzinfo=UTC).timestamp()) * 1000


def made(now: str, **schedules: str) -> Timetable:
    table = Timetable(UTC)
    for name, schedule in schedules.items():
        table.set(JobKey("role", "prod", name), parse(schedule), at(now))
    return table


def test_nothing_is_due_in_an_empty_one() -> None:
    assert Timetable(UTC).next_ms() is None
    assert Timetable(UTC).take_due(at("12:00"), MANY) == []


def test_a_job_is_due_at_its_time_and_not_before() -> None:
    table = made("12:00:30", a="5 * * * *")
    assert table.next_ms() == at("12:05")
    assert table.take_due(at("12:05") - 1, MANY) == []
    assert table.take_due(at("12:05"), MANY) == [A]
    assert table.take_due(at("12:05"), MANY) == []
    assert table.next_ms() == at("13:05")


def test_one_that_was_due_often_fires_once() -> None:
    table = made("12:00", a="* * * * *", b="30 * * * *")
    assert table.take_due(at("15:10"), MANY) == [A, B]
    assert table.take_due(at("15:10"), MANY) == []
    assert table.next_ms() == at("15:11")


def test_no_more_are_taken_than_wanted_and_the_earliest_first() -> None:
    table = made("12:00", b="2 * * * *", a="3 * * * *")
    assert table.take_due(at("12:10"), 1) == [B]
    assert table.take_due(at("12:10"), 1) == [A]


def test_a_job_that_is_set_again_has_only_its_new_time() -> None:
    table = made("12:00", a="5 * * * *")
    table.set(A, parse("10 * * * *"), at("12:00"))
    assert len(table) == 1
    assert table.take_due(at("12:09"), MANY) == []
    assert table.take_due(at("12:10"), MANY) == [A]


def test_a_job_that_is_removed_is_not_due() -> None:
    table = made("12:00", a="5 * * * *", b="6 * * * *")
    table.remove(A)
    table.remove(A)
    assert table.next_ms() == at("12:06")
    assert table.take_due(at("12:10"), MANY) == [B]


class TestAClockThatIsSetBack:
    def test_a_time_that_was_fired_is_not_fired_again(self) -> None:
        table = made("08:00", a="0 9,12 * * *")
        assert table.take_due(at("09:00"), MANY) == [A]
        table.clock_set_back(A, at("08:10"))
        assert table.next_ms() == at("12:00")

    def test_one_that_fires_in_every_hour_does_not_pause(self) -> None:
        table = made("08:00", a="*/5 * * * *")
        assert table.take_due(at("09:00"), MANY) == [A]
        table.clock_set_back(A, at("08:11"))
        assert table.next_ms() == at("08:15")

    def test_a_clock_that_was_far_ahead_is_forgotten(self) -> None:
        table = made("08:00", a="0 9 * * *")
        assert table.take_due(at("20:00"), MANY) == [A]
        table.clock_set_back(A, at("08:10"))
        assert table.next_ms() == at("09:00")

    def test_what_is_not_there_stays_away(self) -> None:
        table = made("08:00")
        table.clock_set_back(A, at("07:00"))
        assert len(table) == 0


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from(["set", "remove", "take"]), st.integers(0, 59)), max_size=60
    )
)
def test_whatever_is_done_due_jobs_are_those_whose_time_has_come(steps: list[tuple[str, str, int]]) -> None:
    table, now, expected = Timetable(UTC), at("00:00"), dict[JobKey, int]()
    for name, step, minutes in steps * 4:  # often enough for stale entries to be cleared away
        job = JobKey("role", "prod", name)
        crontab = parse(f"{minutes} * * * *")
        match step:
            case "set":
                table.set(job, crontab, now)
                expected[job] = crontab.next_ms(now, UTC)
            case "remove":
                table.remove(job)
                expected.pop(job, None)
            case "take":
                now += minutes * 60_000
                due = table.take_due(now, MANY)
                assert set(due) == {key for key, due_ms in expected.items() if due_ms <= now}
                assert len(due) == len(set(due))
                expected.update(
                    {key: expected[key] + -(-(now - expected[key] + 1) // 3_600_000) * 3_600_000 for key in due}
                )
        assert table.next_ms() == min(expected.values(), default=None)
        assert set(table.jobs()) == set(expected)
