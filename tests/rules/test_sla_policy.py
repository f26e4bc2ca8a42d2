"""Whether one more instance may go (quota-tiers-sla sheet, section 6)."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurorad.api.enums import ACTIVE_STATES, ScheduleStatus
from aurorad.api.enums import ScheduleStatus as S
from aurorad.api.tasks import (
    AssignedTask,
    CountSlaPolicy,
    PercentageSlaPolicy,
    ScheduledTask,
    TaskConfig,
    TaskEvent,
)
from aurorad.rules.sla_policy import Promise, objection, required

NOW_MS = 10_000_000
BINDING = Promise(min_instances=2, non_production=True)
HALF_HOUR_S = 1800


def task(number: int, status: ScheduleStatus = ScheduleStatus.RUNNING, running_s: int = 3600) -> ScheduledTask:
    since = NOW_MS - running_s * 1000
    return ScheduledTask(
        assigned_task=AssignedTask(task_id=f"t{number}", instance_id=number),
        status=status,
        task_events=(TaskEvent(1, ScheduleStatus.PENDING), TaskEvent(since, ScheduleStatus.RUNNING)),
    )


def allows(
    policy: CountSlaPolicy | PercentageSlaPolicy,
    task: ScheduledTask,
    job: list[ScheduledTask],
    now_ms: int,
    promise: Promise,
) -> bool:
    return objection(policy, task, job, now_ms, promise) is None


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


@pytest.mark.parametrize(
    ("production", "promise", "allowed"),
    [
        (False, Promise(2, non_production=False), True),
        (False, Promise(2, non_production=True), False),
        (True, Promise(2, non_production=False), False),
        (True, Promise(5, non_production=False), False),
        (True, Promise(6, non_production=False), True),
    ],
)
def test_small_jobs_and_tiers_without_promises_may_always_lose_one(
    production: bool, promise: Promise, allowed: bool
) -> None:
    config = TaskConfig(production=production)
    none_healthy = [
        ScheduledTask(
            AssignedTask(task_id=f"t{number}", task=config), S.PENDING, task_events=(TaskEvent(1, S.PENDING),)
        )
        for number in range(5)
    ]
    policy = CountSlaPolicy(4, HALF_HOUR_S)
    assert allows(policy, none_healthy[0], none_healthy, NOW_MS, promise) is allowed


@pytest.mark.parametrize(("percentage", "needed"), [(float("nan"), 0), (float("inf"), 4), (-1e300, 0), (1e300, 4)])
def test_any_number_is_a_percentage(percentage: float, needed: int) -> None:
    assert required(PercentageSlaPolicy(percentage, 0), 5) == needed


def test_an_objection_says_what_is_missing() -> None:
    ill = [*tasks(3), task(3, S.PENDING)]
    assert objection(CountSlaPolicy(3, HALF_HOUR_S), task(0), ill, NOW_MS, BINDING) == (
        "3 of 4 instances must have run for 1800 s without it; 2 have"
    )


statuses = st.sampled_from(S)


@given(
    st.lists(st.tuples(statuses, st.integers(0, 4000)), min_size=1, max_size=30),
    st.one_of(
        st.builds(CountSlaPolicy, st.integers(-1, 40), st.integers(0, 3600)),
        st.builds(PercentageSlaPolicy, st.floats(0, 100), st.integers(0, 3600)),
    ),
)
def test_what_may_go_leaves_the_promise_kept(
    instances: list[tuple[ScheduleStatus, int]], policy: CountSlaPolicy | PercentageSlaPolicy
) -> None:
    """Taken down one after the other as far as allowed, the healthy ones never become fewer than promised."""
    job = [task(number, status, running_s) for number, (status, running_s) in enumerate(instances)]
    active = sum(1 for one in job if one.status in ACTIVE_STATES)
    for victim in list(job):
        if victim.status in ACTIVE_STATES and allows(policy, victim, job, NOW_MS, BINDING) and active >= 2:
            job[job.index(victim)] = msgspec.structs.replace(victim, status=S.DRAINING)
            healthy = [
                one
                for one in job
                if one.status is S.RUNNING and one.task_events[-1].timestamp < NOW_MS - policy.duration_secs * 1000
            ]
            promised = policy.count if isinstance(policy, CountSlaPolicy) else policy.percentage / 100 * active
            assert len(healthy) >= min(promised - 1e-6, active - 1)
