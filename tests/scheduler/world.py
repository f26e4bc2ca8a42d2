"""A scheduler on a pretended engine and a log in memory, and what tests do and ask of them."""

from __future__ import annotations

import itertools
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

import trio

from aurorad.api.enums import AURORA_EXECUTOR_NAME, ScheduleStatus
from aurorad.api.tasks import (
    Constraint,
    ExecutorConfig,
    JobKey,
    LimitConstraint,
    Resource,
    ScheduledTask,
    TaskConfig,
    TaskConstraint,
    TaskQuery,
    ValueConstraint,
)
from aurorad.flags import Flags
from aurorad.log.face import Written
from aurorad.scheduler.limits import configured_executors
from aurorad.scheduler.service import Scheduler
from aurorad.storage.storage import Storage
from aurorad.storage.tables import Tables
from aurorad.vars import Vars
from tests.scheduler.pretend_engine import PretendEngine
from tests.storage.memory_log import MemoryLog

START_MS = 1_700_000_000_000
PATIENCE_S = 7 * 24 * 3600  # of pretended time
JOB = JobKey("www-data", "prod", "web")


class SlowLog(MemoryLog):
    """Takes a moment for each append, as a disk does."""

    def __init__(self) -> None:
        super().__init__()
        self.delay_s = 0.001
        self.on_append: Callable[[], None] = lambda: None

    async def submit(self, entries: Sequence[bytes]) -> Written:
        await trio.sleep(self.delay_s)
        self.on_append()
        return await super().submit(entries)


def now_ms() -> int:
    return START_MS + round(trio.current_time() * 1000)


class World:
    def __init__(self, engine: PretendEngine, flags: Flags | None = None, seed: int = 1) -> None:
        self.engine = engine
        self.flags = flags or Flags()
        self.stats = Vars()
        self.log = SlowLog()
        self.tables = Tables()
        self.storage = Storage(self.log, self.tables)
        self.rng = random.Random(seed)
        self.clock_shift_ms = 0
        """How far off the scheduler's wall clock is."""
        self.uuids = itertools.count(1)
        self.scheduler = self.new_scheduler()
        self.scope = trio.CancelScope()
        self._nursery: trio.Nursery | None = None

    def new_scheduler(self) -> Scheduler:
        return Scheduler(
            storage=self.storage,
            engine=self.engine,
            flags=self.flags,
            stats=self.stats,
            now_ms=lambda: now_ms() + self.clock_shift_ms,
            rng=self.rng,
            new_uuid=lambda: UUID(int=next(self.uuids)),
            hostname="scheduler-host",
            executors=configured_executors(self.flags),
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[World]:
        async with self.serving():
            await self.start()
            yield self

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[World]:
        """Storage and agents, not yet a scheduler."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            await nursery.start(self.storage.run)
            await nursery.start(self.engine.live)
            with trio.fail_after(PATIENCE_S):
                yield self
            await self.stop()
            nursery.cancel_scope.cancel()

    async def start(self) -> None:
        assert self._nursery is not None
        await self._nursery.start(self._run)

    async def stop(self) -> None:
        """End the scheduler, as abruptly as a cancellation is."""
        self.scope.cancel()
        await trio.testing.wait_all_tasks_blocked()

    async def restart(self) -> None:
        """A new scheduler, which knows nothing but the tables."""
        await self.stop()
        self.scope = trio.CancelScope()
        self.scheduler = self.new_scheduler()
        await self.start()

    async def _run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        with self.scope:
            await self.scheduler.run(task_status=task_status)

    async def create(self, config: TaskConfig, instances: int = 1) -> tuple[str, ...]:
        return await self.storage.write(lambda tx: self.scheduler.states.insert_pending(tx, config, range(instances)))

    async def change(self, task_id: str, target: ScheduleStatus, message: str | None = None) -> None:
        await self.storage.write(lambda tx: self.scheduler.states.change_state(tx, task_id, target, message))

    async def kill(self, task_id: str) -> None:
        await self.change(task_id, ScheduleStatus.KILLING, "Killed by UNSECURE")

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait for a change after which this holds."""
        with self.storage.subscribe() as changes:
            while not holds():
                await changes.receive()

    async def until_count(self, status: ScheduleStatus, count: int) -> None:
        await self.until(lambda: self.tables.count(status) == count)

    async def until_status(self, task_id: str, status: ScheduleStatus) -> ScheduledTask:
        await self.until(lambda: (task := self.tables.task(task_id)) is not None and task.status is status)
        return self.task(task_id)

    async def until_successor(self, task_id: str) -> ScheduledTask:
        await self.until(lambda: self.successor(task_id) is not None)
        found = self.successor(task_id)
        assert found is not None
        return found

    def task(self, task_id: str) -> ScheduledTask:
        task = self.tables.task(task_id)
        assert task is not None
        return task

    def successor(self, task_id: str) -> ScheduledTask | None:
        return next((task for task in self.tasks() if task.ancestor_id == task_id), None)

    def tasks(self) -> list[ScheduledTask]:
        return self.tables.tasks(TaskQuery())


def config(
    cpus: float = 0.5,
    ram_mb: int = 64,
    disk_mb: int = 64,
    *,
    name: str = "web",
    ports: tuple[str, ...] = (),
    service: bool = True,
    max_failures: int = 1,
    constraints: tuple[Constraint, ...] = (),
) -> TaskConfig:
    amounts = (Resource(num_cpus=cpus), Resource(ram_mb=ram_mb), Resource(disk_mb=disk_mb))
    return TaskConfig(
        job=JobKey("www-data", "prod", name),
        is_service=service,
        max_task_failures=max_failures,
        tier="preemptible",
        resources=frozenset((*amounts, *[Resource(named_port=port) for port in ports])),
        constraints=frozenset(constraints),
        executor_config=ExecutorConfig(AURORA_EXECUTOR_NAME, "{}"),
    )


def limit(name: str, most: int) -> Constraint:
    return Constraint(name, TaskConstraint(limit=LimitConstraint(most)))


def value(name: str, *values: str, negated: bool = False) -> Constraint:
    return Constraint(name, TaskConstraint(value=ValueConstraint(negated, frozenset(values))))


def story(task: ScheduledTask) -> list[tuple[ScheduleStatus, str | None]]:
    return [(event.status, event.message) for event in task.task_events]
