"""Whether one more instance may go (quota-tiers-sla sheet, section 6)."""

from __future__ import annotations

import pytest

from aurorad.api.enums import ScheduleStatus
from aurorad.api.tasks import AssignedTask, CountSlaPolicy, PercentageSlaPolicy, ScheduledTask, TaskEvent
from aurorad.rules.sla_policy import Promise, allows, required

NOW_MS = 10_000_000
BINDING = Promise(tier_counts=True, min_instances=2)
HALF_HOUR_S = 1800


def task(number: int, status: ScheduleStatus = ScheduleStatus.RUNNING, running_s: int = 3600) -> ScheduledTask:
    since = NOW_MS - running_s * 1000
    return ScheduledTask(
        assigned_task=AssignedTask(task_id=f"t{number}", instance_id=number),
        status=status,
        task_events=(TaskEvent(1, ScheduleStatus.PENDING), TaskEvent(since, ScheduleStatus.RUNNING)),
    )


def tasks(count: int) -> list[ScheduledTask]:
    return [task(number) for number in range(count)]


@pytest.mark.parametrize(
    ("percentage", "active", "needed"),
    [(95, 20, 19), (95, 100, 95), (95, 10, 9), (50, 3, 2), (50, 4, 2), (99.9, 1000, 999), (100, 5, 4), (0, 5, 0)],
)
def test_a_percentage_leaves_room_for_one_at_least(percentage: float, active: int, needed: int) -> None:
    assert required(PercentageSlaPolicy(percentage, 0), active) == needed


@pytest.mark.parametrize(("count", "active", "needed"), [(3, 5, 3), (4, 5, 4), (5, 5, 4), (9, 5, 4)])
def test_a_count_leaves_room_for_one_at_least(count: int, active: int, needed: int) -> None:
    assert required(CountSlaPolicy(count, 0), active) == needed


def test_with_all_healthy_as_many_may_go_as_the_policy_leaves() -> None:
    policy = CountSlaPolicy(3, HALF_HOUR_S)
    assert allows(policy, task(0), tasks(4), NOW_MS, BINDING)
    ill = [*tasks(3), task(3, ScheduleStatus.PENDING)]
    assert not allows(policy, task(0), ill, NOW_MS, BINDING)


def test_one_that_does_not_run_may_go_while_the_rest_is_enough() -> None:
    ill = task(3, ScheduleStatus.STARTING)
    assert allows(CountSlaPolicy(3, HALF_HOUR_S), ill, [*tasks(3), ill], NOW_MS, BINDING)


def test_one_that_runs_for_too_short_a_time_is_not_healthy_yet() -> None:
    young = task(3, running_s=HALF_HOUR_S)
    assert not allows(CountSlaPolicy(3, HALF_HOUR_S), task(0), [*tasks(3), young], NOW_MS, BINDING)


def test_the_latest_time_it_came_to_run_counts() -> None:
    again = task(3, running_s=60)
    events = (TaskEvent(2, ScheduleStatus.RUNNING), TaskEvent(3, ScheduleStatus.PARTITIONED), *again.task_events[1:])
    flapping = ScheduledTask(assigned_task=again.assigned_task, status=again.status, task_events=events)
    assert not allows(CountSlaPolicy(3, HALF_HOUR_S), task(0), [*tasks(3), flapping], NOW_MS, BINDING)


def test_ended_tasks_do_not_count_as_instances() -> None:
    ended = [task(number, ScheduleStatus.FINISHED) for number in range(10, 30)]
    assert required(PercentageSlaPolicy(50, 0), 4) == 2
    assert allows(PercentageSlaPolicy(50, HALF_HOUR_S), task(0), [*tasks(4), *ended], NOW_MS, BINDING)


@pytest.mark.parametrize("promise", [Promise(False, 2), Promise(True, 6)])
def test_small_jobs_and_tiers_without_promises_may_always_lose_one(promise: Promise) -> None:
    none_healthy = [task(number, ScheduleStatus.PENDING) for number in range(5)]
    assert allows(CountSlaPolicy(4, HALF_HOUR_S), none_healthy[0], none_healthy, NOW_MS, promise)
