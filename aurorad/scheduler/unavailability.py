"""Leaves agents in time that were announced to become unavailable (scheduling sheet, section 8: inverse offers).

Nothing of it is remembered: an engine announces again whatever still holds when it is connected to.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Sequence

from aurorad.api.enums import SLAVE_ASSIGNED_STATES, ScheduleStatus
from aurorad.engine.base import InverseOffer
from aurorad.flags import Flags
from aurorad.rules.task_states import TOLD_TO_END
from aurorad.scheduler.maintenance import AT_ONCE, DRAINING_TEXT, on_host
from aurorad.scheduler.state import StateManager
from aurorad.scheduler.timers import Timers
from aurorad.scheduler.writing import write_patiently
from aurorad.storage.storage import Storage
from aurorad.storage.transaction import Transaction
from aurorad.vars import Vars

_log = logging.getLogger(__name__)


class Unavailability:
    """Takes down what runs on such a host, `-unavailability_threshold` before; its maintenance mode stays as it is.

    From then on placement leaves it alone, for its offers say so too.
    """

    def __init__(
        self, *, storage: Storage, states: StateManager, flags: Flags, stats: Vars, now_ms: Callable[[], int]
    ) -> None:
        self._storage = storage
        self._states = states
        self._stats = stats
        self._now_ms = now_ms
        self._threshold_s = flags.unavailability_threshold
        self._leaving: Timers[str] = Timers()
        stats.declare("scheduler_inverse_offers")

    def announced(self, inverse: InverseOffer) -> None:
        """An agent will be unavailable; the engine has agreed to it."""
        self._stats.count("scheduler_inverse_offers")
        if inverse.hostname is None:
            _log.error("inverse offer %s names no host: its tasks stay where they are", inverse.id)
            return
        left_s = (inverse.unavailability_start_ms - self._now_ms()) / 1000
        self._leaving.set(inverse.hostname, left_s - self._threshold_s)

    async def run(self) -> None:
        while True:
            for host in await self._leaving.due():
                tasks = [task.assigned_task.task_id for task in on_host(self._storage.tables, host)]
                if tasks:
                    _log.info("host %s will be unavailable: its %d tasks are taken down", host, len(tasks))
                for start in range(0, len(tasks), AT_ONCE):
                    some = tasks[start : start + AT_ONCE]
                    await write_patiently(self._storage, functools.partial(self._take_down, some))

    def _take_down(self, task_ids: Sequence[str], tx: Transaction) -> None:
        for task_id in task_ids:
            task = tx.tables.task(task_id)
            if task is not None and task.status in SLAVE_ASSIGNED_STATES - TOLD_TO_END:
                self._states.change_state(tx, task_id, ScheduleStatus.DRAINING, DRAINING_TEXT)
