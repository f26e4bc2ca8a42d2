"""The state in memory: tables of immutable values with the indices that queries need.

Operations are applied here and nowhere else, by writers and by replay alike (storage sheet, A1 and A3).
"""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec

from aurorad.api import keys
from aurorad.api.enums import ScheduleStatus
from aurorad.api.storage import Op
from aurorad.api.tasks import (
    HostAttributes,
    HostMaintenanceRequest,
    JobConfiguration,
    JobKey,
    ResourceAggregate,
    ScheduledTask,
    TaskQuery,
)
from aurorad.api.updates import JobInstanceUpdateEvent, JobUpdateDetails, JobUpdateKey, JobUpdateState
from aurorad.vars import Vars


class Table(StrEnum):
    TASKS = "tasks"
    CRON_JOBS = "cron_jobs"
    QUOTAS = "quotas"
    HOSTS = "hosts"
    UPDATES = "updates"
    MAINTENANCE = "maintenance"
    METADATA = "metadata"


class Change(NamedTuple):
    """One row before and after; None where there is none. Reverting puts `before` back."""

    table: Table
    key: Hashable
    before: Any
    after: Any


class Row(NamedTuple):
    """One row as it is."""

    table: Table
    key: Any
    value: Any


FRAMEWORK_ID = "framework_id"


