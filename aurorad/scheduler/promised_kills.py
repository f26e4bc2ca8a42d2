"""Kills of SLA-aware updates: asked for again and again until what the job was promised allows them (updates sheet, 7).

What is asked for is not stored: an update that goes on after a restart asks again.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple, Protocol

import trio

from aurorad.api import keys
from aurorad.api.enums import ACTIVE_STATES, JobUpdateStatus, ScheduleStatus
from aurorad.api.tasks import ScheduledTask, SlaPolicy
from aurorad.api.updates import JobUpdateKey
from aurorad.flags import Flags
from aurorad.rules.throttling import next_backoff
from aurorad.rules.updates.evaluation import Kill
from aurorad.scheduler.timers import Timers
from aurorad.storage.storage import Storage
from aurorad.storage.transaction import Transaction
from aurorad.vars import Vars

CHECKING = "Checking SLA before continuing."
PASSED = "SLA check passed, continuing."

_KILLABLE = ACTIVE_STATES - {ScheduleStatus.KILLING}


class SlaCheck(Protocol):
    """`SlaKills` of the scheduler."""

    async def attempt(
        self, task_id: str, policy: SlaPolicy | None, work: Callable[[Transaction], None], *, force: bool = False
    ) -> str | None:
        """Do `work` if `policy` allows it now; else why not."""


class Wish(NamedTuple):
    """A task that an update, as long as it is in `status`, wants to go."""

    update: JobUpdateKey
    status: JobUpdateStatus
    kill: Kill


class PromisedKills:
    """`grant` takes the task of a wish down, inside the write that found it may go; `granted` is called after it."""

    def __init__(
        self,
        *,
        storage: Storage,
        sla: SlaCheck,
        grant: Callable[[Transaction, Wish], None],
        granted: Callable[[Wish], None],
        flags: Flags,
        stats: Vars,
        rng: random.Random,
    ) -> None:
        self._storage = storage
        self._sla = sla
        self._grant = grant
        self._granted = granted
        self._stats = stats
        self._rng = rng
        self._least_ms = round(flags.sla_aware_kill_retry_min_delay * 1000)
        self._most_ms = round(flags.sla_aware_kill_retry_max_delay * 1000)
        self._at_once = flags.sla_aware_action_max_batch_size
        self._wishes: dict[str, Wish] = {}
        self._delays_ms: dict[str, int] = {}
        self._timers: Timers[str] = Timers()
        self._objections: dict[str, str] = {}

    @property
    def objections(self) -> Mapping[str, str]:
        """Why tasks that shall go may not yet, by task id, as of the last attempt."""
        return self._objections

    def ask(self, wish: Wish) -> None:
        """Try at once, and again later. A wish that is there already is left as it is."""
        task_id = wish.kill.task_id
        if self._wishes.get(task_id) != wish:
            self._wishes[task_id] = wish
            self._delays_ms[task_id] = 0
            self._timers.set(task_id, 0)

    async def run(self) -> None:
        limiter = trio.CapacityLimiter(self._at_once)
        async with trio.open_nursery() as nursery:
            while True:
                for task_id in await self._timers.due():
                    nursery.start_soon(self._try, task_id, limiter)

    async def _try(self, task_id: str, limiter: trio.CapacityLimiter) -> None:
        async with limiter:
            wish, task = self._wishes.get(task_id), self._storage.tables.task(task_id)
            if wish is None or not self._is_still_wanted(wish, task):
                self._forget(wish)
                return
            self._stats.count(f"updates_sla_kill_attempt_{keys.canonical(wish.update.job)}")
            granted: list[bool] = []
            objection = await self._sla.attempt(
                task_id,
                wish.kill.policy,
                partial(self._work, wish=wish, granted=granted),
                force=task is None or task.assigned_task.slave_id is None,
            )
        if objection is not None:
            self._try_later(wish, objection)
            return
        self._forget(wish)
        if granted[-1:] == [True]:
            self._stats.count(f"updates_sla_kill_success_{keys.canonical(wish.update.job)}")
            self._granted(wish)

    def _try_later(self, wish: Wish, objection: str) -> None:
        task_id = wish.kill.task_id
        if self._wishes.get(task_id) == wish:
            self._objections[task_id] = objection
            delay_ms = next_backoff(self._delays_ms[task_id], self._least_ms, self._most_ms, self._rng)
            self._delays_ms[task_id] = delay_ms
            self._timers.set(task_id, delay_ms / 1000)

    def _work(self, tx: Transaction, wish: Wish, granted: list[bool]) -> None:
        """The update may have left its status while a coordinator was asked."""
        wanted = self._is_still_wanted(wish, tx.tables.task(wish.kill.task_id))
        granted.append(wanted)
        if wanted:
            self._grant(tx, wish)

    def _is_still_wanted(self, wish: Wish, task: ScheduledTask | None) -> bool:
        details = self._storage.tables.updates.get(wish.update)
        return (
            details is not None
            and details.update_events[-1].status is wish.status
            and task is not None
            and task.status in _KILLABLE
        )

    def _forget(self, wish: Wish | None) -> None:
        if wish is not None and self._wishes.get(wish.kill.task_id) == wish:
            del self._wishes[wish.kill.task_id]
            del self._delays_ms[wish.kill.task_id]
            self._objections.pop(wish.kill.task_id, None)
            self._timers.cancel(wish.kill.task_id)
