"""Asks the engine what became of tasks, lest a missed update be believed for ever (scheduling sheet, 9)."""

from __future__ import annotations

import functools
import math
from collections.abc import Awaitable, Callable

import trio

from aurorad.api.enums import SLAVE_ASSIGNED_STATES, ScheduleStatus
from aurorad.api.tasks import ScheduledTask, TaskQuery
from aurorad.engine.base import Engine
from aurorad.flags import Flags
from aurorad.rules.task_states import last_change_ms
from aurorad.storage.storage import Storage
from aurorad.vars import Vars

LAUNCH_ALLOWANCE_MS = 60_000
"""A task assigned more recently may not have reached the engine, which would call it lost."""


class Reconciliation:
    """Answers come back as ordinary status updates."""

    def __init__(
        self, *, storage: Storage, engine: Engine, flags: Flags, stats: Vars, now_ms: Callable[[], int]
    ) -> None:
        self._storage = storage
        self._engine = engine
        self._flags = flags
        self._stats = stats
        self._now_ms = now_ms
        self._ask_for, self._asked_for = trio.open_memory_channel[Callable[[], Awaitable[None]]](math.inf)
        stats.declare("reconciliation_explicit_runs", "reconciliation_implicit_runs")

    def assigned(self) -> tuple[str, ...]:
        """Ids of the tasks that should be on an agent."""
        return tuple(task.assigned_task.task_id for task in self._assigned())

    async def run(self, at_start: tuple[str, ...]) -> None:
        """Ask about `at_start`, the tasks of the scheduler before; then regularly about ours, and for all there are."""
        await self._ask(at_start)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._explicitly)
            nursery.start_soon(self._implicitly)
            nursery.start_soon(self._on_demand)

    def trigger_explicit(self, batch_size: int | None) -> None:
        """Have `explicit` done soon, beside the regular rounds."""
        self._ask_for.send_nowait(functools.partial(self.explicit, batch_size))

    def trigger_implicit(self) -> None:
        """Have `implicit` done soon, beside the regular rounds."""
        self._ask_for.send_nowait(self.implicit)

    async def explicit(self, batch_size: int | None = None) -> None:
        """Ask about every task that should be on an agent."""
        newest_ms = self._now_ms() - LAUNCH_ALLOWANCE_MS
        settled = [task for task in self._assigned() if not _just_assigned(task, newest_ms)]
        await self._ask(tuple(task.assigned_task.task_id for task in settled), batch_size)

    async def implicit(self) -> None:
        """Ask for all tasks that the engine has; those that should not be are killed when it tells of them."""
        self._stats.count("reconciliation_implicit_runs")
        await self._engine.reconcile(())

    async def _explicitly(self) -> None:
        await trio.sleep(self._flags.reconciliation_initial_delay)
        while True:
            await self.explicit()
            await trio.sleep(self._flags.reconciliation_explicit_interval)

    async def _implicitly(self) -> None:
        await trio.sleep(self._flags.reconciliation_initial_delay + self._flags.reconciliation_schedule_spread)
        while True:
            await self.implicit()
            await trio.sleep(self._flags.reconciliation_implicit_interval)

    async def _on_demand(self) -> None:
        async for ask in self._asked_for:
            await ask()

    def _assigned(self) -> list[ScheduledTask]:
        return self._storage.tables.tasks(TaskQuery(statuses=SLAVE_ASSIGNED_STATES))

    async def _ask(self, task_ids: tuple[str, ...], batch_size: int | None = None) -> None:
        self._stats.count("reconciliation_explicit_runs")
        size = batch_size or self._flags.reconciliation_explicit_batch_size
        for start in range(0, len(task_ids), size):
            if start:
                await trio.sleep(self._flags.reconciliation_explicit_batch_interval)
            await self._engine.reconcile(task_ids[start : start + size])


def _just_assigned(task: ScheduledTask, newest_ms: int) -> bool:
    return task.status is ScheduleStatus.ASSIGNED and last_change_ms(task) > newest_ms
