"""Applies the engine's status updates, and acknowledges what is in the log (task-state-machine sheet, 7)."""

from __future__ import annotations

import math
from collections.abc import Callable

import trio

from aurorad.engine.base import Engine, StatusUpdate, TaskState
from aurorad.flags import Flags
from aurorad.pace import give_way, next_batch
from aurorad.rules import task_states
from aurorad.rules.task_states import StateChangeResult
from aurorad.scheduler.state import StateManager
from aurorad.scheduler.writing import LONGEST_WRITE_S, write_patiently
from aurorad.storage.storage import Storage
from aurorad.storage.transaction import Transaction
from aurorad.vars import Vars


class Statuses:
    """A queue of updates, applied in batches: one write for all that wait, up to the limit."""

    def __init__(
        self,
        *,
        storage: Storage,
        engine: Engine,
        states: StateManager,
        flags: Flags,
        stats: Vars,
        now_ms: Callable[[], int],
    ) -> None:
        self._storage = storage
        self._engine = engine
        self._states = states
        self._stats = stats
        self._now_ms = now_ms
        self._batch_size = flags.max_status_update_batch_size
        self._send, self._queue = trio.open_memory_channel[StatusUpdate](math.inf)
        stats.declare("scheduler_status_update")
        stats.declare_sliding("scheduler_status_update", "nanos")
        stats.gauge("status_updates_queue_size", lambda: self._queue.statistics().current_buffer_used)

    def receive(self, update: StatusUpdate) -> None:
        self._count(update)
        self._send.send_nowait(update)

    async def run(self) -> None:
        """An update is acknowledged only after the log has it: the engine sends those again that were cut off."""
        while True:
            batch = await next_batch(self._queue, self._batch_size)
            while batch:
                applied = await self._apply(batch)
                batch = batch[applied:]
                await give_way()

    async def _apply(self, batch: list[StatusUpdate]) -> int:
        """One write of as many as it takes in its time; how many those were."""

        def work(tx: Transaction) -> list[StateChangeResult]:
            results: list[StateChangeResult] = []
            until = trio.current_time() + LONGEST_WRITE_S
            for update in batch:
                status, message = task_states.STATUS_OF[update.state], task_states.message_of(update)
                results.append(self._states.change_state(tx, update.task_id, status, message))
                if trio.current_time() >= until:
                    break
            return results

        began = trio.current_time()
        results = await write_patiently(self._storage, work)
        taken_ns = round((trio.current_time() - began) * 1e9)
        self._stats.slide("scheduler_status_update", "nanos", taken_ns, events=len(results))
        for update, result in zip(batch, results, strict=False):
            if update.reason is not None:
                self._stats.count(f"status_update_{update.reason}_{result.value}")
            if update.uuid is not None:
                await self._engine.acknowledge(update)
        return len(results)

    def _count(self, update: StatusUpdate) -> None:
        self._stats.count("scheduler_status_update")
        if update.state is TaskState.TASK_LOST and update.source is not None:
            self._stats.count(f"task_lost_{update.source}")
        if update.reason is not None:
            self._stats.count(f"task_exit_{update.reason}")
        if update.source is not None and update.timestamp_s is not None:
            delay_s = self._now_ms() / 1000 - update.timestamp_s
            if delay_s > 0:
                self._stats.slide(f"task_delivery_delay_{update.source}_requests", "micros", round(delay_s * 1e6))
