"""The tasks in memory, with an index for every way in which they are asked for.

Indices are dictionaries, never sets: what iterates them must do so in the same order wherever the same was done.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from typing import TypeVar

from aurorad.api.enums import TERMINAL_STATES, ScheduleStatus
from aurorad.api.tasks import JobKey, ScheduledTask, TaskConfig
from aurorad.storage.parted import Parted

K = TypeVar("K")
M = TypeVar("M")


class _Job:
    """The tasks of one job, and which of them have the same instance: hardly ever more than a few."""

    __slots__ = ("by_instance", "configs", "ended", "tasks")

    def __init__(self) -> None:
        self.tasks: dict[str, ScheduledTask] = {}
        self.by_instance: dict[int, str | tuple[str, ...]] = {}
        self.ended: dict[str, None] = {}
        """The ids of those in terminal states, the latest last: history looks at them after every end."""
        self.configs: dict[TaskConfig, int] = {}
        """The configurations of all others, with how many have each: what a role uses is asked often."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Job) and self._content() == other._content()

    def _content(self) -> object:
        instances = {instance: set(self.ids(instance)) for instance in self.by_instance}
        return self.tasks, instances, self.ended, self.configs

    def ids(self, instance_id: int) -> tuple[str, ...]:
        found = self.by_instance.get(instance_id, ())
        return (found,) if isinstance(found, str) else found

    def add(self, task: ScheduledTask) -> None:
        task_id, instance_id = task.assigned_task.task_id, task.assigned_task.instance_id
        self.tasks[task_id] = task
        if task.status in TERMINAL_STATES:
            self.ended[task_id] = None
        else:
            self.count(task.assigned_task.task, 1)
        other = self.by_instance.setdefault(instance_id, task_id)
        if other is not task_id:
            self.by_instance[instance_id] = (*self.ids(instance_id), task_id)

    def remove(self, task: ScheduledTask) -> None:
        task_id, instance_id = task.assigned_task.task_id, task.assigned_task.instance_id
        del self.tasks[task_id]
        if task_id in self.ended:
            del self.ended[task_id]
        else:
            self.count(task.assigned_task.task, -1)
        there = self.by_instance.pop(instance_id)
        if not isinstance(there, str):
            left = tuple(other for other in there if other != task_id)
            self.by_instance[instance_id] = left if len(left) > 1 else left[0]

    def count(self, config: TaskConfig, more: int) -> None:
        number = self.configs.get(config, 0) + more
        if number:
            self.configs[config] = number
        else:
            del self.configs[config]


