"""One write in the making: changes the tables as it goes, remembers how to undo it, and what the log must hold."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

from aurorad.api import storage as s
from aurorad.api.enums import ScheduleStatus
from aurorad.api.tasks import (
    HostAttributes,
    HostMaintenanceRequest,
    JobConfiguration,
    JobKey,
    ResourceAggregate,
    ScheduledTask,
    TaskEvent,
)
from aurorad.api.updates import JobInstanceUpdateEvent, JobUpdate, JobUpdateEvent, JobUpdateKey
from aurorad.storage.events import CronJobChanged, HostChanged, KillRequested, StorageEvent, TaskChanged, UpdateChanged
from aurorad.storage.operations import (
    Assignment,
    AssignTasks,
    MoveTasks,
    NewTasks,
    Op,
    OtherOp,
    RemoveTasks,
    SaveTasks,
    assigned,
    moved,
)
from aurorad.storage.tables import Change, Changes, Table, Tables

Joined = TypeVar("Joined", SaveTasks, MoveTasks, AssignTasks, RemoveTasks)


class Transaction:
    """What a work function is given. Reads through `tables` see what this transaction did so far.

    What is done to one task after the other is joined into few operations for the log.
    """

    def __init__(self, tables: Tables) -> None:
        self.tables = tables
        self.ops: list[Op] = []
        self.changes = Changes()
        self._kills: list[str] = []
        self._events: dict[tuple[int, ScheduleStatus, str | None, str], TaskEvent] = {}

    def event(self, timestamp_ms: int, status: ScheduleStatus, message: str | None, scheduler: str) -> TaskEvent:
        """A task's event; what is the same for many tasks is one object."""
        key = (timestamp_ms, status, message, scheduler)
        found = self._events.get(key)
        if found is None:
            self._events[key] = found = TaskEvent(*key)
        return found

    def insert_tasks(self, new: NewTasks) -> None:
        """Create tasks. Raises `ValueError` if one of them is there already."""
        if new.by_id:
            self.tables.insert_tasks(new.op, new.by_id, self.changes)
            self.ops.append(new.op)

    def save_tasks(self, *tasks: ScheduledTask) -> None:
        """Create or overwrite tasks by their ids. Raises `ValueError` if two have the same one."""
        if len({task.assigned_task.task_id for task in tasks}) < len(tasks):
            raise ValueError("Proposed new tasks would create task ID collision.")
        for task in tasks:
            self.tables.put_task(task, self.changes)
            self._last(SaveTasks).tasks.append(task)

    def move_task(self, task: ScheduledTask, event: TaskEvent) -> ScheduledTask:
        """Have a task, given as it is stored, enter the status of `event`; its record now."""
        after = moved(task, event)
        self.tables.replace_task(task, after, self.changes)
        self._last(MoveTasks).moves.append((task.assigned_task.task_id, event))
        return after

    def assign_task(self, task: ScheduledTask, place: Assignment) -> ScheduledTask:
        """Give a task, given as it is stored, its place; its record now."""
        after = assigned(task, place)
        self.tables.replace_task(task, after, self.changes)
        self._last(AssignTasks).assignments.append(place)
        return after

    def remove_tasks(self, task_ids: Iterable[str]) -> None:
        """Unknown ones are passed over."""
        gone = list(task_ids)
        if gone:
            self.tables.remove_tasks(gone, self.changes)
            self._last(RemoveTasks).task_ids.extend(gone)

    def save_framework_id(self, framework_id: str) -> None:
        self._apply(s.Op(save_framework_id=s.SaveFrameworkId(framework_id)))

    def save_cron_job(self, job: JobConfiguration) -> None:
        self._apply(s.Op(save_cron_job=s.SaveCronJob(job)))

    def remove_cron_job(self, job: JobKey) -> None:
        self._apply(s.Op(remove_job=s.RemoveJob(job)))

    def save_quota(self, role: str, quota: ResourceAggregate) -> None:
        self._apply(s.Op(save_quota=s.SaveQuota(role, quota)))

    def remove_quota(self, role: str) -> None:
        self._apply(s.Op(remove_quota=s.RemoveQuota(role)))

    def save_host_attributes(self, host: HostAttributes) -> bool:
        """Whether anything changed; what did not change is not written."""
        if self.tables.hosts.get(host.host) == host:
            return False
        self._apply(s.Op(save_host_attributes=s.SaveHostAttributes(host)))
        return True

    def save_job_update(self, update: JobUpdate) -> None:
        self._apply(s.Op(save_job_update=s.SaveJobUpdate(update)))

    def save_job_update_event(self, key: JobUpdateKey, event: JobUpdateEvent) -> None:
        self._apply(s.Op(save_job_update_event=s.SaveJobUpdateEvent(event, key)))

    def save_job_instance_update_event(self, key: JobUpdateKey, event: JobInstanceUpdateEvent) -> None:
        self._apply(s.Op(save_job_instance_update_event=s.SaveJobInstanceUpdateEvent(event, key)))

    def save_job_instance_update_events(self, key: JobUpdateKey, events: Sequence[JobInstanceUpdateEvent]) -> None:
        """Many at once: an update has some for each instance, and each addition copies those before."""
        if events:
            self.tables.add_instance_events(key, events, self.changes)
            self.ops += [
                s.Op(save_job_instance_update_event=s.SaveJobInstanceUpdateEvent(event, key)) for event in events
            ]

    def remove_job_updates(self, update_keys: Iterable[JobUpdateKey]) -> None:
        gone = frozenset(update_keys)
        if gone:
            self._apply(s.Op(remove_job_update=s.RemoveJobUpdates(gone)))

    def save_host_maintenance_request(self, request: HostMaintenanceRequest) -> None:
        self._apply(s.Op(save_host_maintenance_request=s.SaveHostMaintenanceRequest(request)))

    def remove_host_maintenance_request(self, host: str) -> None:
        self._apply(s.Op(remove_host_maintenance_request=s.RemoveHostMaintenanceRequest(host)))

    def kill(self, task_id: str) -> None:
        """Have the engine end this task once the transaction is in the log."""
        self._kills.append(task_id)

    def revert(self) -> None:
        """Put the tables back as they were."""
        self.tables.revert(self.changes)

    def events(self) -> list[StorageEvent]:
        """What subscribers hear once this is in the log, in the order it was done."""
        changed: list[StorageEvent] = [*map(TaskChanged, self.changes.before, self.changes.after)]
        return changed + _told(self.changes.rows) + [KillRequested(task_id) for task_id in self._kills]

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to log and nothing to tell."""
        return not self.ops and not self._kills

    def _apply(self, op: OtherOp) -> None:
        self.tables.apply(op, self.changes)
        self.ops.append(op)

    def _last(self, kind: type[Joined]) -> Joined:
        """The last operation, if it is of this kind; else a new one, which is empty."""
        last = self.ops[-1] if self.ops else None
        if isinstance(last, kind):
            return last
        self.ops.append(new := kind([]))
        return new


def _told(rows: Iterable[Change]) -> list[StorageEvent]:
    told: list[StorageEvent] = []
    for change in rows:
        if change.table is Table.CRON_JOBS:
            told.append(CronJobChanged(change.before, change.after))
        elif change.table is Table.HOSTS:
            told.append(HostChanged(change.before, change.after))
        elif change.table is Table.UPDATES:
            told.append(UpdateChanged(change.before, change.after))
    return told
