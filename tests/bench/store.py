"""What the state in memory and its durable writes carry, next to what the original does here.

One process, one caller; the log syncs every write, and the database is kept up to date meanwhile.
"""

from __future__ import annotations

import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path

import trio
import trio.lowlevel

from aurorad.api.enums import ScheduleStatus
from aurorad.api.tasks import ExecutorConfig, Identity, JobKey, Resource, TaskConfig, TaskQuery
from aurorad.flags import Flags
from aurorad.log.local import LocalLog
from aurorad.scheduler.state import StateManager
from aurorad.storage import recovery
from aurorad.storage.snapshots import Snapshots
from aurorad.storage.storage import Storage
from aurorad.storage.tables import Table, Tables
from aurorad.storage.transaction import Transaction
from aurorad.vars import Vars
from tests.bench.storage import Hold
from tests.storage.opened import open_storage

Figure = tuple[str, str, str]  # what, measured, goal

LARGE = 100_000
WRITES = {1_000: (40, 60, 150), 10_000: (8, 6, 15), 50_000: (3, 1.2, 4)}
"""How many tasks in one write: how often, and the goals for inserting and deleting them."""
UPDATES = 50_000
UPDATE_BATCH = 1_000
ROLES = 100


def figures() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        yield from trio.run(_measure, Path(folder))


async def _measure(folder: Path) -> list[Figure]:
    async with trio.open_nursery() as nursery:
        hold = Hold()
        nursery.start_soon(hold.watch)
        found: list[Figure] = []
        async with _opened(folder / "writes") as storage:
            for tasks, (times, insert_goal, delete_goal) in WRITES.items():
                found += await _inserts(storage, hold, tasks, times, insert_goal, delete_goal)
            found += await _updates(storage, hold)
        log = await LocalLog.open(folder / "reads" / "log", Vars())
        storage = Storage(log, Tables())
        await nursery.start(storage.run)
        found += await _reads(storage)
        found += await _snapshot(Snapshots(storage, log, Vars(), _now_ms, 3600, 0), hold)
        await log.aclose()
        found += await _restore(folder / "reads", hold)
        nursery.cancel_scope.cancel()
    return found


