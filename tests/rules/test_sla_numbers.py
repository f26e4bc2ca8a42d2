"""What the SLA statistics say (quota-tiers-sla sheet, section 4)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurorad.api.enums import ScheduleStatus
from aurorad.api.enums import ScheduleStatus as S
from aurorad.api.tasks import AssignedTask, JobKey, Resource, ScheduledTask, TaskConfig, TaskEvent
from aurorad.rules.sla_numbers import Window, median_ms_to, platform_uptime_percent, size_groups, uptime_s

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
    running = [task((1_000_000 - uptime * 1000, S.RUNNING)) for uptime in range(1, 101)]
    assert uptime_s([*running, task((0, S.PENDING))], percentage, 1_000_000) == pytest.approx(seconds)


def test_no_running_task_has_no_uptime() -> None:
    assert uptime_s([task((0, S.PENDING))], 50, 1000) == 0


def test_the_median_time_to_a_status_is_of_those_that_reached_it_in_the_window() -> None:
    tasks = [
        task((900, S.PENDING), (1000, S.ASSIGNED)),
        task((900, S.PENDING), (1200, S.ASSIGNED), (1250, S.RUNNING)),
        task((100, S.PENDING), (999, S.ASSIGNED)),
        task((1500, S.PENDING), (2000, S.ASSIGNED)),
        task((1000, S.PENDING), (1100, S.ASSIGNED), (1900, S.FAILED)),
    ]
    assert median_ms_to(S.ASSIGNED, tasks, WINDOW) == 200
    assert median_ms_to(S.RUNNING, tasks, WINDOW) == 350
    assert median_ms_to(S.STARTING, tasks, WINDOW) == 0


def test_time_counts_from_the_last_pending() -> None:
    assert (
        median_ms_to(
            S.ASSIGNED, [task((5, S.PENDING), (9, S.THROTTLED), (1400, S.PENDING), (1500, S.ASSIGNED))], WINDOW
        )
        == 100
    )


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
    assert platform_uptime_percent([task(*events)], WINDOW) == pytest.approx(percent)


def test_all_tasks_of_an_instance_are_one_history_and_instances_are_weighed_by_their_time() -> None:
    lost = task((500, S.RUNNING), (1500, S.LOST))
    successor = task((1600, S.PENDING), (1700, S.RUNNING))
    other = task((1000, S.RUNNING), instance=1)
    assert platform_uptime_percent([successor, lost, other], WINDOW) == pytest.approx(90)


@given(st.lists(st.tuples(st.integers(0, 3000), st.sampled_from(S)), min_size=1))
def test_any_history_gives_a_percentage(events: list[tuple[int, ScheduleStatus]]) -> None:
    assert 0 <= platform_uptime_percent([task(*events)], WINDOW) <= 100


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
