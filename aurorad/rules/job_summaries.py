"""A job seen as a whole, from its tasks (quota-tiers-sla sheet, section 7)."""

from __future__ import annotations

from collections.abc import Sequence

from aurorad.api.enums import ACTIVE_STATES, ScheduleStatus
from aurorad.api.results import JobStats
from aurorad.api.tasks import JobConfiguration, JobKey, ScheduledTask
from aurorad.rules.task_states import last_change_ms

PENDING = frozenset({ScheduleStatus.INIT, ScheduleStatus.PENDING, ScheduleStatus.THROTTLED})
FINISHED = frozenset({ScheduleStatus.FINISHED, ScheduleStatus.KILLED})
FAILED = frozenset({ScheduleStatus.FAILED, ScheduleStatus.LOST})


def job_stats(tasks: Sequence[ScheduledTask]) -> JobStats:
    """How many tasks wait, run, are done or have failed; every status counts in exactly one of them."""
    pending = sum(task.status in PENDING for task in tasks)
    finished = sum(task.status in FINISHED for task in tasks)
    failed = sum(task.status in FAILED for task in tasks)
    return JobStats(
        active_task_count=len(tasks) - pending - finished - failed,
        finished_task_count=finished,
        failed_task_count=failed,
        pending_task_count=pending,
    )


def representative(tasks: Sequence[ScheduledTask]) -> ScheduledTask:
    """The task that speaks for its job: an active one before an ended one, then the one changed last."""
    return max(tasks, key=lambda task: (task.status in ACTIVE_STATES, last_change_ms(task)))


def job_configuration(job: JobKey, tasks: Sequence[ScheduledTask]) -> JobConfiguration:
    """The configuration of a job that is not a cron job, which is not stored as such; `tasks` are those to count."""
    config = representative(tasks).assigned_task.task
    return JobConfiguration(key=job, owner=config.owner, task_config=config, instance_count=len(tasks))
