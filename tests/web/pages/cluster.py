"""A little cluster for the tests of pages: tasks and updates put into tables."""

from __future__ import annotations

import json
from collections.abc import Iterable

import msgspec
from frozendict import frozendict
from quart.typing import TestClientProtocol
from quart_trio import QuartTrio

from aurorad.api.enums import JobUpdateAction, JobUpdateStatus, ScheduleStatus
from aurorad.api.results import GetQuotaResult
from aurorad.api.tasks import (
    AssignedTask,
    ExecutorConfig,
    JobConfiguration,
    JobKey,
    Resource,
    ResourceAggregate,
    ScheduledTask,
    TaskConfig,
    TaskEvent,
)
from aurorad.api.updates import (
    InstanceTaskConfig,
    JobInstanceUpdateEvent,
    JobUpdate,
    JobUpdateEvent,
    JobUpdateInstructions,
    JobUpdateKey,
    JobUpdateSettings,
    JobUpdateSummary,
    Range,
)
from aurorad.storage.tables import Tables
from aurorad.storage.transaction import Transaction
from aurorad.web.pages import scheduler_look, scheduler_pages
from aurorad.web.pages.tasks import Ties

S = ScheduleStatus
NOW_MS = 1_700_000_000_000
HELLO = JobKey("www-data", "devel", "hello_world")
TIES = Ties(lambda task: "Insufficient: cpu", lambda host: f"http://{host}:1338")


def config(key: JobKey = HELLO, script: str = "hello_world.py", **changes: object) -> TaskConfig:
    job = {"task": {"processes": [{"name": "hello_world", "cmdline": f"python3 -u {script}"}]}}
    base = TaskConfig(
        job=key,
        is_service=True,
        tier="preemptible",
        resources=frozenset({Resource(num_cpus=1.0), Resource(ram_mb=1), Resource(disk_mb=8)}),
        executor_config=ExecutorConfig("AuroraExecutor", json.dumps(job)),
    )
    return msgspec.structs.replace(base, **changes)


def task(
    instance: int = 0,
    *statuses: ScheduleStatus,
    task_config: TaskConfig | None = None,
    task_id: str | None = None,
    host: str | None = "localhost",
    message: str | None = None,
    at_ms: int = NOW_MS - 60_000,
    step_ms: int = 1000,
) -> ScheduledTask:
    """A task that went through `statuses`, a second each; `message` is that of the last event."""
    path = statuses or (S.PENDING, S.ASSIGNED, S.RUNNING)
    task_config = task_config or config()
    key = task_config.job
    events = tuple(
        TaskEvent(at_ms + n * step_ms, status, message if n == len(path) - 1 else None, "scheduler")
        for n, status in enumerate(path)
    )
    placed = host if any(status in (S.ASSIGNED, S.RUNNING) for status in path) else None
    identity = task_id or f"{key.role}-{key.environment}-{key.name}-{instance}-{path[-1].name}-{at_ms}"
    assigned = AssignedTask(identity, placed and "agent", placed, task_config, frozendict({"http": 31000}), instance)
    return ScheduledTask(assigned, path[-1], task_events=events)


def tables_of(*tasks: ScheduledTask) -> Tables:
    tables = Tables()
    Transaction(tables).save_tasks(*tasks)
    return tables


def add_update(
    tables: Tables,
    update_id: str,
    statuses: Iterable[tuple[JobUpdateStatus, str | None]],
    actions: Iterable[tuple[int, JobUpdateAction]] = (),
    instances: int = 2,
    before: TaskConfig | None = None,
    after: TaskConfig | None = None,
    settings: JobUpdateSettings | None = None,
    started_ms: int = NOW_MS - 100_000,
) -> JobUpdateKey:
    settings = settings or JobUpdateSettings(update_group_size=1, rollback_on_failure=True)
    after = after or config(script="hello_world_v2.py")
    key = JobUpdateKey(after.job, update_id)
    ranges = frozenset({Range(0, instances - 1)})
    initial = frozenset({InstanceTaskConfig(before, ranges)} if before is not None else ())
    transaction = Transaction(tables)
    transaction.save_job_update(
        JobUpdate(
            JobUpdateSummary(key, "alice"), JobUpdateInstructions(initial, InstanceTaskConfig(after, ranges), settings)
        )
    )
    for n, (status, message) in enumerate(statuses):
        transaction.save_job_update_event(key, JobUpdateEvent(status, started_ms + n * 50_000, "alice", message))
    for n, (instance, action) in enumerate(actions):
        transaction.save_job_instance_update_event(
            key, JobInstanceUpdateEvent(instance, started_ms + 1000 + n, action, None)
        )
    return key


def quota(role: str) -> GetQuotaResult:
    def aggregate(cpus: float, ram_mb: int, disk_mb: int) -> ResourceAggregate:
        return ResourceAggregate(
            frozenset({Resource(num_cpus=cpus), Resource(ram_mb=ram_mb), Resource(disk_mb=disk_mb)})
        )

    return GetQuotaResult(aggregate(0, 0, 0), aggregate(0, 0, 0), non_prod_shared_consumption=aggregate(1.0, 1, 8))


async def get_quota(role: str) -> GetQuotaResult:
    return quota(role)


def next_run_ms(job: JobConfiguration) -> int | None:
    return NOW_MS + 3 * 60_000 if job.cron_schedule == "*/5 * * * *" else None


def client(tables: Tables) -> TestClientProtocol:
    app = QuartTrio(__name__, static_folder=None)
    app.register_blueprint(
        scheduler_pages(
            scheduler_look("devcluster", lambda: NOW_MS),
            tables,
            TIES.pending_reason,
            TIES.observer_url,
            get_quota,
            next_run_ms,
        )
    )
    return app.test_client()


async def page(tables: Tables, path: str, status: int = 200) -> str:
    answer = await client(tables).get(path, headers={"Accept": "text/html"})
    assert answer.status_code == status
    text: str = await answer.get_data(as_text=True)
    return text