class Tables:
    """Read freely; only `apply` and `revert` change anything."""

    def __init__(self, stats: Vars | None = None) -> None:
        """`stats` count which index serves each query."""
        self._stats = stats or Vars()
        self._rows: dict[Table, dict[Any, Any]] = {table: {} for table in Table}
        self._by_job: dict[JobKey, dict[str, None]] = {}
        self._by_instance: dict[tuple[JobKey, int], dict[str, None]] = {}
        self._by_host: dict[str, dict[str, None]] = {}
        self._by_status: dict[ScheduleStatus, dict[str, None]] = {}
        self._updates_by_job: dict[JobKey, dict[JobUpdateKey, None]] = {}

    @property
    def cron_jobs(self) -> Mapping[JobKey, JobConfiguration]:
        return self._rows[Table.CRON_JOBS]

    @property
    def quotas(self) -> Mapping[str, ResourceAggregate]:
        return self._rows[Table.QUOTAS]

    @property
    def hosts(self) -> Mapping[str, HostAttributes]:
        return self._rows[Table.HOSTS]

    @property
    def updates(self) -> Mapping[JobUpdateKey, JobUpdateDetails]:
        """Every update, its `summary.state` derived from its events."""
        return self._rows[Table.UPDATES]

    @property
    def maintenance(self) -> Mapping[str, HostMaintenanceRequest]:
        return self._rows[Table.MAINTENANCE]

    @property
    def framework_id(self) -> str | None:
        value: str | None = self._rows[Table.METADATA].get(FRAMEWORK_ID)
        return value

    def rows(self, table: Table) -> Mapping[Any, Any]:
        return self._rows[table]

    def task(self, task_id: str) -> ScheduledTask | None:
        task: ScheduledTask | None = self._rows[Table.TASKS].get(task_id)
        return task

    def job_keys(self) -> Iterable[JobKey]:
        """Keys of all jobs that have any task."""
        return self._by_job.keys()

    def job_updates(self, job: JobKey) -> list[JobUpdateDetails]:
        return [self.updates[key] for key in self._updates_by_job.get(job, ())]

    def job_tasks(self, job: JobKey, statuses: frozenset[ScheduleStatus] | None = None) -> list[ScheduledTask]:
        """The tasks of one job, all or those in `statuses`."""
        tasks = self._rows[Table.TASKS]
        found: list[ScheduledTask] = [tasks[task_id] for task_id in self._by_job.get(job, ())]
        return found if statuses is None else [task for task in found if task.status in statuses]

    def instance_tasks(
        self, job: JobKey, instance_ids: Iterable[int], statuses: frozenset[ScheduleStatus] | None = None
    ) -> list[ScheduledTask]:
        """The tasks of some instances of a job, whatever its size; all of them or those in `statuses`."""
        tasks = self._rows[Table.TASKS]
        found = [tasks[task_id] for i in instance_ids for task_id in self._by_instance.get((job, i), ())]
        return found if statuses is None else [task for task in found if task.status in statuses]

    def count(self, status: ScheduleStatus) -> int:
        return len(self._by_status.get(status, ()))

    @property
    def indexed_jobs(self) -> int:
        """How many jobs have tasks."""
        return len(self._by_job)

    @property
    def indexed_hosts(self) -> int:
        """How many hosts have tasks."""
        return len(self._by_host)

    def tasks(self, query: TaskQuery) -> list[ScheduledTask]:
        """All matches (thrift-api sheet, "TaskQuery semantics"), offset and limit not applied.

        Raises `ValueError` for a job key that is none.
        """
        return [task for task in self.candidates(query) if matches(task, query)]

    def candidates(self, query: TaskQuery) -> list[ScheduledTask]:
        """The tasks in the smallest index that covers the query; of these, those that `matches` says are meant.

        Raises `ValueError` for a job key that is none.
        """
        tasks: dict[str, ScheduledTask] = self._rows[Table.TASKS]
        ids: Iterable[str]
        jobs = _queried_jobs(query)
        if query.task_ids:
            self._stats.count("task_queries_by_id")
            ids = query.task_ids
        elif jobs is not None:
            self._stats.count("task_queries_by_job")
            ids = [task_id for job in jobs for task_id in self._by_job.get(job, ())]
        elif query.slave_hosts:
            self._stats.count("task_queries_by_host")
            ids = [task_id for host in query.slave_hosts for task_id in self._by_host.get(host, ())]
        elif query.statuses:
            self._stats.count("task_queries_by_status")
            ids = [task_id for status in query.statuses for task_id in self._by_status.get(status, ())]
        else:
            self._stats.count("task_queries_all")
            return list(tasks.values())
        return [tasks[task_id] for task_id in ids if task_id in tasks]

    def apply(self, op: Op) -> list[Change]:
        """Apply one operation; the changes it made, in order."""
        changes = [Change(table, key, self._rows[table].get(key), after) for table, key, after in _rows_after(self, op)]
        for change in changes:
            self._put(change.table, change.key, change.after)
        return changes

    def add_instance_events(self, key: JobUpdateKey, events: Sequence[JobInstanceUpdateEvent]) -> list[Change]:
        """Like as many operations, one for each of the events."""
        before = self.updates[key]
        every = (*before.instance_events, *events)
        if any(
            one.timestamp_ms > other.timestamp_ms
            for one, other in itertools.pairwise((*before.instance_events[-1:], *events))
        ):
            every = tuple(sorted(every, key=lambda event: event.timestamp_ms))
        after = with_derived_state(msgspec.structs.replace(before, instance_events=every))
        self._put(Table.UPDATES, key, after)
        return [Change(Table.UPDATES, key, before, after)]

    def revert(self, changes: Sequence[Change]) -> None:
        """Undo `changes`, given oldest first."""
        for change in reversed(changes):
            self._put(change.table, change.key, change.before)

    def load(self, rows: Iterable[Row]) -> None:
        """Put rows as a snapshot or the database holds them."""
        for row in rows:
            self._put(row.table, row.key, row.value)

    def copy(self) -> dict[Table, dict[Any, Any]]:
        """All rows as they are now; quick, since rows are immutable and shared."""
        return {table: dict(rows) for table, rows in self._rows.items()}

    def _put(self, table: Table, key: Any, after: Any) -> None:
        rows = self._rows[table]
        if table is Table.TASKS:
            before = rows.get(key)
            if before is not None:
                self._index_task(before, present=False)
            if after is not None:
                self._index_task(after, present=True)
        elif table is Table.UPDATES:
            _index(self._updates_by_job, key.job, key, present=after is not None)
        if after is None:
            rows.pop(key, None)
        else:
            rows[key] = after

    def _index_task(self, task: ScheduledTask, present: bool) -> None:
        assigned = task.assigned_task
        _index(self._by_job, assigned.task.job, assigned.task_id, present)
        _index(self._by_instance, (assigned.task.job, assigned.instance_id), assigned.task_id, present)
        _index(self._by_status, task.status, assigned.task_id, present)
        if assigned.slave_host is not None:
            _index(self._by_host, assigned.slave_host, assigned.task_id, present)


def _index(index: dict[Any, dict[Any, None]], key: Any, member: Any, present: bool) -> None:
    members = index.setdefault(key, {})
    if present:
        members[member] = None
    else:
        members.pop(member, None)
        if not members:
            del index[key]


def _queried_jobs(query: TaskQuery) -> frozenset[JobKey] | None:
    """The jobs that the query names, or None where it leaves them open."""
    if query.task_ids:
        return None
    for job in query.job_keys:
        if not keys.is_valid(job):
            raise ValueError(
                f"Invalid job key format: IJobKey{{role={job.role}, environment={job.environment}, name={job.name}}}"
            )
    if query.role is not None and query.environment is not None and query.job_name is not None and query.role.strip():
        job = JobKey(query.role, query.environment, query.job_name)
        if not keys.is_valid(job):
            raise ValueError("")
        return frozenset({job})
    return query.job_keys or None


