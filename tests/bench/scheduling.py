"""How fast tasks find their offers: the workloads of the original's own benchmarks, on clusters of the same size.

The scheduler's real parts are driven from the write that creates tasks to the engine's `launch`, over a log that does
nothing. Rates are by processor time, which other work on the machine hardly changes.
"""

from __future__ import annotations

import dataclasses
import math
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

import msgspec
import trio

from aurorad.api.enums import AURORA_EXECUTOR_NAME
from aurorad.api.tasks import (
    Attribute,
    Constraint,
    ExecutorConfig,
    Identity,
    JobKey,
    LimitConstraint,
    TaskConfig,
    TaskConstraint,
    ValueConstraint,
)
from aurorad.api.tasks import Resource as Requested
from aurorad.engine.base import Event, Offer, Resource, StatusUpdate, TaskInfo
from aurorad.flags import Flags
from aurorad.garbage import leave_long_lived_alone
from aurorad.scheduler.limits import configured_executors
from aurorad.scheduler.offers import Offers
from aurorad.scheduler.placement import Placement
from aurorad.scheduler.state import StateManager
from aurorad.storage.events import StorageEvent, TaskChanged
from aurorad.storage.storage import Storage
from aurorad.storage.tables import Tables
from aurorad.vars import Vars
from tests.storage.memory_log import NoLog

Figure = tuple[str, str, str]  # what, measured, goal

CPUS, RAM_MB, DISK_MB, PORTS = 8.0, 16 << 10, 256 << 10, ((1, 1023),)
JOB = JobKey("jmh", "dev", "benchmark")
LARGE = 200_000
TASKS_PER_OP = 10
FLAGS = Flags(hold_offers_forever=True, first_schedule_delay=1e-6)
ROUNDS = 2000


