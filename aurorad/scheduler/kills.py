"""Has the engine end tasks, and reminds it (task-state-machine sheet, 8; scheduling sheet, 12)."""

from __future__ import annotations

import math
import random
from typing import TypeGuard

import trio

from aurorad.api.tasks import ScheduledTask
from aurorad.engine.base import Engine
from aurorad.flags import Flags
from aurorad.pace import next_batch
from aurorad.rules import throttling
from aurorad.rules.task_states import TOLD_TO_END
from aurorad.scheduler.timers import Timers
from aurorad.storage.events import TaskChanged
from aurorad.vars import Vars

AT_ONCE = 500
"""Kills passed on in one turn of the loop."""


class Kills:
    """Passes on every kill once, and repeats it ever more seldom while the task has not ended.

    A task that awaits its end when the scheduler starts is killed at once: perhaps the one before did not come to it.
    """

    def __init__(self, *, engine: Engine, flags: Flags, stats: Vars, rng: random.Random) -> None:
        self._engine = engine
        self._stats = stats
        self._rng = rng
        self._initial_ms = round(flags.initial_task_kill_retry_interval * 1000)
        self._max_ms = round(flags.transient_task_state_timeout * 1000)
        self._backoffs_ms: dict[str, int] = {}
        self._timers: Timers[str] = Timers()
        self._send, self._requests = trio.open_memory_channel[str](math.inf)
        stats.declare("task_kill_retries")

    def request(self, task_id: str) -> None:
        """Kill this task; it need not be a known one."""
        self._send.send_nowait(task_id)

    def changed(self, change: TaskChanged) -> None:
        """Heard of every change, and of every task there is at the start."""
        before, after = change.before, change.after
        if _awaits_end(before) and not _awaits_end(after):
            self._timers.cancel(before.assigned_task.task_id)
            self._backoffs_ms.pop(before.assigned_task.task_id, None)
        if _awaits_end(after) and not _awaits_end(before):
            task_id = after.assigned_task.task_id
            if before is None:
                self.request(task_id)
            if task_id not in self._backoffs_ms:
                self._remind_later(task_id)

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._pass_on)
            nursery.start_soon(self._remind)

    async def _pass_on(self) -> None:
        while True:
            for task_id in await next_batch(self._requests, AT_ONCE):
                await self._engine.kill(task_id)

    async def _remind(self) -> None:
        while True:
            for task_id in await self._timers.due():
                if task_id not in self._backoffs_ms:  # ended while others were reminded of
                    continue
                self._stats.count("task_kill_retries")
                self._remind_later(task_id)
                await self._engine.kill(task_id)

    def _remind_later(self, task_id: str) -> None:
        last_ms = self._backoffs_ms.get(task_id, 0)
        wait_ms = throttling.next_backoff(last_ms, self._initial_ms, self._max_ms, self._rng)
        self._backoffs_ms[task_id] = wait_ms
        self._timers.set(task_id, wait_ms / 1000)


def _awaits_end(task: ScheduledTask | None) -> TypeGuard[ScheduledTask]:
    return task is not None and task.status in TOLD_TO_END
