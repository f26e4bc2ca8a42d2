"""The scheduler's services, put together over a storage and an engine."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from uuid import UUID

import trio

from aurorad.api.tasks import ScheduledTask
from aurorad.engine.base import (
    AgentLost,
    Disconnected,
    Engine,
    Event,
    ExecutorLost,
    InverseOffer,
    Registered,
    Rescind,
    StatusUpdate,
)
from aurorad.engine.base import Offers as OffersMade
from aurorad.flags import Flags
from aurorad.pace import Pace, next_batch
from aurorad.rules.executors import ExecutorSettings
from aurorad.rules.tiers import BUILT_IN, Tiers
from aurorad.scheduler.agents_view import AgentsView
from aurorad.scheduler.cron import CronScheduler
from aurorad.scheduler.deadlines import Deadlines
from aurorad.scheduler.feed import Feed
from aurorad.scheduler.groups import PendingGroup
from aurorad.scheduler.history import History
from aurorad.scheduler.kills import Kills
from aurorad.scheduler.limits import revocable_types
from aurorad.scheduler.maintenance import Maintenance
from aurorad.scheduler.offers import Offers
from aurorad.scheduler.placement import Placement
from aurorad.scheduler.preemption import Preemptor
from aurorad.scheduler.reconciliation import Reconciliation
from aurorad.scheduler.reservations import Reservations
from aurorad.scheduler.resource_stats import ResourceStats
from aurorad.scheduler.sla import SlaKills
from aurorad.scheduler.sla_stats import SlaStats
from aurorad.scheduler.stalled import Stalled
from aurorad.scheduler.state import StateManager
from aurorad.scheduler.statuses import Statuses
from aurorad.scheduler.task_stats import TaskStats
from aurorad.scheduler.unavailability import Unavailability
from aurorad.scheduler.victims import Victims
from aurorad.scheduler.webhooks import Webhook, Webhooks
from aurorad.scheduler.writing import write_patiently
from aurorad.storage.events import CronJobChanged, HostChanged, KillRequested, StorageEvent, TaskChanged, UpdateChanged
from aurorad.storage.storage import Storage
from aurorad.vars import Vars

AT_ONCE = 1000
"""Events of the engine heard in one turn of the loop."""
BITE = 16
"""Events of the storage heard, or tasks recalled, before a look at the clock."""


class EngineGone(Exception):
    """The engine has ended, and not because it was told to."""


class Scheduler:
    """Keeps tasks as the rules say. It has no truth of its own: a new one over the same tables goes on where it was.

    Every service hears of every change, in the order of the log, by way of one subscription; at the start of every
    task, as of a change from nothing.
    """

    def __init__(
        self,
        *,
        storage: Storage,
        engine: Engine,
        flags: Flags,
        stats: Vars,
        now_ms: Callable[[], int],
        rng: random.Random,
        new_uuid: Callable[[], UUID],
        hostname: str,
        executors: ExecutorSettings,
        tiers: Tiers = BUILT_IN,
        webhook: Webhook | None = None,
    ) -> None:
        self._storage = storage
        self._engine = engine
        self._stats = stats
        self._forget_framework = flags.forget_framework
        self.executors = executors
        self.states = StateManager(now_ms=now_ms, new_uuid=new_uuid, hostname=hostname, flags=flags, stats=stats)
        self.offers = Offers(storage=storage, engine=engine, flags=flags, stats=stats, rng=rng)
        self.reservations = Reservations(tables=storage.tables, flags=flags, stats=stats)
        self.reservations.freed = self.offers.renew_agent
        self._placement = Placement(
            storage=storage,
            engine=engine,
            states=self.states,
            offers=self.offers,
            flags=flags,
            stats=stats,
            rng=rng,
            now_ms=now_ms,
            executors=executors,
            revocable_tiers=frozenset(name for name, tier in tiers.by_name.items() if tier.revocable),
            reservations=self.reservations,
        )
        self.reservations.unbound = self._placement.ask_again
        self.agents = AgentsView(
            tables=storage.tables,
            offers=self.offers,
            reservations=self.reservations,
            victims=Victims(executors, tiers, revocable_types(flags)),
            flags=flags,
            now_ms=now_ms,
        )
        self._preemptor = Preemptor(
            storage=storage,
            states=self.states,
            reservations=self.reservations,
            view=self.agents,
            groups=self._placement.groups,
            flags=flags,
            stats=stats,
            now_ms=now_ms,
        )
        self.reconciliation = Reconciliation(storage=storage, engine=engine, flags=flags, stats=stats, now_ms=now_ms)
        self._statuses = Statuses(
            storage=storage, engine=engine, states=self.states, flags=flags, stats=stats, now_ms=now_ms
        )
        self._kills = Kills(engine=engine, flags=flags, stats=stats, rng=rng)
        self._deadlines = Deadlines(storage=storage, states=self.states, flags=flags, stats=stats, now_ms=now_ms)
        self._history = History(storage=storage, flags=flags, stats=stats, now_ms=now_ms)
        self.sla = SlaKills(storage=storage, flags=flags, stats=stats, now_ms=now_ms)
        self.maintenance = Maintenance(
            storage=storage,
            states=self.states,
            offers=self.offers,
            sla=self.sla,
            flags=flags,
            stats=stats,
            rng=rng,
            now_ms=now_ms,
        )
        self.cron = CronScheduler(storage=storage, states=self.states, flags=flags, stats=stats, now_ms=now_ms)
        self._resource_stats = ResourceStats(tables=storage.tables, offers=self.offers, flags=flags, stats=stats)
        self._stalled = Stalled(
            tables=storage.tables, groups=self._placement.groups, flags=flags, stats=stats, now_ms=now_ms
        )
        self._webhooks = Webhooks(webhook, stats, now_ms)
        self._unavailability = Unavailability(
            storage=storage, states=self.states, flags=flags, stats=stats, now_ms=now_ms
        )
        self._sla_stats = SlaStats(storage=storage, flags=flags, stats=stats, now_ms=now_ms)
        self._task_stats = TaskStats(storage=storage, stats=stats)
        self.feed = Feed(f"{now_ms():x}")
        self.registered = trio.Event()
        """Set when the engine knows us."""
        self._is_connected = False
        stats.declare("slaves_lost", "scheduler_lost_executors", "scheduler_framework_disconnects")
        stats.declare("scheduler_framework_reregisters")
        stats.gauge("framework_registered", lambda: int(self._is_connected))

    def pending_reason(self, task: ScheduledTask) -> str:
        """Why a PENDING task waits, as of the nearest fit; empty while nothing is known."""
        return self._placement.reason(task)

    def pending_groups(self) -> tuple[PendingGroup, ...]:
        """All groups of pending tasks."""
        return self._placement.waiting()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Schedule until cancelled; tasks go on without us. `task_status` is told when the engine knows us.

        The storage must serve before, and until after. An engine that ends is an error, `EngineGone`, in a group.
        """
        send, events = trio.open_memory_channel[Event](math.inf)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._run_engine, send)
            nursery.start_soon(self._hear_engine, events)
            await self.registered.wait()
            with self._storage.subscribe() as changes:
                nursery.start_soon(self.reconciliation.run, self._tasks())
                await self._recall(self._tasks())
                nursery.start_soon(self._placement.run)
                nursery.start_soon(self.offers.run)
                nursery.start_soon(self._statuses.run)
                nursery.start_soon(self._kills.run)
                nursery.start_soon(self._deadlines.run)
                nursery.start_soon(self._history.run)
                nursery.start_soon(self.reservations.run)
                nursery.start_soon(self._preemptor.run)
                nursery.start_soon(self._webhooks.run)
                nursery.start_soon(self._resource_stats.run)
                nursery.start_soon(self._stalled.run)
                nursery.start_soon(self.maintenance.run)
                nursery.start_soon(self._unavailability.run)
                nursery.start_soon(self.cron.run)
                nursery.start_soon(self._sla_stats.run)
                task_status.started()
                await self._hear_storage(changes)

    async def _run_engine(self, events: trio.MemorySendChannel[Event]) -> None:
        known = self._storage.tables.framework_id
        await self._engine.run(events, known if known != self._forget_framework else None)
        raise EngineGone("the engine has ended")

    async def _hear_engine(self, events: trio.MemoryReceiveChannel[Event]) -> None:
        while True:
            for event in await next_batch(events, AT_ONCE):
                await self._hear_event(event)

    async def _hear_event(self, event: Event) -> None:
        match event:
            case Registered():
                await self._register(event.framework_id)
            case Disconnected():
                self._is_connected = False
                self._stats.count("scheduler_framework_disconnects")
                self.offers.clear()
            case OffersMade():
                await self.offers.receive(event.offers)
            case Rescind():
                self.offers.rescind(event.offer_id)
            case StatusUpdate():
                self._statuses.receive(event)
            case AgentLost():
                self._stats.count("slaves_lost")
            case ExecutorLost():
                if event.status != 0:
                    self._stats.count("scheduler_lost_executors")
            case InverseOffer():
                self._unavailability.announced(event)

    async def _register(self, framework_id: str) -> None:
        """The framework id is in the log before anything that relies on it."""
        if framework_id != self._storage.tables.framework_id:
            await write_patiently(self._storage, lambda tx: tx.save_framework_id(framework_id))
        if self.registered.is_set():
            self._stats.count("scheduler_framework_reregisters")
            self.reconciliation.reconnected()
        self._is_connected = True
        self.offers.demand.connected()
        self.registered.set()

    async def _hear_storage(self, changes: trio.MemoryReceiveChannel[Sequence[StorageEvent]]) -> None:
        pace = Pace()
        async for events in changes:
            for start in range(0, len(events), BITE):
                for event in events[start : start + BITE]:
                    self._hear(event)
                await pace.breathe()

    def _hear(self, event: StorageEvent) -> None:
        match event:
            case TaskChanged():
                self._changed(event)
                self._webhooks.changed(event)
                self.feed.changed(event)
            case UpdateChanged():
                self.feed.changed(event)
            case KillRequested():
                self._kills.request(event.task_id)
            case HostChanged():
                self.maintenance.host_changed(event)
            case CronJobChanged():
                self.cron.cron_changed(event)

    def _tasks(self) -> tuple[ScheduledTask, ...]:
        return tuple(self._storage.tables.all_tasks())

    async def _recall(self, tasks: tuple[ScheduledTask, ...]) -> None:
        """Tell the services of the tasks there are; what changes meanwhile they hear afterwards."""
        pace = Pace()
        for start in range(0, len(tasks), BITE):
            for task in tasks[start : start + BITE]:
                self._changed(TaskChanged(None, task))
            await pace.breathe()

    def _changed(self, change: TaskChanged) -> None:
        self.reservations.changed(change)
        self._placement.changed(change)
        self._preemptor.changed(change)
        self._kills.changed(change)
        self._deadlines.changed(change)
        self._history.changed(change)
        self.maintenance.changed(change)
        self.cron.changed(change)
        self._task_stats.changed(change)
