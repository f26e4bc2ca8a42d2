"""Whether a job keeps its promise if one of its tasks is taken down now (quota-tiers-sla sheet, section 6).

Coordinators are asked over the network; what a policy of counts or percentages allows is decided here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

from aurorad.api.enums import ACTIVE_STATES, ScheduleStatus
from aurorad.api.tasks import CountSlaPolicy, PercentageSlaPolicy, ScheduledTask


class Promise(NamedTuple):
    """To whom policies apply: `-min_required_instances_for_sla_check`, and the tier with `-sla_aware_kill_non_prod`."""

    tier_counts: bool
    min_instances: int


def allows(
    policy: CountSlaPolicy | PercentageSlaPolicy,
    task: ScheduledTask,
    job: Iterable[ScheduledTask],
    now_ms: int,
    promise: Promise,
) -> bool:
    """Whether `task` may go; `job` are the tasks of its job, itself included.

    A policy that would never let any instance go is taken as one that lets one go at a time.
    """
    active = [other for other in job if other.status in ACTIVE_STATES]
    if not promise.tier_counts or len(active) < promise.min_instances:
        return True
    healthy_since_ms = now_ms - policy.duration_secs * 1000
    healthy = sum(
        1
        for other in active
        if other.assigned_task.task_id != task.assigned_task.task_id and _is_healthy(other, healthy_since_ms)
    )
    return healthy >= required(policy, len(active))


def required(policy: CountSlaPolicy | PercentageSlaPolicy, active: int) -> int:
    """How many of `active` instances must stay healthy; always fewer than all of them."""
    if isinstance(policy, CountSlaPolicy):
        least = policy.count
    else:
        least = math.ceil(round(policy.percentage * active / 100, 6))
    return min(least, active - 1)


def _is_healthy(task: ScheduledTask, since_ms: int) -> bool:
    if task.status is not ScheduleStatus.RUNNING:
        return False
    started = max(event.timestamp for event in task.task_events if event.status is ScheduleStatus.RUNNING)
    return started < since_ms
