"""Changes tasks, inside a caller's transaction, as the rules decide (task-state-machine sheet, 2-6)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from uuid import UUID

import msgspec
from frozendict import frozendict

from aurorad.api import keys
from aurorad.api.enums import ACTIVE_STATES, ScheduleStatus
from aurorad.api.tasks import AssignedTask, ScheduledTask, TaskConfig
from aurorad.flags import Flags
from aurorad.rules import task_states, throttling
from aurorad.rules.task_states import Action, StateChangeResult
from aurorad.storage.tables import Tables
from aurorad.storage.transaction import Transaction
from aurorad.vars import Vars


class InstanceIdCollision(Exception):
    """An instance to be created is there already."""

    def __init__(self) -> None:
        super().__init__("Instance ID collision detected.")


class StateManager:
    """The only one who creates tasks and moves them from state to state. It keeps nothing of its own."""

    def __init__(
        self,
        *,
        now_ms: Callable[[], int],
        new_uuid: Callable[[], UUID],
        hostname: str,
        flags: Flags,
        stats: Vars,
    ) -> None:
        self._now_ms = now_ms
        self._new_uuid = new_uuid
        self._hostname = hostname
        self._stats = stats
        self._flapping = throttling.Flapping(
            threshold_ms=round(flags.flapping_task_threshold * 1000),
            initial_delay_ms=round(flags.initial_flapping_task_delay * 1000),
            max_delay_ms=round(flags.max_flapping_task_delay * 1000),
        )
        stats.declare("scheduler_illegal_task_state_transitions")

    def insert_pending(self, tx: Transaction, config: TaskConfig, instance_ids: Iterable[int]) -> tuple[str, ...]:
        """Create PENDING tasks, one for each instance id; their task ids in the order of the instances.

        Raises `InstanceIdCollision` if one of them is active already, `ValueError` if there are none to create.
        """
        wanted = sorted(set(instance_ids))
        if not wanted:
            raise ValueError("no instance ids: at least one was expected")
        if tx.tables.instance_tasks(config.job, wanted, ACTIVE_STATES):
            raise InstanceIdCollision
        tasks = [self._entered(self._fresh(config, instance_id), ScheduleStatus.PENDING) for instance_id in wanted]
        for task in tasks:  # one by one: a set has no order, and the first instance shall be placed first
            tx.save_tasks(task)
        return tuple(task.assigned_task.task_id for task in tasks)

    def change_state(
        self,
        tx: Transaction,
        task_id: str,
        target: ScheduleStatus,
        message: str | None = None,
        expected: ScheduleStatus | None = None,
    ) -> StateChangeResult:
        """Move a task to `target`, with all that follows from it. What is not allowed is counted, never raised.

        With `expected`, nothing happens unless the task is in that state.
        """
        task = tx.tables.task(task_id)
        decision = task_states.decide(task, target, expected)
        if decision.result in (StateChangeResult.ILLEGAL, StateChangeResult.ILLEGAL_WITH_SIDE_EFFECTS):
            self._stats.count("scheduler_illegal_task_state_transitions")
        for action in decision.actions:
            if action is Action.KILL:
                tx.kill(task_id)
            elif task is not None:  # only a kill is ever asked of a task without a record
                task = self._act(tx, action, task, target, message)
        return decision.result

    def _act(
        self, tx: Transaction, action: Action, task: ScheduledTask, target: ScheduleStatus, message: str | None
    ) -> ScheduledTask:
        task_id = task.assigned_task.task_id
        match action:
            case Action.INCREMENT_FAILURES:
                return msgspec.structs.replace(task, failure_count=task.failure_count + 1)
            case Action.SAVE_STATE:
                task = self._entered(task, target, message)
                tx.save_tasks(task)
            case Action.RESCHEDULE:
                self._reschedule(tx, task)
            case Action.TRANSITION_TO_LOST:
                self.change_state(tx, task_id, ScheduleStatus.LOST, task_states.LOST_AFTER_PARTITION)
            case Action.DELETE:
                tx.remove_tasks([task_id])
        return task

    def assign(
        self, tx: Transaction, task_id: str, host: str, agent_id: str, ports: Mapping[str, int]
    ) -> ScheduledTask:
        """Give a PENDING task its place; the record as it now is ASSIGNED.

        Raises `RuntimeError` if the task is not PENDING.
        """
        task = tx.tables.task(task_id)
        decision = task_states.decide(task, ScheduleStatus.ASSIGNED, ScheduleStatus.PENDING)
        if task is None or decision.result is not StateChangeResult.SUCCESS:
            raise RuntimeError(f"Attempt to assign task {task_id} to {host} failed")
        place = msgspec.structs.replace(
            task.assigned_task, slave_host=host, slave_id=agent_id, assigned_ports=frozendict(ports)
        )
        assigned = self._entered(msgspec.structs.replace(task, assigned_task=place), ScheduleStatus.ASSIGNED)
        tx.save_tasks(assigned)
        return assigned

    def remaining_penalty_ms(self, tables: Tables, task: ScheduledTask) -> int:
        """How long a THROTTLED task must still wait, by what its ancestors did."""
        ended = tables.task(task.ancestor_id) if task.ancestor_id is not None else None
        penalty_ms = throttling.penalty(ended, tables.task, self._flapping) if ended is not None else 0
        return max(0, task_states.last_change_ms(task) + penalty_ms - self._now_ms())

    def _reschedule(self, tx: Transaction, ended: ScheduledTask) -> None:
        config, instance_id = ended.assigned_task.task, ended.assigned_task.instance_id
        task = task_states.successor(ended, keys.task_id(config.job, instance_id, self._new_uuid()))
        penalty_ms = throttling.penalty(ended, tx.tables.task, self._flapping)
        if penalty_ms > 0:
            message = f"Rescheduled, penalized for {penalty_ms} ms for flapping"
            task = self._entered(task, ScheduleStatus.THROTTLED, message)
        else:
            task = self._entered(task, ScheduleStatus.PENDING, "Rescheduled")
        tx.save_tasks(task)

    def _fresh(self, config: TaskConfig, instance_id: int) -> ScheduledTask:
        task_id = keys.task_id(config.job, instance_id, self._new_uuid())
        return ScheduledTask(AssignedTask(task_id=task_id, task=config, instance_id=instance_id))

    def _entered(self, task: ScheduledTask, status: ScheduleStatus, message: str | None = None) -> ScheduledTask:
        return task_states.entered(task, status, self._now_ms(), message, self._hostname)
