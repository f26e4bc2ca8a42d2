from __future__ import annotations

import pytest

from aurorad.api.enums import ScheduleStatus
from aurorad.api.results import JobStats
from aurorad.api.tasks import AssignedTask, ScheduledTask, TaskEvent
from aurorad.rules.job_summaries import job_configuration, job_stats, representative
from tests.rules.values import KEY, TASK, but


def a_task(task_id: str, status: ScheduleStatus, changed_ms: int = 0) -> ScheduledTask:
    assigned = AssignedTask(task_id, task=but(TASK, contact_email=task_id))
    return ScheduledTask(assigned, status, task_events=(TaskEvent(1), TaskEvent(changed_ms)))


@pytest.mark.parametrize(
    ("counter", "statuses"),
    [
        ("pending_task_count", "INIT PENDING THROTTLED"),
        ("active_task_count", "ASSIGNED STARTING RUNNING RESTARTING KILLING DRAINING PREEMPTING PARTITIONED"),
        ("finished_task_count", "FINISHED KILLED"),
        ("failed_task_count", "FAILED LOST"),
    ],
)
def test_each_status_counts_where_the_sheet_says(counter: str, statuses: str) -> None:
    tasks = [a_task(name, ScheduleStatus[name]) for name in statuses.split()]
    assert job_stats(tasks) == JobStats(**{counter: len(tasks)})


def test_every_status_counts_once() -> None:
    stats = job_stats([a_task(status.name, status) for status in ScheduleStatus])
    assert stats == JobStats(8, 2, 2, 3)


def test_an_active_task_speaks_for_its_job_before_any_ended_one() -> None:
    tasks = [a_task("old", ScheduleStatus.RUNNING, 5), a_task("new", ScheduleStatus.FAILED, 9)]
    assert representative(tasks) is tasks[0]


def test_among_its_like_the_task_changed_last_speaks() -> None:
    tasks = [a_task(str(ms), ScheduleStatus.FINISHED, ms) for ms in (5, 9, 7)]
    assert representative(tasks) is tasks[1]


def test_a_job_is_put_together_from_its_tasks() -> None:
    tasks = [a_task("a", ScheduleStatus.RUNNING, 5), a_task("b", ScheduleStatus.FAILED, 9)]
    job = job_configuration(KEY, tasks)
    assert (job.key, job.owner, job.instance_count) == (KEY, TASK.owner, 2)
    assert job.task_config.contact_email == "a"
    assert job.cron_schedule is None
    assert job.cron_collision_policy is None