class _Spent:
    """Wall time and this process's own time."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def told(self) -> tuple[float, float]:
        return time.perf_counter() - self._wall, time.process_time() - self._cpu


async def _inserts(
    storage: Storage, hold: Hold, tasks: int, times: int, insert_goal: float, delete_goal: float
) -> list[Figure]:
    states = _states()
    inserting, deleting = 0.0, 0.0
    hold.worst()
    for number in range(times):
        config = _config("jmh", f"benchmark-{tasks}-{number}")
        start = time.perf_counter()
        new = await states.prepare_pending(config, range(tasks))
        ids = await storage.write(partial(states.insert_prepared, new=new))
        inserting += time.perf_counter() - start
        await trio.lowlevel.checkpoint()
        assert len(storage.tables.job_tasks(config.job)) == tasks
        start = time.perf_counter()
        await storage.write(partial(Transaction.remove_tasks, task_ids=ids))
        deleting += time.perf_counter() - start
    return [
        (f"insert {tasks:,} pending tasks in one write", f"{times / inserting:.1f}/s", f"{insert_goal:g}/s"),
        (f"delete {tasks:,} tasks in one write", f"{times / deleting:.1f}/s", f"{delete_goal:g}/s"),
        ("  longest hold of the loop meanwhile (of its own)", hold.told(), "50 ms"),
    ]


async def _updates(storage: Storage, hold: Hold) -> list[Figure]:
    states = _states()
    ids = await storage.write(lambda tx: states.insert_pending(tx, _config("jmh", "updates"), range(UPDATES)))
    for start in range(0, UPDATES, UPDATE_BATCH):
        some = ids[start : start + UPDATE_BATCH]
        await storage.write(_placed(states, some))
        await storage.write(_all(states, some, ScheduleStatus.STARTING))
    hold.worst()
    spent = _Spent()
    for start in range(0, UPDATES, UPDATE_BATCH):
        await storage.write(_all(states, ids[start : start + UPDATE_BATCH], ScheduleStatus.RUNNING))
    wall, cpu = spent.told()
    assert storage.tables.count(ScheduleStatus.RUNNING) == UPDATES
    return [
        (f"STARTING to RUNNING, durable, {UPDATE_BATCH:,} a write", f"{UPDATES / wall:,.0f}/s", "21,000/s"),
        ("  the same per second of processor time", f"{UPDATES / cpu:,.0f}/s", ""),
        ("  longest hold of the loop meanwhile (of its own)", hold.told(), "50 ms"),
    ]


def _all(states: StateManager, ids: tuple[str, ...], status: ScheduleStatus) -> Callable[[Transaction], None]:
    def work(tx: Transaction) -> None:
        for task_id in ids:
            states.change_state(tx, task_id, status)

    return work


def _placed(states: StateManager, ids: tuple[str, ...]) -> Callable[[Transaction], None]:
    def work(tx: Transaction) -> None:
        for number, task_id in enumerate(ids):
            states.assign(tx, task_id, f"host-{number}", f"agent-{number}", {})

    return work


async def _reads(storage: Storage) -> list[Figure]:
    states = _states()
    one = _config("jmh", "one")
    for config, count in [(one, LARGE), *[(_config(f"role-{n}", "job"), LARGE // ROLES) for n in range(ROLES)]]:
        new = await states.prepare_pending(config, range(count))
        ids = await storage.write(partial(states.insert_prepared, new=new))
        for start in range(0, count, UPDATE_BATCH):
            some = ids[start : start + UPDATE_BATCH]
            await storage.write(_placed(states, some))
            await storage.write(_all(states, some, ScheduleStatus.RUNNING))
    instance = TaskQuery(job_keys=frozenset({one.job}), instance_ids=frozenset({LARGE // 2}))
    everything, role = TaskQuery(role="jmh"), TaskQuery(role="role-7")
    return [
        (f"fetch all of {LARGE:,} tasks", f"{_rate(storage, everything, LARGE, 100):,.0f}/s", "200/s"),
        (f"one instance of a job of {LARGE:,}", f"{_rate(storage, instance, 1, 20_000):,.0f}/s", "20,000/s"),
        (
            f"fetch by role, {LARGE // ROLES:,} of {2 * LARGE:,} tasks",
            f"{1000 / _rate(storage, role, LARGE // ROLES, 200):.2f} ms",
            "1 ms",
        ),
    ]


def _rate(storage: Storage, query: TaskQuery, found: int, times: int) -> float:
    assert len(storage.tables.tasks(query)) == found
    start = time.perf_counter()
    for _ in range(times):
        storage.tables.tasks(query)
    return times / (time.perf_counter() - start)


async def _snapshot(snapshots: Snapshots, hold: Hold) -> list[Figure]:
    """Of twice as many tasks, so half of it is told."""
    await trio.sleep(0.01)
    hold.worst()
    spent = _Spent()
    await snapshots.write()
    wall, cpu = spent.told()
    return [
        (f"snapshot of {LARGE:,} tasks", f"{wall / 2:.2f} s", "0.6 s"),
        ("  processor time of that", f"{cpu / 2:.2f} s", ""),
        ("  longest hold of the loop meanwhile (of its own)", hold.told(), "50 ms"),
    ]


async def _restore(folder: Path, hold: Hold) -> list[Figure]:
    log = await LocalLog.open(folder / "log", Vars())
    hold.worst()
    start = time.perf_counter()
    recovered = await recovery.recover(log, folder / "state.db", Vars())
    seconds = time.perf_counter() - start
    assert len(recovered.tables.rows(Table.TASKS)) == 2 * LARGE
    await log.aclose()
    return [
        (f"restore of {LARGE:,} tasks from a snapshot", f"{seconds / 2:.2f} s", "2 s"),
        ("  longest hold of the loop meanwhile (of its own)", hold.told(), "50 ms"),
    ]


def _opened(folder: Path) -> AbstractAsyncContextManager[Storage]:
    return open_storage(folder, stats=Vars(), now_ms=_now_ms)


def _now_ms() -> int:
    return int(time.time() * 1000)


def _states() -> StateManager:
    return StateManager(now_ms=_now_ms, new_uuid=uuid.uuid4, hostname="localhost", flags=Flags(), stats=Vars())


def _config(role: str, name: str) -> TaskConfig:
    """The task of the original's benchmarks."""
    return TaskConfig(
        job=JobKey(role, "dev", name),
        owner=Identity(role),
        tier="preemptible",
        resources=frozenset({Resource(num_cpus=6.0), Resource(ram_mb=8192), Resource(disk_mb=131072)}),
        executor_config=ExecutorConfig("AuroraExecutor", "x" * 2000),
    )
