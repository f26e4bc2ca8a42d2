"""The calls of operators on quota, tasks, storage and reconciliation (thrift-api sheet, section 4)."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable

import msgspec

from aurorad.api.calls import (
    ForceTaskState,
    PruneTasks,
    SetQuota,
    Snapshot,
    TriggerExplicitTaskReconciliation,
    TriggerImplicitTaskReconciliation,
)
from aurorad.api.enums import ACTIVE_STATES, TERMINAL_STATES, ResponseCode, ScheduleStatus
from aurorad.api.results import Response
from aurorad.rules import quota
from aurorad.scheduler.limits import role_usage
from aurorad.scheduler.reconciliation import Reconciliation
from aurorad.scheduler.rpc.answers import Handlers, Refused, given, given_text, ok, rules_refuse
from aurorad.scheduler.rpc.finding import find, given_query
from aurorad.scheduler.state import StateManager
from aurorad.storage.storage import Storage
from aurorad.storage.transaction import Transaction
from aurorad.vars import Vars

PRUNED_AT_ONCE = 1000
"""Tasks removed in one write, lest it hold the loop."""


def handlers(
    *,
    storage: Storage,
    state: StateManager,
    reconciliation: Reconciliation,
    snapshot: Callable[[], Awaitable[None]],
    stats: Vars,
) -> Handlers:
    """`snapshot` takes one of the storage."""
    calls = _AdminCalls(storage, state, reconciliation, snapshot, stats)
    return {
        SetQuota: calls.set_quota,
        ForceTaskState: calls.force_task_state,
        PruneTasks: calls.prune_tasks,
        Snapshot: calls.snapshot,
        TriggerExplicitTaskReconciliation: calls.reconcile_explicitly,
        TriggerImplicitTaskReconciliation: calls.reconcile_implicitly,
    }


class _AdminCalls:
    def __init__(
        self,
        storage: Storage,
        state: StateManager,
        reconciliation: Reconciliation,
        snapshot: Callable[[], Awaitable[None]],
        stats: Vars,
    ) -> None:
        self._storage = storage
        self._state = state
        self._reconciliation = reconciliation
        self._snapshot = snapshot
        self._stats = stats
        stats.declare("thrift_workload_pruneTasks")

    async def set_quota(self, call: SetQuota, user: str) -> Response:
        role = given_text(call.owner_role)
        granted = given(call.quota, "A quota")

        def work(tx: Transaction) -> None:
            with rules_refuse():
                quota.check_granted(granted, role_usage(tx.tables, role))
            tx.save_quota(role, granted)

        await self._storage.write(work)
        return ok()

    async def force_task_state(self, call: ForceTaskState, user: str) -> Response:
        """OK whether or not there is such a task, and whether or not it may go there."""
        task_id = given_text(call.task_id)
        target = given(call.status, "A status")

        def work(tx: Transaction) -> None:
            task = tx.tables.task(task_id)
            if target is ScheduleStatus.ASSIGNED and task is not None and task.assigned_task.slave_id is None:
                return  # a task that is assigned must be somewhere
            self._state.change_state(tx, task_id, target, f"Transition forced by {user}")

        await self._storage.write(work)
        return ok()

    async def prune_tasks(self, call: PruneTasks, user: str) -> Response:
        query = given_query(call.query)
        if query.statuses & ACTIVE_STATES:
            raise Refused("Tasks in non-terminal state cannot be pruned.", ResponseCode.ERROR)
        meant = msgspec.structs.replace(query, statuses=query.statuses or TERMINAL_STATES, offset=0)
        ended = await find(self._storage.tables, meant, lambda task: task.assigned_task.task_id)
        for start in range(0, len(ended), PRUNED_AT_ONCE):
            some = ended[start : start + PRUNED_AT_ONCE]
            pruned = await self._storage.write(functools.partial(_prune, some))
            self._stats.count("thrift_workload_pruneTasks", pruned)
        return ok()

    async def snapshot(self, call: Snapshot, user: str) -> Response:
        await self._snapshot()
        return ok()

    async def reconcile_explicitly(self, call: TriggerExplicitTaskReconciliation, user: str) -> Response:
        batch_size = given(call.settings, "A value for settings").batch_size
        if batch_size is not None and batch_size <= 0:
            raise Refused("Batch size must be greater than zero.")
        self._reconciliation.trigger_explicit(batch_size)
        return ok()

    async def reconcile_implicitly(self, call: TriggerImplicitTaskReconciliation, user: str) -> Response:
        self._reconciliation.trigger_implicit()
        return ok()


def _prune(task_ids: list[str], tx: Transaction) -> int:
    """How many of them were still there. A task that has ended stays so."""
    there = [task_id for task_id in task_ids if tx.tables.task(task_id) is not None]
    tx.remove_tasks(there)
    return len(there)
