"""The state in memory: tables of immutable values with the indices that queries need.

Operations are applied here and nowhere else, by writers and by replay alike (storage sheet, A1 and A3).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from typing import Any, NamedTuple, TypeVar

from aurorad.api.enums import ACTIVE_JOB_UPDATE_STATES, TERMINAL_STATES, ScheduleStatus
from aurorad.api.tasks import (
    HostAttributes,
    HostMaintenanceRequest,
    JobConfiguration,
    JobKey,
    ResourceAggregate,
    ScheduledTask,
    TaskConfig,
    TaskQuery,
)
from aurorad.api.updates import JobInstanceUpdateEvent, JobUpdateDetails, JobUpdateKey
from aurorad.storage.frozen import FrozenTasks
from aurorad.storage.operations import (
    AssignTasks,
    InsertTasks,
    MoveTasks,
    Op,
    OtherOp,
    RemoveTasks,
    SaveTasks,
    assigned,
    inserted,
    moved,
)
from aurorad.storage.queries import find, matches
from aurorad.storage.task_rows import TaskRows
from aurorad.storage.update_rows import with_derived_state, with_event, with_instance_events
from aurorad.vars import Vars

K = TypeVar("K")
M = TypeVar("M")

_EVERYTHING = TaskQuery()


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
    key: Any
    before: Any
    after: Any


class Row(NamedTuple):
    """One row as it is."""

    table: Table
    key: Any
    value: Any


class Changes:
    """What was changed, oldest first: tasks in two columns, for there may be many; all else row by row."""

    def __init__(self) -> None:
        self.before: list[ScheduledTask | None] = []
        """The tasks as they were, None for new ones."""
        self.after: list[ScheduledTask | None] = []
        """The same tasks as they are, None for removed ones."""
        self.rows: list[Change] = []

    def note_in(self, dirty: Mapping[Table, dict[Any, Any]]) -> None:
        """Set what changed, in the rows of every table by key, to what it is now; None if it is no more."""
        tasks = dirty[Table.TASKS]
        for before, after in zip(self.before, self.after, strict=True):
            task = after if after is not None else before
            assert task is not None
            tasks[task.assigned_task.task_id] = after
        for change in self.rows:
            dirty[change.table][change.key] = change.after


FRAMEWORK_ID = "framework_id"


class Tables:
    """Read freely; only `apply` and its parts, `load` and `revert` change anything."""

    def __init__(self, stats: Vars | None = None) -> None:
        """`stats` count which index serves each query."""
        self._stats = stats or Vars()
        self._tasks = TaskRows()
        self._rows: dict[Table, dict[Any, Any]] = {table: {} for table in Table if table is not Table.TASKS}
        self._updates_by_job: dict[JobKey, dict[JobUpdateKey, None]] = {}
        self._active_updates: dict[str, dict[JobUpdateKey, None]] = {}
        self._frozen: list[FrozenTasks] = []

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
        return self._tasks.by_id if table is Table.TASKS else self._rows[table]

    def task(self, task_id: str) -> ScheduledTask | None:
        return self._tasks.by_id.get(task_id)

    def all_tasks(self) -> list[ScheduledTask]:
        """All tasks at once, those of a job in the order in which they came; much quicker than the values of `rows`."""
        return self._tasks.all()

    def job_keys(self) -> Collection[JobKey]:
        """Keys of all jobs that have any task."""
        return self._tasks.jobs().keys()

    def role_jobs(self, role: str) -> list[JobKey]:
        """Keys of the jobs of one role that have any task."""
        return list(self._tasks.jobs_of(role))

    def by_job(self) -> Iterator[list[ScheduledTask]]:
        """All tasks, those of one job at a time; whoever takes long over it may miss those of new jobs."""
        for job in list(self.job_keys()):
            yield self._tasks.of_job(job)

    def updated_jobs(self) -> list[JobKey]:
        """Keys of all jobs that have any update."""
        return list(self._updates_by_job)

    def job_updates(self, job: JobKey) -> list[JobUpdateDetails]:
        return [self.updates[key] for key in self._updates_by_job.get(job, ())]

    def job_tasks(self, job: JobKey, statuses: frozenset[ScheduleStatus] | None = None) -> list[ScheduledTask]:
        """The tasks of one job, all or those in `statuses`; of terminal ones alone quick, however many run."""
        ended = statuses is not None and statuses <= TERMINAL_STATES
        found = self._tasks.ended_of_job(job) if ended else self._tasks.of_job(job)
        return found if statuses is None else [task for task in found if task.status in statuses]

    def job_configs(self, job: JobKey) -> Mapping[TaskConfig, int]:
        """The configurations of the job's ACTIVE tasks, with how many have each; quick, however many run."""
        return self._tasks.configs_of(job)

    def role_updates(self, role: str) -> list[JobUpdateDetails]:
        """The updates of one role that are going on."""
        return [self.updates[key] for key in self._active_updates.get(role, ())]

    def active_updates(self) -> list[JobUpdateDetails]:
        """All updates that are going on."""
        return [self.updates[key] for keys in self._active_updates.values() for key in keys]

    def instance_tasks(
        self, job: JobKey, instance_ids: Iterable[int], statuses: frozenset[ScheduleStatus] | None = None
    ) -> list[ScheduledTask]:
        """The tasks of some instances of a job, whatever its size; all of them or those in `statuses`."""
        found = self._tasks.of_instances(job, instance_ids)
        return found if statuses is None else [task for task in found if task.status in statuses]

    def host_tasks(self, host: str) -> list[ScheduledTask]:
        """The tasks that are, or were, on one host."""
        return self._tasks.on_host(host)

    def count(self, status: ScheduleStatus) -> int:
        return self._tasks.count(status)

    @property
    def indexed_jobs(self) -> int:
        """How many jobs have tasks."""
        return len(self._tasks.jobs())

    @property
    def indexed_hosts(self) -> int:
        """How many hosts have tasks."""
        return len(self._tasks.hosts())

    def tasks(self, query: TaskQuery) -> list[ScheduledTask]:
        """All matches (thrift-api sheet, "TaskQuery semantics"), offset and limit not applied.

        Raises `ValueError` for a job key that is none.
        """
        found, rest = find(query, self._tasks, self._stats)
        return found if rest == _EVERYTHING else [task for task in found if matches(task, rest)]

    def candidates(self, query: TaskQuery) -> tuple[list[ScheduledTask], TaskQuery | None]:
        """The tasks in the smallest index that covers the query, and the query that each must still match, if any.

        Raises `ValueError` for a job key that is none.
        """
        found, rest = find(query, self._tasks, self._stats)
        return found, None if rest == _EVERYTHING else rest

    def apply(self, op: Op, changes: Changes | None = None) -> Changes:
        """Apply one operation; `changes`, or else new ones, get what it changed.

        Raises `LookupError` or `ValueError` for one that does not fit; it may have changed something, which
        `changes` tell, then.
        """
        changes = changes if changes is not None else Changes()
        match op:
            case MoveTasks(moves):
                for task_id, event in moves:
                    self.replace_task(before := self._known(task_id), moved(before, event), changes)
            case AssignTasks(assignments):
                for place in assignments:
                    self.replace_task(before := self._known(place.task_id), assigned(before, place), changes)
            case SaveTasks(tasks):
                for task in tasks:
                    self.put_task(task, changes)
            case RemoveTasks(task_ids):
                self.remove_tasks(task_ids, changes)
            case InsertTasks():
                self.insert_tasks(op, inserted(op, op.instance_ids), changes)
            case _:
                self._apply_other(op, changes)
        return changes

    def put_task(self, after: ScheduledTask, changes: Changes) -> None:
        """Create or overwrite one task."""
        before = self._tasks.by_id.get(after.assigned_task.task_id)
        self._note(after.assigned_task.task_id, before)
        self._tasks.put(before, after)
        changes.before.append(before)
        changes.after.append(after)

    def replace_task(self, before: ScheduledTask, after: ScheduledTask, changes: Changes) -> None:
        """Have `after` take the place of `before`, which is stored, and the same instance of the same job."""
        self._note(before.assigned_task.task_id, before)
        self._tasks.replace(before, after)
        changes.before.append(before)
        changes.after.append(after)

    def remove_tasks(self, task_ids: Iterable[str], changes: Changes) -> None:
        """Unknown ones are passed over."""
        by_id = self._tasks.by_id
        gone = [by_id[task_id] for task_id in dict.fromkeys(task_ids) if task_id in by_id]
        for before in gone:
            self._note(before.assigned_task.task_id, before)
        self._tasks.remove(gone)
        changes.before += gone
        changes.after += [None] * len(gone)

    def insert_tasks(self, op: InsertTasks, tasks: Mapping[str, ScheduledTask], changes: Changes) -> None:
        """Add `tasks`, which `op` says. Raises `ValueError` if one of them is there already."""
        if self._tasks.by_id.has_any(tasks):
            raise ValueError("Proposed new tasks would create task ID collision.")
        for frozen in self._frozen:
            frozen.note_new(tasks)
        self._tasks.insert(op.config.job, tasks, op.event.status)
        changes.before += [None] * len(tasks)
        changes.after += tasks.values()

    def add_instance_events(
        self, key: JobUpdateKey, events: Sequence[JobInstanceUpdateEvent], changes: Changes
    ) -> None:
        """Like the operations that save these events one by one. Raises `LookupError` for an unknown update."""
        after = with_instance_events(self.updates, key, events)
        changes.rows.append(Change(Table.UPDATES, key, self.updates[key], after))
        self._put(Table.UPDATES, key, after)

    def revert(self, changes: Changes) -> None:
        """Undo `changes`."""
        put = self._tasks.put
        for before, after in zip(reversed(changes.before), reversed(changes.after), strict=True):
            put(after, before)  # whoever reads frozen tasks knows already what they were
        for change in reversed(changes.rows):
            self._put(change.table, change.key, change.before)

    def load(self, rows: Iterable[Row]) -> None:
        """Put rows as a snapshot or the database holds them."""
        by_id, put = self._tasks.by_id, self._tasks.put
        for row in rows:
            if row.table is Table.TASKS:
                put(by_id.get(row.key), row.value)
            else:
                self._put(row.table, row.key, row.value)

    def become(self, other: Tables, changes: Changes | None = None) -> None:
        """Take over the rows of `other`, which must not be used any more; `changes` get what differs."""
        if changes is not None:
            self._note_difference(other, changes)
        self._tasks, self._rows = other._tasks, other._rows
        self._updates_by_job, self._active_updates = other._updates_by_job, other._active_updates

    def _note_difference(self, other: Tables, changes: Changes) -> None:
        for table in Table:
            before, after = self.rows(table), other.rows(table)
            for key in [*before, *(key for key in after if key not in before)]:
                was, is_ = before.get(key), after.get(key)
                if was is is_:
                    continue
                if table is Table.TASKS:
                    changes.before.append(was)
                    changes.after.append(is_)
                else:
                    changes.rows.append(Change(table, key, was, is_))

    def copy(self) -> dict[Table, dict[Any, Any]]:
        """All rows as they are now. Rows are shared, yet a million of them take their time."""
        return {table: dict(self.rows(table)) for table in Table}

    @contextmanager
    def frozen(self) -> Iterator[tuple[FrozenTasks, dict[Table, dict[Any, Any]]]]:
        """All rows as they are now, for as long as the block lasts: the tasks, and a copy of the other tables."""
        frozen = FrozenTasks(self._tasks)
        self._frozen.append(frozen)
        try:
            yield frozen, {table: dict(rows) for table, rows in self._rows.items()}
        finally:
            self._frozen.remove(frozen)

    def _note(self, task_id: str, before: ScheduledTask | None) -> None:
        for frozen in self._frozen:
            frozen.note(task_id, before)

    def _known(self, task_id: str) -> ScheduledTask:
        task = self._tasks.by_id.get(task_id)
        if task is None:
            raise LookupError(f"Task not found: {task_id}")
        return task

    def _apply_other(self, op: OtherOp, changes: Changes) -> None:
        for table, key, after in _rows_after(self, op):
            changes.rows.append(Change(table, key, self._rows[table].get(key), after))
            self._put(table, key, after)

    def _put(self, table: Table, key: Any, after: Any) -> None:
        rows = self._rows[table]
        if table is Table.UPDATES:
            self._index_update(key, after)
        if after is None:
            rows.pop(key, None)
        else:
            rows[key] = after

    def _index_update(self, key: JobUpdateKey, after: JobUpdateDetails | None) -> None:
        state = after.update.summary.state if after is not None else None
        is_active = state is not None and state.status in ACTIVE_JOB_UPDATE_STATES
        _keep(self._updates_by_job, key.job, key, present=after is not None)
        _keep(self._active_updates, key.job.role, key, present=is_active)


