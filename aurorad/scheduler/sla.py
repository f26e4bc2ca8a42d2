"""Takes tasks down as far as what their jobs were promised allows (quota-tiers-sla sheet, section 6).

A policy of counts or percentages is judged inside the write that takes the task down. Since a write sees all that those
before it did, two that would break a promise together cannot both pass.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import trio
from frozendict import frozendict

from aurorad.api.enums import ACTIVE_STATES
from aurorad.api.tasks import (
    CoordinatorSlaPolicy,
    CountSlaPolicy,
    JobKey,
    PercentageSlaPolicy,
    ScheduledTask,
    SlaPolicy,
)
from aurorad.flags import Flags
from aurorad.rules import sla_policy
from aurorad.rules.sla_policy import Promise
from aurorad.scheduler.sla_coordinator import Coordinators
from aurorad.scheduler.writing import write_patiently
from aurorad.storage.storage import Storage
from aurorad.storage.tables import Tables
from aurorad.storage.transaction import Transaction
from aurorad.vars import Vars

ENDED = "it has ended"

Work = Callable[[Transaction], None]

Refusals = dict[tuple[JobKey, CountSlaPolicy | PercentageSlaPolicy, bool], str]
"""What was said of a healthy task of a job, or of one that is not."""


class SlaKills:
    """One for all who take tasks down with regard to policies. It keeps nothing but questions that are under way."""

    def __init__(self, *, storage: Storage, flags: Flags, stats: Vars, now_ms: Callable[[], int]) -> None:
        self._storage = storage
        self._stats = stats
        self._now_ms = now_ms
        self._promise = Promise(flags.min_required_instances_for_sla_check, flags.sla_aware_kill_non_prod)
        self._coordinators = Coordinators(flags=flags, stats=stats)

    async def attempt(
        self,
        task_id: str,
        policy: SlaPolicy | None,
        work: Work,
        *,
        force: bool = False,
        parameters: Mapping[str, str] = frozendict(),
    ) -> str | None:
        """Do `work`, which takes the task down, if `policy` allows it now or with `force`; else why not, in a sentence.

        None means that the work is done, and in the log. It is not called for a task that is not active any more, and
        it must look at the tables afresh, for it is called again if the log had no room. A coordinator may take
        `-sla_coordinator_timeout` to be asked, and as long again to answer; it is told the `parameters`. If cancelled,
        the work may have been done.
        """
        started = trio.current_time()
        try:
            task = self._storage.tables.task(task_id)
            coordinator = policy.coordinator_sla_policy if policy is not None else None
            if coordinator is None or force or task is None:
                return await write_patiently(self._storage, lambda tx: self._act(tx, task_id, policy, work, force))
            return await self._coordinated(task, coordinator, work, parameters)
        finally:
            self._stats.observe("checkSlaThenAct", trio.current_time() - started)

    def objection(
        self, tables: Tables, task: ScheduledTask, policy: SlaPolicy | None, refused: Refusals | None = None
    ) -> str | None:
        """Why `task` may not go, as the tables are; to be asked within the write that takes it down.

        A large job need not be counted for each of its tasks: what was `refused` to one is refused to those like it, as
        long as the caller keeps these refusals. Raises `ValueError` for a policy with a coordinator.
        """
        counted = (policy.count_sla_policy or policy.percentage_sla_policy) if policy is not None else None
        if counted is None:
            if policy is not None and policy.coordinator_sla_policy is not None:
                raise ValueError("a coordinator cannot be asked within a write")
            return None
        job, now_ms = task.assigned_task.task.job, self._now_ms()
        alike = (job, counted, sla_policy.is_healthy(task, now_ms - counted.duration_secs * 1000))
        if refused is not None and alike in refused:
            return refused[alike]
        objection = sla_policy.objection(counted, task, tables.job_tasks(job), now_ms, self._promise)
        if refused is not None and objection is not None:
            refused[alike] = objection
        return objection

    def _act(self, tx: Transaction, task_id: str, policy: SlaPolicy | None, work: Work, force: bool) -> str | None:
        task = tx.tables.task(task_id)
        if task is None or task.status not in ACTIVE_STATES:
            return ENDED
        objection = None if force else self.objection(tx.tables, task, policy)
        if objection is None:
            work(tx)
        return objection

    async def _coordinated(
        self, task: ScheduledTask, policy: CoordinatorSlaPolicy, work: Work, parameters: Mapping[str, str]
    ) -> str | None:
        async with self._coordinators.asked(task, policy, parameters) as objection:
            if objection is not None:
                return objection
            task_id = task.assigned_task.task_id
            return await write_patiently(self._storage, lambda tx: self._act(tx, task_id, None, work, force=True))
