"""Jobs and calls made by hand, for tests that need many or odd ones."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path

import requests

from aurorad.api import binary
from aurorad.api.calls import Call, GetTasksWithoutConfigs, Reply
from aurorad.api.enums import ScheduleStatus
from aurorad.api.results import Response
from aurorad.api.tasks import (
    ExecutorConfig,
    Identity,
    JobConfiguration,
    JobKey,
    Resource,
    ScheduledTask,
    TaskConfig,
    TaskQuery,
)
from aurorad.api.wire import BINARY_TYPE, MessageHeader, MessageType
from tests.e2e.cluster import Cluster, eventually


def shell_job(
    name: str, command: str, *, cpus: float = 0.1, instances: int = 1, service: bool = True
) -> JobConfiguration:
    """A job of one process that runs a shell command, as the client would send it."""
    key = JobKey("www-data", "devel", name)
    process = {"name": name, "cmdline": command}
    resources = {"cpu": cpus, "ram": 16 << 20, "disk": 16 << 20}
    data = {
        "cluster": "devcluster",
        "role": key.role,
        "environment": key.environment,
        "name": name,
        "service": service,
        "task": {"name": name, "processes": [process], "resources": resources, "finalization_wait": 5},
    }
    task = TaskConfig(
        job=key,
        owner=Identity("tester"),
        is_service=service,
        max_task_failures=1,
        resources=frozenset({Resource(num_cpus=cpus), Resource(ram_mb=16), Resource(disk_mb=16)}),
        executor_config=ExecutorConfig("AuroraExecutor", json.dumps(data)),
    )
    return JobConfiguration(key=key, owner=Identity("tester"), task_config=task, instance_count=instances)


def call(cluster: Cluster, what: Call) -> Response:
    """The scheduler's answer, over TBinary as the client speaks it."""
    body = binary.encode_message(MessageHeader(what.method(), MessageType.CALL, 0), what)
    headers = {"Content-Type": BINARY_TYPE, "Accept": BINARY_TYPE}
    answer = requests.post(f"{cluster.scheduler}/api", data=body, headers=headers, timeout=30)
    answer.raise_for_status()
    reply = binary.read_struct(Reply, answer.content, binary.decode_header(answer.content)[1])[0]
    assert reply.success is not None
    return reply.success


def job_file(folder: Path, name: str, command: str, *, cpus: float = 0.1, kind: str = "Service", more: str = "") -> str:
    """Its path: a job of one process in ``devcluster/www-data/devel``, `more` being further fields as in a job file."""
    file = folder / f"{name}.aurora"
    file.write_text(
        f"""
task = SequentialTask(
    name = '{name}', processes = [Process(name = '{name}', cmdline = {command!r})],
    resources = Resources(cpu = {cpus}, ram = 16 * MB, disk = 16 * MB))
jobs = [{kind}(cluster = 'devcluster', role = 'www-data', environment = 'devel', name = '{name}', task = task, {more})]
"""
    )
    return str(file)


def tasks_of(cluster: Cluster, *names: str, statuses: Iterable[ScheduleStatus] = ()) -> list[ScheduledTask]:
    """Of jobs in ``www-data/devel``, or of all jobs; oldest first."""
    keys = frozenset(JobKey("www-data", "devel", name) for name in names)
    query = TaskQuery(job_keys=keys, statuses=frozenset(statuses))
    result = call(cluster, GetTasksWithoutConfigs(query)).result
    assert result is not None
    assert result.schedule_status_result is not None
    return sorted(result.schedule_status_result.tasks, key=lambda task: task.task_events[0].timestamp)


def running(cluster: Cluster, *names: str) -> list[ScheduledTask]:
    return tasks_of(cluster, *names, statuses=[ScheduleStatus.RUNNING])


def when(
    cluster: Cluster,
    name: str,
    what: str,
    holds: Callable[[list[ScheduledTask]], object],
    within_s: float = 30.0,
) -> list[ScheduledTask]:
    """The job's tasks as soon as this holds of them; else a failure that tells their stories."""
    last: list[ScheduledTask] = []

    def probe() -> bool:
        last[:] = tasks_of(cluster, name)
        return bool(holds(last))

    try:
        eventually(f"{name}: {what}", probe, within_s)
    except AssertionError as late:
        raise AssertionError(f"{late}; at last:\n{stories(last)}\n{cluster.log()}") from None
    return last


def stories(tasks: Iterable[ScheduledTask]) -> str:
    return "\n".join(
        f"{task.assigned_task.task_id} on {task.assigned_task.slave_host}: "
        + ", ".join(f"{event.status.name} ({event.message or ''})" for event in task.task_events)
        for task in tasks
    )
