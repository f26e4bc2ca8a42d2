"""Changes tasks, inside a caller's transaction, as the rules decide (task-state-machine sheet, 2-6)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from uuid import UUID

import msgspec

from aurorad.api import keys
from aurorad.api.enums import ACTIVE_STATES, ScheduleStatus
from aurorad.api.tasks import ScheduledTask, TaskConfig, TaskEvent
from aurorad.flags import Flags
from aurorad.pace import Pace
from aurorad.rules import task_states, throttling
from aurorad.rules.task_states import Action, StateChangeResult
from aurorad.storage.operations import Assignment, InsertTasks, NewTasks, inserted, insertion
from aurorad.storage.tables import Tables
from aurorad.storage.transaction import Transaction
from aurorad.vars import Vars

_AT_ONCE = 2000
"""Records made without a pause."""


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
        op = self._insertion(config, instance_ids)
        return self.insert_prepared(tx, NewTasks(op, inserted(op, op.instance_ids)))

    async def prepare_pending(self, config: TaskConfig, instance_ids: Iterable[int]) -> NewTasks:
        """Make the records of PENDING tasks before the write that inserts them, for they may be very many.

        Raises `ValueError` if there are none to make.
        """
        op = self._insertion(config, instance_ids)
        pace = Pace()
        by_id: dict[str, ScheduledTask] = {}
        for start in range(0, len(op.instance_ids), _AT_ONCE):
            by_id.update(inserted(op, op.instance_ids[start : start + _AT_ONCE]))
            await pace.breathe()
        return NewTasks(op, by_id)

    def insert_prepared(self, tx: Transaction, new: NewTasks) -> tuple[str, ...]:
        """Like `insert_pending`."""
        if tx.tables.instance_tasks(new.op.config.job, new.op.instance_ids, ACTIVE_STATES):
            raise InstanceIdCollision
        tx.insert_tasks(new)
        return tuple(new.by_id)

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
            elif action is Action.SAVE_STATE and task is not None:
                task = self._enter(tx, task, target, message)
            elif task is not None:  # only a kill is ever asked of a task without a record
                task = self._act(tx, action, task, target, message)
        return decision.result

    def note(self, tx: Transaction, task: ScheduledTask, message: str) -> None:
        """Put on record that the task is wanted in the state in which it is already."""
        tx.save_tasks(self._entered(task, task.status, message))

    def _act(
        self, tx: Transaction, action: Action, task: ScheduledTask, target: ScheduleStatus, message: str | None
    ) -> ScheduledTask:
        task_id = task.assigned_task.task_id
        match action:
            case Action.INCREMENT_FAILURES:
                return msgspec.structs.replace(task, failure_count=task.failure_count + 1)
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
        event = tx.event(self._now_ms(), ScheduleStatus.ASSIGNED, None, self._hostname)
        return tx.assign_task(task, Assignment(task_id, host, agent_id, ports, event))

    def remaining_penalty_ms(self, tables: Tables, task: ScheduledTask) -> int:
        """How long a THROTTLED task must still wait, by what its ancestors did."""
        ended = tables.task(task.ancestor_id) if task.ancestor_id is not None else None
        penalty_ms = throttling.penalty(ended, tables.task, self._flapping) if ended is not None else 0
        waited_ms = max(0, self._now_ms() - task_states.last_change_ms(task))  # whatever became of the clock
        return max(0, penalty_ms - waited_ms)

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

    def _insertion(self, config: TaskConfig, instance_ids: Iterable[int]) -> InsertTasks:
        """In the order of the instances: the first shall be placed first."""
        wanted = sorted(set(instance_ids))
        if not wanted:
            raise ValueError("no instance ids: at least one was expected")
        event = TaskEvent(self._now_ms(), ScheduleStatus.PENDING, None, self._hostname)
        return insertion(config, wanted, self._new_uuid(), event)

    def _enter(
        self, tx: Transaction, task: ScheduledTask, status: ScheduleStatus, message: str | None
    ) -> ScheduledTask:
        """The record after entering `status`; it is saved whole where more changed than the status."""
        if task is tx.tables.task(task.assigned_task.task_id) and status is not ScheduleStatus.PARTITIONED:
            return tx.move_task(task, tx.event(self._now_ms(), status, message, self._hostname))
        task = self._entered(task, status, message)
        tx.save_tasks(task)
        return task

    def _entered(self, task: ScheduledTask, status: ScheduleStatus, message: str | None = None) -> ScheduledTask:
        return task_states.entered(task, status, self._now_ms(), message, self._hostname)
