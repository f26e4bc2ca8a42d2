"""Asks the engine what became of tasks, lest a missed update be believed for ever (scheduling sheet, 9)."""

from __future__ import annotations

import functools
import math
from collections.abc import Awaitable, Callable, Iterable, Sequence

import trio

from aurorad.api.enums import SLAVE_ASSIGNED_STATES, ScheduleStatus
from aurorad.api.tasks import ScheduledTask
from aurorad.engine.base import Engine
from aurorad.flags import Flags
from aurorad.pace import Pace
from aurorad.rules.task_states import last_change_ms
from aurorad.storage.storage import Storage
from aurorad.vars import Vars

LAUNCH_ALLOWANCE_MS = 60_000
"""A task assigned more recently may not have reached the engine, which would call it lost."""

AT_ONCE = 1000
"""Tasks looked at without a pause."""


class Reconciliation:
    """Answers come back as ordinary status updates."""

    def __init__(
        self, *, storage: Storage, engine: Engine, flags: Flags, stats: Vars, now_ms: Callable[[], int]
    ) -> None:
        self._storage = storage
        self._engine = engine
        self._flags = flags
        self._first_s = flags.reconciliation_initial_delay
        self._spread_s = flags.reconciliation_schedule_spread
        self._explicit_s = flags.reconciliation_explicit_interval
        self._implicit_s = flags.reconciliation_implicit_interval
        self._stats = stats
        self._now_ms = now_ms
        self._ask_for, self._asked_for = trio.open_memory_channel[Callable[[], Awaitable[None]]](math.inf)
        self._reconnected = trio.Event()
        stats.declare("reconciliation_explicit_runs", "reconciliation_implicit_runs")

    async def run(self, at_start: Sequence[ScheduledTask]) -> None:
        """Ask about those of `at_start`, the tasks of the scheduler before; then regularly about ours, and for all."""
        asking = self._ask(await _ids_of([at_start], newest_ms=math.inf))
        del at_start  # a million records as they were then must not stay in memory
        await asking
        self._stats.count("reconciliation_explicit_runs")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._regularly, self.explicit, self._first_s, self._explicit_s)
            nursery.start_soon(self._regularly, self.implicit, self._first_s + self._spread_s, self._implicit_s)
            nursery.start_soon(self._on_demand)
            nursery.start_soon(self._whenever_reconnected)

    def reconnected(self) -> None:
        """Have `explicit` done soon: updates that an engine does not repeat may have been told to nobody."""
        self._reconnected.set()

    def trigger_explicit(self, batch_size: int | None) -> None:
        """Have `explicit` done soon, beside the regular rounds."""
        self._ask_for.send_nowait(functools.partial(self.explicit, batch_size))

    def trigger_implicit(self) -> None:
        """Have `implicit` done soon, beside the regular rounds."""
        self._ask_for.send_nowait(self.implicit)

    async def explicit(self, batch_size: int | None = None) -> None:
        """Ask about every task that should be on an agent."""
        self._stats.count("reconciliation_explicit_runs")
        newest_ms = self._now_ms() - LAUNCH_ALLOWANCE_MS
        # Asking takes its time: the records are not kept for it, and the garbage collector passes over a tuple of ids.
        await self._ask(await _ids_of(self._storage.tables.by_job(), newest_ms), batch_size)

    async def implicit(self) -> None:
        """Ask for all tasks that the engine has; those that should not be are killed when it tells of them."""
        self._stats.count("reconciliation_implicit_runs")
        await self._engine.reconcile(())

    async def _regularly(self, ask: Callable[[], Awaitable[None]], first_s: float, interval_s: float) -> None:
        """At these times, however long asking takes."""
        due = trio.current_time() + first_s
        while True:
            await trio.sleep_until(due)
            await ask()
            due += interval_s

    async def _on_demand(self) -> None:
        async for ask in self._asked_for:
            await ask()

    async def _whenever_reconnected(self) -> None:
        while True:
            await self._reconnected.wait()
            self._reconnected = trio.Event()
            await self.explicit()

    async def _ask(self, task_ids: tuple[str, ...], batch_size: int | None = None) -> None:
        size = batch_size or self._flags.reconciliation_explicit_batch_size
        for start in range(0, len(task_ids), size):
            if start:
                await trio.sleep(self._flags.reconciliation_explicit_batch_interval)
            await self._engine.reconcile(task_ids[start : start + size])


async def _ids_of(jobs: Iterable[Sequence[ScheduledTask]], newest_ms: float) -> tuple[str, ...]:
    """The tasks that should be on an agent, unless they were assigned later than that."""
    pace = Pace()
    ids: list[str] = []
    for tasks in jobs:
        for start in range(0, len(tasks), AT_ONCE):
            ids += [
                task.assigned_task.task_id
                for task in tasks[start : start + AT_ONCE]
                if task.status in SLAVE_ASSIGNED_STATES
                and not (task.status is ScheduleStatus.ASSIGNED and last_change_ms(task) > newest_ms)
            ]
            await pace.breathe()
    return tuple(ids)
