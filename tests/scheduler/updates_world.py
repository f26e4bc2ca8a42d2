"""A scheduler's storage, tasks and updater over a log in memory, with agents that play the tasks' lives by script.

Meant for a mocked clock: everything takes virtual time only.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple
from uuid import UUID

import msgspec
import trio

from aurorad.api.enums import ACTIVE_STATES, JobUpdateAction, JobUpdateStatus, ScheduleStatus
from aurorad.api.tasks import JobKey, ScheduledTask, TaskConfig
from aurorad.api.updates import JobUpdate, JobUpdateDetails, JobUpdateKey, JobUpdateSettings, JobUpdateSummary
from aurorad.flags import Flags
from aurorad.log.face import Written
from aurorad.rules import job_diff
from aurorad.rules.updates.requests import with_strategy
from aurorad.scheduler.sla import SlaKills
from aurorad.scheduler.state import StateManager
from aurorad.scheduler.updater import Updater
from aurorad.scheduler.writing import write_patiently
from aurorad.storage.events import KillRequested, TaskChanged
from aurorad.storage.storage import LogFull, Storage
from aurorad.storage.tables import Tables
from aurorad.storage.transaction import Transaction
from aurorad.vars import Vars
from tests.storage.memory_log import MemoryLog

S = ScheduleStatus
JOB = JobKey("www", "prod", "web")
OLD, NEW, NEWER = (TaskConfig(JOB, is_service=True, priority=priority) for priority in (1, 2, 3))
LIVES = 10_000_000.0
START_MS = 1_000_000
PACE_S = 0.1
"""How long each step of a task takes on its agent."""
THROTTLE_S = 30.0
Request = Callable[[Transaction, JobUpdateKey, str, str | None], bool]
_FINISHING = (
    JobUpdateAction.INSTANCE_UPDATED,
    JobUpdateAction.INSTANCE_UPDATE_FAILED,
    JobUpdateAction.INSTANCE_ROLLED_BACK,
    JobUpdateAction.INSTANCE_ROLLBACK_FAILED,
)


class Life(NamedTuple):
    """What becomes of a task: it runs `lasts_s` and then ends as `end`; it may never be placed at all."""

    lasts_s: float = LIVES
    end: ScheduleStatus = S.FAILED
    placed: bool = True


class GrowingLog(MemoryLog):
    def __init__(self) -> None:
        super().__init__()
        self.grown = trio.Event()

    async def submit(self, entries: Sequence[bytes]) -> Written:
        receipt = await super().submit(entries)
        self.grown.set()
        self.grown = trio.Event()
        return receipt


def now_ms() -> int:
    return START_MS + round(trio.current_time() * 1000)


class World:
    """`life` says what each task will do when it is placed."""

    def __init__(self, life: Callable[[ScheduledTask], Life] = lambda task: Life(), flags: Flags | None = None) -> None:
        self.life = life
        self.flags = flags or Flags()
        self.stats = Vars()
        self.log = GrowingLog()
        self.tables = Tables()
        self.storage = Storage(self.log, self.tables)
        numbers = itertools.count(1)
        self.states = StateManager(
            now_ms=now_ms,
            new_uuid=lambda: UUID(int=next(numbers)),
            hostname="here",
            flags=self.flags,
            stats=self.stats,
        )
        self.places: list[tuple[int, TaskConfig]] = []
        """Whose agent was to be kept for what."""
        self.updater = self._new_updater()
        self.most_at_once = 0
        self._ids = itertools.count(1)
        self._nursery: trio.Nursery | None = None
        self._updater_scope = trio.CancelScope()

    def _new_updater(self) -> Updater:
        sla = SlaKills(storage=self.storage, flags=self.flags, stats=self.stats, now_ms=now_ms)
        return Updater(
            self.storage,
            self.states,
            now_ms,
            self.stats,
            self.flags,
            sla=sla,
            rng=random.Random(1),
            keep_place=self.kept,
        )

    def kept(self, task: ScheduledTask, new: TaskConfig) -> None:
        self.places.append((task.assigned_task.instance_id, new))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[World]:
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            await nursery.start(self.storage.run)
            nursery.start_soon(self._play)
            await nursery.start(self._run_updater)
            yield self
            nursery.cancel_scope.cancel()

    async def _run_updater(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        with self._updater_scope:
            await self.updater.run(task_status=task_status)

    def stop_updater(self) -> None:
        self._updater_scope.cancel()

    async def restart_updater(self) -> None:
        """A new one, which knows nothing but the tables."""
        assert self._nursery is not None
        self._updater_scope.cancel()
        self._updater_scope = trio.CancelScope()
        self.updater = self._new_updater()
        await self._nursery.start(self._run_updater)

    async def create(self, config: TaskConfig, *instances: int) -> None:
        """Have these instances, running."""
        if instances:
            await self.storage.write(lambda tx: self.states.insert_pending(tx, config, instances))
            await trio.sleep(10)  # they run, and have run for a while
            assert all(self.task(i).status is S.RUNNING for i in instances)

    async def update(
        self, config: TaskConfig, count: int, settings: JobUpdateSettings, message: str | None = None
    ) -> JobUpdateKey:
        """Start an update to `count` instances of `config`."""
        settings = with_strategy(settings)
        key = JobUpdateKey(config.job, f"update-{next(self._ids)}")
        active = self.tables.job_tasks(config.job, ACTIVE_STATES)
        changes = job_diff.diff(job_diff.current_configs(active), config, count)
        update = JobUpdate(JobUpdateSummary(key, "alice"), job_diff.instructions(changes, settings))
        await self.storage.write(lambda tx: self.updater.start(tx, update, "alice", message))
        return key

    async def ask(self, act: Request, key: JobUpdateKey, message: str | None = None) -> None:
        """One of the updater's requests, as bob."""
        await self.storage.write(lambda tx: act(tx, key, "bob", message))

    async def until(self, key: JobUpdateKey, *statuses: JobUpdateStatus) -> None:
        with trio.fail_after(100_000):
            while self.status(key) not in statuses:
                await self.something()

    async def until_task(self, instance: int, config: TaskConfig, status: ScheduleStatus) -> ScheduledTask:
        with trio.fail_after(100_000):
            while True:
                for task in self.tasks(instance):
                    if task.assigned_task.task == config and task.status is status:
                        return task
                await self.something()

    async def something(self) -> None:
        """Wait for the next write."""
        await self.log.grown.wait()

    def details(self, key: JobUpdateKey) -> JobUpdateDetails:
        return self.tables.updates[key]

    def status(self, key: JobUpdateKey) -> JobUpdateStatus:
        return self.details(key).update_events[-1].status

    def story(self, key: JobUpdateKey) -> list[tuple[str, str | None, str | None]]:
        """Each status the update had, with who asked for it and what was said."""
        return [(event.status.name, event.user, event.message) for event in self.details(key).update_events]

    def actions(self, key: JobUpdateKey) -> list[tuple[int, str]]:
        return [(event.instance_id, event.action.name) for event in self.details(key).instance_events]

    def tasks(self, instance: int) -> list[ScheduledTask]:
        return [t for t in self.tables.job_tasks(JOB) if t.assigned_task.instance_id == instance]

    def task(self, instance: int) -> ScheduledTask:
        """The active one."""
        (task,) = [task for task in self.tasks(instance) if task.status in ACTIVE_STATES]
        return task

    def configs(self) -> dict[int, TaskConfig]:
        """What each instance is to run now."""
        return job_diff.current_configs(self.tables.job_tasks(JOB, ACTIVE_STATES))

    async def move(self, task_id: str, status: ScheduleStatus, expected: ScheduleStatus | None = None) -> None:
        while True:
            try:
                await self.storage.write(lambda tx: self.states.change_state(tx, task_id, status, expected=expected))
            except LogFull:
                await trio.sleep(1)
            else:
                return

    async def _play(self) -> None:
        async with trio.open_nursery() as nursery:
            changes = self.storage.subscribe()
            async for event in (event async for events in changes for event in events):
                self._check()
                if isinstance(event, KillRequested):
                    nursery.start_soon(self._kill, event.task_id)
                elif isinstance(event, TaskChanged) and event.after is not None:
                    if event.after.status is S.PENDING:
                        nursery.start_soon(self._live, event.after)
                    elif event.after.status is S.THROTTLED:
                        nursery.start_soon(self._throttle, event.after.assigned_task.task_id)

    async def _live(self, task: ScheduledTask) -> None:
        life = self.life(task)
        if not life.placed:
            return
        task_id = task.assigned_task.task_id
        await trio.sleep(PACE_S)
        if not await self._assign(task_id):
            return
        for before, after in itertools.pairwise((S.ASSIGNED, S.STARTING, S.RUNNING)):
            await trio.sleep(PACE_S)
            await self.move(task_id, after, expected=before)
        if life.lasts_s < LIVES:
            await trio.sleep(life.lasts_s)
            await self.move(task_id, life.end, expected=S.RUNNING)

    async def _assign(self, task_id: str) -> bool:
        def work(tx: Transaction) -> bool:
            task = tx.tables.task(task_id)
            if task is None or task.status is not S.PENDING:
                return False
            self.states.assign(tx, task_id, "host", "agent", {})
            return True

        return await write_patiently(self.storage, work)

    async def _throttle(self, task_id: str) -> None:
        await trio.sleep(THROTTLE_S)
        await self.move(task_id, S.PENDING, expected=S.THROTTLED)

    async def _kill(self, task_id: str) -> None:
        await trio.sleep(PACE_S)
        await self.move(task_id, S.KILLED)

    def _check(self) -> None:
        """Invariants that hold at every moment."""
        instances = [t.assigned_task.instance_id for t in self.tables.job_tasks(JOB, ACTIVE_STATES)]
        assert len(set(instances)) == len(instances), f"an instance is there twice: {instances}"
        for details in self.tables.job_updates(JOB):
            self.most_at_once = max(self.most_at_once, _at_work(details))


def _at_work(details: JobUpdateDetails) -> int:
    """How many instances an update has begun in its present direction and not finished."""
    back = any(event.status is JobUpdateStatus.ROLLING_BACK for event in details.update_events)
    working: set[int] = set()
    for event in details.instance_events:
        if back != ("ROLL" in event.action.name):
            continue
        if event.action in _FINISHING:
            working.discard(event.instance_id)
        else:
            working.add(event.instance_id)
    return len(working)


def settings(group: int = 1, **changes: object) -> JobUpdateSettings:
    return msgspec.structs.replace(
        JobUpdateSettings(update_group_size=group, min_wait_in_instance_running_ms=1000, rollback_on_failure=True),
        **changes,
    )


def fails(*configs: TaskConfig, after_s: float = 0.2) -> Callable[[ScheduledTask], Life]:
    """Tasks with these configurations fail soon, all others live."""
    return lambda task: Life(after_s) if task.assigned_task.task in configs else Life()
