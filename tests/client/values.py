"""API values that tests answer with."""

from __future__ import annotations

from collections.abc import Sequence

from frozendict import frozendict

from aurorad.api.enums import JobUpdateStatus, ScheduleStatus
from aurorad.api.results import GetJobUpdateSummariesResult, Response, ScheduleStatusResult
from aurorad.api.tasks import (
    AssignedTask,
    ExecutorConfig,
    JobKey,
    Metadata,
    Resource,
    ScheduledTask,
    TaskConfig,
    TaskEvent,
)
from aurorad.api.updates import JobUpdateKey, JobUpdateState, JobUpdateSummary
from tests.client.fake_scheduler import ok

HELLO = JobKey("bozo", "test", "hello")
CONFIG = TaskConfig(
    job=HELLO,
    is_service=True,
    max_task_failures=1,
    tier="preemptible",
    resources=frozenset({Resource(num_cpus=2.0), Resource(ram_mb=2048), Resource(disk_mb=4096)}),
    executor_config=ExecutorConfig("AuroraExecutor"),
)


def task(
    instance: int,
    status: ScheduleStatus,
    *,
    began: int = 1000,
    task_id: str | None = None,
    host: str | None = "host1",
    config: TaskConfig = CONFIG,
    events: Sequence[TaskEvent] = (),
    ports: dict[str, int] | None = None,
) -> ScheduledTask:
    assigned = AssignedTask(
        task_id=task_id or f"task-{instance}",
        slave_host=host,
        task=config,
        assigned_ports=frozendict(ports or {}),
        instance_id=instance,
    )
    return ScheduledTask(assigned, status, task_events=(TaskEvent(began, ScheduleStatus.PENDING), *events))


def tasks(*there: ScheduledTask) -> Response:
    return ok(schedule_status_result=ScheduleStatusResult(there))


def update(status: JobUpdateStatus, *, id: str = "u1", key: JobKey = HELLO, **metadata: str) -> JobUpdateSummary:
    return JobUpdateSummary(
        JobUpdateKey(key, id),
        "me",
        JobUpdateState(status, 1_411_404_000, 14_114_056_000),
        frozenset(Metadata(name.replace("_", "-"), value) for name, value in metadata.items()),
    )


def updates(*summaries: JobUpdateSummary) -> Response:
    return ok(get_job_update_summaries_result=GetJobUpdateSummariesResult(summaries))
