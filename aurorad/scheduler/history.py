"""Forgets ended tasks: the old ones, and the oldest of jobs that have too many (task-state-machine sheet, 10)."""

from __future__ import annotations

from collections.abc import Callable

import trio

from aurorad.api.enums import TERMINAL_STATES
from aurorad.api.tasks import JobKey, ScheduledTask
from aurorad.flags import Flags
from aurorad.rules.task_states import last_change_ms
from aurorad.scheduler.timers import Timers
from aurorad.scheduler.writing import write_patiently
from aurorad.storage.events import TaskChanged
from aurorad.storage.storage import Storage
from aurorad.storage.tables import Tables
from aurorad.storage.transaction import Transaction
from aurorad.vars import Vars


class History:
    """Looks at a job again whenever one of its tasks has ended, and when the next of them may be forgotten."""

    def __init__(self, *, storage: Storage, flags: Flags, stats: Vars, now_ms: Callable[[], int]) -> None:
        self._storage = storage
        self._stats = stats
        self._now_ms = now_ms
        self._least_ms = round(flags.history_min_retention_threshold * 1000)
        self._longest_ms = max(self._least_ms, round(flags.history_prune_threshold * 1000))
        self._per_job = flags.history_max_per_job_threshold
        self._timers: Timers[JobKey] = Timers()
        stats.declare("tasks_pruned")

    def changed(self, change: TaskChanged) -> None:
        """Heard of every change, and of every task there is at the start."""
        if change.after is not None and change.after.status in TERMINAL_STATES:
            self._timers.set(change.after.assigned_task.task.job, 0)

    async def run(self) -> None:
        while True:
            for job in await self._timers.due():
                await self._prune(job)
                await trio.lowlevel.checkpoint()

    async def _prune(self, job: JobKey) -> None:
        def work(tx: Transaction) -> int:
            forgotten = self._forgettable(tx.tables, job)
            tx.remove_tasks(forgotten)
            return len(forgotten)

        count = await write_patiently(self._storage, work)
        if count:
            self._stats.count("tasks_pruned", count)
        next_look_ms = self._next_look_ms(self._storage.tables, job)
        if next_look_ms is not None:
            self._timers.set(job, next_look_ms / 1000)

    def _forgettable(self, tables: Tables, job: JobKey) -> list[str]:
        ended = _ended(tables, job)
        excess = len(ended) - self._per_job
        return [
            task.assigned_task.task_id
            for place, task in enumerate(ended)
            if self._age_ms(task) >= (self._least_ms if place < excess else self._longest_ms)
        ]

    def _next_look_ms(self, tables: Tables, job: JobKey) -> int | None:
        """When the oldest ended task that is left may be forgotten, from now."""
        ended = _ended(tables, job)
        if not ended:
            return None
        kept_ms = self._least_ms if len(ended) > self._per_job else self._longest_ms
        return max(1, kept_ms - self._age_ms(ended[0]))

    def _age_ms(self, task: ScheduledTask) -> int:
        return max(0, self._now_ms() - last_change_ms(task))


def _ended(tables: Tables, job: JobKey) -> list[ScheduledTask]:
    """The ended tasks of a job, oldest first."""
    return sorted(tables.job_tasks(job, TERMINAL_STATES), key=last_change_ms)
