"""Whether a job keeps its promise if one of its tasks is taken down now (quota-tiers-sla sheet, section 6).

Coordinators are asked over the network; what a policy of counts or percentages allows is decided here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

from aurorad.api.enums import ACTIVE_STATES, ScheduleStatus
from aurorad.api.tasks import CountSlaPolicy, PercentageSlaPolicy, ScheduledTask, TaskConfig


class Promise(NamedTuple):
    """To whom policies apply: `-min_required_instances_for_sla_check` and `-sla_aware_kill_non_prod`."""

    min_instances: int
    non_production: bool

    def counts_for(self, config: TaskConfig) -> bool:
        return config.production or self.non_production


class Health(NamedTuple):
    """A job's active instances, and how many of them are healthy, the one that shall go left out."""

    active: int
    healthy: int


def objection(
    policy: CountSlaPolicy | PercentageSlaPolicy,
    task: ScheduledTask,
    job: Iterable[ScheduledTask],
    now_ms: int,
    promise: Promise,
) -> str | None:
    """Why `task` may not go now, in a sentence; None if it may. `job` are the tasks of its job, itself included.

    A policy that would never let any instance go is taken as one that lets one go at a time.
    """
    if not promise.counts_for(task.assigned_task.task):
        return None
    active, healthy = health_without(task, job, now_ms - policy.duration_secs * 1000)
    if active < promise.min_instances or healthy >= required(policy, active):
        return None
    return (
        f"{required(policy, active)} of {active} instances must have run for {policy.duration_secs} s without it; "
        f"{healthy} have"
    )


def health_without(task: ScheduledTask, job: Iterable[ScheduledTask], running_before_ms: int) -> Health:
    """Healthy is what has been RUNNING since before then. Quick, for jobs may have very many tasks."""
    running = ScheduleStatus.RUNNING
    active = healthy = 0
    for other in job:
        if other.status is running:
            active += 1
            last = other.task_events[-1]
            if last.status is not running:
                healthy += is_healthy(other, running_before_ms)
            elif last.timestamp < running_before_ms:
                healthy += 1
        elif other.status in ACTIVE_STATES:
            active += 1
    return Health(active, healthy - is_healthy(task, running_before_ms))


def is_healthy(task: ScheduledTask, running_before_ms: int) -> bool:
    """Whether it has been RUNNING since before then, for the last time it came to."""
    if task.status is not ScheduleStatus.RUNNING:
        return False
    events = reversed(task.task_events)
    since_ms = next((event.timestamp for event in events if event.status is ScheduleStatus.RUNNING), None)
    return since_ms is not None and since_ms < running_before_ms


def required(policy: CountSlaPolicy | PercentageSlaPolicy, active: int) -> int:
    """How many of `active` instances must stay healthy; always fewer than all of them."""
    if isinstance(policy, CountSlaPolicy):
        least = policy.count
    else:
        percentage = min(max(0.0, policy.percentage), 100.0)  # also of what is no number
        least = math.ceil(round(percentage * active / 100, 6))
    return min(least, active - 1)
