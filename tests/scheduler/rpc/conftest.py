"""A scheduler's API over a real storage and a log in memory that can be made slow, or full."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import AsyncIterator
from uuid import UUID

import msgspec
import pytest
import trio

from aurorad.api.calls import Call, CreateJob
from aurorad.api.enums import ResponseCode, ScheduleStatus
from aurorad.api.results import Response, Result
from aurorad.api.tasks import (
    ExecutorConfig,
    Identity,
    JobConfiguration,
    JobKey,
    Resource,
    ResourceAggregate,
    ScheduledTask,
    TaskConfig,
)
from aurorad.flags import Flags
from aurorad.rules.tiers import BUILT_IN
from aurorad.scheduler.cron import CronScheduler
from aurorad.scheduler.limits import admission_limits
from aurorad.scheduler.reconciliation import Reconciliation
from aurorad.scheduler.rpc import admin, cron, jobs, reads
from aurorad.scheduler.rpc.dispatch import Api
from aurorad.scheduler.state import StateManager
from aurorad.storage.storage import Storage
from aurorad.storage.tables import Tables
from aurorad.storage.transaction import Transaction
from aurorad.vars import Vars
from tests.scheduler.pretend_engine import PretendEngine
from tests.storage.memory_log import MemoryLog


class Scheduler:
    """What a test talks to."""

    def __init__(self, flags: Flags | None = None) -> None:
        self.flags = dataclasses.replace(flags or Flags(), cluster_name="example")
        self.stats = Vars()
        self.log = MemoryLog()
        self.storage = Storage(self.log, Tables())
        numbers = random.Random(7)
        self.now_ms = 1_000
        self.state = StateManager(
            now_ms=lambda: self.now_ms,
            new_uuid=lambda: UUID(int=numbers.getrandbits(128)),
            hostname="scheduler-host",
            flags=self.flags,
            stats=self.stats,
        )
        self.reasons: dict[str, str] = {}
        limits = admission_limits(self.flags)
        self.cron = CronScheduler(
            storage=self.storage,
            states=self.state,
            flags=self.flags,
            stats=self.stats,
            now_ms=lambda: self.now_ms,
        )
        self.engine = PretendEngine()
        self.reconciliation = Reconciliation(
            storage=self.storage,
            engine=self.engine,
            flags=self.flags,
            stats=self.stats,
            now_ms=lambda: self.now_ms,
        )
        self.snapshots = 0
        made = [
            jobs.handlers(storage=self.storage, state=self.state, limits=limits, tiers=BUILT_IN, stats=self.stats),
            cron.handlers(storage=self.storage, cron=self.cron, limits=limits, tiers=BUILT_IN, stats=self.stats),
            admin.handlers(
                storage=self.storage,
                state=self.state,
                reconciliation=self.reconciliation,
                snapshot=self.take_snapshot,
                stats=self.stats,
            ),
            reads.handlers(
                storage=self.storage,
                limits=limits,
                tiers=BUILT_IN,
                reason=lambda task: self.reasons.get(task.assigned_task.task_id, ""),
                next_run_ms=self.cron.next_run_ms,
            ),
        ]
        handlers = {kind: handler for some in made for kind, handler in some.items()}
        self.api = Api(handlers, self.storage, self.flags, self.stats)

    async def take_snapshot(self) -> None:
        self.snapshots += 1

    async def call(self, call: Call, user: str = "UNSECURE") -> Response:
        return await self.api.handle(call, user)

    async def result(self, call: Call) -> Result:
        """That of a call which must succeed."""
        response = await self.call(call)
        assert response.response_code is ResponseCode.OK, response
        assert response.result is not None
        return response.result

    async def create(self, instances: int = 1, key: JobKey | None = None, **task: object) -> JobKey:
        job = a_job(instances, key, **task)
        response = await self.call(CreateJob(job))
        assert response.response_code is ResponseCode.OK, response
        return job.key

    def tasks(self, job: JobKey) -> list[ScheduledTask]:
        return sorted(self.storage.tables.job_tasks(job), key=lambda task: task.assigned_task.instance_id)

    async def move(self, job: JobKey, *statuses: ScheduleStatus) -> None:
        """Take every task of the job through these states."""

        def work(tx: Transaction) -> None:
            for status in statuses:
                for task in tx.tables.job_tasks(job):
                    if status is ScheduleStatus.ASSIGNED:
                        self.state.assign(tx, task.assigned_task.task_id, "host-1", "agent-1", {})
                    else:
                        self.state.change_state(tx, task.assigned_task.task_id, status)

        await self.storage.write(work)

    async def run_all(self, job: JobKey) -> None:
        await self.move(job, ScheduleStatus.ASSIGNED, ScheduleStatus.STARTING, ScheduleStatus.RUNNING)

    async def set_quota(self, role: str, cpus: float, ram_mb: int, disk_mb: int) -> None:
        amounts = frozenset({Resource(num_cpus=cpus), Resource(ram_mb=ram_mb), Resource(disk_mb=disk_mb)})
        await self.storage.write(lambda tx: tx.save_quota(role, ResourceAggregate(amounts)))


RESOURCES = frozenset({Resource(num_cpus=0.5), Resource(ram_mb=64), Resource(disk_mb=64)})


def a_task(**changes: object) -> TaskConfig:
    task = TaskConfig(
        job=JobKey("www", "prod", "hello"),
        owner=Identity("alice"),
        is_service=True,
        max_task_failures=1,
        tier="preemptible",
        resources=RESOURCES,
        executor_config=ExecutorConfig("AuroraExecutor", "{}"),
    )
    return msgspec.structs.replace(task, **changes)


def a_job(instances: int = 1, key: JobKey | None = None, **task: object) -> JobConfiguration:
    key = key or JobKey("www", "prod", "hello")
    config = a_task(**({"job": key} | task))
    return JobConfiguration(key=key, owner=Identity("alice"), task_config=config, instance_count=instances)


def message(response: Response) -> str | None:
    """The one detail."""
    (detail,) = response.details
    return detail.message


@pytest.fixture
async def scheduler() -> AsyncIterator[Scheduler]:
    made = Scheduler()
    async with trio.open_nursery() as nursery:
        await nursery.start(made.storage.run)
        yield made
        nursery.cancel_scope.cancel()
