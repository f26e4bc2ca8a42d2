"""What time alone does to a task: penalties end, transient states and partitions time out (task-state-machine sheet,
sections 6, 8 and 9)."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TypeGuard

import msgspec

from aurorad.api.enums import ScheduleStatus
from aurorad.api.tasks import ScheduledTask
from aurorad.flags import Flags
from aurorad.rules.task_states import TOLD_TO_END, last_change_ms
from aurorad.scheduler.state import StateManager
from aurorad.scheduler.timers import Timers
from aurorad.scheduler.writing import write_patiently
from aurorad.storage.events import TaskChanged
from aurorad.storage.storage import Storage
from aurorad.storage.transaction import Transaction
from aurorad.vars import Vars

TRANSIENT_STATES = TOLD_TO_END | {ScheduleStatus.ASSIGNED}

_TIMED_STATES = TRANSIENT_STATES | {ScheduleStatus.THROTTLED, ScheduleStatus.PARTITIONED}

AT_ONCE = 300
"""Tasks moved on in one write, lest it hold the loop."""


class Stay(msgspec.Struct, frozen=True, gc=False):
    """One task's present stay in a state. There may be very many for minutes, and nothing cyclic among them."""

    task_id: str
    status: ScheduleStatus
    since_ms: int


class Deadlines:
    """Moves a task on when it has been in its state for as long as it may.

    After a restart the penalties go on counting from where they began; transient states get the whole time again, for
    what happened meanwhile is yet to be told.
    """

    def __init__(
        self, *, storage: Storage, states: StateManager, flags: Flags, stats: Vars, now_ms: Callable[[], int]
    ) -> None:
        self._storage = storage
        self._states = states
        self._stats = stats
        self._now_ms = now_ms
        self._timeout_s = flags.transient_task_state_timeout
        self._timers: Timers[Stay] = Timers()
        stats.declare("timed_out_tasks")
        stats.declare_sliding("task_throttle", "ms")

    def changed(self, change: TaskChanged) -> None:
        """Heard of every change, and of every task there is at the start."""
        before = _stay(change.before) if _is_timed(change.before) else None
        after = _stay(change.after) if _is_timed(change.after) else None
        if before == after:
            return
        if before is not None:
            self._timers.cancel(before)
        if change.after is not None and after is not None:
            delay_s = self._delay_s(change.after)
            if delay_s is not None:
                self._timers.set(after, delay_s)

    async def run(self) -> None:
        while True:
            due = await self._timers.due()
            for start in range(0, len(due), AT_ONCE):
                expire = functools.partial(self._expire, due[start : start + AT_ONCE])
                self._stats.count("timed_out_tasks", await write_patiently(self._storage, expire))

    def _delay_s(self, task: ScheduledTask) -> float | None:
        if task.status in TRANSIENT_STATES:
            return self._timeout_s
        if task.status is ScheduleStatus.THROTTLED:
            penalty_ms = self._states.remaining_penalty_ms(self._storage.tables, task)
            self._stats.slide("task_throttle", "ms", penalty_ms)
            return penalty_ms / 1000
        if task.status is ScheduleStatus.PARTITIONED:
            policy = task.assigned_task.task.partition_policy
            if policy is None:
                return 0.0
            if policy.reschedule:
                return policy.delay_secs - max(0, self._now_ms() - last_change_ms(task)) / 1000
        return None

    def _expire(self, due: list[Stay], tx: Transaction) -> int:
        """Move on those who have not moved themselves; how many of them were stuck."""
        stuck = 0
        for stay in due:
            task = tx.tables.task(stay.task_id)
            if task is not None and _stay(task) == stay:
                self._move_on(tx, stay)
                stuck += stay.status in TRANSIENT_STATES
        return stuck

    def _move_on(self, tx: Transaction, stay: Stay) -> None:
        match stay.status:
            case ScheduleStatus.THROTTLED:
                self._states.change_state(tx, stay.task_id, ScheduleStatus.PENDING)
            case ScheduleStatus.PARTITIONED:
                self._states.change_state(tx, stay.task_id, ScheduleStatus.LOST, "Task partitioned for too long.")
            case _:
                self._states.change_state(tx, stay.task_id, ScheduleStatus.LOST, "Task timed out")


def _is_timed(task: ScheduledTask | None) -> TypeGuard[ScheduledTask]:
    return task is not None and task.status in _TIMED_STATES


def _stay(task: ScheduledTask) -> Stay:
    return Stay(task.assigned_task.task_id, task.status, last_change_ms(task))
