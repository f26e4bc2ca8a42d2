"""How fast slots for preemption are searched on a full cluster (scale-facts sheet, section 2)."""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Iterator
from uuid import UUID

import msgspec
import trio

from aurorad.api.enums import ScheduleStatus
from aurorad.api.tasks import (
    AssignedTask,
    Attribute,
    Constraint,
    ExecutorConfig,
    HostAttributes,
    Identity,
    JobKey,
    LimitConstraint,
    Resource,
    ScheduledTask,
    TaskConfig,
    TaskConstraint,
    TaskEvent,
    ValueConstraint,
)
from aurorad.engine.base import Engine
from aurorad.flags import Flags
from aurorad.rules import executors, matching
from aurorad.rules.matching import Request
from aurorad.rules.tiers import BUILT_IN
from aurorad.scheduler.agents_view import AgentsView
from aurorad.scheduler.offers import Offers
from aurorad.scheduler.preemption import Preemptor
from aurorad.scheduler.reservations import Reservations
from aurorad.scheduler.state import StateManager
from aurorad.scheduler.victims import Victims
from aurorad.storage.events import TaskChanged
from aurorad.storage.storage import Storage
from aurorad.storage.tables import Row, Table, Tables
from aurorad.vars import Vars
from tests.bench.storage import Hold
from tests.storage.memory_log import NoLog

Figure = tuple[str, str, str]  # what, measured, goal

HOSTS = 10_000
NOW_MS = 1_700_000_000_000
SECONDS = 3.0


def figures() -> Iterator[Figure]:
    """Everything in memory; nobody is preempted, since no agent will do."""
    cluster = _Cluster(kinds=1)
    for pending in (1, 10, 100, 1000):
        runs, hold = cluster.measure([_group("denied", pending, value="denied")])
        yield f"slot search, {pending:,} pending, value mismatch, runs", f"{runs:,.0f}/s", "20/s"
    yield "longest hold of the event loop by it", f"{hold * 1000:.0f} ms", "50 ms"
    runs, hold = cluster.measure([_group("limited", 1000, limit=0)])
    yield "slot search, limit mismatch on every host, runs", f"{runs:,.0f}/s", ""
    yield "longest hold of the event loop by it", f"{hold * 1000:.0f} ms", "50 ms"
    runs, hold = cluster.measure([_group(f"large-{n}", 1, cpus=32) for n in range(1000)])
    yield "slot search, 1,000 jobs too large for any host, runs", f"{runs:,.0f}/s", ""
    runs, _ = cluster.measure([_group("fits", 1000)])
    yield "slot search, 1,000 slots found, runs", f"{runs:,.0f}/s", ""
    mixed = _Cluster(kinds=HOSTS)
    runs, hold = mixed.measure([_group("large", 1000, cpus=32)])
    yield f"slot search, too large, {HOSTS:,} unlike hosts, runs", f"{runs:,.0f}/s", ""
    yield "longest hold of the event loop by it", f"{hold * 1000:.0f} ms", "50 ms"


class _Group(msgspec.Struct):
    request: Request
    queue: tuple[str, ...]
    tasks: list[ScheduledTask]


def _config(job: JobKey, tier: str, cpus: float = 6, constraints: frozenset[Constraint] = frozenset()) -> TaskConfig:
    amounts = (Resource(num_cpus=cpus), Resource(ram_mb=8 << 10), Resource(disk_mb=128 << 10))
    return TaskConfig(
        job=job,
        owner=Identity(job.role),
        tier=tier,
        resources=frozenset(amounts),
        constraints=constraints,
        executor_config=ExecutorConfig("AuroraExecutor", "{}"),
    )


def _group(name: str, count: int, value: str | None = None, limit: int | None = None, cpus: float = 6) -> _Group:
    constraint = None
    if value is not None:
        constraint = TaskConstraint(value=ValueConstraint(False, frozenset({value})))
    elif limit is not None:
        constraint = TaskConstraint(limit=LimitConstraint(limit))
    constraints = frozenset({Constraint("host", constraint)} if constraint is not None else ())
    config = _config(JobKey("bench", "prod", name), "preferred", cpus, constraints)
    events = (TaskEvent(NOW_MS - 3_600_000, ScheduleStatus.PENDING, None, "scheduler"),)
    tasks = [
        ScheduledTask(AssignedTask(f"{name}-{n}", None, None, config), ScheduleStatus.PENDING, task_events=events)
        for n in range(count)
    ]
    request = matching.request_of(config, executors.BUILT_IN, revocable=False)
    return _Group(request, tuple(task.assigned_task.task_id for task in tasks), tasks)


class _Cluster:
    """Every host is full with one preemptible task, of one of so many configurations."""

    def __init__(self, kinds: int) -> None:
        flags, stats = Flags(), Vars()
        self._tables = Tables()
        storage = Storage(NoLog(), self._tables)
        engine: Engine = None  # type: ignore[assignment]  # nothing is launched
        offers = Offers(storage=storage, engine=engine, flags=flags, stats=stats, rng=random.Random(1))
        reservations = Reservations(tables=self._tables, flags=flags, stats=stats)
        victims = Victims(executors.BUILT_IN, BUILT_IN)
        self._groups: list[_Group] = []
        self._preemptor = Preemptor(
            storage=storage,
            states=StateManager(
                now_ms=lambda: NOW_MS, new_uuid=lambda: UUID(int=1), hostname="scheduler", flags=flags, stats=stats
            ),
            reservations=reservations,
            view=AgentsView(
                tables=self._tables,
                offers=offers,
                reservations=reservations,
                victims=victims,
                flags=flags,
                now_ms=lambda: NOW_MS,
            ),
            groups=lambda: self._groups,
            flags=flags,
            stats=stats,
            now_ms=lambda: NOW_MS,
        )
        self._fill(kinds)
        gc.collect()
        gc.freeze()  # as the daemon does at its start

    def _fill(self, kinds: int) -> None:
        configs = [
            _config(JobKey("victim", "devel", f"victim-{n}"), "preemptible", 6 + n / HOSTS) for n in range(kinds)
        ]
        for n in range(HOSTS):
            attributes = (Attribute("host", frozenset({f"host-{n}"})), Attribute("rack", frozenset({f"rack-{n // 2}"})))
            host = HostAttributes(f"host-{n}", frozenset(attributes), None, f"agent-{n}")
            task = ScheduledTask(
                AssignedTask(f"victim-{n}", f"agent-{n}", f"host-{n}", configs[n % kinds]), ScheduleStatus.RUNNING
            )
            self._tables.load([Row(Table.HOSTS, host.host, host), Row(Table.TASKS, f"victim-{n}", task)])
            self._preemptor.changed(TaskChanged(None, task))

    def measure(self, groups: list[_Group]) -> tuple[float, float]:
        """Runs a second, and the longest hold of the loop in seconds."""
        self._groups = groups
        tasks = [task for group in groups for task in group.tasks]
        self._tables.load(Row(Table.TASKS, task.assigned_task.task_id, task) for task in tasks)
        return trio.run(self._search)

    async def _search(self) -> tuple[float, float]:
        hold = Hold()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(hold.watch)
            await self._preemptor.search()  # once to take notice of the hosts
            hold.worst()
            start, runs = time.perf_counter(), 0
            while time.perf_counter() - start < SECONDS:
                await self._preemptor.search()
                await trio.lowlevel.checkpoint()
                runs += 1
            seconds = time.perf_counter() - start
            nursery.cancel_scope.cancel()
        return runs / seconds, hold.worst()