def _keep(index: dict[K, dict[M, None]], key: K, member: M, *, present: bool) -> None:
    """Have `member` be among those of `key`, or not."""
    members = index.setdefault(key, {})
    if present:
        members[member] = None
    else:
        members.pop(member, None)
        if not members:
            del index[key]


def _rows_after(tables: Tables, op: OtherOp) -> list[tuple[Table, Any, Any]]:
    """The rows that an operation leaves behind (storage sheet, A3); None removes one."""
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


def _update_rows_after(tables: Tables, op: OtherOp) -> list[tuple[Table, Any, Any]]:
    if op.save_job_update is not None:
        update = op.save_job_update.job_update
        return [(Table.UPDATES, update.summary.key, with_derived_state(JobUpdateDetails(update)))]
    if op.save_job_update_event is not None:
        key, event = op.save_job_update_event.key, op.save_job_update_event.event
        return [(Table.UPDATES, key, with_event(tables.updates, key, event))]
    if op.save_job_instance_update_event is not None:
        key, instance_event = op.save_job_instance_update_event.key, op.save_job_instance_update_event.event
        return [(Table.UPDATES, key, with_instance_events(tables.updates, key, (instance_event,)))]
    if op.remove_job_update is not None:
        return [(Table.UPDATES, key, None) for key in op.remove_job_update.keys]
    return []  # locks and pruneJobUpdateHistory are legacy and mean nothing (storage sheet, A3)
