"""What a task query means, and which index answers it (thrift-api sheet, "TaskQuery semantics")."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from aurorad.api import keys
from aurorad.api.tasks import JobKey, ScheduledTask, TaskQuery
from aurorad.storage.task_rows import TaskRows
from aurorad.vars import Vars


def _queried_jobs(query: TaskQuery) -> frozenset[JobKey] | None:
    """The jobs that the query names, or None where it leaves them open."""
    if query.task_ids:
        return None
    for job in query.job_keys:
        if not keys.is_valid(job):
            raise ValueError(
                f"Invalid job key format: IJobKey{{role={job.role}, environment={job.environment}, name={job.name}}}"
            )
    if query.role is not None and query.environment is not None and query.job_name is not None:
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


def _without_instances(query: TaskQuery) -> TaskQuery:
    """The same for tasks of which it is known that they have the right instances."""
    return msgspec.structs.replace(query, instance_ids=frozenset())


def _rest_of_jobs(query: TaskQuery) -> TaskQuery:
    """What is left to ask of tasks with the right instances of `_queried_jobs`."""
    if query.job_keys:  # which are those jobs, unless role, environment and name say other ones
        named = (query.role, query.environment, query.job_name) != (None, None, None)
        return _without_instances(query if named else msgspec.structs.replace(query, job_keys=frozenset()))
    return _without_instances(msgspec.structs.replace(query, role=None, environment=None, job_name=None))


def find(query: TaskQuery, rows: TaskRows, stats: Vars) -> tuple[list[ScheduledTask], TaskQuery]:
    """Candidates by an index, and what is still to be asked of each of them. `stats` count which index it was.

    Raises `ValueError` for a job key that is none.
    """
    rest = msgspec.structs.replace(query, offset=0, limit=0)
    jobs = _queried_jobs(query)
    if query.task_ids:
        stats.count("task_queries_by_id")
        by_id = rows.by_id
        rest = msgspec.structs.replace(rest, task_ids=frozenset())
        return [by_id[task_id] for task_id in query.task_ids if task_id in by_id], rest
    if jobs is not None:
        stats.count("task_queries_by_job")
        return _in_jobs(rows, jobs, query.instance_ids), _rest_of_jobs(rest)
    if query.slave_hosts:
        stats.count("task_queries_by_host")
        rest = msgspec.structs.replace(rest, slave_hosts=frozenset())
        return [task for host in query.slave_hosts for task in rows.on_host(host)], rest
    if query.role is not None and query.role.strip():
        stats.count("task_queries_by_job")
        rest = msgspec.structs.replace(rest, role=None)
        return _in_jobs(rows, rows.jobs_of(query.role), query.instance_ids), _without_instances(rest)
    if query.statuses:
        stats.count("task_queries_by_status")
        rest = msgspec.structs.replace(rest, statuses=frozenset())
        return [task for status in query.statuses for task in rows.in_status(status)], rest
    stats.count("task_queries_all")
    return rows.all(), rest


def _in_jobs(rows: TaskRows, jobs: Iterable[JobKey], instance_ids: frozenset[int]) -> list[ScheduledTask]:
    if instance_ids:
        return [task for job in jobs for task in rows.of_instances(job, instance_ids)]
    found: list[ScheduledTask] = []
    for job in jobs:
        found += rows.of_job(job)
    return found
