"""How much the log and the database carry, and how fast a large state is read at start."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import msgspec
import trio

from aurorad.api.enums import ScheduleStatus
from aurorad.api.tasks import (
    AssignedTask,
    ExecutorConfig,
    Identity,
    JobKey,
    Resource,
    ScheduledTask,
    TaskConfig,
    TaskEvent,
)
from aurorad.storage.storage import Storage
from aurorad.storage.tables import Table
from aurorad.storage.transaction import Transaction
from aurorad.vars import Vars
from tests.storage.opened import open_storage

Figure = tuple[str, str, str]  # what, measured, goal

CALLERS = 64
JOBS = 6000
INSTANCES = 10
LARGE = 100_000
_STATES = (ScheduleStatus.PENDING, ScheduleStatus.ASSIGNED, ScheduleStatus.STARTING, ScheduleStatus.RUNNING)


def figures() -> list[Figure]:
    """On the disk that holds the folder for temporary files; the database is kept up to date meanwhile."""
    with tempfile.TemporaryDirectory() as folder:
        return trio.run(_measure, Path(folder))


async def _measure(folder: Path) -> list[Figure]:
    async with trio.open_nursery() as nursery:
        hold = Hold()
        nursery.start_soon(hold.watch)
        async with _opened(folder / "small") as storage:
            one = await _rate(storage, JOBS // 10, 1, lambda number: _created(f"one-{number}", 1))
            many = await _rate(storage, JOBS, CALLERS, lambda number: _created(f"many-{number}", INSTANCES))
            transitions = await _transitions(storage)
        async with _opened(folder / "large") as storage:
            for number in range(LARGE // 1000):
                await storage.write(_created(f"large-{number}", 1000))
            writing = hold.worst()
        from_database = await _opening(folder / "large")
        (folder / "large" / "state.db").unlink()
        from_log = await _opening(folder / "large")
        reading = hold.worst()
        nursery.cancel_scope.cancel()
    return [
        ("jobs created, one caller", f"{one:,.0f}/s", ""),
        (f"jobs of {INSTANCES} tasks created, {CALLERS} callers", f"{many:,.0f}/s", ""),
        (f"task transitions, {CALLERS} writers", f"{transitions:,.0f}/s", ""),
        (f"opening a state of {LARGE:,} tasks, by the database", f"{from_database:.2f} s", "2 s"),
        (f"opening a state of {LARGE:,} tasks, by the log alone", f"{from_log:.2f} s", ""),
        ("longest hold of the event loop while writing that", f"{writing * 1000:.0f} ms", "50 ms"),
        ("longest hold of the event loop while opening that", f"{reading * 1000:.0f} ms", "50 ms"),
    ]


class Hold:
    """How long the event loop was held at most."""

    def __init__(self) -> None:
        self._worst = 0.0
        self._worst_own = 0.0

    async def watch(self) -> None:
        while True:
            start, own = time.perf_counter(), time.thread_time()
            await trio.sleep(0.001)
            self._worst = max(self._worst, time.perf_counter() - start - 0.001)
            self._worst_own = max(self._worst_own, time.thread_time() - own)

    def worst(self) -> float:
        """Since the last call."""
        worst, self._worst, self._worst_own = self._worst, 0.0, 0.0
        return worst

    def told(self) -> str:
        """Like `worst`, and how much of it was the loop's own work: other processes may have had the processor."""
        own = self._worst_own
        return f"{self.worst() * 1000:.0f} ({own * 1000:.0f}) ms"


def _opened(folder: Path) -> AbstractAsyncContextManager[Storage]:
    return open_storage(folder, stats=Vars(), now_ms=lambda: 1)


async def _opening(folder: Path) -> float:
    start = time.perf_counter()
    async with _opened(folder) as storage:
        seconds = time.perf_counter() - start
        assert len(storage.tables.rows(Table.TASKS)) == LARGE
    return seconds


async def _rate(
    storage: Storage, count: int, callers: int, work: Callable[[int], Callable[[Transaction], None]]
) -> float:
    """Writes a second, by callers that wait for each answer."""
    numbers = iter(range(count))

    async def call() -> None:
        for number in numbers:
            await storage.write(work(number))

    start = time.perf_counter()
    async with trio.open_nursery() as nursery:
        for _ in range(callers):
            nursery.start_soon(call)
    return count / (time.perf_counter() - start)


async def _transitions(storage: Storage) -> float:
    """Every task goes from PENDING to RUNNING, one transition a write."""
    ids = list(storage.tables.rows(Table.TASKS))[-20_000:]
    return await _rate(
        storage, 3 * len(ids), CALLERS, lambda number: _moved(ids[number % len(ids)], _STATES[1 + number // len(ids)])
    )


def _created(job: str, instances: int) -> Callable[[Transaction], None]:
    config = TaskConfig(
        job=JobKey("www-data", "prod", job),
        owner=Identity("www-data"),
        resources=frozenset({Resource(num_cpus=1.0), Resource(ram_mb=128), Resource(disk_mb=128)}),
        executor_config=ExecutorConfig("AuroraExecutor", "x" * 2000),
    )
    tasks = [
        ScheduledTask(
            AssignedTask(f"www-data-prod-{job}-{instance}-38ae4aef-8a6e-4f0c-8c3a-1d5a4e0f2b7c", None, None, config),
            ScheduleStatus.PENDING,
            task_events=(TaskEvent(1_700_000_000_000, ScheduleStatus.PENDING, None, "localhost"),),
        )
        for instance in range(instances)
    ]
    return lambda tx: tx.save_tasks(*tasks)


def _moved(task_id: str, status: ScheduleStatus) -> Callable[[Transaction], None]:
    def work(tx: Transaction) -> None:
        task = tx.tables.task(task_id)
        assert task is not None
        event = TaskEvent(1_700_000_000_001, status, None, "localhost")
        assigned = msgspec.structs.replace(task.assigned_task, slave_id="agent-1", slave_host="localhost")
        tx.save_tasks(
            msgspec.structs.replace(task, assigned_task=assigned, status=status, task_events=(*task.task_events, event))
        )

    return work