def matches(task: ScheduledTask, query: TaskQuery) -> bool:
    """Whether the query means this task (thrift-api sheet, "TaskQuery semantics")."""
    assigned = task.assigned_task
    job = assigned.task.job
    return (
        (query.role is None or not query.role.strip() or job.role == query.role)
        and (query.environment is None or job.environment == query.environment)
        and (query.job_name is None or job.name == query.job_name)
        and (not query.job_keys or job in query.job_keys)
        and (not query.task_ids or assigned.task_id in query.task_ids)
        and (not query.statuses or task.status in query.statuses)
        and (not query.slave_hosts or assigned.slave_host in query.slave_hosts)
        and (not query.instance_ids or assigned.instance_id in query.instance_ids)
    )


def _rows_after(tables: Tables, op: Op) -> list[tuple[Table, Any, Any]]:
    """The rows that an operation leaves behind (storage sheet, A3); None removes one."""
    if op.save_tasks is not None:
        return [(Table.TASKS, task.assigned_task.task_id, task) for task in op.save_tasks.tasks]
    if op.remove_tasks is not None:
        return [(Table.TASKS, task_id, None) for task_id in op.remove_tasks.task_ids]
    if op.save_framework_id is not None:
        return [(Table.METADATA, FRAMEWORK_ID, op.save_framework_id.id)]
    if op.save_cron_job is not None:
        return [(Table.CRON_JOBS, op.save_cron_job.job_config.key, op.save_cron_job.job_config)]
    if op.remove_job is not None:
        return [(Table.CRON_JOBS, op.remove_job.job_key, None)]
    if op.save_quota is not None:
        return [(Table.QUOTAS, op.save_quota.role, op.save_quota.quota)]
    if op.remove_quota is not None:
        return [(Table.QUOTAS, op.remove_quota.role, None)]
    if op.save_host_attributes is not None:
        host = op.save_host_attributes.host_attributes
        return [(Table.HOSTS, host.host, host)] if host is not None and host.slave_id else []
    if op.save_host_maintenance_request is not None:
        request = op.save_host_maintenance_request.host_maintenance_request
        return [(Table.MAINTENANCE, request.host, request)]
    if op.remove_host_maintenance_request is not None:
        return [(Table.MAINTENANCE, op.remove_host_maintenance_request.host, None)]
    return _update_rows_after(tables, op)


def _update_rows_after(tables: Tables, op: Op) -> list[tuple[Table, Any, Any]]:
    if op.save_job_update is not None:
        update = op.save_job_update.job_update
        return [(Table.UPDATES, update.summary.key, with_derived_state(JobUpdateDetails(update)))]
    if op.save_job_update_event is not None:
        key, details = op.save_job_update_event.key, tables.updates.get(op.save_job_update_event.key)
        if details is None:
            raise LookupError(f"Update not found: {key}")
        events = _sorted_in(details.update_events, op.save_job_update_event.event)
        return [(Table.UPDATES, key, with_derived_state(msgspec.structs.replace(details, update_events=events)))]
    if op.save_job_instance_update_event is not None:
        key, details = op.save_job_instance_update_event.key, tables.updates.get(op.save_job_instance_update_event.key)
        if details is None:
            raise LookupError(f"Update not found: {key}")
        instance_events = _sorted_in(details.instance_events, op.save_job_instance_update_event.event)
        return [
            (Table.UPDATES, key, with_derived_state(msgspec.structs.replace(details, instance_events=instance_events)))
        ]
    if op.remove_job_update is not None:
        return [(Table.UPDATES, key, None) for key in op.remove_job_update.keys]
    return []  # locks and pruneJobUpdateHistory are legacy and mean nothing (storage sheet, A3)


def _sorted_in(events: tuple[Any, ...], event: Any) -> tuple[Any, ...]:
    """Stable by time. An update has up to two events an instance, so the usual case, the newest, must be cheap."""
    if not events or events[-1].timestamp_ms <= event.timestamp_ms:
        return (*events, event)
    return tuple(sorted((*events, event), key=lambda event: event.timestamp_ms))


def with_derived_state(details: JobUpdateDetails) -> JobUpdateDetails:
    """The update with its state as its events say (updates sheet, section 2)."""
    events = details.update_events
    if not events:
        return details
    last = max([events[-1].timestamp_ms, *[event.timestamp_ms for event in details.instance_events[-1:]]])
    state = JobUpdateState(events[-1].status, events[0].timestamp_ms, last)
    summary = msgspec.structs.replace(details.update.summary, state=state)
    return msgspec.structs.replace(details, update=msgspec.structs.replace(details.update, summary=summary))