class TaskRows:
    """Read freely; `put`, `replace`, `insert` and `remove` change it, for `Tables`."""

    def __init__(self) -> None:
        self.by_id: Parted[ScheduledTask] = Parted()
        self._jobs: dict[JobKey, _Job] = {}
        self._by_role: dict[str, dict[JobKey, None]] = {}
        self._by_host: dict[str, dict[str, None]] = {}
        self._by_status: dict[ScheduleStatus, dict[JobKey, dict[str, None]]] = {status: {} for status in ScheduleStatus}
        """By job: to grow, one dictionary of a million tasks would hold everybody up."""
        self._counts = dict.fromkeys(ScheduleStatus, 0)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TaskRows) and vars(self) == vars(other)

    def jobs(self) -> Mapping[JobKey, object]:
        """The jobs that have tasks."""
        return self._jobs

    def jobs_of(self, role: str) -> Iterable[JobKey]:
        return self._by_role.get(role, {}).keys()

    def hosts(self) -> Mapping[str, object]:
        """The hosts that have tasks."""
        return self._by_host

    def all(self) -> list[ScheduledTask]:
        return [task for job in self._jobs.values() for task in job.tasks.values()]

    def of_job(self, job: JobKey) -> list[ScheduledTask]:
        found = self._jobs.get(job)
        return list(found.tasks.values()) if found is not None else []

    def configs_of(self, job: JobKey) -> Mapping[TaskConfig, int]:
        """The configurations of the job's tasks that have not ended, with how many have each."""
        found = self._jobs.get(job)
        return found.configs if found is not None else {}

    def ended_of_job(self, job: JobKey) -> list[ScheduledTask]:
        """Those of the job in terminal states, the latest to get there last."""
        found = self._jobs.get(job)
        return [found.tasks[task_id] for task_id in found.ended] if found is not None else []

    def of_instances(self, job: JobKey, instance_ids: Iterable[int]) -> list[ScheduledTask]:
        found = self._jobs.get(job)
        if found is None:
            return []
        return [found.tasks[task_id] for instance_id in instance_ids for task_id in found.ids(instance_id)]

    def on_host(self, host: str) -> list[ScheduledTask]:
        return [self.by_id[task_id] for task_id in self._by_host.get(host, ())]

    def in_status(self, status: ScheduleStatus) -> list[ScheduledTask]:
        of_jobs = self._by_status.get(status, {})  # any number may be asked for
        return [self.by_id[task_id] for of_job in of_jobs.values() for task_id in of_job]

    def count(self, status: ScheduleStatus) -> int:
        return self._counts[status]

    def put(self, before: ScheduledTask | None, after: ScheduledTask | None) -> None:
        """Have `after` take the place of `before`; both have the same id."""
        if before is None:
            if after is not None:
                self._add(after)
        elif after is None:
            self.remove([before])
        elif _is_same_instance(before, after):
            self.replace(before, after)
        else:
            self.remove([before])
            self._add(after)

    def replace(self, before: ScheduledTask, after: ScheduledTask) -> None:
        """Like `put`, where both are the same instance of the same job."""
        task_id = after.assigned_task.task_id
        self.by_id[task_id] = after
        key = after.assigned_task.task.job
        job = self._jobs[key]
        job.tasks[task_id] = after
        if before.status is not after.status:
            self._leave(before.status, key, task_id)
            self._enter(after.status, key, task_id)
            if after.status in TERMINAL_STATES:
                if task_id not in job.ended:
                    job.count(before.assigned_task.task, -1)
                job.ended[task_id] = None
            elif before.status in TERMINAL_STATES:
                del job.ended[task_id]
                job.count(before.assigned_task.task, 1)
        if before.assigned_task is not after.assigned_task:
            self._move(task_id, before.assigned_task.slave_host, after.assigned_task.slave_host)
            if before.assigned_task.task is not after.assigned_task.task and task_id not in job.ended:
                job.count(before.assigned_task.task, -1)
                job.count(after.assigned_task.task, 1)

    def insert(self, job: JobKey, tasks: Mapping[str, ScheduledTask], status: ScheduleStatus) -> None:
        """Add many tasks of one job and configuration, none of which is there or has a place."""
        self.by_id.insert(tasks)
        self._by_status[status].setdefault(job, {}).update(dict.fromkeys(tasks))
        self._counts[status] += len(tasks)
        of_job = self._job(job)
        if of_job.by_instance or status in TERMINAL_STATES:
            for task in tasks.values():
                of_job.add(task)
        else:
            of_job.tasks.update(tasks)
            for task in itertools.islice(tasks.values(), 1):  # which all have one configuration
                of_job.count(task.assigned_task.task, len(tasks))
            of_job.by_instance.update({task.assigned_task.instance_id: task_id for task_id, task in tasks.items()})

    def remove(self, tasks: Iterable[ScheduledTask]) -> None:
        """Remove tasks that are there; all of a job go at once."""
        by_job: dict[JobKey, list[ScheduledTask]] = {}
        for task in tasks:
            assigned = task.assigned_task
            del self.by_id[assigned.task_id]
            self._leave(task.status, assigned.task.job, assigned.task_id)
            if assigned.slave_host is not None:
                _drop(self._by_host, assigned.slave_host, assigned.task_id)
            by_job.setdefault(assigned.task.job, []).append(task)
        for job, gone in by_job.items():
            of_job = self._jobs[job]
            if len(gone) < len(of_job.tasks):
                for task in gone:
                    of_job.remove(task)
            else:
                del self._jobs[job]
                _drop(self._by_role, job.role, job)

    def _add(self, task: ScheduledTask) -> None:
        task_id = task.assigned_task.task_id
        self.by_id[task_id] = task
        job = task.assigned_task.task.job
        self._job(job).add(task)
        self._enter(task.status, job, task_id)
        self._move(task_id, None, task.assigned_task.slave_host)

    def _job(self, job: JobKey) -> _Job:
        found = self._jobs.get(job)
        if found is None:
            self._jobs[job] = found = _Job()
            self._by_role.setdefault(job.role, {})[job] = None
        return found

    def _enter(self, status: ScheduleStatus, job: JobKey, task_id: str) -> None:
        self._by_status[status].setdefault(job, {})[task_id] = None
        self._counts[status] += 1

    def _leave(self, status: ScheduleStatus, job: JobKey, task_id: str) -> None:
        _drop(self._by_status[status], job, task_id)
        self._counts[status] -= 1

    def _move(self, task_id: str, from_host: str | None, to_host: str | None) -> None:
        if from_host == to_host:
            return
        if from_host is not None:
            _drop(self._by_host, from_host, task_id)
        if to_host is not None:
            self._by_host.setdefault(to_host, {})[task_id] = None


def _drop(index: dict[K, dict[M, None]], key: K, member: M) -> None:
    members = index[key]
    del members[member]
    if not members:
        del index[key]


def _is_same_instance(one: ScheduledTask, other: ScheduledTask) -> bool:
    """Whether two records of one id are the same job's same instance, as good as always."""
    first, second = one.assigned_task, other.assigned_task
    if first is second:
        return True
    return first.instance_id == second.instance_id and (first.task is second.task or first.task.job == second.task.job)
