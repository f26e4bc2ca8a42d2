"""One write in the making: changes the tables as it goes, remembers how to undo it, and what the log must hold."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from aurorad.api import storage as s
from aurorad.api.tasks import (
    HostAttributes,
    HostMaintenanceRequest,
    JobConfiguration,
    JobKey,
    ResourceAggregate,
    ScheduledTask,
)
from aurorad.api.updates import JobInstanceUpdateEvent, JobUpdate, JobUpdateEvent, JobUpdateKey
from aurorad.storage.events import HostChanged, KillRequested, StorageEvent, TaskChanged
from aurorad.storage.tables import Change, Table, Tables


class Transaction:
    """What a work function is given. Reads through `tables` see what this transaction did so far."""

    def __init__(self, tables: Tables) -> None:
        self.tables = tables
        self.ops: list[s.Op] = []
        self.changes: list[Change] = []
        self._kills: list[str] = []

    def save_tasks(self, *tasks: ScheduledTask) -> None:
        """Create or overwrite tasks by their ids. Raises `ValueError` if two have the same one."""
        if len({task.assigned_task.task_id for task in tasks}) < len(tasks):
            raise ValueError("Proposed new tasks would create task ID collision.")
        if tasks:
            self._apply(s.Op(save_tasks=s.SaveTasks(frozenset(tasks))))

    def remove_tasks(self, task_ids: Iterable[str]) -> None:
        ids = frozenset(task_ids)
        if ids:
            self._apply(s.Op(remove_tasks=s.RemoveTasks(ids)))

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
            self.changes += self.tables.add_instance_events(key, events)
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
        changed: list[StorageEvent] = [
            TaskChanged(change.before, change.after) for change in self.changes if change.table is Table.TASKS
        ]
        hosts = [
            HostChanged(change.before, change.after)
            for change in self.changes
            if change.table is Table.HOSTS and change.before is not None and change.before.mode != change.after.mode
        ]
        return changed + hosts + [KillRequested(task_id) for task_id in self._kills]

    def _apply(self, op: s.Op) -> None:
        self.changes += self.tables.apply(op)
        self.ops.append(op)
