from __future__ import annotations

from collections.abc import Sequence

import pytest

from aurorad.api.calls import GetTasksWithoutConfigs
from aurorad.api.enums import LIVE_STATES, ScheduleStatus
from aurorad.api.tasks import ScheduledTask, TaskEvent
from client import sla
from tests.client.conftest import KEY, WALL_S, Runner
from tests.client.fake_scheduler import FakeScheduler, refused
from tests.client.values import task, tasks

RUNNING = ScheduleStatus.RUNNING


def up(instance: int, seconds: float) -> ScheduledTask:
    """It has run before, too: what counts is when it ran first."""
    first = int((WALL_S - seconds) * 1000)
    return task(instance, RUNNING, events=[TaskEvent(first, RUNNING), TaskEvent(first + 1, RUNNING)])


@pytest.mark.parametrize(
    ("uptimes", "percentile", "seconds"),
    [
        ([100, 200, 300, 400], 50, 200),
        ([100, 200, 300, 400], 99, 100),
        ([100, 200, 300, 400], 10, 400),
        ([100, 200, 300, 400], 75, 100),
        ([100], 50, 100),
        ([], 50, 0),
    ],
)
def test_the_uptime_of_a_share(uptimes: Sequence[int], percentile: float, seconds: int) -> None:
    assert sla.uptime_of_share(uptimes, percentile) == seconds


def test_the_share_that_is_up_for_so_long() -> None:
    assert sla.up_share([10, 20, 30], 20) == pytest.approx(200 / 3)
    assert sla.up_share([], 20) == 0


def test_a_task_that_never_ran_is_up_for_no_time() -> None:
    assert sla.uptimes([task(0, ScheduleStatus.KILLING), up(1, 7.9)], WALL_S) == [0, 7]


def test_up_counts_are_listed_by_duration(aurora: Runner, scheduler: FakeScheduler) -> None:
    scheduler.on(GetTasksWithoutConfigs, tasks(up(0, 61), up(1, 3601), up(2, 10)))
    ran = aurora("sla", "get-task-up-count", KEY)
    assert ran.code == 0
    assert ran.out == "1 mins\t- 66.67 %\n10 mins\t- 33.33 %\n1 hrs\t- 33.33 %\n12 hrs\t- 0.00 %\n7 days\t- 0.00 %\n"
    assert ran.err == " INFO] Response from scheduler: OK (message: )\n"
    assert scheduler.of(GetTasksWithoutConfigs)[0].query.statuses == LIVE_STATES


def test_durations_are_shown_in_the_largest_unit_that_divides_them(aurora: Runner, scheduler: FakeScheduler) -> None:
    scheduler.on(GetTasksWithoutConfigs, tasks())
    ran = aurora("sla", "get-task-up-count", "--durations=2d6h,90s,1d,0s", KEY)
    assert [line.partition("\t")[0] for line in ran.out.splitlines()] == ["0 secs", "90 secs", "1 days", "54 hrs"]


def test_uptimes_are_listed_by_share(aurora: Runner, scheduler: FakeScheduler) -> None:
    scheduler.on(GetTasksWithoutConfigs, tasks(up(0, 915)))
    ran = aurora("sla", "get-job-uptime", "--percentiles=50,99.5", KEY)
    assert ran.out == "99.5 percentile\t- 915.0 seconds\n50.0 percentile\t- 915.0 seconds\n"
    assert aurora("sla", "get-job-uptime", KEY).out.count("percentile") == 9


def test_underscores_will_do(aurora: Runner, scheduler: FakeScheduler) -> None:
    scheduler.on(GetTasksWithoutConfigs, tasks())
    assert aurora("sla", "get_job_uptime", "--percentiles=50", KEY).out == "50.0 percentile\t- 0.0 seconds\n"


def test_a_refusal_counts_as_no_tasks(aurora: Runner, scheduler: FakeScheduler) -> None:
    scheduler.on(GetTasksWithoutConfigs, refused("no"))
    ran = aurora("sla", "get-job-uptime", "--percentiles=50", KEY)
    assert (ran.code, ran.out) == (0, "50.0 percentile\t- 0.0 seconds\n")
    assert " INFO] Response from scheduler: INVALID_REQUEST (message: no)\n" in ran.err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("get-task-up-count", "--durations=5x"), "Invalid time span: 5x"),
        (("get-task-up-count", "--durations=1m,"), "Invalid time span: "),
        (
            ("get-job-uptime", "--percentiles=100"),
            "Invalid percentile value:100. Must be between 0.0 and 100.0 exclusive.",
        ),
        (("get-job-uptime", "--percentiles=x"), "Invalid percentile value:x. Must be between 0.0 and 100.0 exclusive."),
    ],
)
def test_malformed_lists_are_usage_errors(aurora: Runner, arguments: tuple[str, ...], told: str) -> None:
    ran = aurora("sla", *arguments, KEY)
    assert ran.code == 2
    assert told in ran.err
