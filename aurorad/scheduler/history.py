"""Forgets ended tasks: the old ones, and the oldest of jobs that have too many (task-state-machine sheet, 10)."""

from __future__ import annotations

import functools
import heapq
from collections.abc import Callable, Container

import trio

from aurorad.api.enums import TERMINAL_STATES
from aurorad.api.tasks import JobKey, ScheduledTask
from aurorad.flags import Flags
from aurorad.rules.task_states import last_change_ms
from aurorad.rules.updates.evaluation import in_progress
from aurorad.rules.updates.instances import ended_by_itself
from aurorad.scheduler.limits import active_update
from aurorad.scheduler.timers import Timers
from aurorad.scheduler.writing import write_patiently
from aurorad.storage.events import TaskChanged
from aurorad.storage.storage import Storage
from aurorad.storage.tables import Tables
from aurorad.storage.transaction import Transaction
from aurorad.vars import Vars

AT_ONCE = 300
"""Tasks removed in one write, lest it hold the loop."""


class _Ended:
    """The ended tasks of one job, the oldest at hand."""

    def __init__(self) -> None:
        self._ids: set[str] = set()
        self._by_age: list[tuple[int, str]] = []  # a heap; some may be gone already

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, task_id: str, at_ms: int) -> None:
        self._ids.add(task_id)
        heapq.heappush(self._by_age, (at_ms, task_id))

    def remove(self, task_id: str) -> None:
        self._ids.discard(task_id)

    def oldest(self) -> tuple[int, str] | None:
        while self._by_age and self._by_age[0][1] not in self._ids:
            heapq.heappop(self._by_age)
        return self._by_age[0] if self._by_age else None

    def pop_oldest(self) -> None:
        self._ids.discard(heapq.heappop(self._by_age)[1])


LOOK_AGAIN_S = 3600.0
"""The clock is looked at for each job at least this often: it may have been behind, and be set right."""

NEEDED_S = 60.0
"""Until it is seen whether an update still counts what it counted."""


class History:
    """Knows of each job which of its tasks has ended first, and looks again when that one may be forgotten."""

    def __init__(self, *, storage: Storage, flags: Flags, stats: Vars, now_ms: Callable[[], int]) -> None:
        self._storage = storage
        self._stats = stats
        self._now_ms = now_ms
        self._least_ms = round(flags.history_min_retention_threshold * 1000)
        self._longest_ms = max(self._least_ms, round(flags.history_prune_threshold * 1000))
        self._per_job = flags.history_max_per_job_threshold
        self._jobs: dict[JobKey, _Ended] = {}
        self._timers: Timers[JobKey] = Timers()
        stats.declare("tasks_pruned")

    def changed(self, change: TaskChanged) -> None:
        """Heard of every change, and of every task there is at the start."""
        before, after = _ended(change.before), _ended(change.after)
        if after is not None:
            assigned = after.assigned_task
            ended = self._jobs.setdefault(assigned.task.job, _Ended())
            ended.add(assigned.task_id, last_change_ms(after))
            self._look_later(assigned.task.job, ended)
        elif before is not None:
            assigned = before.assigned_task
            if assigned.task.job in self._jobs:
                self._jobs[assigned.task.job].remove(assigned.task_id)

    async def run(self) -> None:
        while True:
            for job in await self._timers.due():
                await self._prune(job)
                await trio.lowlevel.checkpoint()

    async def _prune(self, job: JobKey) -> None:
        forgotten = self._take_forgettable(job)
        for start in range(0, len(forgotten), AT_ONCE):
            some = forgotten[start : start + AT_ONCE]
            await write_patiently(self._storage, functools.partial(_remove, some))
            self._stats.count("tasks_pruned", len(some))

    def _is_counted(self, task_id: str, instances: Container[int]) -> bool:
        """Whether it may be a failure of one of these instances, which an update counts."""
        task = self._storage.tables.task(task_id)
        return task is not None and task.assigned_task.instance_id in instances and ended_by_itself(task)

    def _take_forgettable(self, job: JobKey) -> list[str]:
        """The tasks that need not be kept any longer; when to look again is set."""
        ended = self._jobs.get(job)
        forgotten: list[str] = []
        needed: list[tuple[int, str]] = []
        counted = _counted_instances(self._storage.tables, job)
        while ended is not None and (oldest := ended.oldest()) is not None and self._due_ms(oldest[0], ended) <= 0:
            ended.pop_oldest()
            if self._is_counted(oldest[1], counted):
                needed.append(oldest)
            else:
                forgotten.append(oldest[1])
        if ended is not None:
            for at_ms, task_id in needed:
                ended.add(task_id, at_ms)
            if needed:
                self._timers.set(job, NEEDED_S)
            else:
                self._look_later(job, ended)
        return forgotten

    def _look_later(self, job: JobKey, ended: _Ended) -> None:
        oldest = ended.oldest()
        if oldest is None:
            del self._jobs[job]
        else:
            self._timers.set(job, min(LOOK_AGAIN_S, self._due_ms(oldest[0], ended) / 1000))

    def _due_ms(self, at_ms: int, ended: _Ended) -> int:
        """How long from now the job's oldest ended task, which ended `at_ms`, must still be kept."""
        kept_ms = self._least_ms if len(ended) > self._per_job else self._longest_ms
        return at_ms + kept_ms - self._now_ms()


def _remove(task_ids: list[str], tx: Transaction) -> None:
    tx.remove_tasks(task_ids)


def _ended(task: ScheduledTask | None) -> ScheduledTask | None:
    return task if task is not None and task.status in TERMINAL_STATES else None


def _counted_instances(tables: Tables, job: JobKey) -> Container[int]:
    """Those whose failures the update of a job, if it has one, counts at present: it must find them after a pause."""
    update = active_update(tables, job)
    return in_progress(update) if update is not None else ()
