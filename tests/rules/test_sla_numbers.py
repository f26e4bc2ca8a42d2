"""What the SLA statistics say (quota-tiers-sla sheet, section 4)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurorad.api.enums import ScheduleStatus
from aurorad.api.enums import ScheduleStatus as S
from aurorad.api.tasks import AssignedTask, JobKey, Resource, ScheduledTask, TaskConfig, TaskEvent
from aurorad.rules.sla_numbers import Uptime, Window, instance_uptime, percentile, size_groups, uptime_s, waited_ms

WINDOW = Window(1000, 2000)
JOB = TaskConfig(job=JobKey("www", "prod", "job"))


def task(*events: tuple[int, ScheduleStatus], instance: int = 0) -> ScheduledTask:
    """In the status of its last event."""
    return ScheduledTask(
        assigned_task=AssignedTask(task=JOB, instance_id=instance),
        status=events[-1][1],
        task_events=tuple(TaskEvent(timestamp, status) for timestamp, status in events),
    )


@pytest.mark.parametrize(
    ("percentage", "seconds"), [(50, 50.5), (75, 25.75), (90, 10.9), (95, 5.95), (99, 1.99), (100, 1), (0, 100)]
)
def test_uptime_is_what_so_many_percent_of_the_instances_reach(percentage: float, seconds: float) -> None:
    assert uptime_s([uptime * 1000 for uptime in range(1, 101)], percentage) == pytest.approx(seconds)


def test_nothing_that_runs_has_no_uptime() -> None:
    assert uptime_s([], 50) == 0


@pytest.mark.parametrize(
    ("events", "assigned_ms", "running_ms"),
    [
        ([(900, S.PENDING), (1000, S.ASSIGNED)], 100, None),
        ([(900, S.PENDING), (1200, S.ASSIGNED), (1250, S.RUNNING)], 300, 350),
        ([(100, S.PENDING), (999, S.ASSIGNED)], None, None),
        ([(1500, S.PENDING), (2000, S.ASSIGNED)], None, None),
        ([(1000, S.PENDING), (1100, S.ASSIGNED), (1900, S.FAILED)], None, None),
        ([(1000, S.ASSIGNED)], None, None),
    ],
)
def test_the_time_to_a_status_is_of_active_tasks_that_reached_it_in_the_window(
    events: list[tuple[int, ScheduleStatus]], assigned_ms: int | None, running_ms: int | None
) -> None:
    assert waited_ms(S.ASSIGNED, task(*events), WINDOW) == assigned_ms
    assert waited_ms(S.RUNNING, task(*events), WINDOW) == running_ms
    assert waited_ms(S.STARTING, task(*events), WINDOW) is None


@pytest.mark.parametrize(("values", "median"), [([], 0), ([5], 5), ([1, 2], 1.5), ([1, 2, 10], 2)])
def test_a_median_is_between_the_closest_ranks(values: list[int], median: float) -> None:
    assert percentile(values, 50) == median


def test_time_counts_from_the_last_pending() -> None:
    again = task((5, S.PENDING), (9, S.THROTTLED), (1400, S.PENDING), (1500, S.ASSIGNED))
    assert waited_ms(S.ASSIGNED, again, WINDOW) == 100


@pytest.mark.parametrize(
    ("events", "percent"),
    [
        ([(0, S.PENDING), (500, S.RUNNING)], 100),
        ([(500, S.RUNNING), (1500, S.LOST)], 50),
        ([(500, S.RUNNING), (1500, S.LOST), (1600, S.PENDING), (1700, S.RUNNING)], 80),
        ([(500, S.RUNNING), (1500, S.RESTARTING), (1600, S.PENDING), (1700, S.RUNNING)], 100),
        ([(500, S.RUNNING), (1500, S.KILLING), (1600, S.KILLED)], 100),
        ([(500, S.RUNNING), (1500, S.KILLED)], 50),
        ([(500, S.RUNNING), (1500, S.PARTITIONED)], 100),
        ([(500, S.DRAINING), (600, S.KILLED), (600, S.PENDING), (1750, S.RUNNING)], 25),
        ([(500, S.PREEMPTING)], 0),
        ([(500, S.PENDING)], 100),
        ([(2500, S.LOST)], 100),
    ],
)
def test_only_what_the_cluster_took_down_counts_as_down(
    events: list[tuple[int, ScheduleStatus]], percent: float
) -> None:
    assert instance_uptime([task(*events)], WINDOW).percent == pytest.approx(percent)


def test_all_tasks_of_an_instance_are_one_history_and_instances_are_weighed_by_their_time() -> None:
    lost = task((500, S.RUNNING), (1500, S.LOST))
    successor = task((1600, S.PENDING), (1700, S.RUNNING))
    other = task((1000, S.RUNNING), instance=1)
    of_one, of_other = instance_uptime([successor, lost], WINDOW), instance_uptime([other], WINDOW)
    assert of_one.plus(of_other).percent == pytest.approx(90)
    assert Uptime().percent == 100


def test_of_events_at_one_moment_those_of_the_older_task_come_first() -> None:
    killed = task((500, S.RUNNING), (1500, S.KILLED))
    successor = task((1500, S.PENDING), (2500, S.RUNNING))
    assert instance_uptime([successor, killed], WINDOW) == instance_uptime([killed, successor], WINDOW)
    assert instance_uptime([killed, successor], WINDOW).percent == 50


@given(st.lists(st.tuples(st.integers(0, 3000), st.sampled_from(S)), min_size=1))
def test_any_history_gives_a_percentage(events: list[tuple[int, ScheduleStatus]]) -> None:
    assert 0 <= instance_uptime([task(*events)], WINDOW).percent <= 100


@given(st.lists(st.tuples(st.integers(0, 1500), st.sampled_from(S)), min_size=1))
def test_the_quick_way_for_what_did_not_change_gives_the_same(events: list[tuple[int, ScheduleStatus]]) -> None:
    history = task(*sorted(events, key=lambda event: event[0]))
    later = task((1_999_999, S.INIT))  # which changes nothing, but is no quick case
    assert instance_uptime([history], WINDOW) == instance_uptime([history, later], WINDOW)


@pytest.mark.parametrize(
    ("cpus", "ram_mb", "disk_mb", "groups"),
    [
        (1, 1024, 4096, ("cpu_small", "ram_small", "disk_small")),
        (1.1, 1025, 4097, ("cpu_medium", "ram_medium", "disk_medium")),
        (8, 16384, 32768, ("cpu_large", "ram_large", "disk_large")),
        (16, 32768, 65536, ("cpu_xlarge", "ram_xlarge", "disk_xlarge")),
        (17, 32769, 65537, ("cpu_xxlarge", "ram_xxlarge", "disk_xxlarge")),
    ],
)
def test_sizes_have_names(cpus: float, ram_mb: int, disk_mb: int, groups: tuple[str, ...]) -> None:
    config = TaskConfig(
        resources=frozenset({Resource(num_cpus=cpus), Resource(ram_mb=ram_mb), Resource(disk_mb=disk_mb)})
    )
    assert size_groups(config) == groups
