"""What a task query means (thrift-api sheet, "TaskQuery semantics")."""

from __future__ import annotations

import msgspec

from aurorad.api import keys
from aurorad.api.tasks import JobKey, ScheduledTask, TaskQuery


def queried_jobs(query: TaskQuery) -> frozenset[JobKey] | None:
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


def without_instances(query: TaskQuery) -> TaskQuery:
    """The same for tasks of which it is known that they have the right instances."""
    return msgspec.structs.replace(query, instance_ids=frozenset())


def rest_of_jobs(query: TaskQuery) -> TaskQuery:
    """What is left to ask of tasks with the right instances of `queried_jobs`."""
    if query.job_keys:  # which are those jobs, unless role, environment and name say other ones
        named = (query.role, query.environment, query.job_name) != (None, None, None)
        return without_instances(query if named else msgspec.structs.replace(query, job_keys=frozenset()))
    return without_instances(msgspec.structs.replace(query, role=None, environment=None, job_name=None))