def figures() -> Iterable[Figure]:
    yield from trio.run(_fill_cluster, LARGE, (10, 50, 90), False)
    yield from trio.run(_fill_cluster, LARGE // 4, (10, 80), True)
    yield trio.run(_schedule, "tasks launched, 10,000 on 10,000 offers", 10_000, (), "20,000/s")
    yield trio.run(
        _schedule, "tasks launched, 1,000 on 10,000 offers, limit host:1", 1000, (_limit("host", 1),), "15,000/s"
    )
    yield trio.run(_rounds, "rounds, insufficient resources on 1,000 hosts", _config(cpus=32.0), "20,000/s")
    denied = Constraint("host", TaskConstraint(value=ValueConstraint(values=frozenset({"denied"}))))
    yield trio.run(_rounds, "rounds, value mismatch on 1,000 hosts", _config(denied), "20,000/s")
    yield trio.run(_rounds, "rounds, limit mismatch on 1,000 hosts", _config(_limit("host", 0)), "10,000/s")
    yield trio.run(_bulk)


class _Engine:
    """Counts what is launched; what a launch leaves of an offer is offered again if `offers_rest`."""

    def __init__(self, offers_rest: bool) -> None:
        self.launched = 0
        self.calls = 0
        self.offers: dict[str, Offer] = {}
        self._rest: list[Offer] = []
        self._has_rest = trio.Event()
        self._offers_rest = offers_rest
        self._until = math.inf
        self._reached = trio.Event()

    async def run(self, events: trio.MemorySendChannel[Event], framework_id: str | None) -> None: ...

    async def launch(self, offer_id: str, tasks: tuple[TaskInfo, ...], refuse_s: float) -> None:
        offer = self.offers.pop(offer_id)
        if self._offers_rest:
            rest = _rest(offer, tasks)
            self.offers[rest.id] = rest
            self._rest.append(rest)
            self._has_rest.set()
        self.calls += 1
        self.launched += len(tasks)
        if self.launched >= self._until:
            self._reached.set()

    async def offer_rest(self, receive: Callable[[tuple[Offer, ...]], Awaitable[None]]) -> None:
        while True:
            await self._has_rest.wait()
            self._has_rest = trio.Event()
            rest, self._rest = tuple(self._rest), []
            await receive(rest)

    async def until(self, launched: int) -> None:
        self._until = launched
        while self.launched < launched:
            self._reached = trio.Event()
            await self._reached.wait()

    async def decline(self, offer_id: str, refuse_s: float) -> None: ...

    async def suppress(self) -> None: ...

    async def revive(self) -> None: ...

    async def kill(self, task_id: str) -> None: ...

    async def acknowledge(self, update: StatusUpdate) -> None: ...

    async def reconcile(self, task_ids: tuple[str, ...]) -> None: ...


def _rest(offer: Offer, tasks: tuple[TaskInfo, ...]) -> Offer:
    left = {resource.name: resource.scalar or 0.0 for resource in offer.resources}
    for task in tasks:
        for resource in (*task.resources, *task.executor_resources):
            left[resource.name] -= resource.scalar or 0.0
    resources = tuple(
        Resource(r.name, round(left[r.name], 3) if r.scalar is not None else None, r.ranges) for r in offer.resources
    )
    return Offer(offer.id + "'", offer.agent_id, offer.hostname, resources, offer.attributes)


class _Cluster:
    """Placement with all it needs, on so many hosts, two a rack."""

    def __init__(self, hosts: int, cpus: float = CPUS, offers_rest: bool = False, flags: Flags | None = None) -> None:
        flags = flags or FLAGS
        rng, stats = random.Random(1), Vars()
        self._uuids = random.Random(2)
        self.storage = Storage(NoLog(), Tables())
        self.engine = _Engine(offers_rest)
        self.states = StateManager(
            now_ms=lambda: 1, new_uuid=self._new_uuid, hostname="localhost", flags=flags, stats=stats
        )
        self.offers = Offers(storage=self.storage, engine=self.engine, flags=flags, stats=stats, rng=rng)
        self.placement = Placement(
            storage=self.storage,
            engine=self.engine,
            states=self.states,
            offers=self.offers,
            flags=flags,
            stats=stats,
            rng=rng,
            now_ms=lambda: 1,
            executors=configured_executors(flags),
            revocable_tiers=frozenset({"revocable"}),
        )
        self.stats = stats
        self._hosts = hosts
        self._cpus = cpus
        self._instances = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[_Cluster]:
        async with trio.open_nursery() as nursery:
            await nursery.start(self.storage.run)
            offers = tuple(_offer(number, self._cpus) for number in range(self._hosts))
            self.engine.offers = {offer.id: offer for offer in offers}
            await self.offers.receive(offers)
            nursery.start_soon(leave_long_lived_alone)  # as in the daemon
            nursery.start_soon(self._hear, self.storage.subscribe())
            nursery.start_soon(self.placement.run)
            nursery.start_soon(self.engine.offer_rest, self.offers.receive)
            yield self
            nursery.cancel_scope.cancel()

    async def _hear(self, events: trio.MemoryReceiveChannel[Sequence[StorageEvent]]) -> None:
        async for changes in events:
            for change in changes:
                assert isinstance(change, TaskChanged)
                self.placement.changed(change)

    async def create(self, config: TaskConfig, count: int) -> None:
        first = self._instances
        self._instances += count
        await self.storage.write(lambda tx: self.states.insert_pending(tx, config, range(first, first + count)))

    async def fill(self, config: TaskConfig, count: int) -> None:
        """Create so many tasks and wait until the engine has them."""
        launched = self.engine.launched + count
        await self.create(config, count)
        await self.engine.until(launched)

    def _new_uuid(self) -> UUID:
        return UUID(int=self._uuids.getrandbits(128))


def _offer(number: int, cpus: float) -> Offer:
    resources = (
        Resource("cpus", cpus),
        Resource("mem", float(RAM_MB)),
        Resource("disk", float(DISK_MB)),
        Resource("ports", ranges=PORTS),
    )
    attributes = frozenset(
        {Attribute("host", frozenset({f"host-{number}"})), Attribute("rack", frozenset({f"rack-{number // 2}"}))}
    )
    return Offer(f"offer-{number}", f"slave-{number}", f"host-{number}", resources, attributes)


def _config(*constraints: Constraint, cpus: float = 6.0, ram_mb: int = 8 << 10, disk_mb: int = 128 << 10) -> TaskConfig:
    return TaskConfig(
        job=JOB,
        owner=Identity("jmh"),
        tier="preemptible",
        resources=frozenset({Requested(num_cpus=cpus), Requested(ram_mb=ram_mb), Requested(disk_mb=disk_mb)}),
        constraints=frozenset(constraints),
        executor_config=ExecutorConfig(AURORA_EXECUTOR_NAME, "x" * 1000),
    )


def _limit(name: str, most: int) -> Constraint:
    return Constraint(name, TaskConstraint(limit=LimitConstraint(most)))


async def _timed(work: Callable[[], Awaitable[None]]) -> float:
    start = time.process_time()
    await work()
    return time.process_time() - start


async def _fill_cluster(hosts: int, parts: Sequence[int], offers_rest: bool) -> list[Figure]:
    """Ten tasks at a time until hardly a host is left, whose rests nobody can use."""
    async with _Cluster(hosts, offers_rest=offers_rest).running() as cluster:
        config = _config()

        async def some() -> None:
            for _ in range(500):
                await cluster.fill(config, TASKS_PER_OP)

        what = f"tasks made, saved, launched, {hosts:,} hosts"
        what += ", rests offered" if offers_rest else ""
        found: list[Figure] = []
        for part in parts:
            await cluster.fill(config, hosts * part // 100 - cluster.engine.launched)
            rate = 500 * TASKS_PER_OP / await _timed(some)
            found.append((f"{what}, {part} %", f"{rate:,.0f}/s", "12,000/s"))
        return found


async def _schedule(what: str, tasks: int, constraints: tuple[Constraint, ...], goal: str) -> Figure:
    """All of them are there before the first is looked at: what creating them costs does not count."""
    async with _Cluster(10_000).running() as cluster:
        await cluster.create(_config(*constraints), tasks)
        seconds = await _timed(lambda: cluster.engine.until(tasks))
    return what, f"{tasks / seconds:,.0f}/s", goal


async def _rounds(what: str, config: TaskConfig, goal: str) -> Figure:
    """Half of the hosts are full. The task is asked about again and again, as after each of its penalties."""
    async with _Cluster(1000).running() as cluster:
        await cluster.fill(_config(), 500)
        await cluster.create(config, 1)
        await trio.sleep(0.1)

        async def again() -> None:
            fired = cluster.stats.get("schedule_attempts_fired")
            for _ in range(ROUNDS):
                cluster.placement.ask_again(config)
                await cluster.placement.place()
            assert int(cluster.stats.get("schedule_attempts_fired")) >= int(fired) + ROUNDS

        seconds = await _timed(again)
    return what, f"{ROUNDS / seconds:,.0f}/s", goal


async def _bulk() -> Figure:
    """As a part of one million tasks on 5,000 hosts: 25 jobs of 4,000 tasks, 20 of them for each host."""
    flags = dataclasses.replace(FLAGS, thermos_executor_cpu=0.0)
    async with _Cluster(5000, offers_rest=True, flags=flags).running() as cluster:
        for number in range(25):
            config = _config(cpus=0.1, ram_mb=16, disk_mb=16)
            await cluster.create(_named(config, f"job-{number}"), 4000)
        seconds = await _timed(lambda: cluster.engine.until(100_000))
    return "100,000 tasks of 25 jobs on 5,000 hosts, each", f"{seconds / 100_000 * 1e6:.0f} us", "50 us"


def _named(config: TaskConfig, name: str) -> TaskConfig:
    return msgspec.structs.replace(config, job=JobKey(JOB.role, JOB.environment, name))
